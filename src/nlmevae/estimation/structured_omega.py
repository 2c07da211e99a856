"""A covariance block with elements kept at 0: its maximum likelihood estimate and steps that keep the zeros."""

from __future__ import annotations

import numpy as np

MAX_STEPS, HALVINGS = 300, 30
TOLERANCE = 1e-12  # of the deviance per subject that the next step promises
LARGEST_SHARE = 0.8  # of the way to singularity that one step may go


def structured_fit(scatter: np.ndarray, start: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The (n, n) matrix with zeros outside `free` that minimises log det Omega + tr(Omega^-1 scatter), by Fisher
    scoring from `start`, which is positive definite and has these zeros.

    Unlike a full block there is no closed form; Anderson (1973), Annals of Statistics 1, 135-141.
    """
    basis = element_directions(free)
    omega, value = start, _deviance(start, scatter)
    for _ in range(MAX_STEPS):
        inverse = np.linalg.inv(omega)
        pulled = inverse @ basis
        gradient = np.einsum("jab,ba->j", pulled, inverse @ scatter - np.eye(len(omega)))
        information = np.einsum("iab,jba->ij", pulled, pulled)
        step = np.linalg.lstsq(information, gradient, rcond=1e-12)[0]
        if step @ gradient < TOLERANCE:
            break
        direction, share = np.tensordot(step, basis, axes=1), 1.0
        for _ in range(HALVINGS):
            trial = omega + share * direction
            new = _deviance(trial, scatter)
            if new <= value:
                break
            share *= 0.5
        else:
            break
        omega, value = trial, new
    return omega


def element_directions(free: np.ndarray) -> np.ndarray:
    """(m, n, n) symmetric 0/1 directions, one for each element of the lower triangle of the mask `free` (n, n)."""
    pairs = [(i, j) for i in range(len(free)) for j in range(i + 1) if free[i, j]]
    basis = np.zeros((len(pairs), *free.shape))
    for number, (i, j) in enumerate(pairs):
        basis[number, i, j] = basis[number, j, i] = 1.0
    return basis


def positive_share(change: np.ndarray) -> float:
    """How much of `change` (d, d) may be added to the identity: all of it, or most of the way to a singular matrix."""
    smallest = float(np.linalg.eigvalsh(change)[0]) if len(change) else 0.0
    return 1.0 if smallest > -LARGEST_SHARE else -LARGEST_SHARE / smallest


def _deviance(omega: np.ndarray, scatter: np.ndarray) -> float:
    try:
        root = np.linalg.cholesky(omega)
    except np.linalg.LinAlgError:
        return np.inf
    return float(2 * np.log(np.diag(root)).sum() + np.trace(np.linalg.solve(omega, scatter)))
