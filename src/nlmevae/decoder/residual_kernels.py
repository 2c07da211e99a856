"""The residual error models one number at a time, for compiled loops: the only place that knows their formulas.

y = f + s sd(f) eps with eps ~ N(0, 1); s = exp(log multiplier) where a random effect acts on the size, else 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from nlmevae.decoder.interval_kernels import interval_terms

ADDITIVE, PROPORTIONAL, COMBINED1, COMBINED2 = range(4)
KINDS = {"additive": ADDITIVE, "proportional": PROPORTIONAL, "combined1": COMBINED1, "combined2": COMBINED2}
HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
#: What a coefficient of the model may be in one endpoint.
SLOTS = ("a", "b", "power", "correlation")


class ErrorNumbers(NamedTuple):
    """Kind and coefficients of E endpoints, all (E,): `replaces_zero` says whether the model has its own standard
    deviation `at_zero` at f = 0, `zero_moves` whether that is proportional to b.

    n_slots (E,), which (E, 4) position in SLOTS, coefficient (E, 4) index of the model's coefficient and factor (E, 4),
    the slot's derivative in the coefficient's coordinate (log SD, p, atanh rho). effect (E,) latent that multiplies the
    standard deviation by exp(effect_scale z), -1 for none.
    """

    kind: np.ndarray
    a: np.ndarray
    b: np.ndarray
    power: np.ndarray
    correlation: np.ndarray
    replaces_zero: np.ndarray
    at_zero: np.ndarray
    zero_moves: np.ndarray
    n_slots: np.ndarray
    which: np.ndarray
    coefficient: np.ndarray
    factor: np.ndarray
    effect: np.ndarray
    effect_scale: np.ndarray


class Observed(NamedTuple):
    """M observations: value y and endpoint index (M,); where `limited`, also (M,) lower and upper limit of a value
    that is only known to lie between them (both NaN: the value is known) and `floor`, above which it is known to lie
    (-inf: no such knowledge); else these are empty."""

    y: np.ndarray
    endpoint: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    floor: np.ndarray
    limited: bool

    @classmethod
    def of(cls, y: np.ndarray, endpoint: np.ndarray | None = None, limits: np.ndarray | None = None) -> Observed:
        """limits (M, 3): lower, upper, floor; None: all values are known."""
        y = np.ascontiguousarray(y, dtype=float)
        known = limits is None
        lower, upper, floor = (np.zeros(0) if known else np.ascontiguousarray(limits[:, k]) for k in range(3))
        where = np.zeros(len(y), dtype=np.int32) if endpoint is None else np.ascontiguousarray(endpoint, dtype=np.int32)
        return cls(y=y, endpoint=where, lower=lower, upper=upper, floor=floor, limited=not known)

    def at(self, index: np.ndarray) -> Observed:
        """Some of the observations, repeated at will."""
        of = [values[index] if len(values) else values for values in self[:5]]
        return Observed(*of, limited=self.limited)

    @property
    def censored(self) -> np.ndarray:
        """(M,) bool, True where only an interval is known."""
        return ~np.isnan(self.lower) if self.limited else np.zeros(len(self.y), dtype=bool)


@njit(nogil=True, cache=True, inline="always")
def proportional_part(error, e, f):
    """b |f|^p."""
    size = abs(f)
    return error.b[e] * (size if error.power[e] == 1.0 else size ** error.power[e])


@njit(nogil=True, cache=True, inline="always")
def sd_of(error, e, f):
    """Standard deviation at prediction f, without a random effect on it; NaN where f is."""
    kind = error.kind[e]
    if kind == ADDITIVE:
        return error.a[e] if f == f else math.nan
    if error.replaces_zero[e] and f == 0.0:
        return error.at_zero[e]
    part = proportional_part(error, e, f)
    if kind == PROPORTIONAL:
        return part
    a = error.a[e]
    if kind == COMBINED1:
        return a + part
    cross = error.correlation[e]
    return math.sqrt(a * a + part * part + (2.0 * cross * a * error.b[e] * f if cross != 0.0 else 0.0))


@njit(nogil=True, cache=True, inline="always")
def relative_slope_of(error, e, f, sd):
    """d log sd / df at sd = sd_of(error, e, f)."""
    kind = error.kind[e]
    if kind == ADDITIVE or (f == 0.0 and (error.replaces_zero[e] or error.correlation[e] == 0.0)):
        return 0.0
    if kind == PROPORTIONAL:
        return error.power[e] / f
    part = proportional_part(error, e, f)
    if kind == COMBINED1:
        return error.power[e] * part / (f * sd)
    cross = error.correlation[e]
    slope = error.power[e] * part * part / f if f != 0.0 else 0.0
    return (slope + (cross * error.a[e] * error.b[e] if cross != 0.0 else 0.0)) / (sd * sd)


@njit(nogil=True, cache=True, inline="always")
def log_slopes_of(error, e, f, out):
    """d log sd / d coordinate of every slot of the endpoint, in out[:n_slots]."""
    kind = error.kind[e]
    a, b, power, correlation = 0.0, 0.0, 0.0, 0.0
    if kind == ADDITIVE:
        a = 1.0
    elif error.replaces_zero[e] and f == 0.0:
        b = 1.0 if error.zero_moves[e] else 0.0
    else:
        part = proportional_part(error, e, f)
        if kind == PROPORTIONAL:
            b = 1.0
        elif kind == COMBINED1:
            a = error.a[e] / (error.a[e] + part)
            b = 1.0 - a
        else:
            rho = error.correlation[e]
            mixed = error.a[e] * error.b[e] * f if rho != 0.0 else 0.0
            square, other = error.a[e] * error.a[e], part * part
            variance = square + 2.0 * rho * mixed + other
            a, b = (square + rho * mixed) / variance, (other + rho * mixed) / variance
            correlation = (1.0 - rho * rho) * mixed / variance
        power = b * math.log(abs(f)) if f != 0.0 else 0.0
    for j in range(error.n_slots[e]):
        which = error.which[e, j]
        slope = a if which == 0 else (b if which == 1 else (power if which == 2 else correlation))
        out[j] = error.factor[e, j] * slope


@njit(nogil=True, cache=True, inline="always")
def log_density_of(observed, m, f, sd):
    """log p(y_m | f, sd), with the 2 pi constant; sd > 0."""
    if observed.limited:
        return interval_terms(observed.y[m], f, sd, observed.lower[m], observed.upper[m], observed.floor[m]).log_density
    scaled = (observed.y[m] - f) / sd
    return -HALF_LOG_TWO_PI - 0.5 * scaled * scaled - math.log(sd)


@njit(nogil=True, cache=True, inline="always")
def pulls_of(observed, m, f, sd):
    """(d log p / df, d log p / d log sd) with the other held; and their expected information ff, fs, ss."""
    if observed.limited:
        terms = interval_terms(observed.y[m], f, sd, observed.lower[m], observed.upper[m], observed.floor[m])
        return terms.pull / sd, terms.surplus, terms.ff / (sd * sd), terms.fs / sd, terms.ss
    scaled = (observed.y[m] - f) / sd
    return scaled / sd, scaled * scaled - 1.0, 1.0 / (sd * sd), 0.0, 2.0


@njit(nogil=True, cache=True)
def spreads(prediction, endpoint, error, multiplier, out):
    """out (K, M): standard deviation at predictions (K, M); multiplier (K, M) logarithms, or (0, 0)."""
    for k in range(prediction.shape[0]):
        for m in range(prediction.shape[1]):
            out[k, m] = sd_of(error, endpoint[m], prediction[k, m])
            if len(multiplier):
                out[k, m] *= math.exp(multiplier[k, m])


@njit(nogil=True, cache=True)
def log_densities(prediction, observed, error, multiplier, out):
    """out (K, M): log p(y | f) at predictions (K, M); -inf where sd is 0, NaN where f is; see `spreads`."""
    for k in range(prediction.shape[0]):
        for m in range(prediction.shape[1]):
            f = prediction[k, m]
            sd = sd_of(error, observed.endpoint[m], f)
            if len(multiplier):
                sd *= math.exp(multiplier[k, m])
            out[k, m] = log_density_of(observed, m, f, sd) if sd > 0.0 else (-math.inf if sd == 0.0 else math.nan)


class Sums(NamedTuple):
    """Weighted sums over the draws and observations of each of N groups, q coefficients in their coordinates.

    value (N,) of the log density, total (N,) of the weights, score (N, q), information (N, q, q) expected over y;
    squares (N, q) of (y - f) / sd and counted (N, q) of the weights of terms whose sd depends on the coefficient.
    """

    value: np.ndarray
    total: np.ndarray
    score: np.ndarray
    information: np.ndarray
    squares: np.ndarray
    counted: np.ndarray

    @classmethod
    def zeros(cls, n: int, q: int) -> Sums:
        return cls(*(np.zeros(shape) for shape in ((n,), (n,), (n, q), (n, q, q), (n, q), (n, q))))


@njit(nogil=True, cache=True)
def residual_sums(prediction, weight, observed, ptr, error, multiplier, with_density, out):
    """Add to `out`, whose groups are the N columns of weight (K, N) with observations ptr[i]:ptr[i + 1].

    `with_density`: also the log density, its score and information. Terms of weight 0, with a prediction that is not
    finite or with sd 0 do not count.
    """
    slopes = np.zeros(4)
    for k in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            w = weight[k, i]
            if not w > 0.0:
                continue
            for m in range(ptr[i], ptr[i + 1]):
                f, e = prediction[k, m], observed.endpoint[m]
                sd = sd_of(error, e, f)
                if len(multiplier):
                    sd *= math.exp(multiplier[k, m])
                if not (math.isfinite(f) and sd > 0.0):
                    continue
                log_slopes_of(error, e, f, slopes)
                scaled = (observed.y[m] - f) / sd
                square = scaled * scaled
                out.total[i] += w
                for j in range(error.n_slots[e]):
                    if slopes[j] > 0.0:
                        c = error.coefficient[e, j]
                        out.counted[i, c] += w
                        out.squares[i, c] += w * square
                if with_density:
                    out.value[i] += w * log_density_of(observed, m, f, sd)
                    _, surplus, _, _, information = pulls_of(observed, m, f, sd)
                    for j in range(error.n_slots[e]):
                        c = error.coefficient[e, j]
                        out.score[i, c] += w * surplus * slopes[j]
                        for other in range(error.n_slots[e]):
                            d = error.coefficient[e, other]
                            out.information[i, c, d] += w * information * slopes[j] * slopes[other]
