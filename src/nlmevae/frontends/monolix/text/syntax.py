"""Block bodies -> nodes, with errors people can act on. The grammar is `mlxtran.lark`; lark stays in this file."""

from __future__ import annotations

import functools
import re

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from nlmevae.errors import ModelSyntaxError
from nlmevae.frontends.monolix.text.nodes import (
    Assignment,
    CallNode,
    Conditional,
    Label,
    ListNode,
    Node,
    Numeral,
    Operation,
    Pair,
    Quoted,
    Word,
)
from nlmevae.frontends.monolix.text.split import LABELS, Block
from nlmevae.frontends.nonmem.records import SourceText

#: What the grammar's signs and words are called in messages.
_SHOWN = {"_THEN": "then", "_ELSEIF": "elseif", "_ELSE": "else", "_END": "end", "IF": "if"}
_CLOSING = {"(": ")", "{": "}"}
_LEAF = {"word": Word, "quoted": Quoted, "number": Numeral, "flag": Word, "label": Label}


@functools.cache
def _parser(grammar: str) -> Lark:
    return Lark.open_from_package(__package__, grammar, parser="lalr", start="program", maybe_placeholders=False)


def parse_block(block: Block, *, code: str | None = None, grammar: str = "mlxtran.lark") -> tuple[Node, ...]:
    """The statements of a block. `code`: its text with comments blanked (and names the grammar cannot read replaced by
    others of the same length), if not just that. `grammar`: colon.lark for projects of Monolix 4.

    Raises:
        ModelSyntaxError: not Mlxtran, with the place and the remedy.
    """
    code = block.code if code is None else code
    if not code.strip():
        return ()
    try:
        tree = _parser(grammar).parse(code)
    except UnexpectedInput as error:
        raise _explain(block, code, error) from None
    build = _Builder(block.source, block.start)
    return tuple(build.node(child) for child in tree.children)


class _Builder:
    """Trees of lark -> nodes; offsets of the block become offsets of the file."""

    def __init__(self, source: SourceText, offset: int) -> None:
        self.source = source
        self.offset = offset

    def node(self, tree: Tree | Token) -> Node:
        leaf = _LEAF.get(tree.data)
        if leaf is not None:
            return self._leaf(tree, leaf)
        return getattr(self, f"_{tree.data}")(tree.children)

    def _leaf(self, tree: Tree, leaf: type) -> Node:
        token = tree.children[0]
        start, end = self._span(token)
        text = str(token)[1:-1] if leaf is Quoted else str(token)
        return leaf(source=self.source, start=start, end=end, text=text)

    def _span(self, token: Token) -> tuple[int, int]:
        return token.start_pos + self.offset, token.end_pos + self.offset

    def _assign(self, children: list) -> Node:
        target, value = map(self.node, children)
        return Assignment(source=self.source, start=target.start, end=value.end, target=target, value=value)

    def _call(self, children: list) -> Node:
        start, end = self._span(children[0])
        name = Word(source=self.source, start=start, end=end, text=str(children[0]))
        arguments = tuple(self.node(child) for child in children[1].children)
        last = arguments[-1].end if arguments else end
        closing = self.source.text.find(")", last) + 1
        return CallNode(source=self.source, start=start, end=closing or last, name=name, arguments=arguments)

    def _named(self, children: list) -> Node:
        """`a = b`, or `a = b = c` of P(y=2|y_p=1), which nests to the right."""
        key = self.node(children[0])
        value = self.node(children[1]) if len(children) == 2 else self._named(children[1:])
        return Pair(source=self.source, start=key.start, end=value.end, key=key, value=value)

    def _pair(self, children: list) -> Node:
        return self._named(children)

    def _list(self, children: list) -> Node:
        start, _ = self._span(children[0])
        _, end = self._span(children[-1])
        return ListNode(source=self.source, start=start, end=end, items=tuple(map(self.node, children[1:-1])))

    def _binary(self, children: list) -> Node:
        left, operator, right = children
        operands = (self.node(left), self.node(right))
        text = "^" if operator == "**" else str(operator)
        return Operation(
            source=self.source, start=operands[0].start, end=operands[1].end, operator=text, operands=operands
        )

    def _unary(self, children: list) -> Node:
        operator, operand = children
        inner = self.node(operand)
        start, _ = self._span(operator)
        text = "!" if operator == "~" else str(operator)
        return Operation(source=self.source, start=start, end=inner.end, operator=text, operands=(inner,))

    def _group(self, children: list) -> Node:
        inner = self.node(children[0])
        return Operation(source=self.source, start=inner.start, end=inner.end, operator="(", operands=(inner,))

    def _with_attributes(self, children: list) -> Node:
        """`what [attributes]` of Monolix 4."""
        what = self.node(children[0])
        items = tuple(map(self.node, children[1].children))
        attributes = ListNode(source=self.source, start=what.end, end=what.end, items=items)
        return Pair(source=self.source, start=what.start, end=what.end, key=what, value=attributes)

    def _if_block(self, children: list) -> Node:
        start, end = self._span(children[0])
        arms = [self._arm([c for c in children[1:] if c.data not in ("elseif", "else_arm")])]
        orelse: tuple[Node, ...] = ()
        for child in children[1:]:
            if child.data == "elseif":
                arms.append(self._arm(child.children))
            elif child.data == "else_arm":
                orelse = tuple(self.node(c) for c in child.children)
        return Conditional(source=self.source, start=start, end=end, arms=tuple(arms), orelse=orelse)

    def _arm(self, children: list) -> tuple[Node, tuple[Node, ...]]:
        nodes = [self.node(child) for child in children if child.data != "_then"]
        return nodes[0], tuple(nodes[1:])


