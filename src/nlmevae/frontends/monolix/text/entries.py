"""`{key=value, ...}` and plain values as what the sections expect of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from nlmevae.errors import Location, ModelError, ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import NameOrNumber
from nlmevae.frontends.monolix.text.nodes import (
    Assignment,
    CallNode,
    Label,
    ListNode,
    Node,
    Numeral,
    Operation,
    Pair,
    Quoted,
    Word,
)


class Entries:
    """The keys and values of one list. Flags (no-variability) are in `flags`; every key must be known."""

    def __init__(self, node: Node, *, of: str, known: Collection[str]) -> None:
        """
        Args:
            of: what the list describes, for messages.
            known: keys and flags it may have.
        """
        if not isinstance(node, ListNode):
            raise ModelSyntaxError(
                f"{of} needs a list in braces", hint="write name = {key=value, ...}", location=node.at
            )
        self.node = node
        self.of = of
        self.values: dict[str, Node] = {}
        self.flags: dict[str, Node] = {}
        for item in node.items:
            self._add(item, known)

    def _add(self, item: Node, known: Collection[str]) -> None:
        if isinstance(item, Pair) and isinstance(item.key, Word):
            self._known(item.key, known)
            if item.key.text in self.values:
                raise SemanticError(
                    f"{item.key.text} is given twice in {self.of}", hint="keep one of them", location=item.key.at
                )
            self.values[item.key.text] = item.value
        elif isinstance(item, Word):
            self._known(item, known)
            self.flags[item.text] = item
        else:
            raise ModelSyntaxError(
                f"{item.written.split()[0]} is not a key of {self.of}",
                hint="write key=value; the keys are " + ", ".join(known),
                location=item.at,
            )

    def _known(self, key: Word, known: Collection[str]) -> None:
        if key.text in known:
            return
        close = get_close_matches(key.text, list(known), n=1)
        raise UnsupportedError(
            f"{key.text} is not a known key of {self.of}",
            hint=f"did you mean {close[0]}?"
            if close
            else "remove it if it does not act on the model; the keys are " + ", ".join(known),
            location=key.at,
        )

    def __contains__(self, key: str) -> bool:
        return key in self.values

    @property
    def at(self) -> Location:
        return self.node.at

    def need(self, key: str) -> Node:
        """The value of a key that must be there."""
        if key not in self.values:
            raise SemanticError(f"{self.of} has no {key}", hint=f"add {key}=...", location=self.node.at)
        return self.values[key]

    def get(self, key: str) -> Node | None:
        return self.values.get(key)


def items_of(node: Node) -> tuple[Node, ...]:
    """The items of a list, or the one value."""
    return node.items if isinstance(node, ListNode) else (node,)


def name_of(node: Node, what: str) -> str:
    """A name, written plainly or in quotes."""
    if isinstance(node, (Word, Quoted)):
        return node.text
    raise ModelSyntaxError(f"{what} is a name, not {node.written}", hint="write one name", location=node.at)


def names_of(node: Node, what: str) -> tuple[str, ...]:
    return tuple(name_of(item, what) for item in items_of(node))


def label_of(node: Node, what: str) -> str:
    """A category or a kind of observation: a name, a number or text in quotes, as written."""
    if isinstance(node, (Word, Quoted, Numeral, Label)):
        return node.text
    if isinstance(node, Operation) and node.operator in "+-" and len(node.operands) == 1:
        return node.written
    raise ModelSyntaxError(f"{what} is not {node.written}", hint="put it in quotes", location=node.at)


def labels_of(node: Node, what: str) -> tuple[str, ...]:
    return tuple(label_of(item, what) for item in items_of(node))


def number_of(node: Node, what: str) -> float:
    sign = 1.0
    inner = node
    while isinstance(inner, Operation) and inner.operator in "+-(" and len(inner.operands) == 1:
        sign = -sign if inner.operator == "-" else sign
        inner = inner.operands[0]
    if not isinstance(inner, Numeral):
        raise ModelSyntaxError(f"{what} is a number, not {node.written}", hint="write a number", location=node.at)
    value = sign * float(inner.text)
    if value in (float("inf"), float("-inf")):
        raise SemanticError(f"{what} is too large a number", hint="write a smaller one", location=node.at)
    return value


def name_or_number(node: Node, what: str) -> NameOrNumber:
    if isinstance(node, Word):
        return node.text
    try:
        return number_of(node, what)
    except ModelSyntaxError:
        raise ModelSyntaxError(
            f"{what} is a name or a number, not {node.written}",
            hint="give the expression a name of its own, in EQUATION: or in the model file",
            location=node.at,
        ) from None


def word_of(node: Node, what: str, known: Collection[str]) -> str:
    """One of a set of words, in any case; in lower case."""
    text = name_of(node, what)
    if text.lower() in known:
        return text.lower()
    close = get_close_matches(text.lower(), list(known), n=1)
    raise UnsupportedError(
        f"{text} is no known {what}",
        hint=f"did you mean {close[0]}?" if close else "known are " + ", ".join(known),
        location=node.at,
    )


def assignments_of(nodes: Iterable[Node], section: str) -> tuple[Assignment, ...]:
    """The statements of a section in which only `key = value` may stand."""
    found = []
    for node in nodes:
        if not isinstance(node, Assignment):
            shown = f"{node.name.text}(...)" if isinstance(node, CallNode) else "if"
            raise ModelSyntaxError(
                f"{shown} is not expected in {section}", hint="here stands key = value", location=node.at
            )
        found.append(node)
    return tuple(found)


def key_of(node: Assignment, section: str) -> str:
    if not isinstance(node.target, (Word, Quoted)):
        raise ModelSyntaxError(f"a list is not a key of {section}", hint="write key = value", location=node.target.at)
    return node.target.text


def unknown_key(node: Assignment, section: str, known: Iterable[str]) -> ModelError:
    key = key_of(node, section)
    close = get_close_matches(key, list(known), n=1)
    return UnsupportedError(
        f"{key} is not a known key of {section}",
        hint=f"did you mean {close[0]}?" if close else "remove it if it does not act on the model",
        location=node.target.at,
    )
