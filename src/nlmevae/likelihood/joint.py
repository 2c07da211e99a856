"""The joint density p(y, z) of every subject at fixed population parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.decoder.base import Decoder
from nlmevae.decoder.residual import ResidualModel
from nlmevae.likelihood import kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class JointDensity:
    """log p(y_i, z) = log p(y_i | z) + log N(z; mean_i, omega).

    Attributes:
        decoder: N subjects, M observations, d latents.
        residual: residual error model; `coefficients` are its (a, b) as standard deviations.
        y: (M,) observations in the decoder's order.
        mean: (N, d) prior mean of z (typical value and covariates).
        omega: (d, d) covariance of z around it, positive definite.
        structural: (s,) structural THETAs, natural scale.
    """

    decoder: Decoder
    residual: ResidualModel
    y: np.ndarray
    mean: np.ndarray
    omega: np.ndarray
    structural: np.ndarray
    coefficients: tuple[float, float]

    @property
    def n_subjects(self) -> int:
        return len(self.mean)

    @property
    def n_latents(self) -> int:
        return self.mean.shape[1]

    def inputs(self, z: np.ndarray) -> np.ndarray:
        """Decoder input rows for z (..., N, d): (R, n_inputs) with R = all leading axes times N."""
        flat = z.reshape(_n_rows(z), self.n_latents)
        if not len(self.structural):
            return flat
        return np.hstack([flat, np.broadcast_to(self.structural, (len(flat), len(self.structural)))])

    def rows(self, z: np.ndarray) -> np.ndarray | None:
        """Subject of each row of `inputs(z)`; None for z (N, d)."""
        n_draws = _n_rows(z) // self.n_subjects
        return None if z.ndim == 2 else np.tile(np.arange(self.n_subjects, dtype=np.int32), n_draws)

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Predictions (..., M) for z (..., N, d); NaN where the decoder failed."""
        solution = self.decoder.predict(self.inputs(z), self.rows(z))
        return solution.prediction.reshape(*z.shape[:-2], len(self.y))

    def log_joint(self, z: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """log p(y_i, z): (..., N) for z (..., N, d) and predictions (..., M); -inf where one is not finite."""
        z = np.ascontiguousarray(z, dtype=float)
        draws = z.reshape(_n_rows(z) // self.n_subjects, *z.shape[-2:])
        out = np.empty(draws.shape[:2])
        kernels.log_joint(
            draws,
            np.ascontiguousarray(prediction).reshape(len(draws), len(self.y)),
            self.y,
            self.decoder.table.ob_ptr,
            np.ascontiguousarray(self.mean),
            self.whiten,
            self.log_norm,
            self.residual.numbers(*self.coefficients),
            out,
        )
        return out.reshape(z.shape[:-1])

    @property
    def whiten(self) -> np.ndarray:
        """(d, d) inverse of the lower Cholesky factor of omega."""
        return np.ascontiguousarray(np.linalg.inv(np.linalg.cholesky(self.omega)))

    @property
    def log_norm(self) -> float:
        """Log of the normal density's norm."""
        diagonal = np.diag(np.linalg.cholesky(self.omega))
        return float(0.5 * self.n_latents * np.log(2 * np.pi) + np.log(diagonal).sum())

    def log_prior(self, z: np.ndarray) -> np.ndarray:
        """log N(z; mean, omega): (..., N)."""
        white = (z - self.mean) @ self.whiten.T
        return -0.5 * (white**2).sum(-1) - self.log_norm

    def log_likelihood(self, prediction: np.ndarray) -> np.ndarray:
        """log p(y_i | z): (..., N) for predictions (..., M); -inf where a prediction is not finite."""
        terms = self.residual.log_density(self.y, prediction, *self.coefficients)
        return self.per_subject(np.where(np.isfinite(terms), terms, -np.inf))

    def per_subject(self, terms: np.ndarray) -> np.ndarray:
        """Sum over each subject's observations: (..., M) to (..., N)."""
        ptr = self.decoder.table.ob_ptr
        with np.errstate(invalid="ignore"):
            total = np.zeros((*terms.shape[:-1], self.n_subjects))
            present = np.diff(ptr) > 0
            if present.any():
                total[..., present] = np.add.reduceat(terms, ptr[:-1][present], axis=-1)
        return total


def _n_rows(z: np.ndarray) -> int:
    """All leading axes; also right without latents, where z is empty."""
    return int(np.prod(z.shape[:-1]))
