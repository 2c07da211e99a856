"""NONMEM's first-order conditional estimation without interaction (METHOD=1).

The residual variance of a subject is that of its typical prediction, z = mean, and does not follow z. Its modes are
therefore not those of p(z|y); the value is Laplace's at them with expected second derivatives (Wang, J.
Pharmacokinet. Pharmacodyn. 34 (2007) 575-593):

    -2LL_i = -2 log N(y_i; f(m_i), v_0) - 2 log p(m_i) + log det(J'(1/v_0) J + Omega^-1) - d log(2 pi)
"""

from __future__ import annotations

import numpy as np

from nlmevae.likelihood.climb import Evaluate, descend
from nlmevae.likelihood.expansion import gaussian_integral
from nlmevae.likelihood.importance import restrict
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.marginal import Marginal, at_mode

MAX_ITERATIONS, TOLERANCE = 200, 1e-13


def foce(joint: JointDensity, start: np.ndarray) -> Marginal:
    """The modes are searched from start (N, d) and from the prior mean; the better one counts."""
    evaluate = with_typical_variance(joint)
    scale = np.sqrt(np.diag(joint.omega))
    everyone = np.arange(joint.n_subjects)
    first, second = (
        descend(evaluate, z, scale=scale, max_iterations=MAX_ITERATIONS, tolerance=TOLERANCE)
        for z in (start, joint.mean)
    )
    mode = np.where((first.value <= second.value)[:, None], first.z, second.z)
    _, gradient, information = evaluate(mode, everyone)

    def value(z: np.ndarray) -> np.ndarray:
        minus_log_joint, _, curvature = evaluate(z, everyone)
        return gaussian_integral(-minus_log_joint, curvature)

    step = np.linalg.solve(information, gradient[..., None])[..., 0]
    return at_mode(joint, value, (mode, mode - step))


def with_typical_variance(joint: JointDensity) -> Evaluate:
    """-log p(y, z), gradient and expected information with the residual variance of the typical prediction."""
    sd = joint.sd(joint.predict(joint.mean), joint.mean)
    precision = np.linalg.inv(joint.omega)

    def evaluate(z: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part = restrict(joint, rows)
        own = sd[part.decoder.observations]  # type: ignore[attr-defined]
        solution = part.decoder.linearise(part.inputs(z))
        with np.errstate(all="ignore"):
            scaled = (part.y - solution.prediction) / own
            design = solution.jacobian[:, : joint.n_latents] / own[:, None]
            terms = 0.5 * scaled**2 + np.log(own) + 0.5 * np.log(2 * np.pi)
        bad = ~(np.isfinite(terms) & np.isfinite(design).all(axis=1))
        scaled, design = np.where(bad, 0.0, scaled), np.where(bad[:, None], 0.0, design)
        pull = (z - part.mean) @ precision - part.per_subject((design * scaled[:, None]).T).T
        information = np.moveaxis(part.per_subject(np.einsum("mi,mj->ijm", design, design)), -1, 0) + precision
        return part.per_subject(np.where(bad, np.inf, terms)) - part.log_prior(z), pull, information

    return evaluate
