"""Weighted moments of the scores of log p(y, z), per subject, in one pass over the draws.

A subject's score is B_i' v with v of a few numbers: the whitened deviation u of z, the derivative along every free
direction of Omega, that of the residual error, and that of predictions along structural THETAs. B_i does not depend
on the draw, so only the moments of v are summed: a model with dozens of covariate effects costs no more here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from nlmevae.decoder.residual_kernels import ErrorNumbers, Observed, error_at, error_table
from nlmevae.likelihood.residual_scores import RUN, SUMS, WORK, Scored, add_residual
from nlmevae.threads import each, parts

_SUBJECTS = 64  # that one thread takes at a time


class OmegaDirections(NamedTuple):
    """(u'B_j u - tr B_j) / 2 of direction j = sum of factor u_row u_column over start[j]:start[j + 1], - half_trace."""

    start: np.ndarray
    row: np.ndarray
    column: np.ndarray
    factor: np.ndarray
    half_trace: np.ndarray

    @classmethod
    def of(cls, basis: np.ndarray) -> OmegaDirections:
        """From symmetric directions (q, d, d)."""
        where = [np.argwhere(np.tril(b)) for b in basis]
        factors = [
            b[w[:, 0], w[:, 1]] * np.where(w[:, 0] == w[:, 1], 0.5, 1.0) for b, w in zip(basis, where, strict=True)
        ]
        places = np.concatenate([np.zeros((0, 2), dtype=np.int64), *where])
        return cls(
            start=np.concatenate([[0], np.cumsum([len(w) for w in where])]).astype(np.int64),
            row=np.ascontiguousarray(places[:, 0]),
            column=np.ascontiguousarray(places[:, 1]),
            factor=np.concatenate([np.zeros(0), *factors]),
            half_trace=0.5 * np.trace(basis, axis1=1, axis2=2),
        )


class ScoreMoments(NamedTuple):
    """Per subject sums over its draws, F numbers in v = [u | Omega | residual | structural]: first (N, F) of w v,
    second (N, F, F) of w v v', first_square and second_square the same with w^2; expected information of the
    residual coefficients in their coordinates (N, q, q) and of predictions along the structural THETAs (N, s, s)."""

    first: np.ndarray
    second: np.ndarray
    first_square: np.ndarray
    second_square: np.ndarray
    residual: np.ndarray
    structural: np.ndarray

    @classmethod
    def zeros(cls, n_subjects: int, n_features: int, n_residual: int, n_structural: int) -> ScoreMoments:
        n, f, q, s = n_subjects, n_features, n_residual, n_structural
        shapes = (n, f), (n, f, f), (n, f), (n, f, f), (n, q, q), (n, s, s)
        return cls(*(np.zeros(shape) for shape in shapes))


def score_moments(
    z: np.ndarray,
    prediction: np.ndarray,
    weight: np.ndarray,
    jacobian: np.ndarray,
    gaussian: tuple[np.ndarray, np.ndarray, OmegaDirections],
    observed: tuple[Observed, np.ndarray],
    errors: list[tuple[ErrorNumbers, np.ndarray]],
) -> ScoreMoments:
    """The moments of all draws z (K, N, d) with predictions (K, M) under weights (K, N).

    Args:
        jacobian: (K, M, s) of predictions along the estimated structural THETAs.
        gaussian: mean (N, d), inverse Cholesky factor of Omega (d, d), directions of Omega.
        observed: observations, first one of each subject (N + 1,).
        errors: of every endpoint, its numbers and the derivative (4, q) of its (log a, log b, p, atanh rho) in the
            coordinates of the q estimated coefficients.

    Terms with sd 0 or without a finite prediction do not count.
    """
    n_subjects, d = z.shape[1:]
    directions, n_residual = gaussian[2], errors[0][1].shape[1] if errors else 0
    n_features = d + len(directions.half_trace) + n_residual + jacobian.shape[2]
    sums = ScoreMoments.zeros(n_subjects, n_features, n_residual, jacobian.shape[2])
    draws = Scored(z, prediction, jacobian, weight)
    numbers = error_table([error for error, _ in errors])
    slots = np.array([slots for _, slots in errors]).reshape(len(errors), 4, n_residual)

    def add(subjects: slice) -> None:
        _add_moments(subjects.start, subjects.stop, draws, *gaussian, *observed, numbers, slots, sums)

    each(add, parts(n_subjects, _SUBJECTS))
    return sums


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy")
def _add_moments(begin, end, draws, mean, whiten, omega, observed, ptr, errors, slots, sums):
    """Of subjects begin:end. Draws are taken a run at a time: the numbers v of a run stay in the cache, and every loop
    over its draws is one of vector instructions."""
    n_draws, d = draws.weight.shape[0], draws.z.shape[2]
    place = d + len(omega.half_trace)
    v, w, work = np.empty((sums.first.shape[1], RUN)), np.empty(RUN), np.empty(WORK)
    for start in range(0, n_draws, RUN):
        size = min(RUN, n_draws - start)
        for i in range(begin, end):
            largest = 0.0
            for k in range(size):
                w[k] = max(draws.weight[start + k, i], 0.0)
                largest = max(largest, w[k])
            if not largest > 0.0:
                continue
            _fill_gaussian(draws.z, mean, whiten, omega, i, start, w[:size], v)
            v[place:, :size] = 0.0
            for e in range(len(errors)):
                error = error_at(errors, e)
                add_residual(
                    draws,
                    observed,
                    ptr,
                    error,
                    slots[e],
                    i,
                    start,
                    w[:size],
                    work,
                    v[place:],
                    sums.residual[i],
                    sums.structural[i],
                )
            _add_products(v, w[:size], sums.first[i], sums.second[i], sums.first_square[i], sums.second_square[i])
    for i in range(begin, end):
        _mirror(sums.second[i])
        _mirror(sums.second_square[i])
        _mirror(sums.structural[i])


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy")
def _add_products(v, w, first, second, first_square, second_square):
    """Lower triangles of v v' under w and w^2; v (F, >= k), w (k,)."""
    size = len(w)
    once, twice = np.empty(size), np.empty(size)
    for a in range(len(first)):
        total, square = 0.0, 0.0
        for k in range(size):
            once[k] = w[k] * v[a, k]
            twice[k] = w[k] * once[k]
            total += once[k]
            square += twice[k]
        first[a] += total
        first_square[a] += square
        for b in range(0, a, 2):  # two at a time: a sum alone waits for its own last addition
            total, square, total2, square2 = 0.0, 0.0, 0.0, 0.0
            for k in range(size):
                total += once[k] * v[b, k]
                square += twice[k] * v[b, k]
                total2 += once[k] * v[b + 1, k]
                square2 += twice[k] * v[b + 1, k]
            second[a, b] += total
            second_square[a, b] += square
            second[a, b + 1] += total2
            second_square[a, b + 1] += square2
        if a % 2 == 0:
            total, square = 0.0, 0.0
            for k in range(size):
                total += once[k] * v[a, k]
                square += twice[k] * v[a, k]
            second[a, a] += total
            second_square[a, a] += square


@njit(nogil=True, cache=True)
def _mirror(matrix):
    for a in range(len(matrix)):
        for b in range(a):
            matrix[b, a] = matrix[a, b]


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy")
def _fill_gaussian(z, mean, whiten, omega, i, start, w, out):
    """out (F, k): u and the directions of Omega, of subject i and draws start:start + k, 0 where the weight is."""
    d, size = z.shape[2], len(w)
    away = np.empty((d, size))
    for k in range(size):
        for column in range(d):
            away[column, k] = z[start + k, i, column] - mean[i, column]
    for row in range(d):
        out[row, :size] = whiten[row, row] * away[row]
        for column in range(row):
            if whiten[row, column] != 0.0:
                factor = whiten[row, column]
                for k in range(size):
                    out[row, k] += factor * away[column, k]
    for j in range(len(omega.half_trace)):
        total = out[d + j]
        for k in range(size):
            total[k] = -omega.half_trace[j]
        for e in range(omega.start[j], omega.start[j + 1]):
            left, right, factor = out[omega.row[e]], out[omega.column[e]], omega.factor[e]
            for k in range(size):
                total[k] += factor * left[k] * right[k]
