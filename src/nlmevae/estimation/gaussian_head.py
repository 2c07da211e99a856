"""The encoder's last layer, forward and backward as compiled kernels: a hidden state and covariates of each subject to
N(loc, L L') of its latents.

The linear layer's output is the mean, log diag L and the strict lower triangle of L row by row (section 2.2.1 of the
paper and the authors' code), in units of each latent's `scale`; the mean is counted from `start`. Numbers of the layer
are float32, those of the posterior float64.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


def n_outputs(n_latents: int) -> int:
    """P: of the linear layer."""
    return 2 * n_latents + n_latents * (n_latents - 1) // 2


@njit(nogil=True, cache=True, error_model="numpy")
def posteriors(states, order, covariates, weight, bias, start, scale, loc, tril):
    """Fills loc (N, d) and the lower triangle of tril (N, d, d) of subjects order (n,), whose states are (n, H).

    covariates (N, C); weight (P, H + C), bias (P,); start (N, d); scale (d,).
    """
    d, hidden = len(scale), states.shape[1]
    out = np.empty(len(bias))
    for slot, i in enumerate(order):
        for p in range(len(bias)):
            total = bias[p]
            for k in range(hidden):
                total += weight[p, k] * states[slot, k]
            for c in range(covariates.shape[1]):
                total += weight[p, hidden + c] * covariates[i, c]
            out[p] = total
        place = 2 * d
        for row in range(d):
            loc[i, row] = start[i, row] + scale[row] * out[row]
            tril[i, row, row] = scale[row] * math.exp(out[d + row])
            for column in range(row):
                tril[i, row, column] = scale[row] * out[place]
                place += 1


@njit(nogil=True, cache=True, error_model="numpy")
def add_derivatives(states, order, covariates, weight, scale, tril, by_loc, by_tril, by_states, by_weight, by_bias):
    """After `posteriors`: adds to by_states (n, H), by_weight and by_bias, from the derivatives by_loc (N, d)
    and by_tril (N, d, d), of which the lower triangle is read."""
    d, hidden = len(scale), states.shape[1]
    by_out = np.empty(len(by_bias), dtype=np.float32)
    for slot, i in enumerate(order):
        place = 2 * d
        for row in range(d):
            by_out[row] = scale[row] * by_loc[i, row]
            by_out[d + row] = by_tril[i, row, row] * tril[i, row, row]
            for column in range(row):
                by_out[place] = scale[row] * by_tril[i, row, column]
                place += 1
        for p in range(len(by_bias)):
            by_bias[p] += by_out[p]
            for k in range(hidden):
                by_states[slot, k] += weight[p, k] * by_out[p]
                by_weight[p, k] += states[slot, k] * by_out[p]
            for c in range(covariates.shape[1]):
                by_weight[p, hidden + c] += covariates[i, c] * by_out[p]