def _explain(block: Block, code: str, error: UnexpectedInput) -> ModelSyntaxError:
    """The most useful sentence for what lark found."""
    offset = error.pos_in_stream if error.pos_in_stream is not None else len(code)
    if isinstance(error, UnexpectedCharacters):
        return _unknown_character(block, code, offset)
    assert isinstance(error, UnexpectedToken)
    if error.token.type == "$END":
        return _unfinished(block, code, error)
    return _unexpected_token(block, code, offset, error)


def _error(block: Block, offset: int, width: int, message: str, hint: str) -> ModelSyntaxError:
    start = block.start + offset
    return ModelSyntaxError(message, hint=hint, location=block.source.location(start, width))


def _unknown_character(block: Block, code: str, offset: int) -> ModelSyntaxError:
    character = code[offset]
    if character in "'\"":
        return _error(block, offset, 1, "this quote is never closed", f"add the closing {character} on the same line")
    if character == ":":
        word = re.search(r"\w+[ \t]*$", code[:offset])
        if word and word.group().strip().upper() in LABELS:
            name = word.group().strip()
            return _error(
                block, word.start(), len(name), f"{name}: is not a label", f"write it in capitals: {name.upper()}:"
            )
    if character.isdigit() or character == ".":
        text = re.match(r"[\w.]+", code[offset:]).group()
        return _error(
            block,
            offset,
            len(text),
            f"{text} is neither a number nor a name",
            "names start with a letter; put other text in quotes",
        )
    if character == "=" or character in "+-*/^<>|&!~":
        return _error(block, offset, 1, f"{character} is not expected here", "write key = value")
    equations = block.label in ("PK", "EQUATION")
    hint = "the operators are + - * / ^" if equations else "put text that holds it in quotes"
    return _error(block, offset, 1, f"{character!r} has no meaning here", hint)


def _open_brackets(code: str) -> list[int]:
    """Offsets of the brackets and if words that nothing closes."""
    opened: list[int] = []
    for match in re.finditer(r"'[^'\r\n]*'|\"[^\"\r\n]*\"|[(){}]|(?<![\w.])(?:if|end|endif)(?![\w.])", code):
        text = match.group()
        if text in ("(", "{", "if"):
            if not (text == "if" and re.search(r"else[ \t]*$", code[: match.start()])):
                opened.append(match.start())
        elif text in (")", "}", "end", "endif") and opened:
            opened.pop()
    return opened


def _unfinished(block: Block, code: str, error: UnexpectedToken) -> ModelSyntaxError:
    opened = _open_brackets(code)
    if opened:
        start = opened[-1]
        if code[start] in _CLOSING:
            return _error(
                block, start, 1, f"this {code[start]} is never closed", f"add the missing {_CLOSING[code[start]]}"
            )
        return _error(block, start, 2, "this if has no end", "add end after its last statement")
    last = len(code.rstrip()) - 1
    start, word = _last_word(code, last)
    if "EQUAL" in error.accepts or code[last] not in "=+-*/^<>|&!~,":
        return _error(block, start, len(word), f"{word} is not a statement", "write key = value")
    return _error(block, last, 1, f"nothing follows {code[last]}", "add the value, or remove this line")


