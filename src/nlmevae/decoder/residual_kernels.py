"""The residual error model one number at a time, for compiled loops; the rules are those of residual.py."""

from __future__ import annotations

import math
from typing import NamedTuple

from numba import njit

ADDITIVE, PROPORTIONAL, COMBINED1, COMBINED2 = range(4)
KINDS = {"additive": ADDITIVE, "proportional": PROPORTIONAL, "combined1": COMBINED1, "combined2": COMBINED2}
HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class ErrorNumbers(NamedTuple):
    """Kind, coefficients and the standard deviation at f = 0: `replaces_zero` says whether the model has its own
    there, `zero_moves` whether that is proportional to b."""

    kind: int
    a: float
    b: float
    replaces_zero: bool
    at_zero: float
    zero_moves: bool


@njit(nogil=True, cache=True, inline="always")
def sd_of(error, f):
    if error.kind == ADDITIVE:
        return error.a if f == f else math.nan
    if error.replaces_zero and f == 0.0:
        return error.at_zero
    size = error.b * abs(f)
    if error.kind == PROPORTIONAL:
        return size
    if error.kind == COMBINED1:
        return error.a + size
    return math.sqrt(error.a * error.a + size * size)


@njit(nogil=True, cache=True, inline="always")
def sd_slope_of(error, f, sd):
    """d sd / df at sd = sd_of(error, f)."""
    if error.kind == ADDITIVE or f == 0.0:
        return 0.0
    if error.kind == COMBINED2:
        return error.b * error.b * f / sd
    return error.b if f > 0.0 else -error.b


@njit(nogil=True, cache=True, inline="always")
def log_slopes_of(error, f):
    """d log sd / d(log a, log b)."""
    if error.kind == ADDITIVE:
        return 1.0, 0.0
    if error.replaces_zero and f == 0.0:
        return 0.0, (1.0 if error.zero_moves else 0.0)
    if error.kind == PROPORTIONAL:
        return 0.0, 1.0
    a, size = error.a, error.b * abs(f)
    if error.kind == COMBINED2:
        a, size = a * a, size * size
    return a / (a + size), size / (a + size)
