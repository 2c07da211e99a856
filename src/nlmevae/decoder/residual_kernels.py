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
    """Kind and coefficients of one endpoint: `replaces_zero` says whether the model has its own standard deviation
    `at_zero` at f = 0, `zero_moves` whether that is proportional to b. effect: latent that multiplies the standard
    deviation by exp(effect_scale z), -1 for none. `wide`: power or correlation is a coefficient.

    index: which observations are meant, -1 for all of them. Compiled loops run over all endpoints in turn: what does
    not change within a loop stays in registers, and a model with one endpoint pays nothing for the others.
    """

    index: int
    kind: int
    a: float
    b: float
    power: float
    correlation: float
    wide: bool
    replaces_zero: bool
    at_zero: float
    zero_moves: bool
    effect: int
    effect_scale: float


def error_table(errors: list[ErrorNumbers]) -> np.ndarray:
    """(E, 12) for compiled loops that need all endpoints; see `error_at`."""
    return np.array(errors, dtype=float).reshape(len(errors), len(ErrorNumbers._fields))


@njit(nogil=True, cache=True, error_model="numpy")
def error_at(table, e):
    """Endpoint e of an `error_table`."""
    row = table[e]
    return ErrorNumbers(
        int(row[0]), int(row[1]), row[2], row[3], row[4], row[5], row[6] > 0.0, row[7] > 0.0, row[8], row[9] > 0.0,
        int(row[10]), row[11],
    )  # fmt: skip


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
def proportional_part(error, f):
    """b |f|^p."""
    size = abs(f)
    return error.b * (size if error.power == 1.0 else size**error.power)


@njit(nogil=True, cache=True, inline="always")
def sd_of(error, f):
    """Standard deviation at prediction f, without a random effect on it; NaN where f is."""
    if error.kind == ADDITIVE:
        return error.a if f == f else math.nan
    if error.replaces_zero and f == 0.0:
        return error.at_zero
    part = proportional_part(error, f)
    if error.kind == PROPORTIONAL:
        return part
    if error.kind == COMBINED1:
        return error.a + part
    square = error.a * error.a + part * part
    if error.correlation != 0.0:
        square += 2.0 * error.correlation * error.a * error.b * f
    return math.sqrt(square)


@njit(nogil=True, cache=True, inline="always")
def relative_slope_of(error, f, sd):
    """d log sd / df at sd = sd_of(error, f)."""
    if error.kind == ADDITIVE or (f == 0.0 and (error.replaces_zero or error.correlation == 0.0)):
        return 0.0
    if error.kind == PROPORTIONAL:
        return error.power / f
    part = proportional_part(error, f)
    if error.kind == COMBINED1:
        return error.power * part / (f * sd)
    slope = error.power * part * part / f if f != 0.0 else 0.0
    return (slope + error.correlation * error.a * error.b) / (sd * sd)


@njit(nogil=True, cache=True, inline="always")
def log_slopes_of(error, f):
    """d log sd / d(log a, log b)."""
    if error.kind == ADDITIVE:
        return 1.0, 0.0
    if error.replaces_zero and f == 0.0:
        return 0.0, (1.0 if error.zero_moves else 0.0)
    if error.kind == PROPORTIONAL:
        return 0.0, 1.0
    a, part = error.a, proportional_part(error, f)
    if error.kind == COMBINED1:
        return a / (a + part), part / (a + part)
    square, other = a * a, part * part
    if error.correlation == 0.0:
        return square / (square + other), other / (square + other)
    mixed = error.correlation * a * error.b * f
    variance = square + 2.0 * mixed + other
    return (square + mixed) / variance, (other + mixed) / variance


@njit(nogil=True, cache=True, inline="always")
def other_slopes_of(error, f, sd, slope_b):
    """d log sd / d(p, atanh rho) at sd = sd_of(error, f)."""
    by_power = slope_b * math.log(abs(f)) if f != 0.0 else 0.0
    by_correlation = 0.0
    if error.kind == COMBINED2 and not (error.replaces_zero and f == 0.0):
        by_correlation = (1.0 - error.correlation * error.correlation) * error.a * error.b * f / (sd * sd)
    return by_power, by_correlation


@njit(nogil=True, cache=True, inline="always")
def log_density_of(observed, m, f, sd):
    """log p(y_m | f, sd), with the 2 pi constant; sd > 0."""
    if observed.limited:
        return interval_terms(observed.y[m], f, sd, observed.lower[m], observed.upper[m], observed.floor[m]).log_density
    scaled = (observed.y[m] - f) / sd
    return -HALF_LOG_TWO_PI - 0.5 * scaled * scaled - math.log(sd)


@njit(nogil=True, cache=True, inline="always")
def known_pulls(y, f, sd):
    """As `pulls_of`, of a value y that is known."""
    scaled = (y - f) / sd
    return scaled / sd, scaled * scaled - 1.0, 1.0 / (sd * sd), 0.0, 2.0


