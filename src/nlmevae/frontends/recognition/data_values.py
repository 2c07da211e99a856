"""What a program computes from data items alone: variables and conditions, written out in data items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from nlmevae.ir import Assign, Compare, Expression, If, Logical, Not, Number, Statement, Symbol, Where, names_assigned

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


@dataclass(slots=True)
class DataValues:
    """After a program: `known` variables as expressions of data items (numbers count), None for all others; every
    condition of an IF that reads data items only, once; every expression of data items that is used, once."""

    items: frozenset[str]
    known: dict[str, Expression | None] = field(default_factory=dict)
    conditions: list[Expression] = field(default_factory=list)
    expressions: list[Expression] = field(default_factory=list)


def data_values(
    statements: Sequence[Statement], items: frozenset[str], start: Mapping[str, Expression] | None = None
) -> DataValues:
    """Follow the statements symbolically; `start` holds values before the first one."""
    found = DataValues(items=items, known=dict(start or {}))
    _run(statements, found, found.known)
    return found


def _run(statements: Sequence[Statement], found: DataValues, env: dict[str, Expression | None]) -> None:
    for statement in statements:
        if isinstance(statement, Assign):
            env[statement.target] = inlined(statement.value, env, found.items)
            _note_expressions(statement.value, found, env)
        else:
            _run_if(statement, found, env)


def _run_if(statement: If, found: DataValues, env: dict[str, Expression | None]) -> None:
    conditions = [inlined(condition, env, found.items) for condition, _ in statement.arms]
    for condition, (written, _) in zip(conditions, statement.arms, strict=True):
        if condition is not None and condition.names() and condition not in found.conditions:
            found.conditions.append(condition)
        _note_expressions(written, found, env)
    arms = [dict(env) for _ in statement.arms]
    for arm, (_, body) in zip(arms, statement.arms, strict=True):
        _run(body, found, arm)
    last = dict(env)
    _run(statement.orelse, found, last)
    for name in names_assigned((statement,)):
        value = last.get(name)
        for condition, arm in zip(reversed(conditions), reversed(arms), strict=True):
            value = _choice(condition, arm.get(name), value)
        env[name] = value


def _choice(condition: Expression | None, then: Expression | None, otherwise: Expression | None) -> Expression | None:
    if then is None or otherwise is None:
        return None
    if then == otherwise:
        return then
    return None if condition is None else Where(condition, then, otherwise)


def _note_expressions(expression: Expression, found: DataValues, env: Mapping[str, Expression | None]) -> None:
    """The largest parts of an expression that are known from data items, and the parts of those."""
    for node in expression.walk():
        value = inlined(node, env, found.items)
        if value is not None and not isinstance(value, Compare | Logical | Not) and value not in found.expressions:
            found.expressions.append(value)


def inlined(expression: Expression, env: Mapping[str, Expression | None], items: frozenset[str]) -> Expression | None:
    """The expression over data items only; None if it reads anything else."""
    if isinstance(expression, Number):
        return expression
    if isinstance(expression, Symbol):
        if expression.name in env:
            return env[expression.name]
        return expression if expression.name in items else None
    changes = {}
    for part in fields(expression):
        value = getattr(expression, part.name)
        if isinstance(value, Expression):
            changes[part.name] = inlined(value, env, items)
        elif isinstance(value, tuple):
            changes[part.name] = tuple(inlined(v, env, items) for v in value)
    children = [v for value in changes.values() for v in (value if isinstance(value, tuple) else (value,))]
    return None if any(child is None for child in children) else replace(expression, **changes)


def negated(condition: Expression) -> Expression:
    """NOT condition, a comparison turned around."""
    if isinstance(condition, Compare):
        return Compare(_NEGATED[condition.operator], condition.left, condition.right, at=condition.at)
    return condition.operand if isinstance(condition, Not) else Not(condition, at=condition.at)


def all_of(conditions: Sequence[Expression]) -> Expression:
    return _joined("and", conditions)


def any_of(conditions: Sequence[Expression]) -> Expression:
    return _joined("or", conditions)


def _joined(operator: str, conditions: Sequence[Expression]) -> Expression:
    whole = conditions[0]
    for other in conditions[1:]:
        whole = Logical(operator, whole, other)  # type: ignore[arg-type]
    return whole
