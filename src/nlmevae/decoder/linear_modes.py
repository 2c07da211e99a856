"""Modes of a rate matrix found by number, with exact derivatives.

With M = -R diag(lambda) L, L = R^-1 and a small change dM, perturbation theory of simple eigenvalues gives

    G = L dM R,   d lambda_q = -G_qq,   dR = R C,   dL = -C L,   C_pq = G_pq / (lambda_p - lambda_q),  C_qq = 0

(Wilkinson, The Algebraic Eigenvalue Problem, 1965, chapter 2). The length of the columns of R is free; C_qq = 0 keeps
it for R and L together, which is all that products of both see.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

#: Largest condition number of an eigenvalue: amounts lose as many digits, their derivatives twice as many.
_CONDITION = 100.0
#: Modes are used where the product of the relative distances of all pairs of eigenvalues is larger: rounding errors of
#: the sensitivities grow with its inverse square.
_FAR_APART = 0.03
#: Else they may still be used if the distance of every two eigenvalues is larger, by which derivatives are divided,
_APART = 0.01
#: and if sums over modes do not cancel more: their terms together may be so many times the amount.
_CANCELLED = 10.0
#: Imaginary parts below this, relative to the largest eigenvalue, are rounding errors.
_REAL = 1e-12


@njit(nogil=True, cache=True, error_model="numpy")
def find_modes(n, system):
    """Fill lambda, R and L of `system` (layout: linear_kernels.Plan) from its M; False where it has no modes that
    can be used: complex, badly conditioned or nearly equal ones, sums that cancel, rates that are not finite."""
    matrix = np.empty((n, n), np.complex128)
    at = n + 2 * n * n
    for i in range(n):
        for j in range(n):
            if not math.isfinite(system[at + i * n + j, 0]):
                return False
            matrix[i, j] = system[at + i * n + j, 0]
    values, vectors = np.linalg.eig(matrix)
    size = 0.0
    for q in range(n):
        size = max(size, abs(values[q]))
    right = np.empty((n, n))
    for q in range(n):
        if abs(values[q].imag) > _REAL * size:
            return False
        largest = 0
        for c in range(1, n):
            if abs(vectors[c, q]) > abs(vectors[largest, q]):
                largest = c
        for c in range(n):
            right[c, q] = (vectors[c, q] / vectors[largest, q]).real
    if np.linalg.det(right) == 0.0:
        return False
    left = np.linalg.inv(right)
    for q in range(n):
        condition = 0.0
        for c in range(n):
            condition += abs(left[q, c] * right[c, q])
        if not condition < _CONDITION:
            return False
    for q in range(n):
        system[q, 0] = -values[q].real
        for c in range(n):
            system[n + c * n + q, 0] = right[c, q]
            system[n + n * n + q * n + c, 0] = left[q, c]
    if not (separated(n, system) or (_apart(n, system) and _clear(n, system, right, left))):
        return False
    _slopes_of_modes(n, system, right, left)
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def separated(n, system):
    """Eigenvalues are far enough apart for any R and L that are finite."""
    distance, size = 1.0, 0.0
    for q in range(n):
        for p in range(q):
            a, b = system[q, 0], system[p, 0]
            distance *= abs(a - b) / max(abs(a), abs(b))
    for j in range(n, n + 2 * n * n):
        size += abs(system[j, 0])
    return n == 1 or (distance > _FAR_APART and math.isfinite(size))


@njit(nogil=True, cache=True, error_model="numpy")
def _apart(n, system):
    for q in range(n):
        for p in range(q):
            a, b = system[q, 0], system[p, 0]
            if not abs(a - b) > _APART * max(abs(a), abs(b)):
                return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _clear(n, system, right, left):
    """What a compartment gets from one that reaches it, sum_q R_iq exp(-lambda_q t) L_qj, is not much smaller than its
    terms at t = 0, at its largest at times 1 / lambda."""
    at = n + 2 * n * n
    reached, fades = np.eye(n), np.ones((n + 1, n))
    for i in range(n):
        for j in range(n):
            if system[at + i * n + j, 0] != 0.0:
                reached[i, j] = 1.0
    for k in range(n):
        for i in range(n):
            for j in range(n):
                reached[i, j] = max(reached[i, j], reached[i, k] * reached[k, j])
    for p in range(n):
        for q in range(n):
            if system[p, 0] > 0.0:
                fades[p, q] = math.exp(-system[q, 0] / system[p, 0])
    for i in range(n):
        for j in range(n):
            size, largest = 0.0, 0.0
            for q in range(n):
                size += abs(right[i, q] * left[q, j])
            for p in range(n + 1):
                total = 0.0
                for q in range(n):
                    total += right[i, q] * left[q, j] * fades[p, q]
                largest = max(largest, abs(total))
            if reached[i, j] > 0.0 and not size < _CANCELLED * largest:
                return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _slopes_of_modes(n, system, right, left):
    at = n + 2 * n * n
    slope, turn = np.empty((n, n)), np.empty((n, n))
    for k in range(1, system.shape[1]):
        for i in range(n):
            for q in range(n):
                total = 0.0
                for j in range(n):
                    total += system[at + i * n + j, k] * right[j, q]
                slope[i, q] = total
        for p in range(n):
            for q in range(n):
                total = 0.0
                for i in range(n):
                    total += left[p, i] * slope[i, q]
                turn[p, q] = 0.0 if p == q else total / (system[p, 0] - system[q, 0])
                if p == q:
                    system[q, k] = -total
        for c in range(n):
            for q in range(n):
                by_right, by_left = 0.0, 0.0
                for p in range(n):
                    by_right += right[c, p] * turn[p, q]
                    by_left -= turn[q, p] * left[p, c]
                system[n + c * n + q, k] = by_right
                system[n + n * n + q * n + c, k] = by_left
