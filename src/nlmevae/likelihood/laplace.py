"""Laplace's approximation with the exact second derivatives (NONMEM's METHOD=1 LAPLACIAN INTERACTION).

    -2LL_i = -2 log p(y_i, m_i) + log det H_i - d log(2 pi),    H_i = -d^2 log p(y_i, z) / dz^2 at the mode m_i

H is the slope of the analytic gradient, by central differences along the axes of the Gaussian with the expected
information, at three step sizes extrapolated to zero (Richardson; error of order step^6).
"""

from __future__ import annotations

import numpy as np

from nlmevae.likelihood.expansion import Expansion, expand, gaussian_integral, log_determinant, stepped
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.marginal import Marginal, of_subjects
from nlmevae.likelihood.proposal import safe_cholesky

STEP = 0.02  # posterior standard deviations; 2 and 4 times it are used too


def laplace(joint: JointDensity, mode: np.ndarray) -> Marginal:
    """At conditional modes (N, d), which are improved by one Newton step. NaN where H is not positive definite."""
    mode = stepped(joint, mode)
    here = expand(joint, mode)
    hessian, coarser = exact_hessian(joint, mode, here)
    left = (here.gradient * here.newton_step).sum(axis=-1)  # what -2 log p(y, m) still lacks of its minimum
    error = np.abs(log_determinant(hessian)[1] - log_determinant(coarser)[1]) + np.abs(left)
    return of_subjects(joint, gaussian_integral(here.log_joint, hessian), error)


def exact_hessian(joint: JointDensity, z: np.ndarray, here: Expansion) -> tuple[np.ndarray, np.ndarray]:
    """(N, d, d) minus the second derivative of log p(y, z), and the same one extrapolation less accurate.

    `here` is the expansion at z (N, d); its information sets the size and the directions of the differences.
    """
    axes = posterior_axes(here)
    slopes = [_slope(joint, z, axes, factor * STEP) for factor in (1, 2, 4)]
    first = [(4.0 * fine - coarse) / 3.0 for fine, coarse in zip(slopes, slopes[1:], strict=False)]
    second = (16.0 * first[0] - first[1]) / 15.0
    return _symmetric(second, axes), _symmetric(first[0], axes)


def posterior_axes(here: Expansion) -> np.ndarray:
    """(N, d, d) columns: one standard deviation along each axis of the Gaussian with the expected information."""
    finite = np.isfinite(here.information).all(axis=(-2, -1))
    information = np.where(finite[:, None, None], here.information, np.eye(here.information.shape[-1]))
    return safe_cholesky(np.linalg.inv(information))[0]


def _slope(joint: JointDensity, z: np.ndarray, axes: np.ndarray, step: float) -> np.ndarray:
    """(N, d, d): column k is minus the change of the gradient per standard deviation along axis k."""
    shifts = step * np.moveaxis(axes, -1, 0)  # (d, N, d)
    ahead, behind = (expand(joint, z + sign * shifts).gradient for sign in (1.0, -1.0))
    return -np.moveaxis(ahead - behind, 0, -1) / (2.0 * step)


def _symmetric(slope: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """H from H axes."""
    hessian = slope @ np.linalg.inv(axes)
    return 0.5 * (hessian + np.swapaxes(hessian, -1, -2))
