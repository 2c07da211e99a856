"""The joint density p(y, z) of every subject at fixed population parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from nlmevae.decoder.base import Decoder
from nlmevae.decoder.residual import ResidualModel
from nlmevae.decoder.residual_kernels import ErrorNumbers, Observed
from nlmevae.likelihood import kernels
from nlmevae.threads import each, parts

NOTHING = np.zeros((0, 0, 0, 0))
#: Draws of one subject whose density one thread computes at a time; predictions that are made at a time, so that what
#: a decoder needs besides them stays small.
_SHARED, _PREDICTED = 32_768, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Slopes:
    """log p(y_i | x) and its derivatives in the decoder inputs x = [z | structural THETAs].

    value (..., N), -inf where the model could not be evaluated; score (..., N, n_inputs) and information (..., N,
    n_inputs, n_inputs), NaN there. Information is expected over y given x, as in FOCE with interaction (of censored
    values: decoder/interval_kernels.py); empty if it was not asked for.
    """

    value: np.ndarray
    score: np.ndarray
    information: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class JointDensity:
    """log p(y_i, z) = log p(y_i | z) + log N(z; mean_i, omega).

    Attributes:
        decoder: N subjects, M observations, d latents.
        residual: residual error of all endpoints; `coefficients` (q,) are its numbers.
        observed: M observations in the decoder's order.
        mean: (N, d) prior mean of z (typical value and covariates).
        omega: (d, d) covariance of z around it, positive definite.
        structural: (s,) structural THETAs, natural scale.
        constant: (N,) what log p(y_i | z) has besides the density of `observed`: the slopes of a transformation of
            the values (`EventTable.log_slope`). None: nothing.
    """

    decoder: Decoder
    residual: ResidualModel
    observed: Observed
    mean: np.ndarray
    omega: np.ndarray
    structural: np.ndarray
    coefficients: np.ndarray
    constant: np.ndarray | None = None

    @property
    def y(self) -> np.ndarray:
        """(M,) values; of a censored one, what the data file has."""
        return self.observed.y

    def with_values(self, y: np.ndarray) -> JointDensity:
        """The same model for other values y (M,), all of them known; the density is that on their own scale."""
        return replace(self, observed=Observed.of(y, self.observed.endpoint), constant=None)

    @property
    def for_draws(self) -> JointDensity:
        """With predictions that are exact enough for draws."""
        return replace(self, decoder=self.decoder.for_draws)

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
        if z.ndim == 2:
            return None
        everyone = np.arange(self.n_subjects, dtype=np.int32)
        return np.broadcast_to(everyone, (_n_rows(z) // self.n_subjects, self.n_subjects)).reshape(-1)

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Predictions (..., M) for z (..., N, d); NaN where the decoder failed."""
        if z.ndim == 2:
            return self.decoder.predict(self.inputs(z)).prediction
        draws = z.reshape(_n_rows(z) // max(self.n_subjects, 1), *z.shape[-2:])
        out = np.empty((len(draws), len(self.y)))
        for part in parts(len(draws), max(1, _PREDICTED // max(self.n_subjects, 1))):
            some = draws[part]
            out[part] = self.decoder.predict(self.inputs(some), self.rows(some)).prediction.reshape(len(some), -1)
        return out.reshape(*z.shape[:-2], len(self.y))

    def log_joint(self, z: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """log p(y_i, z): (..., N) for z (..., N, d) and predictions (..., M); -inf where one is not finite."""
        z = np.ascontiguousarray(z, dtype=float)
        draws = z.reshape(_n_rows(z) // self.n_subjects, *z.shape[-2:])
        out = np.zeros(draws.shape[:2]) + self._constant
        f = np.ascontiguousarray(prediction).reshape(len(draws), len(self.y))
        errors, mean, whiten, log_norm = self._errors, np.ascontiguousarray(self.mean), self.whiten, self.log_norm
        observed, ptr = self.observed, self.decoder.table.ob_ptr

        def add(draw: slice, subject: slice) -> None:
            there = draws[draw, subject], f[draw], out[draw, subject]
            bounds = ptr[subject.start : subject.stop + 1]
            for error in errors:
                kernels.add_log_likelihood(*there[:2], observed, bounds, error, there[2])
            kernels.add_log_prior(there[0], mean[subject], whiten, log_norm, there[2])

        each(lambda part: add(*part), _shares(*draws.shape[:2]))
        return out.reshape(z.shape[:-1])

    @property
    def _errors(self) -> list[ErrorNumbers]:
        return self.residual.numbers(self.coefficients)

    @property
    def _constant(self) -> np.ndarray | float:
        return 0.0 if self.constant is None else self.constant

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

    def log_likelihood(self, prediction: np.ndarray, z: np.ndarray | None = None) -> np.ndarray:
        """log p(y_i | z): (..., N) for predictions (..., M); -inf where one is not finite.

        z (..., N, d) is needed where a random effect acts on the residual error.
        """
        multiplier = self.multiplier(z) if self.residual.has_effects else None
        terms = self.residual.log_density(prediction, self.observed, self.coefficients, multiplier)
        return self.per_subject(np.where(np.isfinite(terms), terms, -np.inf)) + self._constant

    def multiplier(self, z: np.ndarray) -> np.ndarray | None:
        """Logarithm (..., M) of what random effects on the residual error multiply sd by; None without such effects."""
        counts = np.diff(self.decoder.table.ob_ptr)
        return self.residual.multiplier(z, self.observed, np.repeat(np.arange(len(counts)), counts))

    def sd(self, prediction: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Residual standard deviation (..., M) of y around predictions (..., M) at z (..., N, d), on y's scale."""
        return self.residual.sd(prediction, self.observed, self.coefficients, self.multiplier(z))

    def slopes(
        self,
        z: np.ndarray,
        prediction: np.ndarray,
        jacobian: np.ndarray,
        *,
        information: bool = True,
        interaction: bool = True,
        of_inputs: bool = True,
        sd: np.ndarray | None = None,
    ) -> Slopes:
        """log p(y_i | z), its score and information at z (..., N, d) with predictions (..., M), Jacobian (..., M, n).

        Args:
            interaction: f also moves the residual error; without it, sd stays that at `prediction`.
            sd: (M,) residual standard deviations that do not depend on z at all.
            of_inputs: the Jacobian's columns are the decoder inputs, the first of them z, which may also act on the
                residual error itself. Else they are other directions, along which only predictions move.
        """
        shape = (*z.shape[:-2], self.n_subjects)
        n_draws, n = math.prod(shape[:-1]), jacobian.shape[-1]
        value, score = np.zeros((n_draws, self.n_subjects)), np.zeros((n_draws, self.n_subjects, n))
        matrix = np.zeros((*score.shape, n)) if information else NOTHING
        draws = np.ascontiguousarray(z, dtype=float).reshape(n_draws, self.n_subjects, self.n_latents)
        f = np.ascontiguousarray(prediction).reshape(n_draws, len(self.y))
        along = np.ascontiguousarray(jacobian).reshape(n_draws, len(self.y), n)
        ptr, held = self.decoder.table.ob_ptr, np.zeros(0) if sd is None else np.ascontiguousarray(sd)
        moves, acts = interaction and sd is None, of_inputs and sd is None
        errors, observed = self._errors, self.observed

        def add(draw: slice, subject: slice) -> None:
            results = value[draw, subject], score[draw, subject], matrix[draw, subject]
            given = draws[draw, subject], f[draw], along[draw], observed, ptr[subject.start : subject.stop + 1]
            for error in errors:
                kernels.add_slopes(*given, error, held, moves, acts, *results)
            kernels.finish_slopes(*results)

        each(lambda part: add(*part), _shares(n_draws, self.n_subjects))
        return Slopes(
            value=(value + self._constant).reshape(shape),
            score=score.reshape(*shape, n),
            information=matrix.reshape(*shape, n, n) if information else matrix,
        )

    def simulate(self, z: np.ndarray, prediction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random y (..., M) given z (..., N, d) and its predictions (..., M); NaN where a prediction is.

        Censored observations get the value they would have without censoring, and observations that are known to lie
        above a floor one above it.
        """
        sd, normal = self.sd(prediction, z), rng.standard_normal(prediction.shape)
        if not self.observed.limited or np.isneginf(self.observed.floor).all():
            return prediction + sd * normal
        with np.errstate(all="ignore"):
            above = ndtr((prediction - self.observed.floor) / sd)  # the upper tail keeps its digits
        return prediction - sd * ndtri(above * ndtr(normal))

    def per_subject(self, terms: np.ndarray) -> np.ndarray:
        """Sum over each subject's observations: (..., M) to (..., N)."""
        ptr = self.decoder.table.ob_ptr
        with np.errstate(invalid="ignore"):
            total = np.zeros((*terms.shape[:-1], self.n_subjects))
            present = np.diff(ptr) > 0
            if present.any():
                total[..., present] = np.add.reduceat(terms, ptr[:-1][present], axis=-1)
        return total


def _shares(n_draws: int, n_subjects: int) -> list[tuple[slice, slice]]:
    """Draws and subjects in parts that are contiguous in arrays (K, N, ...): all subjects of some draws, or some
    subjects of the only one."""
    if n_draws == 1:
        return [(slice(0, 1), subjects) for subjects in parts(n_subjects, _SHARED // 8)]
    return [(draws, slice(0, n_subjects)) for draws in parts(n_draws, max(1, _SHARED // max(n_subjects, 1)))]


def _n_rows(z: np.ndarray) -> int:
    """All leading axes; also right without latents, where z is empty."""
    return math.prod(z.shape[:-1])
