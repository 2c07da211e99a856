"""Symbolic execution: run a program of the IR over a graph instead of over numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

from nlmevae.codegen.graph import Graph
from nlmevae.errors import SemanticError
from nlmevae.ir import (
    Assign,
    Binary,
    Call,
    Compare,
    Expression,
    Logical,
    Negate,
    Not,
    Number,
    Statement,
    Symbol,
    Where,
)

#: Gives the node of a name the program has not assigned; None if there is no such name.
Resolver = Callable[[str], int | None]
#: May replace the value about to be assigned: (environment, assignment, value) -> value.
AssignHook = Callable[[dict[str, int], Assign, int], int]

_BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div", "**": "pow"}
_DIRECT = {
    "EXP": "exp", "LOG": "log", "SQRT": "sqrt", "ABS": "abs", "SIN": "sin", "COS": "cos", "TAN": "tan",
    "ASIN": "asin", "ACOS": "acos", "ATAN": "atan", "TANH": "tanh", "SINH": "sinh", "COSH": "cosh",
    "INT": "trunc", "PHI": "normal_cdf", "GAMLN": "lgamma",
}  # fmt: skip


class Executor:
    """Runs statements over `graph`; names that were not assigned are asked of `resolve`."""

    def __init__(self, graph: Graph, resolve: Resolver, on_assign: AssignHook | None = None) -> None:
        self.graph = graph
        self.resolve = resolve
        self.on_assign = on_assign

    def run(self, statements: tuple[Statement, ...], env: dict[str, int]) -> dict[str, int]:
        """The environment after the statements; `env` itself is left alone."""
        env = dict(env)
        for statement in statements:
            if isinstance(statement, Assign):
                value = self.value(statement.value, env)
                if self.on_assign is not None:
                    value = self.on_assign(env, statement, value)
                env[statement.target] = value
            else:
                conditions = [self.value(condition, env) for condition, _ in statement.arms]
                branches = [self.run(body, env) for _, body in statement.arms]
                env = self._merge(conditions, branches, self.run(statement.orelse, env))
        return env

    def _merge(
        self, conditions: list[int], branches: list[dict[str, int]], otherwise: dict[str, int]
    ) -> dict[str, int]:
        """One environment in which every name is a select over the arms, the first true arm first.

        Where an arm leaves a name without a value it is NaN: ``IF (SEX.EQ.1) X = ..`` followed by
        ``IF (SEX.EQ.2) X = ..`` is legal and common, and a subject with a third sex then fails visibly
        instead of getting the value of the record before.
        """
        nothing = self.graph.constant(math.nan)
        names = set(otherwise).union(*branches)
        merged = {name: otherwise.get(name, nothing) for name in names}
        for condition, branch in zip(reversed(conditions), reversed(branches), strict=True):
            merged = {
                name: self.graph.select(condition, branch.get(name, nothing), node) for name, node in merged.items()
            }
        return merged

    def value(self, expression: Expression, env: dict[str, int]) -> int:
        """The node of an expression."""
        graph = self.graph
        match expression:
            case Number(value):
                return graph.constant(value)
            case Symbol(name):
                return self._name(name, expression, env)
            case Negate(operand):
                return graph.apply("neg", self.value(operand, env))
            case Binary(operator, left, right):
                return graph.apply(_BINARY[operator], self.value(left, env), self.value(right, env))
            case Call(function, arguments):
                return self._call(function, [self.value(a, env) for a in arguments])
            case Compare(operator, left, right):
                return self._compare(operator, self.value(left, env), self.value(right, env))
            case Logical(operator, left, right):
                return graph.apply(operator, self.value(left, env), self.value(right, env))
            case Not(operand):
                return graph.apply("not", self.value(operand, env))
            case Where(condition, then, otherwise):
                return graph.select(self.value(condition, env), self.value(then, env), self.value(otherwise, env))
        raise TypeError(f"unknown expression {type(expression).__name__}")

    def _name(self, name: str, expression: Expression, env: dict[str, int]) -> int:
        node = env.get(name)
        if node is None:
            node = self.resolve(name)
        if node is None:
            raise SemanticError(
                f"{name} is read here but never gets a value",
                hint=f"assign {name} before this line",
                location=expression.at,
            )
        return node

    def _compare(self, operator: str, left: int, right: int) -> int:
        apply = self.graph.apply
        match operator:
            case "==":
                return apply("eq", left, right)
            case "!=":
                return apply("ne", left, right)
            case "<":
                return apply("lt", left, right)
            case "<=":
                return apply("le", left, right)
            case ">":
                return apply("lt", right, left)
            case _:
                return apply("le", right, left)

    def _call(self, function: str, arguments: list[int]) -> int:
        graph = self.graph
        if function in _DIRECT:
            return graph.apply(_DIRECT[function], *arguments)
        if function == "LOG10":
            return graph.div(graph.apply("log", arguments[0]), graph.constant(math.log(10.0)))
        if function == "MOD":
            whole = graph.apply("trunc", graph.div(arguments[0], arguments[1]))
            return graph.sub(arguments[0], graph.mul(whole, arguments[1]))
        if function in ("MIN", "MAX"):
            result = arguments[0]
            for other in arguments[1:]:
                first_smaller = graph.apply("lt", result, other)
                pair = (result, other) if function == "MIN" else (other, result)
                result = graph.select(first_smaller, *pair)
            return result
        raise TypeError(f"unknown function {function}")


def substitute(graph: Graph, node: int, replacement: dict[str, int]) -> int:
    """`node` with inputs replaced by other nodes."""
    new: dict[int, int] = {}
    for old in graph.reachable([node]):
        op, args, value = graph.nodes[old]
        if op == "input":
            new[old] = replacement.get(str(value), old)
        elif op == "constant":
            new[old] = old
        else:
            new[old] = graph.apply(op, *(new[a] for a in args))
    return new[node]
