"""Compiled loops over draws: log densities of z and y, their slopes, weighted moments.

A pool has some hundred thousand draws and is read dozens of times; array expressions would write every
intermediate result to memory. Loops over draws are outermost, so that z (K, N, d) and predictions (K, M) are read
in the order they are stored. Sums are kept per subject: any split of the subjects gives the same digits.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from nlmevae.decoder.residual_kernels import (
    ADDITIVE,
    HALF_LOG_TWO_PI,
    log_density_of,
    pulls_of,
    relative_slope_of,
    sd_of,
)

_LEAST, _MOST = 1e-100, 1e100


@njit(nogil=True, cache=True, error_model="numpy")
def add_log_likelihood(z, prediction, observed, ptr, error, out):
    """Add log p(y_i | z_ki) of one endpoint's observations to out (K, N); -inf where a prediction is not finite or an
    sd is 0."""
    n_draws, n_subjects, _ = z.shape
    one_sd = error.index < 0 and error.kind == ADDITIVE and error.effect < 0 and not observed.limited and error.a > 0.0
    with_a = HALF_LOG_TWO_PI + math.log(error.a) if error.a > 0.0 else 0.0
    for k in range(n_draws):
        for i in range(n_subjects):
            if one_sd:
                squares = 0.0
                for m in range(ptr[i], ptr[i + 1]):
                    residual = observed.y[m] - prediction[k, m]
                    squares += residual * residual
                total = -0.5 * squares / (error.a * error.a) - with_a * (ptr[i + 1] - ptr[i])
                out[k, i] += total if math.isfinite(total) else -math.inf
                continue
            factor = math.exp(error.effect_scale * z[k, i, error.effect]) if error.effect >= 0 else 1.0
            squares, product, total = 0.0, 1.0, 0.0
            for m in range(ptr[i], ptr[i + 1]):
                if error.index >= 0 and observed.endpoint[m] != error.index:
                    continue
                f = prediction[k, m]
                sd = factor * sd_of(error, f)
                if not sd > 0.0:
                    total = -math.inf
                elif observed.limited:
                    total += log_density_of(observed, m, f, sd)
                else:
                    scaled = (observed.y[m] - f) / sd
                    squares += scaled * scaled
                    total -= HALF_LOG_TWO_PI
                    # one logarithm of a product instead of many, as long as that is far from the ends of the numbers
                    if not _LEAST < sd < _MOST:
                        total -= math.log(sd)
                        continue
                    product *= sd
                    if not _LEAST < product < _MOST:
                        total -= math.log(product)
                        product = 1.0
            total -= 0.5 * squares + math.log(product)
            out[k, i] += total if math.isfinite(total) else -math.inf


@njit(nogil=True, cache=True, error_model="numpy")
def add_log_prior(z, mean, whiten, constant, out):
    """Add log N(z_ki; mean_i, Omega) to out (K, N), whiten = inv(chol(Omega)); `constant` is the log norm of the normal
    density."""
    n_draws, n_subjects, d = z.shape
    for k in range(n_draws):
        for i in range(n_subjects):
            distance = 0.0
            for row in range(d):
                white = 0.0
                for column in range(row + 1):
                    white += whiten[row, column] * (z[k, i, column] - mean[i, column])
                distance += white * white
            out[k, i] -= 0.5 * distance + constant


@njit(nogil=True, cache=True, error_model="numpy")
def add_slopes(z, prediction, jacobian, observed, ptr, error, held, interaction, effects, value, score, information):
    """Add those of log p(y_i | x), one endpoint's observations, for decoder inputs x whose predictions have the
    jacobian (K, M, n).

    value (K, N), score (K, N, n) and, unless it is empty, the lower triangle of information (K, N, n, n). Without
    `interaction` sd is held while f moves, at its value there or at `held` (M,) if that is not empty. `effects`: the
    first inputs are z, which may act on sd. -inf and NaN where a prediction is not finite or sd is 0.
    """
    n_draws, n_subjects = value.shape
    n, with_information = jacobian.shape[2], len(information) > 0
    along, wide = np.empty(n), np.empty(n)  # df/dx and d log sd/dx
    for k in range(n_draws):
        for i in range(n_subjects):
            factor = math.exp(error.effect_scale * z[k, i, error.effect]) if error.effect >= 0 else 1.0
            for m in range(ptr[i], ptr[i + 1]):
                if error.index >= 0 and observed.endpoint[m] != error.index:
                    continue
                f = prediction[k, m]
                plain = sd_of(error, f)
                sd = held[m] if len(held) else factor * plain
                if not sd > 0.0:
                    value[k, i] = -math.inf
                    break
                value[k, i] += log_density_of(observed, m, f, sd)
                pull, surplus, ff, fs, ss = pulls_of(observed, m, f, sd)
                relative = relative_slope_of(error, f, plain) if interaction else 0.0
                if effects and error.effect >= 0:
                    for r in range(n):
                        along[r] = jacobian[k, m, r]
                        wide[r] = relative * along[r]
                    wide[error.effect] += error.effect_scale
                    for r in range(n):
                        score[k, i, r] += pull * along[r] + surplus * wide[r]
                        if with_information:
                            by_f, by_s = ff * along[r] + fs * wide[r], fs * along[r] + ss * wide[r]
                            for s in range(r + 1):
                                information[k, i, r, s] += by_f * along[s] + by_s * wide[s]
                    continue
                slope = pull + relative * surplus
                square = ff + relative * (2.0 * fs + relative * ss)
                for r in range(n):
                    score[k, i, r] += slope * jacobian[k, m, r]
                    if with_information:
                        part = square * jacobian[k, m, r]
                        for s in range(r + 1):
                            information[k, i, r, s] += part * jacobian[k, m, s]


@njit(nogil=True, cache=True, error_model="numpy")
def finish_slopes(value, score, information):
    """A subject that could not be evaluated gets -inf and NaN everywhere; the upper triangle is filled in."""
    n_draws, n_subjects, n = score.shape
    for k in range(n_draws):
        for i in range(n_subjects):
            good = math.isfinite(value[k, i])
            for r in range(n):
                good = good and math.isfinite(score[k, i, r])
            if not good:
                value[k, i] = -math.inf
                score[k, i, :] = math.nan
            for r in range(n if len(information) else 0):
                for s in range(r + 1):
                    if not good:
                        information[k, i, r, s] = math.nan
                    information[k, i, s, r] = information[k, i, r, s]


@njit(nogil=True, cache=True, error_model="numpy")
def moments(z, weight, mean, cov):
    """mean (N, d), cov (N, d, d) of z (K, N, d) under weights (K, N); both start as zeros."""
    n_draws, n_subjects, d = z.shape
    for k in range(n_draws):
        for i in range(n_subjects):
            for r in range(d):
                mean[i, r] += weight[k, i] * z[k, i, r]
    away = np.empty(d)
    for k in range(n_draws):
        for i in range(n_subjects):
            w = weight[k, i]
            if w == 0.0:
                continue
            for r in range(d):
                away[r] = z[k, i, r] - mean[i, r]
            for r in range(d):
                for c in range(r + 1):
                    cov[i, r, c] += w * away[r] * away[c]
    for i in range(n_subjects):
        for r in range(d):
            for c in range(r):
                cov[i, c, r] = cov[i, r, c]


@njit(nogil=True, cache=True, error_model="numpy")
def best_draws(log_joint, best):
    """best (N,): the first draw with the highest of log_joint (K, N); NaN counts as the highest, as in numpy's argmax;
    starts as zeros."""
    n_draws, n_subjects = log_joint.shape
    for k in range(1, n_draws):
        for i in range(n_subjects):
            top = log_joint[best[i], i]
            if log_joint[k, i] > top or (math.isnan(log_joint[k, i]) and not math.isnan(top)):
                best[i] = k


@njit(nogil=True, cache=True, error_model="numpy")
def log_student_mixture(z, loc, whiten, log_scale, half_power, degrees, out):
    """out[k, i] = log sum_c exp(log_scale[c, i]) (1 + |whiten_ci (z_ki - loc_ci)|^2 / degrees)^-(half_power / 2).

    The power is computed by multiplications: half_power = degrees + d is a whole number.
    """
    n_draws, n_subjects, d = z.shape
    n_parts = len(loc)
    top = np.empty(n_subjects)
    scale = np.empty((n_parts, n_subjects))
    for i in range(n_subjects):
        top[i] = -math.inf
        for c in range(n_parts):
            top[i] = max(top[i], log_scale[c, i])
        for c in range(n_parts):
            scale[c, i] = math.exp(log_scale[c, i] - top[i])
    for k in range(n_draws):
        for i in range(n_subjects):
            total, best = 0.0, -math.inf
            for c in range(n_parts):
                distance = 0.0
                for row in range(d):
                    white = 0.0
                    for column in range(row + 1):
                        white += whiten[c, i, row, column] * (z[k, i, column] - loc[c, i, column])
                    distance += white * white
                base = 1.0 / (1.0 + distance / degrees)
                power, left = 1.0, half_power >> 1
                square = base
                while left:
                    if left & 1:
                        power *= square
                    square *= square
                    left >>= 1
                if half_power & 1:
                    power *= math.sqrt(base)
                total += scale[c, i] * power
                if not total > 1e-290:  # the power may have underflowed: keep its logarithm
                    best = max(best, log_scale[c, i] - top[i] - 0.5 * half_power * math.log1p(distance / degrees))
            out[k, i] = top[i] + (best if total <= 1e-290 else math.log(total))


@njit(nogil=True, cache=True, error_model="numpy")
def interpolated(values, weight, order, levels, out):
    """out (Q, n): quantiles at `levels` (Q,) of each row of values (n, K) with weights (n, K), in ascending `order`
    (n, K); the distribution function is linear between the middles of its steps. A row with weight on a value that is
    not finite, or whose weights are not, is left as it is."""
    n_rows, n_draws = values.shape
    middle = np.empty(n_draws)
    for i in range(n_rows):
        total, usable = 0.0, True
        for k in range(n_draws):
            w = weight[i, order[i, k]]
            total += w
            middle[k] = total - 0.5 * w
            if w > 0.0 and not math.isfinite(values[i, order[i, k]]):
                usable = False
        if not (usable and math.isfinite(middle[n_draws - 1])):
            continue
        for q in range(len(levels)):
            above = np.searchsorted(middle, levels[q], side="right")  # the first middle beyond the level
            if above == 0 or above == n_draws:
                out[q, i] = values[i, order[i, min(above, n_draws - 1)]]
                continue
            low, high = values[i, order[i, above - 1]], values[i, order[i, above]]
            slope = (high - low) / (middle[above] - middle[above - 1])
            out[q, i] = slope * (levels[q] - middle[above - 1]) + low
