"""How much each subject moves the estimates: the infinitesimal jackknife, and the acceleration of BCa intervals.

    influence of subject i = H^-1 score_i,  H the observed information

which is the first-order change of the estimates with the subject's weight (Efron & Tibshirani 1993, sections 14.3 and
22.2; acceleration: equation 14.15 with influences in place of jackknife differences).
"""

from __future__ import annotations

import numpy as np

from nlmevae.estimation.covariance_step import DRAWS, vector_names
from nlmevae.estimation.information import Posteriors, information_at
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.uncertainty import natural_jacobian
from nlmevae.results.fit_result import FitResult

SINGULAR = 1e-8  # smallest over largest eigenvalue of the scaled information


def accelerations(problem: Problem, fit: FitResult) -> dict[str, float]:
    """Name of a parameter -> acceleration, of those the data determine; none where the information is singular."""
    population = Population(thetas=fit.thetas, omega=fit.omega, sigma=fit.sigma)
    influence = influences(problem, population, _posteriors(problem, population, fit), seed=fit.seed)
    if influence is None:
        return {}
    cubes, squares = (influence**3).sum(axis=1), (influence**2).sum(axis=1)
    moving = squares > 0.0
    values = cubes[moving] / (6.0 * squares[moving] ** 1.5)
    names = np.array(vector_names(problem.model))[moving]
    return dict(zip(names.tolist(), values.tolist(), strict=True))


def influences(problem: Problem, population: Population, posteriors: Posteriors, *, seed: int = 1) -> np.ndarray | None:
    """(P, N) of the subjects on `Population.vector()`; None where the information is singular."""
    rng = np.random.default_rng([seed, 3])
    information = information_at(problem, population, posteriors, n_draws=DRAWS, rng=rng)
    observed, scores = information.observed[0], information.scores
    if not (np.isfinite(observed).all() and np.isfinite(scores).all()):
        return None
    scaled = observed / np.outer(information.scale, information.scale)
    values = np.linalg.eigvalsh(scaled)
    if not values.min(initial=1.0) > SINGULAR * values.max(initial=1.0):
        return None
    moved = np.linalg.solve(scaled, (scores / information.scale).T) / information.scale[:, None]
    return natural_jacobian(information.coordinates, problem, population) @ moved


def _posteriors(problem: Problem, population: Population, fit: FitResult) -> Posteriors:
    people, index = fit.individuals, problem.latent_index
    mean = problem.mean.mean(population.thetas)
    return Posteriors(
        mode=mean + people.eta_mode[:, index],
        mean=mean + people.eta_mean[:, index],
        cov=people.eta_cov[:, index[:, None], index],
    )
