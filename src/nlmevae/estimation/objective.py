"""The ELBO and its gradient, the paper's equation 8.

    L = sum_i log p(x_i | z_i) - w KL(N(mu_i, L_i L_i') || N(mean_i, Omega)),   z_i = mu_i + L_i noise_i

K draws of z per subject (reparameterised, equation 6; the paper has one), the KL divergence in closed
form, w its weight during annealing. The gradient with respect to mu_i and L_i is written out: the decoder gives the
Jacobian of the predictions, the rest is linear algebra of size d. Tested against autograd and against
the exact evidence of a linear model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nlmevae.likelihood.joint import JointDensity

LARGEST_GRADIENT = 1e8  # per element; only reached where the model overflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Elbo:
    """Values summed over subjects; gradients of log_likelihood - kl_weight * kl.

    log_likelihood, kl: floats; failed draws are left out of log_likelihood.
    loc (N, d), scale_tril (N, d, d) lower triangular, structural (s,): gradients.
    z (K, N, d) the draws; prediction (K, M) NaN where the decoder failed; failed (N,) bool, True where all draws
    failed.
    """

    log_likelihood: float
    kl: float
    loc: np.ndarray
    scale_tril: np.ndarray
    structural: np.ndarray
    z: np.ndarray
    prediction: np.ndarray
    failed: np.ndarray

    @property
    def value(self) -> float:
        """With the full KL term: what bounds the log-likelihood from below."""
        return self.log_likelihood - self.kl


def elbo(
    joint: JointDensity, loc: np.ndarray, scale_tril: np.ndarray, noise: np.ndarray, *, kl_weight: float = 1.0
) -> Elbo:
    """Value and gradient at q = N(loc, scale_tril scale_tril') (N, d), (N, d, d) with noise (K, N, d).

    A draw whose predictions or gradient are not finite contributes nothing; the KL term always counts.
    """
    d = loc.shape[1]
    z = loc + (scale_tril @ noise[..., None])[..., 0]
    solution = joint.decoder.linearise(joint.inputs(z), joint.rows(z))
    prediction = solution.prediction.reshape(len(noise), -1)
    slopes = joint.slopes(z, prediction, solution.jacobian.reshape(*prediction.shape, -1), information=False)
    likelihood, slope = slopes.value, slopes.score
    failed = ~np.isfinite(likelihood) | ~np.isfinite(slope).all(axis=2)
    share = 1.0 / np.maximum((~failed).sum(axis=0), 1)
    likelihood = np.where(failed, 0.0, likelihood * share)
    slope = np.clip(np.where(failed[..., None], 0.0, slope), -LARGEST_GRADIENT, LARGEST_GRADIENT) * share[:, None]
    kl, kl_loc, kl_tril = kl_divergence(joint, loc, scale_tril)
    outer = np.where(_lower(d), slope[..., :d].transpose(1, 2, 0) @ noise.transpose(1, 0, 2), 0.0)
    total = slope.sum(axis=0)
    return Elbo(
        log_likelihood=float(likelihood.sum()),
        kl=kl,
        loc=total[:, :d] - kl_weight * kl_loc,
        scale_tril=outer - kl_weight * kl_tril,
        structural=total[:, d:].sum(axis=0),
        z=z,
        prediction=prediction,
        failed=failed.all(axis=0),
    )


def antithetic_noise(rng: np.random.Generator, n_draws: int, shape: tuple[int, ...]) -> np.ndarray:
    """(K, *shape) standard normal; with an even K in pairs of opposite sign, which cancels odd errors."""
    if n_draws % 2:
        return rng.standard_normal((n_draws, *shape))
    half = rng.standard_normal((n_draws // 2, *shape))
    return np.concatenate([half, -half])


def kl_divergence(joint: JointDensity, loc: np.ndarray, scale_tril: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """KL(N(loc, scale_tril scale_tril') || N(mean, Omega)) summed over subjects, and its gradients."""
    precision = np.linalg.inv(joint.omega)
    shift = loc - joint.mean
    loc_gradient = shift @ precision
    weighted = precision @ scale_tril
    diagonal = np.diagonal(scale_tril, axis1=1, axis2=2)
    trace = (weighted * scale_tril).sum()
    log_det = np.linalg.slogdet(joint.omega)[1]
    n, d = loc.shape
    value = 0.5 * (trace + (loc_gradient * shift).sum() + n * (log_det - d)) - np.log(diagonal).sum()
    tril_gradient = np.where(_lower(d), weighted, 0.0)
    tril_gradient[:, np.arange(d), np.arange(d)] -= 1.0 / diagonal
    return float(value), loc_gradient, tril_gradient


@lru_cache(maxsize=32)
def _lower(d: int) -> np.ndarray:
    """(d, d) True on and below the diagonal; np.tril would make it anew at every step."""
    return np.tri(d, dtype=bool)
