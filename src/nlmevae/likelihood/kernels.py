"""Compiled loops over draws: log densities of z and y, weighted moments, residual sums.

A pool has some hundred thousand draws and is read dozens of times; array expressions would write every
intermediate result to memory. Loops over draws are outermost, so that z (K, N, d) and predictions (K, M) are read
in the order they are stored. Sums are kept per subject: any split of the subjects gives the same digits.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from nlmevae.decoder.residual_kernels import ADDITIVE, HALF_LOG_TWO_PI, log_slopes_of, sd_of

#: Columns of `residual_sums`.
TOTAL, VALUE, SCORE_A, SCORE_B, INFORMATION_AA, INFORMATION_AB, INFORMATION_BB, SQUARES, COUNTED = range(9)


@njit(nogil=True, cache=True)
def log_joint(z, prediction, y, ptr, mean, whiten, constant, error, out):
    """out[k, i] = log p(y_i | z_ki) + log N(z_ki; mean_i, Omega), whiten = inv(chol(Omega)); -inf where a
    prediction is not finite or an sd is 0. `constant` is the log norm of the normal density."""
    n_draws, n_subjects, d = z.shape
    with_a = 0.0
    if error.kind == ADDITIVE:
        with_a = HALF_LOG_TWO_PI + math.log(error.a) if error.a > 0.0 else math.inf
    for k in range(n_draws):
        for i in range(n_subjects):
            total = 0.0
            if error.kind == ADDITIVE:
                squares = 0.0
                for m in range(ptr[i], ptr[i + 1]):
                    residual = y[m] - prediction[k, m]
                    squares += residual * residual
                total = -0.5 * squares / (error.a * error.a) if error.a > 0.0 else 0.0
                total -= with_a * (ptr[i + 1] - ptr[i]) if ptr[i + 1] > ptr[i] else 0.0
            else:
                for m in range(ptr[i], ptr[i + 1]):
                    sd = sd_of(error, prediction[k, m])
                    if sd > 0.0:
                        scaled = (y[m] - prediction[k, m]) / sd
                        total -= HALF_LOG_TWO_PI + 0.5 * scaled * scaled + math.log(sd)
                    else:
                        total = -math.inf
            if not math.isfinite(total):
                out[k, i] = -math.inf
                continue
            distance = 0.0
            for row in range(d):
                white = 0.0
                for column in range(row + 1):
                    white += whiten[row, column] * (z[k, i, column] - mean[i, column])
                distance += white * white
            out[k, i] = total - 0.5 * distance - constant


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def residual_sums(prediction, weight, y, ptr, error, with_density, out):
    """Sums over draws and observations of a subject, weighted: out (N, 9), columns named above, zeros at first.

    `with_density`: also the log density, its score and expected information in (log a, log b). SQUARES are those
    of (y - f) / sd; COUNTED is the weight of terms whose sd depends on a coefficient. Terms of weight 0, with a
    prediction that is not finite or with sd 0 do not count.
    """
    n_draws, n_subjects = weight.shape
    for k in range(n_draws):
        for i in range(n_subjects):
            w = weight[k, i]
            if not w > 0.0:
                continue
            for m in range(ptr[i], ptr[i + 1]):
                f = prediction[k, m]
                sd = sd_of(error, f)
                if not (math.isfinite(f) and sd > 0.0):
                    continue
                slope_a, slope_b = log_slopes_of(error, f)
                scaled = (y[m] - f) / sd
                square = scaled * scaled
                out[i, TOTAL] += w
                if slope_a + slope_b > 0.0:
                    out[i, COUNTED] += w
                    out[i, SQUARES] += w * square
                if with_density:
                    out[i, VALUE] -= w * (HALF_LOG_TWO_PI + 0.5 * square + math.log(sd))
                    out[i, SCORE_A] += w * (square - 1.0) * slope_a
                    out[i, SCORE_B] += w * (square - 1.0) * slope_b
                    out[i, INFORMATION_AA] += 2.0 * w * slope_a * slope_a
                    out[i, INFORMATION_AB] += 2.0 * w * slope_a * slope_b
                    out[i, INFORMATION_BB] += 2.0 * w * slope_b * slope_b


@njit(nogil=True, cache=True)
def log_student_mixture(z, loc, whiten, log_scale, half_power, degrees, out):
    """out[k, i] = log sum_c exp(log_scale[c, i]) (1 + |whiten_ci (z_ki - loc_ci)|^2 / degrees)^-(half_power / 2).

    The power is computed by multiplications: half_power = degrees + d is a whole number.
    """
    n_draws, n_subjects, d = z.shape
    n_parts = len(loc)
    top = np.empty(n_subjects)
    scale = np.empty((n_parts, n_subjects))
    for i in range(n_subjects):
        top[i] = log_scale[:, i].max()
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
            out[k, i] = top[i] + (math.log(total) if total > 1e-290 else best)
