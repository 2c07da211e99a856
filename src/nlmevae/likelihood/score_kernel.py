"""Weighted moments of the scores of log p(y, z), per subject, in one pass over the draws.

A subject's score is B_i' v with v of a few numbers: the whitened deviation u of z, the derivative along every free
direction of Omega, that of the residual error, and that of predictions along structural THETAs. B_i does not depend
on the draw, so only the moments of v are summed: a model with dozens of covariate effects costs no more here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from nlmevae.decoder.residual_kernels import (
    ErrorNumbers,
    Observed,
    log_slopes_of,
    other_slopes_of,
    pulls_of,
    relative_slope_of,
    sd_of,
)
from nlmevae.threads import each, parts

BLOCK_SUBJECTS, BLOCK_DRAWS = 64, 128  # whose numbers stay in the cache


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
    n_draws, n_subjects, d = z.shape
    directions, n_residual = gaussian[2], errors[0][1].shape[1] if errors else 0
    n_features = d + len(directions.half_trace) + n_residual + jacobian.shape[2]
    sums = ScoreMoments.zeros(n_subjects, n_features, n_residual, jacobian.shape[2])

    def add(subjects: slice) -> None:
        subject = subjects.start
        for draw in range(0, n_draws, BLOCK_DRAWS):
            draws = slice(draw, min(draw + BLOCK_DRAWS, n_draws))
            v = np.zeros((subjects.stop - subject, n_features, draws.stop - draw))
            _fill_gaussian(z, weight, *gaussian, subject, draw, v)
            for error, slots in errors:
                _add_residual(
                    z, prediction, weight, jacobian, *observed, error, slots, d + len(directions.half_trace),
                    subject, draw, v, sums.residual, sums.structural,
                )  # fmt: skip
            w = np.ascontiguousarray(weight[draws, subjects].T)[:, None, :]
            transposed = np.swapaxes(v, -1, -2)
            heavy = w * v
            sums.first[subjects] += heavy.sum(axis=-1)
            sums.second[subjects] += heavy @ transposed
            heavy *= w
            sums.first_square[subjects] += heavy.sum(axis=-1)
            sums.second_square[subjects] += heavy @ transposed

    each(add, parts(n_subjects, BLOCK_SUBJECTS))
    return sums


@njit(nogil=True, cache=True)
def _fill_gaussian(z, weight, mean, whiten, omega, first, start, out):
    """out (n, F, k): u and the directions of Omega, of subjects first:first + n and draws start:start + k."""
    d = z.shape[2]
    for k in range(out.shape[2]):
        for i in range(out.shape[0]):
            subject, draw = first + i, start + k
            if not weight[draw, subject] > 0.0:
                continue
            for row in range(d):
                white = 0.0
                for column in range(row + 1):
                    white += whiten[row, column] * (z[draw, subject, column] - mean[subject, column])
                out[i, row, k] = white
            for j in range(len(omega.half_trace)):
                total = -omega.half_trace[j]
                for e in range(omega.start[j], omega.start[j + 1]):
                    total += omega.factor[e] * out[i, omega.row[e], k] * out[i, omega.column[e], k]
                out[i, d + j, k] = total


@njit(nogil=True, cache=True)
def _add_residual(
    z,
    prediction,
    weight,
    jacobian,
    observed,
    ptr,
    error,
    slots,
    place,
    first,
    start,
    out,
    residual,
    along,
):
    """Add one endpoint's part to out (n, F, k) from feature `place` on, and to the expected informations."""
    n_residual, n_structural = slots.shape[1], jacobian.shape[2]
    direct, several = place + n_residual, error.index >= 0
    pull4, square4 = np.zeros(4), np.zeros((4, 4))
    for k in range(out.shape[2]):
        for i in range(out.shape[0]):
            subject, draw = first + i, start + k
            w = weight[draw, subject]
            if not w > 0.0:
                continue
            factor = math.exp(error.effect_scale * z[draw, subject, error.effect]) if error.effect >= 0 else 1.0
            pull_a, pull_b, pull_p, pull_r = 0.0, 0.0, 0.0, 0.0
            aa, ab, bb, pa, pb, pp, ra, rb, rr = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for m in range(ptr[subject], ptr[subject + 1]):
                if several and observed.endpoint[m] != error.index:
                    continue
                f = prediction[draw, m]
                plain = sd_of(error, f)
                if not (math.isfinite(f) and plain > 0.0):
                    continue
                pull, surplus, ff, fs, ss = pulls_of(observed, m, f, factor * plain)
                slope_a, slope_b = log_slopes_of(error, f)
                pull_a += surplus * slope_a
                pull_b += surplus * slope_b
                aa += ss * slope_a * slope_a
                ab += ss * slope_a * slope_b
                bb += ss * slope_b * slope_b
                if error.wide:
                    slope_p, slope_r = other_slopes_of(error, f, plain, slope_b)
                    pull_p += surplus * slope_p
                    pull_r += surplus * slope_r
                    pa += ss * slope_p * slope_a
                    pb += ss * slope_p * slope_b
                    pp += ss * slope_p * slope_p
                    ra += ss * slope_r * slope_a
                    rb += ss * slope_r * slope_b
                    rr += ss * slope_r * slope_r
                if n_structural:
                    relative = relative_slope_of(error, f, plain)
                    slope = pull + relative * surplus
                    information = w * (ff + relative * (2.0 * fs + relative * ss))
                    for s in range(n_structural):
                        out[i, direct + s, k] += slope * jacobian[draw, m, s]
                        for t in range(n_structural):
                            along[subject, s, t] += information * jacobian[draw, m, s] * jacobian[draw, m, t]
            if not n_residual:
                continue
            pull4[0], pull4[1], pull4[2], pull4[3] = pull_a, pull_b, pull_p, pull_r
            square4[0, 0], square4[1, 0], square4[1, 1] = aa, ab, bb
            square4[2, 0], square4[2, 1], square4[2, 2] = pa, pb, pp
            square4[3, 0], square4[3, 1], square4[3, 3] = ra, rb, rr
            n_slots = 4 if error.wide else 2
            for q in range(n_residual):
                for j in range(n_slots):
                    if slots[j, q] == 0.0:
                        continue
                    out[i, place + q, k] += pull4[j] * slots[j, q]
                    for p in range(n_residual):
                        for l in range(n_slots):  # noqa: E741
                            if slots[l, p] != 0.0:
                                entry = square4[j, l] if l <= j else square4[l, j]
                                residual[subject, q, p] += w * slots[j, q] * slots[l, p] * entry
