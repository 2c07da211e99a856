"""-2 log-likelihood by linearisation at the conditional mode.

Monolix's "linearization": f(z) = f(m) + J (z - m) with m the mode of p(z | y), so that
y ~ N(f(m) + J (mu - m), J Omega J' + R), R = diag(sd(f(m))^2). Deterministic, but off by units where
the model is far from linear: never compare it with an importance sampling value.

Written as Laplace's approximation of that linear model with sd held, which is exact for values that are known; for
censored ones, and in the direction of random effects on the residual error, it is Laplace's approximation.
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

    With g = d log p(y | z)/dz + Omega^-1 (mu - m) and P = I + Omega^-1, I the information of y at fixed sd:
    -2LL = -2 log p(y | m) + (m - mu)' Omega^-1 (m - mu) - g' P^-1 g + log det(P Omega).
    """
    d = joint.n_latents
    solution = joint.decoder.linearise(joint.inputs(mode))
    slopes = joint.slopes(mode, solution.prediction, solution.jacobian[:, :d], interaction=False)
    precision = np.linalg.inv(joint.omega)
    away = mode - joint.mean
    gradient = slopes.score - away @ precision
    matrix = slopes.information + precision
    explained = (gradient * np.linalg.solve(matrix, gradient[..., None])[..., 0]).sum(axis=1)
    log_det = np.linalg.slogdet(matrix)[1] + np.linalg.slogdet(joint.omega)[1]
    value = -2.0 * slopes.value + ((away @ precision) * away).sum(axis=1) - explained + log_det
    return np.where(np.isfinite(slopes.value), value, np.nan)
