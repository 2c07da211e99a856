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
#: Imaginary parts below this, relative to the largest eigenvalue, are rounding errors.
_REAL = 1e-12


@njit(nogil=True, cache=True, error_model="numpy")
def find_modes(n, system):
    """Fill lambda, R and L of `system` (layout: linear_kernels.Plan) from its M; False where it has no modes that
    can be used: complex or badly conditioned ones, rates that are not finite."""
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
    _slopes_of_modes(n, system, right, left)
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
