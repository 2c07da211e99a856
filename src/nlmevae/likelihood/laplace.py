"""Laplace's approximation with the exact second derivatives (NONMEM's METHOD=1 LAPLACIAN INTERACTION).

-2LL_i = -2 log p(y_i, m_i) + log det H_i - d log(2 pi),    H_i = -d^2 log p(y_i, z) / dz^2 at the mode m_i
"""

from __future__ import annotations

import numpy as np

from nlmevae.likelihood.expansion import expand, gaussian_integral, log_determinant
from nlmevae.likelihood.hessian import exact_hessian, sharpened
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.marginal import Marginal, of_subjects


def laplace(joint: JointDensity, mode: np.ndarray) -> Marginal:
    """At conditional modes (N, d), which are sharpened first. NaN where H is not positive definite.

    The error: of the second derivatives, and of the modes as far as log det H may follow them.
    """
    mode = sharpened(joint, mode)
    here = expand(joint, mode)
    hessian, coarser = exact_hessian(joint, mode, here)
    distance = np.sqrt(np.maximum((here.gradient * here.newton_step).sum(axis=-1), 0.0))  # in standard deviations
    error = np.abs(log_determinant(hessian)[1] - log_determinant(coarser)[1]) + distance
    return of_subjects(joint, gaussian_integral(here.log_joint, hessian), error)
