"""Model event times in code: where MTIME(i), MPAST(i) and MTDIFF may stand (NONMEM help, MTIME)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.carried_values import NEWIND
from nlmevae.frontends.nonmem.code import once_per_individual
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import (
    Assign,
    Compare,
    Expression,
    If,
    Number,
    Program,
    Statement,
    Symbol,
    names_assigned,
    names_read,
    past_flags,
    time_of,
)

#: Names that need a number, and the one that says that MTIME may be another from now on.
NUMBERED = ("MTIME", "MPAST")
TIMES_DIFFER = "MTDIFF"
#: With which $PK is not evaluated at model times (CALLFL=1: `once_per_individual`); without them it is (NONMEM help,
#: $PK).
_EVENTS_ONLY = re.compile(
    r"^[ \t]*(\(?[ \t]*CALLFL[ \t]*=[ \t]*-1[ \t]*\)?)[ \t]*(?=;|\r|$)|\A\s*(\([ \t]*EVERY([ \t]+EVENT)?[ \t]*\))",
    re.IGNORECASE | re.MULTILINE,
)


def check_time_element(base: str, index: str, section: str, at: Location) -> str:
    """``MTIME(2)`` or ``MPAST(2)`` where code may read it.

    Raises:
        SemanticError: no number; a model without $PK.
    """
    if not index.isdigit() or int(index) == 0:
        raise SemanticError(f"{base}({index}) has no number", hint=f"number model times from 1: {base}(1)", location=at)
    if section == "PRED":
        hint = "$PRED has the time itself: write the change as an IF on TIME"
        raise SemanticError(f"{base}({index}) cannot be used in $PRED", hint=hint, location=at)
    return f"{base}({int(index)})"


def check_time_name(name: str, at: Location, *, assigned: bool, section: str) -> None:
    """Raises what is wrong with a plain name: MTIME without its number, MTDIFF where it is not assigned in $PK."""
    if name in NUMBERED:
        raise SemanticError(f"{name} has no number", hint=f"number model times from 1: {name}(1)", location=at)
    if name == TIMES_DIFFER and not assigned:
        raise UnsupportedError(f"reading {name} is not supported", hint=f"only assign it: {name}=1 in $PK", location=at)
    if name == TIMES_DIFFER and section != "PK":
        raise SemanticError(
            f"{name} is assigned in ${section}", hint="assign it in $PK, where MTIME(i) gets its value", location=at
        )


def check_model_times(program: Program, pk: Sequence[Record]) -> None:
    """Every MPAST(i) has its MTIME(i), and $PK is evaluated there.

    Raises:
        SemanticError: an MPAST(i) without MTIME(i).
        UnsupportedError: $PK is to be evaluated at event records only.
    """
    flags = past_flags(program)
    assigned = names_assigned(program.pk)
    for flag in flags:
        if time_of(flag) not in assigned:
            raise SemanticError(
                f"{flag} is read, and $PK does not assign {time_of(flag)}",
                hint=f"assign {time_of(flag)} in $PK, the time from which {flag} is 1",
                location=_first_read((*program.pk, *program.des, *program.error), flag),
            )
    for record in pk if flags else ():
        at = _evaluated_elsewhere(record)
        if at is not None:
            words = at.snippet[at.column - 1 : at.column - 1 + at.length]
            raise UnsupportedError(
                f"{words} with {time_of(flags[0])} is not supported: $PK is then not evaluated at model times",
                hint="remove it, or write CALLFL=-2: NONMEM's default where MTIME is used",
                location=at,
            )


def _evaluated_elsewhere(record: Record) -> Location | None:
    match = _EVENTS_ONLY.search(record.source.text[record.body : record.end])
    if match is None:
        return once_per_individual(record)
    group = 1 if match.group(1) else 2
    return record.source.location(record.body + match.start(group), len(match.group(group)))


def without_newind(program: Program) -> Program:
    """``IF (NEWIND.NE.2) MTIME(i) = ...`` of $PK without its condition: NONMEM takes the times of the first record in
    any case. An ELSE may keep them, ``MTIME(i) = MTIME(i)``. IFs that assign what anything else reads stay."""
    kept: list[Statement] = []
    for k, statement in enumerate(program.pk):
        others = (*program.pk[:k], *program.pk[k + 1 :], *program.des, *program.error)
        elsewhere = names_read(others) | names_assigned(others)
        kept += _times_of_first_record(statement, elsewhere) or [statement]
    return replace(program, pk=tuple(kept))


def _times_of_first_record(statement: Statement, elsewhere: frozenset[str]) -> list[Statement]:
    """The statements under the condition; none where it matters."""
    if not isinstance(statement, If) or len(statement.arms) != 1:
        return []
    condition, body = statement.arms[0]
    first = isinstance(condition, Compare) and condition.left == Symbol(NEWIND) and isinstance(condition.right, Number)
    if not first or (condition.operator, condition.right.value) not in (("!=", 2), ("<", 2), ("<=", 1)):
        return []
    times = {name for name in names_assigned(body) if name.startswith("MTIME(")}
    kept = all(isinstance(s, Assign) and s.target in times and s.value == Symbol(s.target) for s in statement.orelse)
    own = not (names_assigned(body) - times) & elsewhere
    return list(body) if times and kept and own else []


def check_repeatable(program: Program, kept: Sequence[Statement]) -> None:
    """$PK is evaluated at model times too, with the data items of the record behind them: a counter would count them.

    Args:
        kept: what values of earlier records are computed with, record by record.

    Raises:
        UnsupportedError: evaluating them twice at a record would give other values.
    """
    if past_flags(program):
        _check_reads(kept, frozenset(), frozenset(), names_assigned(program.pk))


def _check_reads(
    statements: Sequence[Statement], new: frozenset[str], later: frozenset[str], watched: frozenset[str]
) -> frozenset[str]:
    """Nothing of `watched` is read before it gets its value of this evaluation. `new`: names that have got it; `later`:
    those that may get it after the statements. Returns `new` after them."""
    for k, statement in enumerate(statements):
        after = later | names_assigned(statements[k:])
        if isinstance(statement, If):
            read = frozenset().union(*(condition.names() for condition, _ in statement.arms))
            behind = later | names_assigned(statements[k + 1 :])
            bodies = (*(body for _, body in statement.arms), statement.orelse)
            got = [_check_reads(body, new, behind, watched) for body in bodies]
        else:
            read, got = statement.value.names(), [new | {statement.target}]
        wrong = sorted(read & after & watched - new)
        if wrong:
            raise UnsupportedError(
                f"{wrong[0]} is computed from its value at an earlier record, in a model with MTIME: not supported",
                hint="NONMEM evaluates $PK at model times as well, which changes it; compute it as a data item",
                location=statement.at,
            )
        new = frozenset.intersection(*got)
    return new


def _first_read(statements: Sequence[Statement], name: str) -> Location | None:
    for statement in statements:
        if isinstance(statement, If):
            inner = [s for _, body in statement.arms for s in body]
            found = [_place(condition, name) for condition, _ in statement.arms]
            found.append(_first_read((*inner, *statement.orelse), name))
        else:
            found = [_place(statement.value, name)]
        place = next((at for at in found if at is not None), None)
        if place is not None:
            return place
    return None


def _place(expression: Expression, name: str) -> Location | None:
    return next((node.at for node in expression.walk() if isinstance(node, Symbol) and node.name == name), None)
