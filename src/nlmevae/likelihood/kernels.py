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


@njit(nogil=True, cache=True)
def log_joint(z, prediction, observed, ptr, mean, whiten, constant, error, out):
    """out[k, i] = log p(y_i | z_ki) + log N(z_ki; mean_i, Omega), whiten = inv(chol(Omega)); -inf where a
    prediction is not finite or an sd is 0. `constant` is the log norm of the normal density."""
    n_draws, n_subjects, d = z.shape
    one_sd = len(error.kind) == 1 and error.kind[0] == ADDITIVE and error.effect[0] < 0 and not observed.limited
    a = error.a[0] if one_sd else 0.0
    with_a = HALF_LOG_TWO_PI + math.log(a) if a > 0.0 else math.inf
    effects = error.effect.max() >= 0
    for k in range(n_draws):
        for i in range(n_subjects):
            total = 0.0
            if one_sd:
                squares = 0.0
                for m in range(ptr[i], ptr[i + 1]):
                    residual = observed.y[m] - prediction[k, m]
                    squares += residual * residual
                total = -0.5 * squares / (a * a) if a > 0.0 else 0.0
                total -= with_a * (ptr[i + 1] - ptr[i]) if ptr[i + 1] > ptr[i] else 0.0
            else:
                for m in range(ptr[i], ptr[i + 1]):
                    e, f = observed.endpoint[m], prediction[k, m]
                    sd = sd_of(error, e, f)
                    if effects and error.effect[e] >= 0:
                        sd *= math.exp(error.effect_scale[e] * z[k, i, error.effect[e]])
                    if sd > 0.0:
                        total += log_density_of(observed, m, f, sd)
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
def slopes(z, prediction, jacobian, observed, ptr, error, interaction, effects, value, score, information):
    """Of log p(y_i | x) for decoder inputs x whose predictions have the jacobian (K, M, n).

    value (K, N), score (K, N, n) and, unless it is empty, information (K, N, n, n): zeros at first. Without
    `interaction` sd is held while f moves. `effects`: the first inputs are z, which may act on sd. A subject with a
    prediction or Jacobian that is not finite, or with sd 0, gets -inf and NaN.
    """
    n_draws, n_subjects = value.shape
    n = jacobian.shape[2]
    along, wide = np.empty(n), np.empty(n)  # df/dx and d log sd/dx
    for k in range(n_draws):
        for i in range(n_subjects):
            for m in range(ptr[i], ptr[i + 1]):
                e, f = observed.endpoint[m], prediction[k, m]
                plain = sd_of(error, e, f)
                effect = error.effect[e]
                sd = plain * math.exp(error.effect_scale[e] * z[k, i, effect]) if effect >= 0 else plain
                if not sd > 0.0:
                    value[k, i] = -math.inf
                    break
                value[k, i] += log_density_of(observed, m, f, sd)
                pull, surplus, ff, fs, ss = pulls_of(observed, m, f, sd)
                relative = relative_slope_of(error, e, f, plain) if interaction else 0.0
                for r in range(n):
                    along[r] = jacobian[k, m, r]
                    wide[r] = relative * along[r]
                if effects and effect >= 0:
                    wide[effect] += error.effect_scale[e]
                for r in range(n):
                    score[k, i, r] += pull * along[r] + surplus * wide[r]
                if len(information):
                    for r in range(n):
                        by_f, by_s = ff * along[r] + fs * wide[r], fs * along[r] + ss * wide[r]
                        for s in range(r + 1):
                            information[k, i, r, s] += by_f * along[s] + by_s * wide[s]
            good = math.isfinite(value[k, i])
            for r in range(n):
                good = good and math.isfinite(score[k, i, r])
            if not good:
                value[k, i] = -math.inf
                score[k, i, :] = math.nan
            if len(information):
                for r in range(n):
                    for s in range(r + 1):
                        if not good:
                            information[k, i, r, s] = math.nan
                        information[k, i, s, r] = information[k, i, r, s]


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
