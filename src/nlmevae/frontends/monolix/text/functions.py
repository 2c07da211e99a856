"""Mlxtran's functions as expressions of the IR: its own functions, or exact compositions of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from nlmevae.ir import Binary, Call, Compare, Expression, Logical, Negate, Number, Where

#: Functions that the IR has, by Mlxtran's name. -1 argument: two or more.
DIRECT = {
    "abs": "ABS", "sqrt": "SQRT", "exp": "EXP", "log": "LOG", "log10": "LOG10", "sin": "SIN", "cos": "COS",
    "tan": "TAN", "asin": "ASIN", "acos": "ACOS", "atan": "ATAN", "sinh": "SINH", "cosh": "COSH", "tanh": "TANH",
    "normcdf": "PHI", "pnorm": "PHI", "gammaln": "GAMLN", "lgamma": "GAMLN", "min": "MIN", "max": "MAX",
    "rem": "MOD",  # both have the sign of the first argument
}  # fmt: skip

#: Functions of Mlxtran that cannot be executed exactly: why, and what to do.
REFUSED = {
    "delay": ("delay differential equations are not supported", "replace delay() by transit compartments"),
    "bsmm": ("mixtures of structural models are not supported", "fit the sub-models one by one"),
    "wsmm": ("mixtures of structural models are not supported", "fit the sub-models one by one"),
    "probit": ("the normal quantile function is not supported in equations", "use distribution=probitNormal"),
    "norminv": ("the normal quantile function is not supported in equations", "use distribution=probitNormal"),
    "qnorm": ("the normal quantile function is not supported in equations", "use distribution=probitNormal"),
}


def _one() -> Number:
    return Number(1.0)


def _half_pi() -> Number:
    return Number(math.pi / 2)


def _logit(x: Expression) -> Expression:
    return Call("LOG", (Binary("/", x, Binary("-", _one(), x)),))


def _invlogit(x: Expression) -> Expression:
    return Binary("/", _one(), Binary("+", _one(), Call("EXP", (Negate(x),))))


def _floor(x: Expression) -> Expression:
    """INT cuts toward zero."""
    cut = Call("INT", (x,))
    return Where(Compare("<", x, cut), Binary("-", cut, _one()), cut)


def _ceil(x: Expression) -> Expression:
    cut = Call("INT", (x,))
    return Where(Compare(">", x, cut), Binary("+", cut, _one()), cut)


def _log_factorial(n: Expression) -> Expression:
    return Call("GAMLN", (Binary("+", n, _one()),))


def _factorial(n: Expression) -> Expression:
    return Call("EXP", (_log_factorial(n),))


def _atan2(y: Expression, x: Expression) -> Expression:
    """The angle of (x, y) in (-pi, pi]; 0 at the origin. Quotients are at most 1 and never 0/0, so that no branch,
    taken or not, has a value or a derivative that is not finite."""
    zero = Number(0.0)
    flat = Compare(">", Call("ABS", (x,)), Call("ABS", (y,)))
    along_x = Call("ATAN", (Binary("/", y, Where(flat, x, _one())),))
    steep = Logical("and", Compare("<=", Call("ABS", (x,)), Call("ABS", (y,))), Compare("!=", y, zero))
    along_y = Call("ATAN", (Binary("/", x, Where(steep, y, _one())),))
    half_turn = Where(Compare("<", y, zero), Number(-math.pi), Number(math.pi))
    near_x = Where(Compare("<", x, zero), Binary("+", along_x, half_turn), along_x)
    quarter = Where(Compare("<", y, zero), Negate(_half_pi()), _half_pi())
    return Where(flat, near_x, Where(steep, Binary("-", quarter, along_y), zero))


#: Compositions by Mlxtran's name, with their number of arguments.
COMPOSED: dict[str, tuple[int, Callable[..., Expression]]] = {
    "logit": (1, _logit),
    "invlogit": (1, _invlogit),
    "floor": (1, _floor),
    "ceil": (1, _ceil),
    "factorial": (1, _factorial),
    "factln": (1, _log_factorial),
    "atan2": (2, _atan2),
}
