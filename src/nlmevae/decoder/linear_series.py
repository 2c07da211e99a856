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
def rate_bounds(n, system):
    """(c, largest column sum of |M + c|); equal for rates that are not negative."""
    matrix, shift, size = n + 2 * n * n, 0.0, 0.0
    for i in range(n):
        shift = max(shift, -system[matrix + i * n + i, 0])
    for j in range(n):
        column = 0.0
        for i in range(n):
            column += abs(system[matrix + i * n + j, 0] + (shift if i == j else 0.0))
        size = max(size, column)
    return shift, size


@njit(nogil=True, cache=True, error_model="numpy")
def series_is_cheaper(n, width, entries, slopes, reach):
    """Whether the series takes fewer operations than the matrix for `reach` = size h; False if it is not finite."""
    if not math.isfinite(reach):
        return False
    terms = max(1.0, math.ceil(reach / _LONGEST)) * _terms(min(reach, _LONGEST))
    return terms * (width * (n + len(entries)) + len(slopes)) < _COST_OF_MATRIX * n * n * n * width


@njit(nogil=True, cache=True, error_model="numpy")
def _terms(x):
    """So many terms of exp(x) leave out less than 1e-17 of it: the tail of a Poisson distribution."""
    return x + 8.0 * math.sqrt(x) + 16.0


@njit(nogil=True, cache=True, error_model="numpy")
def advance_by_series(n, entries, slopes, system, state, rates, infused, h):
    """Amounts `state`[:n] after h.

    Args:
        entries (count, 2): i, j of the entries of M off its diagonal that are not 0.
        slopes (count, 3): i, j, k of the entries of M that have a derivative k.
    """
    matrix, width = n + 2 * n * n, state.shape[1]
    shift, size = rate_bounds(n, system)
    pieces = max(1, math.ceil(size * h / _LONGEST))
    step = h / pieces
    count, factor = int(_terms(size * step)), math.exp(-shift * step)
    old, new, total = np.empty((n, width)), np.empty((n, width)), np.empty((n, width))
    for _ in range(pieces):
        source = 1.0
        for i in range(n):
            for k in range(width):
                old[i, k] = total[i, k] = state[i, k]
        for term in range(1, count + 1):
            scale = step / term
            for i in range(n):
                stay = (shift + system[matrix + i * n + i, 0]) * scale
                for k in range(width):
                    new[i, k] = stay * old[i, k]
                if infused:
                    new[i, 0] += rates[i] * source * scale
            for e in range(len(entries)):
                i, j = entries[e, 0], entries[e, 1]
                flow = system[matrix + i * n + j, 0] * scale
                for k in range(width):
                    new[i, k] += flow * old[j, k]
            for e in range(len(slopes)):
                i, j, k = slopes[e, 0], slopes[e, 1], slopes[e, 2]
                new[i, k] += system[matrix + i * n + j, k] * scale * old[j, 0]
            source *= shift * scale
            for i in range(n):
                for k in range(width):
                    total[i, k] += new[i, k]
            old, new = new, old
        for i in range(n):
            for k in range(width):
                state[i, k] = total[i, k] * factor
