"""Standard errors from the observed information of the sample likelihood (Louis 1982; newton.py).

The covariance of the free parameters is the inverse of the information in the coordinates of the Newton
steps; the delta method carries it to THETA, OMEGA and SIGMA.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.newton import curvature
from nlmevae.estimation.population import Population
from nlmevae.estimation.sample import Sample

LEAST_INFORMATION = 1e-5  # observed over complete-data information, for relative errors
STEP = 1e-4  # of a coordinate, for central differences of the map to the natural scale
SMALLEST_SHARE = 1e-3  # observed over complete-data information below which a direction has no information


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """covariance (P, P) of `Population.vector()`, zeros for what is not estimated; NaN where the information is
    singular; `least_known` is then the index in the vector of the parameter that the data say least about."""

    covariance: np.ndarray
    least_known: int = -1

    @property
    def standard_errors(self) -> np.ndarray:
        """(P,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def uncertainty(sample: Sample, population: Population) -> Uncertainty:
    """At the maximum of the sample likelihood; the decoder is not called."""
    slopes = curvature(sample, population, sample.weigh(population))
    jacobian = natural_jacobian(sample.coordinates, sample, population)
    n = len(population.vector())
    scale = np.sqrt(np.maximum(np.diag(slopes.complete), 1e-300))
    values, vectors = np.linalg.eigh(slopes.observed / np.outer(scale, scale))
    if not len(values):
        return Uncertainty(covariance=np.zeros((n, n)))
    if not np.isfinite(values).all() or values[0] < SMALLEST_SHARE:
        weakest = jacobian @ (vectors[:, 0] / scale) if np.isfinite(values).all() else np.zeros(n)
        relative = np.abs(weakest) / np.maximum(np.abs(population.vector()), 1e-12)
        return Uncertainty(covariance=np.full((n, n), np.nan), least_known=int(np.argmax(relative)))
    root = jacobian @ (vectors / scale[:, None] / np.sqrt(values))
    return Uncertainty(covariance=root @ root.T)


def variance_errors(sample: Sample, population: Population) -> np.ndarray:
    """(d,) relative standard error of every estimated variance; 0 for those that are not estimated."""
    slopes = curvature(sample, population, sample.weigh(population))
    scale = np.sqrt(np.maximum(np.diag(slopes.complete), 1e-300))
    values, vectors = np.linalg.eigh(slopes.observed / np.outer(scale, scale))
    spread = ((vectors / scale[:, None]) ** 2 / np.maximum(values, LEAST_INFORMATION)).sum(axis=1)
    n_theta, n_omega, _ = sample.coordinates.sizes
    errors = np.zeros(sample.problem.n_latents)
    for basis, variance in zip(sample.coordinates.basis, spread[n_theta : n_theta + n_omega], strict=True):
        diagonal = np.flatnonzero(np.diag(basis))
        errors[diagonal] = np.maximum(errors[diagonal], np.sqrt(variance))
    return errors


def natural_jacobian(coordinates: Coordinates, sample: Sample, population: Population) -> np.ndarray:
    """(P, p) derivative of `Population.vector()`; bounds do not limit a derivative."""
    problem = sample.problem
    unbounded = replace(
        problem,
        model=replace(
            problem.model,
            thetas=tuple(replace(t, lower=-np.inf, upper=np.inf) for t in problem.model.thetas),
        ),
    )
    columns = []
    for j in range(sum(coordinates.sizes)):
        step = np.zeros(sum(coordinates.sizes))
        step[j] = STEP
        up = coordinates.move(unbounded, population, step).vector()
        down = coordinates.move(unbounded, population, -step).vector()
        columns.append((up - down) / (2 * STEP))
    return np.array(columns).T.reshape(len(population.vector()), len(columns))
