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

from nlmevae.decoder.residual_kernels import ErrorNumbers, log_slopes_of, sd_of, sd_slope_of

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
    second (N, F, F) of w v v', first_square and second_square the same with w^2; expected information of
    (log a, log b) (N, 2, 2) and of predictions along the structural THETAs (N, s, s)."""

    first: np.ndarray
    second: np.ndarray
    first_square: np.ndarray
    second_square: np.ndarray
    residual: np.ndarray
    structural: np.ndarray

    @classmethod
    def zeros(cls, n_subjects: int, n_features: int, n_structural: int) -> ScoreMoments:
        n, f, s = n_subjects, n_features, n_structural
        shapes = (n, f), (n, f, f), (n, f), (n, f, f), (n, 2, 2), (n, s, s)
        return cls(*(np.zeros(shape) for shape in shapes))


def score_moments(
    z: np.ndarray,
    prediction: np.ndarray,
    weight: np.ndarray,
    jacobian: np.ndarray,
    gaussian: tuple[np.ndarray, np.ndarray, OmegaDirections],
    observed: tuple[np.ndarray, np.ndarray, ErrorNumbers, np.ndarray],
) -> ScoreMoments:
    """The moments of all draws z (K, N, d) with predictions (K, M) under weights (K, N).

    Args:
        jacobian: (K, M, s) of predictions along the estimated structural THETAs.
        gaussian: mean (N, d), inverse Cholesky factor of Omega (d, d), directions of Omega.
        observed: y (M,), first observation of each subject (N + 1,), error, free indices into (a, b).

    Terms with sd 0 or without a finite prediction do not count.
    """
    n_draws, n_subjects, d = z.shape
    directions, free = gaussian[2], observed[3]
    n_features = d + len(directions.half_trace) + len(free) + jacobian.shape[2]
    sums = ScoreMoments.zeros(n_subjects, n_features, jacobian.shape[2])
    for subject in range(0, n_subjects, BLOCK_SUBJECTS):
        subjects = slice(subject, min(subject + BLOCK_SUBJECTS, n_subjects))
        for draw in range(0, n_draws, BLOCK_DRAWS):
            draws = slice(draw, min(draw + BLOCK_DRAWS, n_draws))
            v = np.zeros((subjects.stop - subject, n_features, draws.stop - draw))
            _fill_features(
                z, prediction, weight, jacobian, *gaussian, *observed, subject, draw, v, sums.residual, sums.structural
            )
            w = np.ascontiguousarray(weight[draws, subjects].T)[:, None, :]
            transposed = np.swapaxes(v, -1, -2)
            heavy = w * v
            sums.first[subjects] += heavy.sum(axis=-1)
            sums.second[subjects] += heavy @ transposed
            heavy *= w
            sums.first_square[subjects] += heavy.sum(axis=-1)
            sums.second_square[subjects] += heavy @ transposed
    return sums


@njit(nogil=True, cache=True)
def _fill_features(
    z,
    prediction,
    weight,
    jacobian,
    mean,
    whiten,
    omega,
    y,
    ptr,
    error,
    residual_free,
    first,
    start,
    out,
    aa_ab_bb,
    along,
):
    """out (n, F, k): v of subjects first:first + n and draws start:start + k; adds to the expected informations."""
    d = z.shape[2]
    n_omega, n_residual, n_structural = len(omega.half_trace), len(residual_free), jacobian.shape[2]
    direct = d + n_omega + n_residual
    for k in range(out.shape[2]):
        for i in range(out.shape[0]):
            subject, draw = first + i, start + k
            w = weight[draw, subject]
            if not w > 0.0:
                continue
            for row in range(d):
                white = 0.0
                for column in range(row + 1):
                    white += whiten[row, column] * (z[draw, subject, column] - mean[subject, column])
                out[i, row, k] = white
            for j in range(n_omega):
                total = -omega.half_trace[j]
                for e in range(omega.start[j], omega.start[j + 1]):
                    total += omega.factor[e] * out[i, omega.row[e], k] * out[i, omega.column[e], k]
                out[i, d + j, k] = total
            pull_a, pull_b, aa, ab, bb = 0.0, 0.0, 0.0, 0.0, 0.0
            for m in range(ptr[subject], ptr[subject + 1]):
                f = prediction[draw, m]
                sd = sd_of(error, f)
                if not (math.isfinite(f) and sd > 0.0):
                    continue
                scaled = (y[m] - f) / sd
                slope_a, slope_b = log_slopes_of(error, f)
                surplus = scaled * scaled - 1.0
                pull_a += surplus * slope_a
                pull_b += surplus * slope_b
                aa += slope_a * slope_a
                ab += slope_a * slope_b
                bb += slope_b * slope_b
                if n_structural:
                    relative = sd_slope_of(error, f, sd) / sd
                    slope = scaled / sd + relative * surplus
                    information = w * (1.0 / (sd * sd) + 2.0 * relative * relative)
                    for s in range(n_structural):
                        out[i, direct + s, k] += slope * jacobian[draw, m, s]
                        for t in range(n_structural):
                            along[subject, s, t] += information * jacobian[draw, m, s] * jacobian[draw, m, t]
            for r in range(n_residual):
                out[i, d + n_omega + r, k] = pull_b if residual_free[r] else pull_a
            aa_ab_bb[subject, 0, 0] += 2.0 * w * aa
            aa_ab_bb[subject, 0, 1] += 2.0 * w * ab
            aa_ab_bb[subject, 1, 0] += 2.0 * w * ab
            aa_ab_bb[subject, 1, 1] += 2.0 * w * bb
