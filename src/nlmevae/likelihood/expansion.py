"""Value, gradient and information of log p(y_i, z) at one z per subject, and the Gaussian integral around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.likelihood.joint import JointDensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """log_joint (..., N); gradient (..., N, d) of it; information (..., N, d, d): minus its second derivative with
    the part of the data replaced by its expectation, J' W J + Omega^-1. NaN where the model has no value."""

    log_joint: np.ndarray
    gradient: np.ndarray
    information: np.ndarray

    @property
    def newton_step(self) -> np.ndarray:
        """(..., N, d) to the maximum of the quadratic; 0 where there is none."""
        usable = np.isfinite(self.gradient).all(-1) & np.isfinite(self.information).all((-2, -1))
        matrix = np.where(usable[..., None, None], self.information, np.eye(self.gradient.shape[-1]))
        return np.linalg.solve(matrix, np.where(usable[..., None], self.gradient, 0.0)[..., None])[..., 0]


def expand(joint: JointDensity, z: np.ndarray) -> Expansion:
    """At z (..., N, d), from one linearisation of the model."""
    d = joint.n_latents
    solution = joint.decoder.linearise(joint.inputs(z), joint.rows(z))
    prediction = solution.prediction.reshape(*z.shape[:-2], len(joint.y))
    jacobian = solution.jacobian.reshape(*prediction.shape, joint.decoder.n_inputs)
    slopes = joint.slopes(z, prediction, jacobian)
    precision = np.linalg.inv(joint.omega)
    return Expansion(
        log_joint=joint.log_joint(z, prediction),
        gradient=slopes.score[..., :d] - (z - joint.mean) @ precision,
        information=slopes.information[..., :d, :d] + precision,
    )


def stepped(joint: JointDensity, mode: np.ndarray, here: Expansion | None = None) -> np.ndarray:
    """Modes (N, d) after one more Newton step, where that does not lower the joint density (at a kink of the model it
    may). A search stops when -2 log p(y, z) hardly changes; what depends on second derivatives is more sensitive."""
    here = expand(joint, mode) if here is None else here
    after = mode + here.newton_step
    log_joint = joint.log_joint(after, joint.predict(after))
    return np.where((log_joint >= here.log_joint - 1e-12 * np.abs(here.log_joint))[:, None], after, mode)


def gaussian_integral(log_joint: np.ndarray, information: np.ndarray) -> np.ndarray:
    """-2 log of the integral of exp(log_joint - (z - m)' information (z - m) / 2) over z: (...,).

    NaN where the information is not positive definite: the integral does not exist.
    """
    d = information.shape[-1]
    sign, log_det = log_determinant(information)
    return np.where(sign, -2.0 * log_joint + log_det - d * np.log(2 * np.pi), np.nan)


def log_determinant(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(...,) whether symmetric matrices (..., d, d) are positive definite, and the log determinant of those."""
    if not matrix.shape[-1]:
        return np.ones(matrix.shape[:-2], dtype=bool), np.zeros(matrix.shape[:-2])
    finite = np.isfinite(matrix).all(axis=(-2, -1))
    values = np.linalg.eigvalsh(np.where(finite[..., None, None], matrix, np.eye(matrix.shape[-1])))
    positive = finite & (values > 0.0).all(axis=-1)
    return positive, np.log(np.where(positive[..., None], values, 1.0)).sum(axis=-1)
