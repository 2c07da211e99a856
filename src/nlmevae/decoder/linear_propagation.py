"""Amounts of linear systems between two events, with their derivatives: by modes where the eigenvalues are apart, by
the exponential of the rate matrix where they are not. See linear_kernels for the arrays."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from nlmevae.decoder.linear_series import advance_by_series, rate_bounds

_TAYLOR_TERMS = 17
_TAYLOR_NORM = 0.5


# between events, by modes ---------------------------------------------------------------------------
@njit(nogil=True, cache=True, error_model="numpy")
def decay(n, system, state, h):
    for q in range(n):
        decay = math.exp(-system[q, 0] * h)
        before = state[q, 0] * h
        for k in range(1, state.shape[1]):
            state[q, k] = decay * (state[q, k] - before * system[q, k])
        state[q, 0] *= decay


@njit(nogil=True, cache=True, error_model="numpy")
def decay_infused(n, system, state, h):
    for q in range(n):
        x = system[q, 0] * h
        decay = math.exp(-x)
        filled, d_filled = h * _phi(x), h * h * _phi_slope(x)
        by_rate = decay * state[q, 0] * h - state[n + q, 0] * d_filled
        for k in range(1, state.shape[1]):
            state[q, k] = decay * state[q, k] + filled * state[n + q, k] - by_rate * system[q, k]
        state[q, 0] = decay * state[q, 0] + filled * state[n + q, 0]


@njit(nogil=True, cache=True, error_model="numpy")
def _phi(x):
    """(1 - e^-x) / x."""
    return 1.0 if x == 0.0 else -math.expm1(-x) / x


@njit(nogil=True, cache=True, error_model="numpy")
def _phi_slope(x):
    """phi'(x) = (e^-x (1 + x) - 1) / x^2; a power series where that cancels."""
    if abs(x) > 0.5:
        return (math.exp(-x) * (1.0 + x) - 1.0) / (x * x)
    total, term = 0.0, -0.5
    for m in range(15):
        total += term
        term *= -x * (m + 2.0) / ((m + 1.0) * (m + 3.0))
    return total


# between events, by the exponential of the rate matrix -------------------------------------------------
@njit(nogil=True, cache=True, error_model="numpy")
def advance_amounts(n, system, state, rates, infused, h, work):
    """exp of the system augmented by a source 1 that feeds the infusions: [[M, r], [0, 0]]."""
    if advance_by_series(n, system, state, rates, infused, h):
        return
    width, spare = state.shape[1], 2 * state.shape[1]
    exponential(n, system, rates, n + 1 if infused else n, h, work)
    for k in range(width - 1, -1, -1):  # the value last: the derivatives need the old one
        for i in range(n):
            total = work[k, i, n] if infused else 0.0
            for j in range(n):
                total += work[0, i, j] * state[j, k]
                if k > 0:
                    total += work[k, i, j] * state[j, 0]
            work[spare, i, 0] = total
        for i in range(n):
            state[i, k] = work[spare, i, 0]


@njit(nogil=True, cache=True, error_model="numpy")
def exponential(n, system, rates, size, h, work):
    """exp(M h) in work[0] and its derivatives in work[k].

    M + c has no negative entries for c = the largest rate out of a compartment, so the power series of
    exp((M + c) h / 2^s) and its squarings add positive numbers only: every entry is accurate, whatever
    the eigenvalues (uniformisation). The derivative is differentiated term by term.
    """
    width, matrix = system.shape[1], n + 2 * n * n
    shift, norm = rate_bounds(n, system)
    norm += shift
    if not math.isfinite(norm * h):
        work[:] = np.nan
        return
    squarings = 0
    while norm * h > _TAYLOR_NORM * 2.0**squarings:
        squarings += 1
    step = h * 0.5**squarings
    work[:] = 0.0
    for i in range(n):
        for j in range(n):
            for k in range(width):
                work[width + k, i, j] = system[matrix + i * n + j, k] * step
        for k in range(width):
            work[width + k, i, n] = rates[i, k] * step
    for i in range(size):
        work[width, i, i] += shift * step
    for i in range(size):  # Horner's rule
        work[0, i, i] = 1.0
    for term in range(_TAYLOR_TERMS, 0, -1):
        _multiply(size, width, width, 1.0 / term, work)
        for i in range(size):
            work[0, i, i] += 1.0
    factor = math.exp(-shift * step)
    for k in range(width):
        for i in range(size):
            for j in range(size):
                work[k, i, j] *= factor
    for _ in range(squarings):
        _multiply(size, width, np.int64(0), 1.0, work)


@njit(nogil=True, cache=True, error_model="numpy")
def _multiply(size, width, left, factor, work):
    """work[:width] = factor * (work[left:] @ work[:width]) with derivatives."""
    spare = 2 * width
    for k in range(width - 1, -1, -1):
        for i in range(size):
            for j in range(size):
                total = 0.0
                for q in range(size):
                    total += work[left, i, q] * work[k, q, j]
                    if k > 0:
                        total += work[left + k, i, q] * work[0, q, j]
                work[spare, i, j] = total * factor
        for i in range(size):
            for j in range(size):
                work[k, i, j] = work[spare, i, j]
