"""NONMEM's protected functions: the plain function with its argument kept where the result is finite.

NONMEM help, PROTECTIVE FUNCTIONS: SMALLZ is 2.8E-103, exponents are cut at 100.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from nlmevae.errors import Location
from nlmevae.ir import Binary, Call, Compare, Expression, Number, Where

SMALLZ, LARGEST_EXPONENT = 2.8e-103, 100.0


def _at_least(x: Expression, bound: float, at: Location) -> Expression:
    return Call("MAX", (x, Number(bound, at=at)), at=at)


def _at_most(x: Expression, bound: float, at: Location) -> Expression:
    return Call("MIN", (x, Number(bound, at=at)), at=at)


def _where(condition: Expression, value: float, other: Expression, at: Location) -> Expression:
    return Where(condition, Number(value, at=at), other, at=at)


def _below(x: Expression, bound: float, at: Location) -> Expression:
    return Compare("<", x, Number(bound, at=at), at=at)


def _near_zero(x: Expression, at: Location) -> Expression:
    return _below(Call("ABS", (x,), at=at), SMALLZ, at)


def _inverse(function: str, x: Expression, at: Location) -> Expression:
    """ASIN or ACOS; an argument beyond -1 or 1 counts as -1 or 1."""
    value = {"ASIN": math.asin, "ACOS": math.acos}[function]
    above = Compare(">", x, Number(1.0, at=at), at=at)
    inside = _where(above, value(1.0), Call(function, (x,), at=at), at)
    return _where(_below(x, -1.0, at), value(-1.0), inside, at)


def _reciprocal(x: Expression, at: Location) -> Expression:
    quotient = Binary("/", Number(1.0, at=at), x, at=at)
    return _where(_near_zero(x, at), 1.0 / SMALLZ, quotient, at)


#: Name -> the expression of its argument.
PROTECTED: dict[str, Callable[[Expression, Location], Expression]] = {
    "PEXP": lambda x, at: Call("EXP", (_at_most(x, LARGEST_EXPONENT, at),), at=at),
    "PLOG": lambda x, at: Call("LOG", (_at_least(x, SMALLZ, at),), at=at),
    "PLOG10": lambda x, at: Call("LOG10", (_at_least(x, SMALLZ, at),), at=at),
    "PSQRT": lambda x, at: _where(_below(x, 0.0, at), 0.0, Call("SQRT", (x,), at=at), at),
    "PASIN": lambda x, at: _inverse("ASIN", x, at),
    "PACOS": lambda x, at: _inverse("ACOS", x, at),
    "PDZ": _reciprocal,
    "PZR": lambda x, at: _where(_near_zero(x, at), SMALLZ, x, at),
    "PNP": lambda x, at: _at_least(x, SMALLZ, at),
    "PHE": lambda x, at: _at_most(x, LARGEST_EXPONENT, at),
    "PNG": lambda x, at: _at_least(x, 0.0, at),
}
