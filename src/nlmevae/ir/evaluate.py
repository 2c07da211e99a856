"""What model code means: the slow, obvious evaluator, oracle for everything generated.

Values are float64 scalars, arrays of points, or `Dual` numbers. With scalars a program runs as
written: the first true arm of an IF. With arrays every point takes its own arm and the results are
merged. A name that no taken arm has assigned has no value: reading it raises with scalars and gives
NaN at those points with arrays.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from nlmevae.errors import SemanticError
from nlmevae.ir import dual
from nlmevae.ir.dual import Dual
from nlmevae.ir.expression import (
    Binary,
    Call,
    Compare,
    Expression,
    Logical,
    Negate,
    Not,
    Number,
    Symbol,
    Where,
)
from nlmevae.ir.program import Assign, If, Statement, names_assigned

Environment = Mapping[str, Any]

_BINARY = {"+": dual.add, "-": dual.subtract, "*": dual.multiply, "/": dual.divide, "**": dual.power}
_COMPARE = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


def evaluate(expression: Expression, env: Environment) -> Any:
    """The value of `expression` where names have the values of `env`.

    Returns:
        float64, array or Dual, as the values in `env`; bool for a condition.

    Raises:
        SemanticError: a name has no value. Invalid arithmetic (log of a negative) gives NaN or inf.
    """
    with np.errstate(all="ignore"):
        return _evaluate(expression, env)


def _evaluate(node: Expression, env: Environment) -> Any:
    match node:
        case Number():
            return np.float64(node.value)
        case Symbol():
            return _look_up(node, env)
        case Binary():
            return _BINARY[node.operator](_evaluate(node.left, env), _evaluate(node.right, env))
        case Call():
            return dual.apply(node.function, [_evaluate(a, env) for a in node.arguments])
        case Negate():
            return dual.negate(_evaluate(node.operand, env))
        case Compare():
            left, right = (dual.value_of(_evaluate(side, env)) for side in (node.left, node.right))
            return _COMPARE[node.operator](left, right)
        case Logical():
            left, right = _evaluate(node.left, env), _evaluate(node.right, env)
            return np.logical_and(left, right) if node.operator == "and" else np.logical_or(left, right)
        case Not():
            return np.logical_not(_evaluate(node.operand, env))
        case Where():
            return _evaluate_where(node, env)
    raise TypeError(f"not an expression: {node!r}")


def _look_up(node: Symbol, env: Environment) -> Any:
    try:
        value = env[node.name]
    except KeyError:
        raise SemanticError(
            f"{node.name} is read here but has no value",
            hint=f"assign {node.name} on an earlier line, or add it to the data items",
            location=node.at,
        ) from None
    return np.float64(value) if isinstance(value, int | float) else value


def _evaluate_where(node: Where, env: Environment) -> Any:
    condition = _evaluate(node.condition, env)
    if np.ndim(condition) == 0:
        return _evaluate(node.then if condition else node.otherwise, env)
    return dual.select(condition, _evaluate(node.then, env), _evaluate(node.otherwise, env))


def run(statements: Sequence[Statement], env: Environment) -> dict[str, Any]:
    """Execute `statements` in order from `env`.

    Returns:
        A new environment: `env` plus everything assigned.
    """
    values = dict(env)
    with np.errstate(all="ignore"):
        for statement in statements:
            _execute(statement, values)
    return values


def execute(statement: Statement, values: MutableMapping[str, Any]) -> None:
    """Run one statement, changing `values`."""
    with np.errstate(all="ignore"):
        _execute(statement, values)


def _execute(statement: Statement, values: MutableMapping[str, Any]) -> None:
    if isinstance(statement, Assign):
        values[statement.target] = _evaluate(statement.value, values)
        return
    waiting: Any = True  # points no arm has taken yet
    taken: list[tuple[Any, ChainMap[str, Any]]] = []
    for condition, body in (*statement.arms, (None, statement.orelse)):
        holds = True if condition is None else _evaluate(condition, values)
        mask = np.logical_and(waiting, holds)
        if np.any(mask):
            taken.append((mask, _run_arm(body, values)))
        waiting = np.logical_and(waiting, np.logical_not(holds))
        if not np.any(waiting):
            break
    _merge(statement, taken, values)


def _run_arm(body: Sequence[Statement], values: MutableMapping[str, Any]) -> ChainMap[str, Any]:
    """`values`, and in a map of its own what the arm assigns."""
    result = ChainMap({}, values)
    for statement in body:
        _execute(statement, result)
    return result


def _merge(statement: If, taken: list[tuple[Any, ChainMap[str, Any]]], values: MutableMapping[str, Any]) -> None:
    """Each point gets the values of the arm it took."""
    if len(taken) == 1 and np.all(taken[0][0]):
        values.update(taken[0][1].maps[0])
        return
    for name in names_assigned((statement,)):
        merged = values.get(name)
        for mask, result in taken:
            assigned = result.maps[0]
            if name in assigned:
                merged = dual.select(mask, assigned[name], np.nan if merged is None else merged)
        if merged is not None:
            values[name] = merged


def seeded(env: Environment, wrt: Sequence[str]) -> dict[str, Any]:
    """`env` with the names `wrt` as Dual numbers of the shape of `env`, one direction each, in order."""
    result = dict(env)
    shape = np.broadcast_shapes(*{getattr(v, "shape", ()) for v in env.values() if not isinstance(v, Dual)})
    for k, name in enumerate(wrt):
        value = np.broadcast_to(np.asarray(env[name], dtype=float), shape)
        direction = np.zeros((len(wrt), *[1] * value.ndim))
        direction[k] = 1.0
        result[name] = Dual(value, np.broadcast_to(direction, (len(wrt), *value.shape)))
    return result


def derivative(statements: Sequence[Statement], env: Environment, wrt: Sequence[str], target: str) -> np.ndarray:
    """d target / d wrt after running `statements` from `env`.

    Returns:
        (len(wrt), *S), S the shape of the values of `env`.
    """
    value = run(statements, seeded(env, wrt))[target]
    if isinstance(value, Dual):
        return value.tangent
    return np.zeros((len(wrt), *np.shape(value)))
