"""Population parameters drawn from the uncertainty of their estimates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.estimation.population import Population
from nlmevae.ir import Model

#: Apart from the numbers of the replicates.
_STREAM = 9
#: Draws that are no parameters (a THETA beyond its bounds, OMEGA not positive definite) are drawn again.
_MOST_TRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDraws:
    """Normal distribution of the estimates, restricted to what the model allows.

    Attributes:
        population: the estimates.
        root (P, P): root @ root.T is the covariance, in the order THETA, SIGMA lower triangle, OMEGA lower triangle.
        lower, upper (n_theta,): bounds of the THETAs.
    """

    population: Population
    root: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, model: Model, population: Population, covariance: np.ndarray) -> ParameterDraws:
        """With the covariance (P, P) of the estimates, 0 for what is fixed.

        Raises:
            SettingsError: the covariance has no number for a parameter, or is of other parameters.
        """
        covariance = np.asarray(covariance, dtype=float)
        if covariance.shape != (len(population.vector()),) * 2:
            raise SettingsError(
                f"the covariance matrix has {len(covariance)} rows, the model {len(population.vector())} parameters",
                hint="give the covariance of this model's estimates",
            )
        if not np.isfinite(covariance).all():
            raise SettingsError(
                "the covariance of the estimates has no value for some of them",
                hint="simulate without --uncertainty, or simplify the model until all standard errors are known",
            )
        bounds = np.array([(t.lower, t.upper) for t in model.thetas], dtype=float).reshape(-1, 2)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return cls(population=population, root=root, lower=bounds[:, 0], upper=bounds[:, 1])

    def draw(self, number: int, *, seed: int) -> Population:
        """Draw `number` (from 0), which depends on it and the seed only.

        Raises:
            SettingsError: almost no draw is a set of parameters.
        """
        rng = np.random.default_rng([seed, _STREAM, number])
        centre = self.population.vector()
        for _ in range(_MOST_TRIES):
            drawn = self._population(centre + self.root @ rng.standard_normal(len(centre)))
            if self._allowed(drawn):
                return drawn
        raise SettingsError(
            f"none of {_MOST_TRIES} draws from the uncertainty of the estimates is within the bounds of the model",
            hint="the standard errors are too large for a normal distribution; simulate without --uncertainty",
        )

    def _population(self, vector: np.ndarray) -> Population:
        n = len(self.population.thetas)
        sigma = _symmetric(vector[n:], len(self.population.sigma))
        omega = _symmetric(vector[n + _size(self.population.sigma) :], len(self.population.omega))
        return Population(thetas=vector[:n], omega=omega, sigma=sigma)

    def _allowed(self, drawn: Population) -> bool:
        within = np.all((drawn.thetas >= self.lower) & (drawn.thetas <= self.upper))
        return bool(within) and all(
            _definite(new, old)
            for new, old in ((drawn.omega, self.population.omega), (drawn.sigma, self.population.sigma))
        )


def _size(matrix: np.ndarray) -> int:
    return len(matrix) * (len(matrix) + 1) // 2


def _symmetric(lower: np.ndarray, n: int) -> np.ndarray:
    matrix = np.zeros((n, n))
    rows, columns = np.tril_indices(n)
    matrix[rows, columns] = lower[: len(rows)]
    matrix[columns, rows] = lower[: len(rows)]
    return matrix


def _definite(new: np.ndarray, old: np.ndarray) -> bool:
    """Positive definite where `old` has variances (a variance of 0 stays 0)."""
    used = np.flatnonzero(np.diag(old) > 0.0)
    return bool(not len(used) or np.linalg.eigvalsh(new[np.ix_(used, used)])[0] > 0.0)
