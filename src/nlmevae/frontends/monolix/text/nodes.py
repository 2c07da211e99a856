"""Syntax of a block body as data: what is written, with offsets in the file, before it means anything."""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.errors import Location
from nlmevae.frontends.nonmem.records import SourceText


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`start`, `end`: offsets in the text of `source`."""

    source: SourceText
    start: int
    end: int

    @property
    def at(self) -> Location:
        return self.source.location(self.start, max(1, self.end - self.start))

    @property
    def written(self) -> str:
        """As it stands in the file."""
        return self.source.text[self.start : self.end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word(Node):
    """A name, or a flag such as no-variability."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted(Node):
    """Text in quotes, without them."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeral(Node):
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Node):
    """A category without quotes that begins with a digit and is no number."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Node):
    """One operand: a sign, "!" or "(" for parentheses. Two: the operator stands between them."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNode(Node):
    name: Word
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(Node):
    """`key = value` in a list or among arguments."""

    key: Node
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment(Node):
    """`target = value` as a statement; `target` is a word, text in quotes or a list of results."""

    target: Node
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional(Node):
    arms: tuple[tuple[Node, tuple[Node, ...]], ...]
    orelse: tuple[Node, ...] = ()
