"""NONMEM's first-order conditional estimation with interaction (METHOD=1 INTERACTION).

Laplace's approximation at the conditional mode with the second derivative of log p(y|z) replaced by its
expectation (Wang, J. Pharmacokinet. Pharmacodyn. 34 (2007) 575-593, equations 30-35):

    -2LL_i = -2 log p(y_i, m_i) + log det H_i - d log(2 pi),    H_i = J'(1/v) J + 1/2 (v'/v)(v'/v)' + Omega^-1

J = df/dz, v the residual variance at the mode and v' its slope in z. The variance follows z: that is the interaction.
"""

from __future__ import annotations

import numpy as np

from nlmevae.likelihood.expansion import expand, gaussian_integral, stepped
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.marginal import Marginal, at_mode


def focei(joint: JointDensity, mode: np.ndarray) -> Marginal:
    """At conditional modes (N, d), which are improved by one Newton step."""
    here = expand(joint, mode)

    def value(z: np.ndarray) -> np.ndarray:
        there = here if z is mode else expand(joint, z)
        return gaussian_integral(there.log_joint, there.information)

    return at_mode(joint, value, (mode, stepped(joint, mode, here)))
