"""The compartment initialisation block, IF (A_0FLG.EQ.1): what $PK computes only where a subject starts or is reset.

The decoders read A_0(n) there and nowhere else, so the block may run at every record, provided nothing else reads
what it assigns: that would have to keep its value from the record that set it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from nlmevae.errors import Location, UnsupportedError
from nlmevae.ir import (
    Assign,
    Compare,
    Expression,
    If,
    Logical,
    Not,
    Number,
    Statement,
    Symbol,
    assignments,
    names_assigned,
    names_read,
)

INITIAL_FLAG = "A_0FLG"
_COMPARISONS = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InitialState:
    """$PK as it runs where A_0FLG is 1; `own`: variables besides A_0(n) that only the blocks assign and read, with
    the place of their first assignment."""

    pk: tuple[Statement, ...]
    own: Mapping[str, Location | None]

    def check_unread(self, names: Iterable[str], what: str) -> None:
        """
        Raises:
            UnsupportedError: one of `names`, which `what` reads, is a variable of the blocks.
        """
        for name in sorted(set(names) & set(self.own)):
            raise _kept(name, what, self.own[name])


def initial_state(pk: tuple[Statement, ...]) -> InitialState:
    """The blocks taken out of their IF.

    Raises:
        UnsupportedError: A_0FLG is used in another way, or the rest of $PK reads what a block assigns.
    """
    inside: list[Statement] = []
    outside: list[Statement] = []
    settled = _settle(pk, inside, outside)
    own: dict[str, Location | None] = {}
    for statement in assignments(tuple(inside)):
        if not statement.target.startswith("A_0("):
            own.setdefault(statement.target, statement.at)
    state = InitialState(settled, own)
    rest = tuple(outside)
    state.check_unread(names_assigned(rest) | names_read(rest), "the rest of $PK")
    return state


def _settle(
    statements: tuple[Statement, ...], inside: list[Statement], outside: list[Statement]
) -> tuple[Statement, ...]:
    """Statements as they run where the flag is 1; `inside` and `outside` collect those of the blocks and the others."""
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Assign):
            _check_not_a_value(statement.value, statement.at)
            outside.append(statement)
            found.append(statement)
        elif any(INITIAL_FLAG in condition.names() for condition, _ in statement.arms):
            block = _block(statement)
            inside.extend(block)
            found.extend(block)
        else:
            outside.append(If(tuple((c, ()) for c, _ in statement.arms), at=statement.at))
            arms = tuple((c, _settle(body, inside, outside)) for c, body in statement.arms)
            found.append(replace(statement, arms=arms, orelse=_settle(statement.orelse, inside, outside)))
    return tuple(found)


def _block(statement: If) -> tuple[Statement, ...]:
    """What the IF runs where the flag is 1; where it is 0 it must run nothing."""
    if any(_arms(statement, 0.0)):
        raise UnsupportedError(
            "statements for records where A_0FLG is not 1 are not supported",
            hint="put into IF (A_0FLG.EQ.1) THEN only what sets A_0(n), and no ELSE",
            location=statement.at,
        )
    for assignment in assignments((statement,)):
        _check_not_a_value(assignment.value, assignment.at)
    arms = _arms(statement, 1.0)
    if arms and arms[0][0] is True:
        return _nested(arms[0][1])
    orelse = next((body for condition, body in arms if condition is True), ())
    kept = tuple((condition, _nested(body)) for condition, body in arms if condition is not True)
    return (If(kept, _nested(orelse), at=statement.at),) if kept else ()


def _nested(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    return _settle(body, [], [])


def _arms(statement: If, flag: float) -> list[tuple[Expression | bool, tuple[Statement, ...]]]:
    """(condition, statements) that may run, True for the last if one surely does; without what does nothing."""
    found: list[tuple[Expression | bool, tuple[Statement, ...]]] = []
    for condition, body in (*statement.arms, (True, statement.orelse)):
        settled = condition if condition is True else _fold(condition, flag)
        if settled is False:
            continue
        found.append((settled, body))
        if settled is True:
            break
    while found and not found[-1][1]:
        found.pop()
    return found


def _fold(expression: Expression, flag: float) -> Expression | bool:
    """The condition with the flag's value put in; a truth value where it decides."""
    if isinstance(expression, Not):
        operand = _fold(expression.operand, flag)
        return not operand if isinstance(operand, bool) else Not(operand, at=expression.at)
    if isinstance(expression, Logical):
        sides = [_fold(side, flag) for side in (expression.left, expression.right)]
        decisive = expression.operator == "or"
        if decisive in sides:
            return decisive
        open_sides = [side for side in sides if not isinstance(side, bool)]
        if len(open_sides) == 2:
            return Logical(expression.operator, *open_sides, at=expression.at)
        return open_sides[0] if open_sides else not decisive
    if INITIAL_FLAG not in expression.names():
        return expression
    sides = expression.children()
    values = [s.value if isinstance(s, Number) else flag for s in sides if isinstance(s, (Number, Symbol))]
    if not isinstance(expression, Compare) or len(values) < 2 or expression.names() != {INITIAL_FLAG}:
        raise UnsupportedError(
            "A_0FLG is compared with something other than a number",
            hint="write IF (A_0FLG.EQ.1) THEN ... ENDIF",
            location=expression.at,
        )
    return _COMPARISONS[expression.operator](*values)


def _check_not_a_value(value: Expression, at: Location | None) -> None:
    if INITIAL_FLAG in value.names():
        raise UnsupportedError(
            "A_0FLG as a number is not supported",
            hint="write IF (A_0FLG.EQ.1) THEN ... ENDIF around what sets A_0(n)",
            location=next((n.at for n in value.walk() if isinstance(n, Symbol) and n.name == INITIAL_FLAG), at),
        )


def _kept(name: str, reader: str, at: Location | None) -> UnsupportedError:
    return UnsupportedError(
        f"{name} is assigned under A_0FLG and {reader} uses it: it would keep its value from an earlier record",
        hint=f"assign {name} before the IF, at every record",
        location=at,
    )
