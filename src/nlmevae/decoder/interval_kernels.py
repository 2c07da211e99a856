"""A normal value known as an interval, or known to lie above a floor: log density and derivatives, stable in the tails.

y ~ N(f, sd^2) given y > floor; known is y itself, or lower < y < upper (limits may be infinite):

    value       log phi((y - f) / sd) - log sd - log Phi((f - floor) / sd)
    interval    log(Phi((upper - f) / sd) - Phi((lower - f) / sd)) - log Phi((f - floor) / sd)

The information is that of the interval's end points (a concave function, Pratt, JASA 76 (1981) 103-106) and of the
squared residual, without the terms whose expectation is 0 over all y, seen or censored: positive, and asymptotically
the Fisher information whatever share of the data is censored.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from numba import njit

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_ROOT_HALF = math.sqrt(0.5)
_DEEP = -30.0  # below it erfc loses digits on its way to underflow; the asymptotic series is exact to rounding
_NARROW = 1e-5  # of an interval, in sd: the density times the width


class IntervalTerms(NamedTuple):
    """In units of sd: pull = sd d/df, surplus = d/d log sd, and information ff, fs, ss of (f / sd, log sd)."""

    log_density: float
    pull: float
    surplus: float
    ff: float
    fs: float
    ss: float


@njit(nogil=True, cache=True)
def log_normal_cdf(x):
    """log Phi(x), relative error about 1e-14 for all x."""
    if x > 0.0:
        return math.log1p(-0.5 * math.erfc(x * _ROOT_HALF))
    if x > _DEEP:
        return math.log(0.5 * math.erfc(-x * _ROOT_HALF))
    if x == -math.inf:
        return -math.inf
    # Abramowitz and Stegun 26.2.12
    r = 1.0 / (x * x)
    series = -r * (1.0 - 3.0 * r * (1.0 - 5.0 * r * (1.0 - 7.0 * r * (1.0 - 9.0 * r * (1.0 - 11.0 * r)))))
    return -0.5 * x * x - HALF_LOG_TWO_PI - math.log(-x) + math.log1p(series)


@njit(nogil=True, cache=True)
def log_normal_interval(low, high):
    """log(Phi(high) - Phi(low)) for low < high, either may be infinite."""
    if low + high > 0.0:  # the smaller tail keeps its digits
        low, high = -high, -low
    if low == -math.inf:
        return log_normal_cdf(high)
    width = high - low
    if width < _NARROW:
        middle = 0.5 * (low + high)
        return math.log(width) - HALF_LOG_TWO_PI - 0.5 * middle * middle
    top = log_normal_cdf(high)
    return top + math.log(-math.expm1(log_normal_cdf(low) - top))


@njit(nogil=True, cache=True, inline="always")
def _hazard(x, log_probability):
    """phi(x) / probability; 0 at infinite x."""
    return math.exp(-HALF_LOG_TWO_PI - 0.5 * x * x - log_probability) if math.isfinite(x) else 0.0


@njit(nogil=True, cache=True)
def interval_terms(y, f, sd, lower, upper, floor):
    """Of one observation; lower NaN: y is known. floor -inf: no condition. sd > 0."""
    if lower != lower:
        x = (y - f) / sd
        value, pull, surplus = -HALF_LOG_TWO_PI - 0.5 * x * x - math.log(sd), x, x * x - 1.0
        ff, fs, ss = 1.0, x, 1.0 + x * x
    else:
        low, high = (lower - f) / sd, (upper - f) / sd
        if not low < high:
            return IntervalTerms(-math.inf if low == low else math.nan, 0.0, 0.0, 0.0, 0.0, 0.0)
        value = log_normal_interval(low, high)
        left, right = _hazard(low, value), _hazard(high, value)
        at_low = low * left if left > 0.0 else 0.0
        at_high = high * right if right > 0.0 else 0.0
        pull, surplus = left - right, at_low - at_high
        # minus the second derivatives in (low, high), then along (f, log sd)
        a = left * left - at_low
        b = right * right + at_high
        c = -left * right
        x, z = (low if left > 0.0 else 0.0), (high if right > 0.0 else 0.0)
        ff = a + b + 2.0 * c
        fs = x * a + z * b + (x + z) * c
        ss = x * x * a + z * z * b + 2.0 * x * z * c
    if floor > -math.inf:
        above = (f - floor) / sd
        log_above = log_normal_cdf(above)
        hazard = _hazard(above, log_above)
        value -= log_above
        pull -= hazard
        surplus += above * hazard
        curve = hazard * (hazard + above)
        ff -= curve
        fs += above * curve
        ss -= above * above * curve
    ff, ss = max(ff, 0.0), max(ss, 0.0)
    most = math.sqrt(ff * ss)
    return IntervalTerms(value, pull, surplus, ff, min(max(fs, -most), most), ss)
