"""Which parts of an expression MU may have: those that are the same for all records of a subject, hold no random effect
and, where a logarithm is taken, are positive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from nlmevae.frontends.nonmem.once_per_individual import FIRST
from nlmevae.frontends.nonmem.records import SourceText
from nlmevae.ir import Assign, Expression, If, Model, Statement, Symbol
from nlmevae.writers.stream_edit import AssignmentText, assignment_text, offset_of
from nlmevae_translators.modernise.code_parts import Part, factors, terms

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Piece:
    """A term or factor as it is written, and the inputs it depends on."""

    operator: str
    text: str
    inputs: frozenset[str]


@dataclass(frozen=True)
class FixedParts:
    """`constant`: data items with one value per subject; `refused`: texts of parts that are left where they are."""

    model: Model
    source: SourceText
    statements: tuple[Statement, ...]
    constant: frozenset[str]
    refused: frozenset[str] = frozenset()

    @cached_property
    def _assignments(self) -> dict[str, list[tuple[frozenset[str], Assign]]]:
        """Name -> each of its assignments with what their conditions read."""
        found: dict[str, list[tuple[frozenset[str], Assign]]] = {}
        _collect(self.statements, NOTHING, found)
        return found

    @cached_property
    def inputs(self) -> dict[str, frozenset[str]]:
        """Variable -> everything that any of its assignments and their conditions depend on, wherever they stand."""
        reads = {
            name: NOTHING.union(*(conditions | a.value.names() for conditions, a in found))
            for name, found in self._assignments.items()
        }
        known = dict(reads)
        for _ in range(len(reads) + 1):
            grown = {
                name: NOTHING.union(*(known.get(r, frozenset((r,))) | (frozenset((r,)) & reads.keys()) for r in direct))
                for name, direct in reads.items()
            }
            if grown == known:
                break
            known = grown
        return {name: found - reads.keys() for name, found in known.items()}

    def inputs_of(self, names: frozenset[str]) -> frozenset[str]:
        return NOTHING.union(*(self.inputs.get(name, frozenset((name,))) for name in names))

    def is_fixed(self, inputs: frozenset[str]) -> bool:
        return all(n.startswith(("THETA(", FIRST)) or n in self.constant for n in inputs)

    def may_have(self, piece: Piece) -> bool:
        """MU may have it."""
        return self.is_fixed(piece.inputs) and piece.text not in self.refused

    def changing(self, inputs: frozenset[str]) -> frozenset[str]:
        """Inputs that are no THETA, random effect or constant."""
        return frozenset(n for n in inputs if "(" not in n and not n.startswith(FIRST) and n not in self.constant)

    def changes_with(self, assign: Assign) -> frozenset[str]:
        """Inputs of its conditions that change within subjects."""
        found = self._assignments.get(assign.target, [])
        names = NOTHING.union(*(conditions for conditions, a in found if a.at == assign.at))
        inputs = self.inputs_of(names)
        return self.changing(inputs) if not self.is_fixed(inputs) else NOTHING

    def pieces(self, text: AssignmentText, value: Expression, parts: list[Part]) -> list[Piece]:
        """The parts with what they depend on; a variable that MU may not have is replaced by its own factors or terms
        where it is one product or sum."""
        found: list[Piece] = []
        for part in parts:
            inputs = self.inputs_of(_names_in(self.source, value, text.start + part.start, text.start + part.stop))
            piece = Piece(part.operator, part.text(text.code), inputs)
            found += self._expanded(piece) or [piece]
        return found

    def _expanded(self, piece: Piece) -> list[Piece]:
        if self.is_fixed(piece.inputs) and piece.text not in self.refused:
            return []
        assigned = self._assignments.get(piece.text.upper(), [])
        if len(assigned) != 1 or assigned[0][0] or assigned[0][1] not in self.statements:
            return []
        assign = assigned[0][1]
        text = assignment_text(self.source, assign.at)
        begin, end = text.value - text.start, text.stop - text.start
        own = terms(text.code, begin, end)
        if piece.operator in "+-":
            return [_signed(p, piece.operator) for p in self.pieces(text, assign.value, own)]
        if len(own) != 1 or own[0].operator != "+":
            return []
        return [_divided(p, piece.operator) for p in self.pieces(text, assign.value, factors(text.code, begin, end))]


def _signed(piece: Piece, sign: str) -> Piece:
    flipped = {"+": "-", "-": "+"}[piece.operator] if sign == "-" else piece.operator
    return Piece(flipped, piece.text, piece.inputs)


def _divided(piece: Piece, sign: str) -> Piece:
    flipped = {"*": "/", "/": "*"}[piece.operator] if sign == "/" else piece.operator
    return Piece(flipped, piece.text, piece.inputs)


def _collect(
    statements: tuple[Statement, ...],
    conditions: frozenset[str],
    found: dict[str, list[tuple[frozenset[str], Assign]]],
) -> None:
    for statement in statements:
        if isinstance(statement, If):
            inner = conditions.union(*(condition.names() for condition, _ in statement.arms))
            for _, body in statement.arms:
                _collect(body, inner, found)
            _collect(statement.orelse, inner, found)
        else:
            found.setdefault(statement.target, []).append((conditions, statement))


def _names_in(source: SourceText, value: Expression, start: int, stop: int) -> frozenset[str]:
    """Names that stand between two offsets of the text."""
    return frozenset(
        node.name
        for node in value.walk()
        if isinstance(node, Symbol) and node.at is not None and start <= offset_of(source, node.at) < stop
    )