def _last_word(code: str, last: int) -> tuple[int, str]:
    match = re.search(r"[\w.]+$", code[: last + 1])
    return (match.start(), match.group()) if match else (last, code[last])


def _unexpected_token(block: Block, code: str, offset: int, error: UnexpectedToken) -> ModelSyntaxError:
    token = error.token
    shown = str(token)
    kind = token.type
    opened = _open_brackets(code[:offset])
    inside = code[opened[-1]] if opened else ""
    if kind in ("_END", "_ELSE", "_ELSEIF") and inside != "i":
        if inside:
            return _never_closed(block, code, opened[-1])
        return _error(
            block, offset, len(shown), f"{shown} without an if before it", "add the if line, or remove this word"
        )
    if kind in ("RPAR", "RBRACE") and _CLOSING.get(inside) != shown:
        if inside in _CLOSING:
            return _never_closed(block, code, opened[-1])
        opening = "(" if shown == ")" else "{"
        return _error(block, offset, 1, f"this {shown} closes nothing", f"remove it, or add the missing {opening}")
    if kind == "EQUAL":
        return _unexpected_equal(block, code, offset, inside)
    if kind == "COMPARE" and re.search(r"[<>]|[=!~]=", code[:offset].rsplit("\n", 1)[-1]):
        remedy = "say what is meant: (a < b) & (b < c)"
        return _error(block, offset, len(shown), "a second comparison in a row", remedy)
    return _missing_between(block, code, offset, shown, inside)


def _never_closed(block: Block, code: str, opened: int) -> ModelSyntaxError:
    sign = code[opened]
    if sign not in _CLOSING:
        return _error(block, opened, 2, "this if has no end", "add end after its last statement")
    return _error(block, opened, 1, f"this {sign} is never closed", f"add the missing {_CLOSING[sign]}")


def _unexpected_equal(block: Block, code: str, offset: int, inside: str) -> ModelSyntaxError:
    empty = re.search(r"=\s*\n\s*[\w.]+\s*$", code[:offset])
    if empty and not inside:
        return _error(block, empty.start(), 1, "nothing follows =", "add the value, or remove this line")
    line = code[:offset].rsplit("\n", 1)[-1]
    if re.match(r"\s*(else[ \t]*)?if\b", line) and inside != "{":
        return _error(block, offset, 1, "= does not compare", "write == in a condition")
    if re.search(r"=[^=]*$", line.rstrip()):
        return _error(block, offset, 1, "a second = in one statement", "write == to compare, or begin a new statement")
    return _error(block, offset, 1, "= is not expected here", "left of = stands one name")


def _missing_between(block: Block, code: str, offset: int, shown: str, inside: str) -> ModelSyntaxError:
    """Two things in a row. A statement that begins on the line on which another ends is looked at first: what is wrong
    is then what stands between them."""
    before = code[:offset].rstrip()
    name = re.search(r"(?P<value>[\w.)\]]+[ \t]+)(?P<name>[\w.]+)$", before)
    stray = name is not None and not inside and name["value"].strip() not in ("then", "else", "end", "if")
    if stray:
        return _error(
            block,
            name.start("name"),
            len(name["name"]),
            f"{name['name']} is not expected here",
            "an operator (+ - * / ^) is missing before it, or = behind it",
        )
    if not inside and name is None and re.search(r"(^|\n)[ \t]*[\w.]+$", before):
        start, word = _last_word(before, len(before) - 1)
        return _error(block, start, len(word), f"{word} is not a statement", "write key = value")
    wanted = "a comma or }" if inside == "{" else "a comma, an operator or )" if inside == "(" else "an operator"
    if before[-1:] in "=+-*/^<>|&!~,({":
        return _error(
            block, offset, len(shown), f"{shown} is not expected here", f"a value is missing after {before[-1:]}"
        )
    return _error(
        block, offset, len(shown), f"{shown} is not expected here", f"{wanted} is missing before it, or remove it"
    )
