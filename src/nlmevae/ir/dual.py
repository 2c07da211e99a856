"""Numbers that carry their derivatives: forward-mode differentiation, the obvious way.

A `Dual` has a value of any shape S and a tangent of shape (n_directions, *S). Operations follow the
textbook rules and nothing else; this is the oracle, `codegen.graph` is the fast one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Value = "float | np.ndarray | Dual"


@dataclass(frozen=True, slots=True)
class Dual:
    """value (S), tangent (n_directions, *S)."""

    value: np.ndarray
    tangent: np.ndarray


def value_of(x: Value) -> np.ndarray:
    """The value without its derivatives."""
    return x.value if isinstance(x, Dual) else x


def tangent_of(x: Value, like: np.ndarray) -> np.ndarray:
    """The tangent of `x`, zeros shaped as `like` where `x` carries none."""
    return x.tangent if isinstance(x, Dual) else np.zeros_like(like)


def _chain(value: np.ndarray, slope: np.ndarray, inner: np.ndarray) -> Dual:
    return Dual(value, np.where(inner == 0.0, 0.0, slope * inner))


def add(a: Value, b: Value) -> Value:
    value = value_of(a) + value_of(b)
    if isinstance(a, Dual) and isinstance(b, Dual):
        return Dual(value, a.tangent + b.tangent)
    if isinstance(a, Dual):
        return Dual(value, a.tangent + np.zeros(np.shape(value)))
    return Dual(value, b.tangent + np.zeros(np.shape(value))) if isinstance(b, Dual) else value


def negate(a: Value) -> Value:
    return Dual(-a.value, -a.tangent) if isinstance(a, Dual) else -a


def subtract(a: Value, b: Value) -> Value:
    return add(a, negate(b))


def multiply(a: Value, b: Value) -> Value:
    value = value_of(a) * value_of(b)
    if isinstance(a, Dual) and isinstance(b, Dual):
        return Dual(value, a.tangent * b.value + a.value * b.tangent)
    if isinstance(a, Dual):
        return Dual(value, a.tangent * b)
    return Dual(value, a * b.tangent) if isinstance(b, Dual) else value


def divide(a: Value, b: Value) -> Value:
    value = np.divide(value_of(a), value_of(b))
    if isinstance(b, Dual):
        numerator = -value * b.tangent
        return Dual(value, (numerator + a.tangent if isinstance(a, Dual) else numerator) / b.value)
    return Dual(value, a.tangent / b) if isinstance(a, Dual) else value


def power(a: Value, b: Value) -> Value:
    """a**b; slope in b is 0 where a = 0 (0**b is 0 for b > 0)."""
    base, exponent = value_of(a), value_of(b)
    value = np.power(np.asarray(base, dtype=float), exponent)
    if not isinstance(a, Dual) and not isinstance(b, Dual):
        return value
    total = 0.0
    if isinstance(a, Dual):
        slope = exponent * np.power(np.asarray(base, dtype=float), exponent - 1.0)
        total = total + np.where(a.tangent == 0.0, 0.0, slope * a.tangent)
    if isinstance(b, Dual):
        slope = np.where(np.equal(base, 0.0), 0.0, value * np.log(base))
        total = total + np.where(b.tangent == 0.0, 0.0, slope * b.tangent)
    return Dual(value, total)


def select(condition: np.ndarray, then: Value, otherwise: Value) -> Value:
    """`then` where `condition`, else `otherwise`; nothing leaks from the branch not taken."""
    value = np.where(condition, value_of(then), value_of(otherwise))
    duals = [x for x in (then, otherwise) if isinstance(x, Dual)]
    if not duals:
        return value
    like = np.zeros((duals[0].tangent.shape[0], *value.shape))
    return Dual(value, np.where(condition, tangent_of(then, like), tangent_of(otherwise, like)))


def _elementwise(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    return np.vectorize(lambda x: function(x) if math.isfinite(x) else math.nan, otypes=[float])


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except ValueError:  # a pole
        return math.inf


def _digamma(x: float) -> float:
    """Recurrence up to x > 12, then the asymptotic series (Abramowitz and Stegun 6.3.18); x > 0."""
    if x <= 0.0:
        return math.nan
    shift = 0.0
    while x < 12.0:
        shift -= 1.0 / x
        x += 1.0
    r = 1.0 / (x * x)
    series = r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r / 132))))
    return shift + math.log(x) - 0.5 / x - series


_erfc = _elementwise(math.erfc)

#: name -> (function, its slope given (argument, value))
UNARY: dict[str, tuple[Callable, Callable]] = {
    "EXP": (np.exp, lambda x, y: y),
    "LOG": (np.log, lambda x, y: 1.0 / x),
    "LOG10": (np.log10, lambda x, y: 1.0 / (x * math.log(10.0))),
    "SQRT": (np.sqrt, lambda x, y: 0.5 / y),
    "ABS": (np.abs, lambda x, y: np.sign(x)),
    "SIN": (np.sin, lambda x, y: np.cos(x)),
    "COS": (np.cos, lambda x, y: -np.sin(x)),
    "TAN": (np.tan, lambda x, y: 1.0 + y * y),
    "ASIN": (np.arcsin, lambda x, y: 1.0 / np.sqrt(1.0 - x * x)),
    "ACOS": (np.arccos, lambda x, y: -1.0 / np.sqrt(1.0 - x * x)),
    "ATAN": (np.arctan, lambda x, y: 1.0 / (1.0 + x * x)),
    "TANH": (np.tanh, lambda x, y: 1.0 - y * y),
    "SINH": (np.sinh, lambda x, y: np.cosh(x)),
    "COSH": (np.cosh, lambda x, y: np.sinh(x)),
    "INT": (np.trunc, lambda x, y: np.zeros_like(x)),
    "PHI": (
        lambda x: 0.5 * _erfc(-x / math.sqrt(2.0)),
        lambda x, y: np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi),
    ),
    "GAMLN": (_elementwise(_lgamma), lambda x, y: _elementwise(_digamma)(x)),
}


def apply(function: str, arguments: list[Value]) -> Value:
    """One of `ir.FUNCTIONS`, with Fortran's meaning of INT (toward zero) and MOD (sign of the first)."""
    if function in UNARY:
        (x,) = arguments
        rule, slope = UNARY[function]
        value = rule(np.asarray(value_of(x), dtype=float))
        return _chain(value, slope(x.value, value), x.tangent) if isinstance(x, Dual) else value
    if function == "MOD":
        a, b = arguments
        whole = np.trunc(np.divide(value_of(a), value_of(b)))
        value = np.fmod(value_of(a), value_of(b))
        if not isinstance(a, Dual) and not isinstance(b, Dual):
            return value
        moved = subtract(a, multiply(whole, b))
        return Dual(value, moved.tangent)
    if function in ("MIN", "MAX"):
        best = arguments[0]
        for other in arguments[1:]:
            keep = value_of(best) <= value_of(other) if function == "MIN" else value_of(best) >= value_of(other)
            best = select(keep, best, other)
        return best
    raise ValueError(f"unknown function {function}")
