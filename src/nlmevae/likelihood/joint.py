"""The joint density p(y, z) of every subject at fixed population parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.decoder.base import Decoder
from nlmevae.decoder.residual import ResidualModel
from nlmevae.likelihood import kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class Slopes:
    """Derivatives of log p(y_i | x) in the decoder inputs x = [z | structural THETAs].

    score (..., N, n_inputs); information (..., N, n_inputs, n_inputs): expected over y given x, as in FOCE with
    interaction.
    """

    score: np.ndarray
    information: np.ndarray


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

    def sd(self, prediction: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Residual standard deviation (..., M) of y around predictions (..., M) at z (..., N, d), on y's scale."""
        return self.residual.sd(prediction, *self.coefficients)

    def slopes(self, z: np.ndarray, prediction: np.ndarray, jacobian: np.ndarray) -> Slopes:
        """Derivatives of log p(y_i | z) at z (..., N, d) with its predictions (..., M) and their Jacobian
        (..., M, n_inputs). NaN where the model could not be evaluated."""
        with np.errstate(all="ignore"):
            pull = self.residual.dlogp_df(self.y, prediction, *self.coefficients)
            weight = self.residual.expected_information(prediction, *self.coefficients)
            score = np.moveaxis(self.per_subject(np.moveaxis(jacobian * pull[..., None], -1, 0)), 0, -1)
            outer = jacobian[..., :, None] * (weight[..., None] * jacobian)[..., None, :]
            information = np.moveaxis(self.per_subject(np.moveaxis(outer, (-2, -1), (0, 1))), (0, 1), (-2, -1))
        return Slopes(score=score, information=information)

    def simulate(self, z: np.ndarray, prediction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random y (..., M) given z (..., N, d) and its predictions (..., M); NaN where a prediction is."""
        return prediction + self.sd(prediction, z) * rng.standard_normal(prediction.shape)

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
