"""Residuals that should be N(0, 1): by linearisation at ETA = 0 (WRES) and at the conditional mode (CWRES), and of
the individual prediction (IWRES).

With y_i = f(z) + e and f linearised at z*,  f(z) = f(z*) + J (z - z*),

    E[y_i] = f(z*) + J (mean_i - z*),   Var[y_i] = J Omega J' + diag(sd(f(z*), z*)^2)

and the weighted residuals are Var^(-1/2) (y_i - E[y_i]) with the symmetric square root, as NONMEM computes them unless
the record says WRESCHOL (NONMEM help, $TABLE). z* = mean_i gives WRES (first order), z* = mode gives CWRES with
interaction (Hooker, Staatz and Karlsson, Pharm Res 24, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nlmevae.likelihood.joint import JointDensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Linearisation:
    """The model linearised at z* (N, d).

    Attributes:
        prediction (M,): f(z*).
        expected (M,): E[y] = f(z*) + J (mean - z*).
        jacobian (M, d); sd (M,): residual standard deviation.
    """

    prediction: np.ndarray
    expected: np.ndarray
    jacobian: np.ndarray
    sd: np.ndarray


def linearised_at(joint: JointDensity, z: np.ndarray) -> Linearisation:
    """NaN for subjects whose predictions fail."""
    solution = joint.decoder.linearise(joint.inputs(z))
    failed = ~np.isfinite(solution.prediction)
    jacobian = np.where(failed[:, None], np.nan, solution.jacobian[:, : joint.n_latents])
    shift = (jacobian * (joint.mean - z)[joint.decoder.table.ob_subject]).sum(axis=1)
    return Linearisation(
        prediction=solution.prediction,
        expected=solution.prediction + shift,
        jacobian=jacobian,
        sd=joint.sd(solution.prediction, z),
    )


def weighted_residuals(
    joint: JointDensity, at: Linearisation, usable: np.ndarray, *, cholesky: bool = False
) -> np.ndarray:
    """(M,) Var^(-1/2) (y - E[y]) subject by subject over its `usable` (M,) observations, NaN at the others.

    Also NaN where the variance is singular. `cholesky`: lower Cholesky factor instead of the symmetric root.
    """
    result = np.full(len(joint.y), np.nan)
    usable = usable & np.isfinite(at.expected) & np.isfinite(at.sd)
    ptr = joint.decoder.table.ob_ptr
    for first, last in pairwise(ptr):
        rows = first + np.flatnonzero(usable[first:last])
        if len(rows):
            jacobian = at.jacobian[rows]
            variance = jacobian @ joint.omega @ jacobian.T + np.diag(at.sd[rows] ** 2)
            result[rows] = whitened(variance, joint.y[rows] - at.expected[rows], cholesky=cholesky)
    return result


def whitened(variance: np.ndarray, deviation: np.ndarray, *, cholesky: bool = False) -> np.ndarray:
    """variance^(-1/2) deviation (..., n) for variance (n, n): symmetric root, or lower Cholesky factor; NaN where
    the variance is not positive definite."""
    if cholesky:
        try:
            return np.linalg.solve(np.linalg.cholesky(variance), deviation.T).T
        except np.linalg.LinAlgError:
            return np.full_like(deviation, np.nan)
    values, vectors = np.linalg.eigh(variance)
    if values[0] <= 0.0:
        return np.full_like(deviation, np.nan)
    return ((deviation @ vectors) / np.sqrt(values)) @ vectors.T
