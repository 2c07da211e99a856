"""Expressions of model code: small, frozen, typed nodes with their place in the source text.

Names follow one spelling for every front end: ``THETA(1)``, ``ETA(1)``, ``EPS(1)``, ``A(1)``,
``DADT(1)``, ``A_0(1)``, ``T`` (time inside the ODE right-hand side); data items and the user's own
variables are upper case. A node never computes anything; see `ir.evaluate` for the slow, obvious
meaning and `codegen.graph` for the fast one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location

BinaryOperator = Literal["+", "-", "*", "/", "**"]
CompareOperator = Literal["==", "!=", "<", "<=", ">", ">="]
LogicalOperator = Literal["and", "or"]

#: Functions model code may call, with their number of arguments (-1: two or more).
#: INT truncates toward zero, MOD(a, b) has the sign of a (Fortran); PHI is the normal distribution
#: function; GAMLN is log of the gamma function; LOG10 is the decimal logarithm.
FUNCTIONS: dict[str, int] = {
    "EXP": 1, "LOG": 1, "LOG10": 1, "SQRT": 1, "ABS": 1,
    "SIN": 1, "COS": 1, "TAN": 1, "ASIN": 1, "ACOS": 1, "ATAN": 1, "TANH": 1, "SINH": 1, "COSH": 1,
    "INT": 1, "MOD": 2, "MIN": -1, "MAX": -1, "PHI": 1, "GAMLN": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Base of all nodes. `at` is where the node starts in the source; it never affects equality."""

    at: Location | None = field(default=None, compare=False, repr=False)
    #: what `names` has found: recognition asks hundreds of times
    _names: frozenset[str] | None = field(default=None, init=False, compare=False, repr=False)

    def children(self) -> tuple[Expression, ...]:
        return ()

    def walk(self) -> Iterator[Expression]:
        """This node, then all nodes below it, left to right."""
        left: list[Expression] = [self]
        while left:
            node = left.pop()
            yield node
            left.extend(reversed(node.children()))

    def names(self) -> frozenset[str]:
        """Every name read by this expression."""
        if self._names is None:
            found = frozenset(node.name for node in self.walk() if isinstance(node, Symbol))
            object.__setattr__(self, "_names", found)
        return self._names


@dataclass(frozen=True, slots=True)
class Number(Expression):
    value: float


@dataclass(frozen=True, slots=True)
class Symbol(Expression):
    name: str


@dataclass(frozen=True, slots=True)
class Negate(Expression):
    operand: Expression

    def children(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    operator: BinaryOperator
    left: Expression
    right: Expression

    def children(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """`function` is a key of FUNCTIONS."""

    function: str
    arguments: tuple[Expression, ...]

    def children(self) -> tuple[Expression, ...]:
        return self.arguments


@dataclass(frozen=True, slots=True)
class Compare(Expression):
    operator: CompareOperator
    left: Expression
    right: Expression

    def children(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Logical(Expression):
    operator: LogicalOperator
    left: Expression
    right: Expression

    def children(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Not(Expression):
    operand: Expression

    def children(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Where(Expression):
    """`then` where `condition` holds, else `otherwise`."""

    condition: Expression
    then: Expression
    otherwise: Expression

    def children(self) -> tuple[Expression, ...]:
        return (self.condition, self.then, self.otherwise)
