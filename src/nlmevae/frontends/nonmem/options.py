"""The words of records that are not code: values, options, lists, without comments and continuations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nlmevae.errors import Location, ModelSyntaxError
from nlmevae.frontends.nonmem.records import Record, printable

_TOKEN = re.compile(
    r"""(?P<space>\s+|&(?=[ \t]*(?:;[^\r\n]*)?(?:\r|\n|$)))
      | (?P<comment>;[^\r\n]*)
      | (?P<quoted>'[^'\r\n]*'|"[^"\r\n]*")
      | (?P<mark>[(),=])
      | (?P<word>[^\s(),=;'"]+|['"])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is "word", "quoted" (text without the quotes) or the mark itself: ( ) , =."""

    kind: str
    text: str
    record: Record
    start: int
    end: int

    @property
    def at(self) -> Location:
        return self.record.source.location(self.start, self.end - self.start)

    @property
    def upper(self) -> str:
        return self.text.upper()


@dataclass(frozen=True, slots=True)
class Option:
    """``KEY``, ``KEY=value``, ``KEY(list)`` or ``KEY=(list)``; a list keeps its parentheses.

    `value_start` is the offset of the value in the source; `assigned` tells whether "=" was written.
    """

    token: Token
    value: str | None = None
    value_start: int = 0
    assigned: bool = False

    @property
    def key(self) -> str:
        return self.token.upper

    @property
    def at(self) -> Location:
        return self.token.at

    @property
    def is_list(self) -> bool:
        return self.value is not None and self.value.startswith("(")


def scan(record: Record) -> list[Token]:
    """All tokens of a record's body."""
    tokens = []
    text = record.source.text
    position = record.body
    while position < record.end:
        match = _TOKEN.match(text, position, record.end)
        if match is None:  # pragma: no cover - the alternatives cover every character
            raise AssertionError(text[position : position + 10])
        kind, position = match.lastgroup, match.end()
        if kind in ("space", "comment"):
            continue
        value = match.group()
        if kind == "mark":
            kind = value
        elif kind == "quoted":
            value = value[1:-1]
        tokens.append(Token(kind, printable(value), record, match.start(), match.end()))
    return tokens


def read_options(record: Record) -> list[Option]:
    """The record as options in order; commas between options are blanks.

    Raises:
        ModelSyntaxError: parentheses that do not match, "=" with nothing on one side.
    """
    tokens = scan(record)
    options = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token.kind == ",":
            continue
        if token.kind == "=":
            raise ModelSyntaxError("nothing stands before =", hint="write KEY=value", location=token.at)
        if token.kind in ("(", ")"):
            stop = closing(tokens, i - 1) if token.kind == "(" else i - 1
            options.append(Option(token, *_raw(tokens[i - 1 : stop + 1])))
            i = stop + 1
            continue
        assigned = i < len(tokens) and tokens[i].kind == "="
        stop = _compound(tokens, i, token) if assigned else i
        if stop > i + 2 or (stop == i + 2 and tokens[i + 1].kind == ","):  # the latter is FORMAT=,
            options.append(Option(token, *_raw(tokens[i + 1 : stop]), assigned=True))
            i = stop
            continue
        if assigned:
            i += 1
            if i == len(tokens) or tokens[i].kind in (",", ")", "="):
                raise ModelSyntaxError(
                    f"{token.text}= has no value", hint="write KEY=value or leave the option out", location=token.at
                )
        if i < len(tokens) and tokens[i].kind == "(" and (assigned or tokens[i].start == token.end):
            stop = closing(tokens, i)
            options.append(Option(token, *_raw(tokens[i : stop + 1]), assigned=assigned))
            i = stop + 1
        elif assigned:
            options.append(Option(token, tokens[i].text, tokens[i].start, assigned=True))
            i += 1
        else:
            options.append(Option(token))
    return options


def _adjacent(following: list[Token], token: Token) -> bool:
    return bool(following) and following[0].start == token.end


def _compound(tokens: list[Token], equals: int, key: Token) -> int:
    """The index after a value that starts with a word or, for formats, a comma, and goes on without a
    blank: ``TG(1):DS(1)``, ``,1PE13.6``; `equals` is the index of its "="."""
    stops = ("=",) if key.upper.endswith(("FORMAT", "DELIM")) else ("=", ",", ")")
    i = equals + 1
    if not _adjacent(tokens[i : i + 1], tokens[equals]) or tokens[i].kind in ("(", *stops):
        return i
    i += 1
    while i < len(tokens) and _adjacent(tokens[i : i + 1], tokens[i - 1]) and tokens[i].kind not in stops:
        i = closing(tokens, i) + 1 if tokens[i].kind == "(" else i + 1
    return i


def closing(tokens: list[Token], opening: int) -> int:
    """Index of the parenthesis that closes tokens[opening]."""
    depth = 0
    for i in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[i].kind, 0)
        if depth == 0:
            return i
    raise ModelSyntaxError("this ( is never closed", hint="add the missing )", location=tokens[opening].at)


def _raw(tokens: list[Token]) -> tuple[str, int]:
    """The source text of `tokens` with comments and continuations blanked, and its offset."""
    start, end = tokens[0].start, tokens[-1].end
    text = list(" " * (end - start))
    source = tokens[0].record.source.text
    for token in tokens:
        text[token.start - start : token.end - start] = source[token.start : token.end]
    return "".join(text), start


def abbreviates(word: str, *full: str) -> bool:
    """Whether `word` is one of `full` or an abbreviation of three letters or more."""
    upper = word.upper()
    return any(upper == name or (len(upper) >= 3 and name.startswith(upper)) for name in full)


def comment_after(record: Record, offset: int) -> str:
    """The comment at the end of the line that holds `offset`, without its semicolons; "" if none."""
    line = re.compile(r"[^\r\n]*").match(record.source.text, offset).group()
    return printable(line.partition(";")[2]).strip(" \t;")


def groups(tokens: list[Token]) -> Iterator[list[Token]]:
    """Cut tokens at top level commas."""
    part: list[Token] = []
    for token in tokens:
        if token.kind == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part