@njit(nogil=True, cache=True, inline="always")
def pulls_of(observed, m, f, sd):
    """(d log p / df, d log p / d log sd) with the other held; and their expected information ff, fs, ss."""
    if observed.limited:
        terms = interval_terms(observed.y[m], f, sd, observed.lower[m], observed.upper[m], observed.floor[m])
        return terms.pull / sd, terms.surplus, terms.ff / (sd * sd), terms.fs / sd, terms.ss
    return known_pulls(observed.y[m], f, sd)


@njit(nogil=True, cache=True, error_model="numpy")
def spreads(prediction, observed, error, multiplier, out):
    """out (K, M): standard deviation at predictions (K, M); multiplier (K, M) logarithms, or (0, 0)."""
    for k in range(prediction.shape[0]):
        for m in range(prediction.shape[1]):
            if error.index >= 0 and observed.endpoint[m] != error.index:
                continue
            out[k, m] = sd_of(error, prediction[k, m])
            if len(multiplier):
                out[k, m] *= math.exp(multiplier[k, m])


@njit(nogil=True, cache=True, error_model="numpy")
def log_densities(prediction, observed, error, multiplier, out):
    """out (K, M): log p(y | f) at predictions (K, M); -inf where sd is 0, NaN where f is; see `spreads`."""
    for k in range(prediction.shape[0]):
        for m in range(prediction.shape[1]):
            if error.index >= 0 and observed.endpoint[m] != error.index:
                continue
            sd = sd_of(error, prediction[k, m])
            if len(multiplier):
                sd *= math.exp(multiplier[k, m])
            if sd > 0.0:
                out[k, m] = log_density_of(observed, m, prediction[k, m], sd)
            else:
                out[k, m] = -math.inf if sd == 0.0 else math.nan


#: Columns of `residual_sums`; four slots in the order of SLOTS, the lower triangle of their information.
TOTAL, VALUE, SQUARES, COUNTED, SCORE, INFORMATION, N_SUMS = 0, 1, 2, 3, 4, 8, 18


@njit(nogil=True, cache=True, error_model="numpy")
def residual_sums(prediction, weight, observed, ptr, error, multiplier, with_density, out):
    """Sums over draws and observations of one endpoint, weighted: out (N, N_SUMS), for N groups, the columns of weight
    (K, N), with observations ptr[i]:ptr[i + 1]; zeros at first.

    `with_density`: also the log density, its score and expected information in (log a, log b, p, atanh rho). SQUARES
    are those of (y - f) / sd; COUNTED is the weight of terms whose sd depends on a or b. Terms of weight 0, with a
    prediction that is not finite or with sd 0 do not count.
    """
    several, moved = error.index >= 0, len(multiplier) > 0
    for k in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            w = weight[k, i]
            if not w > 0.0:
                continue
            n, counted, value, squares = 0, 0, 0.0, 0.0
            pull_a, pull_b, aa, ab, bb = 0.0, 0.0, 0.0, 0.0, 0.0
            pull_p, pull_r, pa, pb, pp, ra, rb, rr = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for m in range(ptr[i], ptr[i + 1]):
                if several and observed.endpoint[m] != error.index:
                    continue
                f = prediction[k, m]
                plain = sd_of(error, f)
                if not (math.isfinite(f) and plain > 0.0):
                    continue
                sd = plain * math.exp(multiplier[k, m]) if moved else plain
                slope_a, slope_b = log_slopes_of(error, f)
                scaled = (observed.y[m] - f) / sd
                square = scaled * scaled
                n += 1
                if slope_a + slope_b > 0.0:
                    counted += 1
                    squares += square
                if not with_density:
                    continue
                if observed.limited:
                    value += log_density_of(observed, m, f, sd)
                    _, surplus, _, _, information = pulls_of(observed, m, f, sd)
                else:
                    value -= HALF_LOG_TWO_PI + 0.5 * square + math.log(sd)
                    surplus, information = square - 1.0, 2.0
                pull_a += surplus * slope_a
                pull_b += surplus * slope_b
                aa += information * slope_a * slope_a
                ab += information * slope_a * slope_b
                bb += information * slope_b * slope_b
                if error.wide:
                    slope_p, slope_r = other_slopes_of(error, f, plain, slope_b)
                    pull_p += surplus * slope_p
                    pull_r += surplus * slope_r
                    pa += information * slope_p * slope_a
                    pb += information * slope_p * slope_b
                    pp += information * slope_p * slope_p
                    ra += information * slope_r * slope_a
                    rb += information * slope_r * slope_b
                    rr += information * slope_r * slope_r
            out[i, TOTAL] += w * n
            out[i, COUNTED] += w * counted
            out[i, SQUARES] += w * squares
            out[i, VALUE] += w * value
            out[i, SCORE] += w * pull_a
            out[i, SCORE + 1] += w * pull_b
            out[i, INFORMATION] += w * aa
            out[i, INFORMATION + 1] += w * ab
            out[i, INFORMATION + 2] += w * bb
            if error.wide:
                out[i, SCORE + 2] += w * pull_p
                out[i, SCORE + 3] += w * pull_r
                out[i, INFORMATION + 3] += w * pa
                out[i, INFORMATION + 4] += w * pb
                out[i, INFORMATION + 5] += w * pp
                out[i, INFORMATION + 6] += w * ra
                out[i, INFORMATION + 7] += w * rb
                out[i, INFORMATION + 9] += w * rr
