"""Parts of expressions and statements exchanged for others."""

from __future__ import annotations

from collections.abc import Iterable

from nlmevae.ir import Assign, Binary, Call, Compare, Expression, If, Logical, Negate, Not, Statement, Where


def with_children(node: Expression, children: tuple[Expression, ...]) -> Expression:
    """The same node with other operands."""
    match node:
        case Negate():
            return Negate(*children, at=node.at)
        case Not():
            return Not(*children, at=node.at)
        case Binary(operator):
            return Binary(operator, *children, at=node.at)
        case Compare(operator):
            return Compare(operator, *children, at=node.at)
        case Logical(operator):
            return Logical(operator, *children, at=node.at)
        case Call(function):
            return Call(function, children, at=node.at)
        case Where():
            return Where(*children, at=node.at)
    return node


def exchanged(node: Expression, old: Expression, new: Expression) -> Expression:
    """`node` with `new` wherever it has `old`."""
    if node == old:
        return new
    return with_children(node, tuple(exchanged(child, old, new) for child in node.children()))


def exchanged_in(statements: Iterable[Statement], old: Expression, new: Expression) -> tuple[Statement, ...]:
    """The same in conditions and on the right-hand sides of statements."""
    found: list[Statement] = []
    for s in statements:
        if isinstance(s, Assign):
            found.append(Assign(s.target, exchanged(s.value, old, new), at=s.at))
            continue
        arms = tuple((exchanged(c, old, new), exchanged_in(body, old, new)) for c, body in s.arms)
        found.append(If(arms=arms, orelse=exchanged_in(s.orelse, old, new), at=s.at))
    return tuple(found)
