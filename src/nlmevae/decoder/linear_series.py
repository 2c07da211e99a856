"""exp(M h) applied to amounts without forming it, for rate matrices with few flows.

M + c has no negative entries for c = the largest rate out of a compartment, so the power series of exp((M + c) h) y,
times exp(-c h), adds positive numbers only (uniformisation): accurate whatever the eigenvalues are, equal or complex.
Running infusions r are a further compartment that holds 1 and feeds them. Derivatives are those of every term.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

#: Longest c h of one series: its terms stay far from overflow.
_LONGEST = 200.0
#: Products of entries that forming the exponential takes (linear_kernels), in units of n^3 and number of derivatives.
_COST_OF_MATRIX = 46.0


@njit(nogil=True, cache=True, error_model="numpy")
def advance_by_series(n, system, state, rates, infused, h):
    """Amounts `state`[:n] after h with infusions `rates` (n, width); False, with nothing done, where forming the
    matrix takes fewer operations or the series would cancel: an amount that slows another."""
    entries, slopes = _entries(n, system)
    for e in range(len(entries)):
        if system[n + 2 * n * n + entries[e, 0] * n + entries[e, 1], 0] < 0.0:
            return False
    width = state.shape[1]
    shift, size = rate_bounds(n, system)
    if not math.isfinite(size * h):
        return False
    pieces = max(1, math.ceil(size * h / _LONGEST))
    step = h / pieces
    count = _terms(size * step)
    if pieces * count * (width * (n + len(entries)) + len(slopes)) > _COST_OF_MATRIX * n * n * n * width:
        return False
    old, new = np.empty((n, width)), np.empty((n, width))
    for _ in range(pieces):
        for i in range(n):
            for k in range(width):
                old[i, k] = state[i, k]
        source = 1.0
        for term in range(1, count + 1):
            scale = step / term
            _next_term(n, entries, slopes, system, old, new, shift, scale)
            if infused:
                for i in range(n):
                    for k in range(width):
                        new[i, k] += rates[i, k] * source * scale
            source *= shift * scale
            for i in range(n):
                for k in range(width):
                    state[i, k] += new[i, k]
            old, new = new, old
        factor = math.exp(-shift * step)
        for i in range(n):
            for k in range(width):
                state[i, k] *= factor
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def rate_bounds(n, system):
    """(c, largest column sum of |M + c|); equal for rates that are not negative."""
    matrix, shift, size = n + 2 * n * n, 0.0, 0.0
    for i in range(n):
        shift = max(shift, -system[matrix + i * n + i, 0])
    for j in range(n):
        column = 0.0
        for i in range(n):
            column += abs(system[matrix + i * n + j, 0] + (shift if i == j else 0.0))
        size = max(size, column) if math.isfinite(column) else np.nan
    return shift, size


@njit(nogil=True, cache=True, error_model="numpy")
def _terms(x):
    """So many terms of exp(x) leave out less than 1e-17 of it: the tail of a Poisson distribution."""
    return int(x + 8.0 * math.sqrt(x) + 16.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _entries(n, system):
    """(count, 2) i, j of the entries of M off its diagonal that are not 0; (count, 3) i, j, k of its derivatives."""
    matrix, width = n + 2 * n * n, system.shape[1]
    entries, slopes = np.empty((n * n, 2), np.int64), np.empty((n * n * width, 3), np.int64)
    n_entries, n_slopes = 0, 0
    for i in range(n):
        for j in range(n):
            if i != j and system[matrix + i * n + j, 0] != 0.0:
                entries[n_entries, 0], entries[n_entries, 1] = i, j
                n_entries += 1
            for k in range(1, width):
                if system[matrix + i * n + j, k] != 0.0:
                    slopes[n_slopes, 0], slopes[n_slopes, 1], slopes[n_slopes, 2] = i, j, k
                    n_slopes += 1
    return entries[:n_entries], slopes[:n_slopes]


@njit(nogil=True, cache=True, error_model="numpy")
def _next_term(n, entries, slopes, system, old, new, shift, scale):
    """new = (M + shift) scale old, with derivatives."""
    matrix, width = n + 2 * n * n, old.shape[1]
    for i in range(n):
        stay = (shift + system[matrix + i * n + i, 0]) * scale
        for k in range(width):
            new[i, k] = stay * old[i, k]
    for e in range(len(entries)):
        i, j = entries[e, 0], entries[e, 1]
        flow = system[matrix + i * n + j, 0] * scale
        for k in range(width):
            new[i, k] += flow * old[j, k]
    for e in range(len(slopes)):
        i, j, k = slopes[e, 0], slopes[e, 1], slopes[e, 2]
        new[i, k] += system[matrix + i * n + j, k] * scale * old[j, 0]
