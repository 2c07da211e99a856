"""Programs: assignments and IF blocks in the order the user wrote them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nlmevae.errors import Location
from nlmevae.ir.expression import Expression, Number


@dataclass(frozen=True, slots=True)
class Assign:
    """`target = value`. The same target may be assigned again later; order decides."""

    target: str
    value: Expression
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class If:
    """First arm whose condition holds runs; `orelse` runs when none does."""

    arms: tuple[tuple[Expression, tuple[Statement, ...]], ...]
    orelse: tuple[Statement, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)
    #: what `names_read` and `names_assigned` have found: recognition asks thousands of times
    _read: frozenset[str] | None = field(default=None, init=False, compare=False, repr=False)
    _assigned: frozenset[str] | None = field(default=None, init=False, compare=False, repr=False)


Statement = Assign | If


def assignments(statements: tuple[Statement, ...]) -> Iterator[Assign]:
    """Every assignment, at any depth, in source order."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement
        else:
            for _, body in statement.arms:
                yield from assignments(body)
            yield from assignments(statement.orelse)


def names_read(statements: tuple[Statement, ...]) -> frozenset[str]:
    """Every name read anywhere, conditions included (also names assigned earlier in the program)."""
    if len(statements) == 1:
        return _read_by(statements[0])
    return frozenset().union(*map(_read_by, statements))


def _read_by(statement: Statement) -> frozenset[str]:
    if isinstance(statement, Assign):
        return statement.value.names()
    if statement._read is None:
        parts = [condition.names() | names_read(body) for condition, body in statement.arms]
        object.__setattr__(statement, "_read", names_read(statement.orelse).union(*parts))
    return statement._read


def names_assigned(statements: tuple[Statement, ...]) -> frozenset[str]:
    """Every name assigned anywhere."""
    if len(statements) == 1:
        return _assigned_by(statements[0])
    return frozenset().union(*map(_assigned_by, statements))


def _assigned_by(statement: Statement) -> frozenset[str]:
    if isinstance(statement, Assign):
        return frozenset((statement.target,))
    if statement._assigned is None:
        object.__setattr__(statement, "_assigned", frozenset(a.target for a in assignments((statement,))))
    return statement._assigned


def needed_names(statements: Sequence[Statement], names: Iterable[str]) -> frozenset[str]:
    """`names` and every name they are computed from, backwards through the statements."""
    needed = set(names)
    for statement in reversed(statements):
        if not names_assigned((statement,)).isdisjoint(needed):
            needed |= names_read((statement,))
    return frozenset(needed)


def needed_for(statements: Sequence[Statement], names: Iterable[str]) -> tuple[Statement, ...]:
    """The statements the final values of `names` are computed with; what is only kept for tables drops out."""
    needed = set(names)
    kept: list[Statement] = []
    for statement in reversed(statements):
        if not names_assigned((statement,)).isdisjoint(needed):
            kept.append(statement)
            needed |= names_read((statement,))
    return tuple(reversed(kept))


def without_values(
    statements: Sequence[Statement], target: str, places: Collection[Location | None]
) -> tuple[Statement, ...]:
    """The statements with 0 in the assignments to `target` at `places`."""
    if not places:
        return tuple(statements)
    kept: list[Statement] = []
    for statement in statements:
        if isinstance(statement, If):
            arms = tuple((condition, without_values(body, target, places)) for condition, body in statement.arms)
            kept.append(If(arms, without_values(statement.orelse, target, places), statement.at))
        elif statement.target == target and statement.at in places:
            kept.append(Assign(target, Number(0.0), statement.at))
        else:
            kept.append(statement)
    return tuple(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The code of a model.

    A compartmental model has `pk` (individual level), `des` (right-hand side, assigns ``DADT(n)``;
    filled in for the closed-form models too) and `error`. A model given by one formula ($PRED) has
    only `error`, which then holds the whole $PRED record. `error` assigns ``Y``; in compartmental
    models it may read ``F`` = amount / scale of the observed compartment.
    """

    pk: tuple[Statement, ...] = ()
    des: tuple[Statement, ...] = ()
    error: tuple[Statement, ...] = ()
