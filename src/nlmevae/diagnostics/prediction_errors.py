"""Where each observation lies among simulated ones: NPD, and NPDE after removing the correlation within subjects.

Brendel, Comets, Laffont, Laveille and Mentre (Pharm Res 23, 2006). With E and V the mean and covariance of the K
simulated vectors of subject i and V = L L' (Cholesky),

    y* = L^-1 (y - E),   pde_j = share of simulated y*_j below the observed one,   npde_j = Phi^-1(pde_j),

pde kept within [1/(2K), 1 - 1/(2K)]; npd is the same without decorrelation. A value known to be below a limit is
first replaced by a random one: its prediction discrepancy is uniform on (0, share of simulated values below the
limit) and its value that quantile of the simulated ones (Nguyen, Comets and Mentre, J Pharmacokinet Pharmacodyn 39,
2012, method "cdf").
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import ndtri

from nlmevae.diagnostics.weighted_residuals import whitened

#: Apart from the numbers of the simulations.
_STREAM = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionErrors:
    """(M,) each. `expected`: mean of simulations; `weighted`: L^-1 (y - E) of the data (EWRES); `npd`, `npde`.

    NaN: no simulation was possible, or (weighted, npde) the simulated covariance is singular: K simulations cannot
    decorrelate K observations of one subject.
    """

    expected: np.ndarray
    weighted: np.ndarray
    npd: np.ndarray
    npde: np.ndarray


def prediction_errors(
    y: np.ndarray, simulated: np.ndarray, ob_ptr: np.ndarray, *, below: np.ndarray, seed: int
) -> PredictionErrors:
    """Compare y (M,) with simulated (K, M), subject by subject; replicates that failed for a subject do not count
    there.

    Args:
        ob_ptr: (N + 1,) range of each subject's observations.
        below: (M,) bool, y is a limit and the value lies below it.
        seed: of the values drawn for those.
    """
    position = np.random.default_rng([seed, _STREAM]).random(len(y))
    found = np.full((4, len(y)), np.nan)
    for first, last in pairwise(ob_ptr):
        rows = slice(first, last)
        own = simulated[:, rows]
        own = own[np.isfinite(own).all(axis=1)]
        if first < last and len(own) > 1:
            found[:, rows] = _of_subject(y[rows], own, below[rows], position[rows])
    return PredictionErrors(expected=found[0], weighted=found[1], npd=found[2], npde=found[3])


def _of_subject(y: np.ndarray, simulated: np.ndarray, below: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(4, n): expected, weighted, npd, npde of y (n,) among simulated (K, n); `position` in (0, 1) places values
    that are only known to be `below`."""
    share = _share_below(simulated, y)
    if below.any():
        share = np.where(below, share * position, share)
        y = y.copy()
        y[below] = [np.quantile(simulated[:, j], share[j]) for j in np.flatnonzero(below)]
    weighted, decorrelated = _decorrelated(y, simulated)
    n = len(simulated)
    return np.stack([simulated.mean(axis=0), weighted, _normal_quantile(share, n), _normal_quantile(decorrelated, n)])


def _decorrelated(y: np.ndarray, simulated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y* (n,), and the share of simulated y* below it."""
    if len(simulated) <= len(y):  # their covariance has no inverse
        return np.full(len(y), np.nan), np.full(len(y), np.nan)
    mean = simulated.mean(axis=0)
    variance = np.atleast_2d(np.cov(simulated, rowvar=False))
    white = whitened(variance, np.vstack([y, simulated]) - mean, cholesky=True)
    return white[0], np.where(np.isnan(white[0]), np.nan, _share_below(white[1:], white[0]))


def _share_below(simulated: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) share of (K, n) below y; half of those that equal it."""
    return (simulated < y).mean(axis=0) + 0.5 * (simulated == y).mean(axis=0)


def _normal_quantile(share: np.ndarray, n_simulated: int) -> np.ndarray:
    edge = 0.5 / n_simulated
    return ndtri(np.clip(share, edge, 1.0 - edge))
