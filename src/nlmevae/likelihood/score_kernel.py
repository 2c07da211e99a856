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
    pulls_of,
    relative_slope_of,
    sd_of,
)

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
    observed: tuple[Observed, np.ndarray, ErrorNumbers, np.ndarray],
) -> ScoreMoments:
    """The moments of all draws z (K, N, d) with predictions (K, M) under weights (K, N).

    Args:
        jacobian: (K, M, s) of predictions along the estimated structural THETAs.
        gaussian: mean (N, d), inverse Cholesky factor of Omega (d, d), directions of Omega.
        observed: observations, first one of each subject (N + 1,), error, (q,) position of each residual coefficient
            among the estimated ones, -1 for the others.

    Terms with sd 0 or without a finite prediction do not count.
    """
    n_draws, n_subjects, d = z.shape
    directions, n_residual = gaussian[2], int((observed[3] >= 0).sum())
    n_features = d + len(directions.half_trace) + n_residual + jacobian.shape[2]
    sums = ScoreMoments.zeros(n_subjects, n_features, n_residual, jacobian.shape[2])
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
    observed,
    ptr,
    error,
    position,
    first,
    start,
    out,
    residual,
    along,
):
    """out (n, F, k): v of subjects first:first + n and draws start:start + k; adds to the expected informations."""
    d = z.shape[2]
    n_omega, n_residual, n_structural = len(omega.half_trace), residual.shape[1], jacobian.shape[2]
    direct = d + n_omega + n_residual
    slopes = np.zeros(4)
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
            for m in range(ptr[subject], ptr[subject + 1]):
                f, e = prediction[draw, m], observed.endpoint[m]
                plain = sd_of(error, e, f)
                if not (math.isfinite(f) and plain > 0.0):
                    continue
                effect = error.effect[e]
                sd = plain * math.exp(error.effect_scale[e] * z[draw, subject, effect]) if effect >= 0 else plain
                pull, surplus, ff, fs, ss = pulls_of(observed, m, f, sd)
                log_slopes_of(error, e, f, slopes)
                for j in range(error.n_slots[e]):
                    r = position[error.coefficient[e, j]]
                    if r < 0:
                        continue
                    out[i, d + n_omega + r, k] += surplus * slopes[j]
                    for other in range(j + 1):
                        s = position[error.coefficient[e, other]]
                        if s >= 0:
                            residual[subject, r, s] += w * ss * slopes[j] * slopes[other]
                            if other < j:
                                residual[subject, s, r] += w * ss * slopes[j] * slopes[other]
                if n_structural:
                    relative = relative_slope_of(error, e, f, plain)
                    slope = pull + relative * surplus
                    information = w * (ff + 2.0 * relative * fs + relative * relative * ss)
                    for s in range(n_structural):
                        out[i, direct + s, k] += slope * jacobian[draw, m, s]
                        for t in range(n_structural):
                            along[subject, s, t] += information * jacobian[draw, m, s] * jacobian[draw, m, t]
