"""-2 log-likelihood by linearisation at the conditional mode.

Monolix's "linearization": f(z) = f(m) + J (z - m) with m the mode of p(z | y), so that
y ~ N(f(m) + J (mu - m), J Omega J' + R), R = diag(sd(f(m))^2). Deterministic, but off by units where
the model is far from linear: never compare it with an importance sampling value.
"""

from __future__ import annotations

import numpy as np

from nlmevae.likelihood.expansion import stepped
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.marginal import Marginal, at_mode


def linearised(joint: JointDensity, mode: np.ndarray) -> Marginal:
    """At conditional modes (N, d), which are improved by one Newton step."""
    return at_mode(joint, lambda z: linearised_minus_two_ll(joint, z), (mode, stepped(joint, mode)))


def linearised_minus_two_ll(joint: JointDensity, mode: np.ndarray) -> np.ndarray:
    """(N,) -2LL with the 2 pi constant at modes (N, d); NaN where the model could not be evaluated.

    Only (d, d) systems are solved: det(R + J Omega J') = det(R) det(Omega) det(Omega^-1 + J'R^-1 J).
    """
    d = joint.n_latents
    solution = joint.decoder.linearise(joint.inputs(mode))
    jacobian = solution.jacobian[:, :d]
    sd = joint.sd(solution.prediction, mode)
    subject = joint.decoder.table.ob_subject
    shift = np.einsum("md,md->m", jacobian, (joint.mean - mode)[subject])
    scaled = (joint.y - solution.prediction - shift) / sd
    design = jacobian / sd[:, None]
    ones = joint.per_subject(np.stack([scaled**2, 2.0 * np.log(sd), np.full_like(sd, np.log(2 * np.pi))]))
    gradient = joint.per_subject((design * scaled[:, None]).T).T
    outer = np.einsum("mi,mj->ijm", design, design)
    information = np.moveaxis(joint.per_subject(outer), -1, 0)
    precision = information + np.linalg.inv(joint.omega)
    explained = np.einsum("ni,ni->n", gradient, np.linalg.solve(precision, gradient[..., None])[..., 0])
    log_det = np.linalg.slogdet(precision)[1] + np.linalg.slogdet(joint.omega)[1]
    return ones.sum(axis=0) - explained + log_det
