"""Expressions built and simplified: constants are folded and branches that are never taken drop out."""

from __future__ import annotations

from collections.abc import Mapping

from nlmevae.ir import Binary, Call, Compare, Expression, Logical, Negate, Not, Number, Symbol, Where
from nlmevae.ir.evaluate import evaluate

ZERO, ONE = Number(0.0), Number(1.0)


def add(a: Expression, b: Expression) -> Expression:
    return simplified(Binary("+", a, b))


def multiply(a: Expression, b: Expression) -> Expression:
    return simplified(Binary("*", a, b))


def divide(a: Expression, b: Expression) -> Expression:
    return simplified(Binary("/", a, b))


def is_number(node: Expression, value: float) -> bool:
    return isinstance(node, Number) and node.value == value


def substitute(node: Expression, env: Mapping[str, Expression]) -> Expression:
    """`node` with the expressions of `env` for its names, simplified."""
    match node:
        case Symbol():
            return env.get(node.name, node)
        case Number():
            return node
        case Negate():
            return simplified(Negate(substitute(node.operand, env), at=node.at))
        case Not():
            return simplified(Not(substitute(node.operand, env), at=node.at))
        case Binary() | Compare() | Logical():
            kind = type(node)
            return simplified(kind(node.operator, substitute(node.left, env), substitute(node.right, env), at=node.at))
        case Call():
            return simplified(Call(node.function, tuple(substitute(a, env) for a in node.arguments), at=node.at))
        case Where():
            parts = (substitute(part, env) for part in (node.condition, node.then, node.otherwise))
            return simplified(Where(*parts, at=node.at))
    raise TypeError(f"not an expression: {node!r}")


def simplified(node: Expression) -> Expression:
    """The same value, one level simpler where that is certain. A product with 0 is 0."""
    match node:
        case Binary(operator=operator, left=left, right=right):
            return _binary(node, operator, left, right)
        case Negate(operand=Number(value=value)):
            return Number(-value)
        case Call(arguments=arguments) if all(isinstance(a, Number) for a in arguments):
            return _folded(node)
        case Compare(left=Number(), right=Number()):
            return _truth(bool(evaluate(node, {})))
        case Not(operand=Number(value=value)):
            return _truth(not value)
        case Logical(operator=operator, left=left, right=right):
            return _logical(node, operator, left, right)
        case Where(condition=Number(value=value), then=then, otherwise=otherwise):
            return then if value else otherwise
        case Where(then=then, otherwise=otherwise) if then == otherwise:
            return then
    return node


def _truth(value: bool) -> Number:
    """A condition that is known, as a number."""
    return ONE if value else ZERO


def _folded(node: Expression) -> Expression:
    value = float(evaluate(node, {}))
    return Number(value) if value == value and abs(value) < float("inf") else node


def _binary(node: Binary, operator: str, left: Expression, right: Expression) -> Expression:
    if isinstance(left, Number) and isinstance(right, Number):
        return _folded(node)
    if operator == "*" and (is_number(left, 0.0) or is_number(right, 0.0)):
        return ZERO
    if operator == "*" and is_number(left, 1.0):
        return right
    if operator in ("*", "/", "**") and is_number(right, 1.0):
        return left
    if operator == "/" and is_number(left, 0.0):
        return ZERO
    if operator == "+" and is_number(left, 0.0):
        return right
    if operator in ("+", "-") and is_number(right, 0.0):
        return left
    if operator == "-" and is_number(left, 0.0):
        return Negate(right)
    return node


def _logical(node: Logical, operator: str, left: Expression, right: Expression) -> Expression:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Number):
            decided = not one.value if operator == "and" else bool(one.value)
            return _truth(operator == "or") if decided else other
    return node
