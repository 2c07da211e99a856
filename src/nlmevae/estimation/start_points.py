"""Starting values scattered around those of the model's text, for fits from many starts."""

from __future__ import annotations

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.guards import within_bounds
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.screen import typical_thetas, units

#: Of the room between a THETA and its bound that a start leaves at least.
INSIDE = 0.01


def scattered(problem: Problem, rng: np.random.Generator, *, spread: float) -> Population:
    """One population around the initial one.

    Typical values move by up to a factor `spread` either way (on other scales than the logarithm by log(spread) units
    of the latent), as do THETAs that only the decoder reads, standard deviations between subjects and of the
    residual error. Covariate effects, what is fixed and correlations stay.
    """
    coordinates, start = Coordinates.of(problem), problem.initial
    n_theta, n_omega, n_residual = coordinates.sizes
    reach = np.log(spread) * (2.0 * rng.random(n_theta + n_omega + n_residual) - 1.0)
    step = np.zeros(len(reach))
    thetas = coordinates.theta.tolist()
    movable, unit = typical_thetas(problem), units(problem)
    for j in movable:
        place = thetas.index(int(problem.mean.indices[j]))
        step[place] = reach[place] * unit[j]
    effects = np.array([problem.model.thetas[i].role == "covariate_effect" for i in thetas], dtype=bool)
    decoder_only = coordinates.structural & ~np.isin(coordinates.theta, problem.mean.indices) & ~effects
    factors = np.where(coordinates.log, reach[:n_theta], start.thetas[thetas] * np.expm1(reach[:n_theta]))
    step[:n_theta][decoder_only] = factors[decoder_only]
    diagonal = np.array([np.count_nonzero(b - np.diag(np.diag(b))) == 0 for b in coordinates.basis], dtype=bool)
    diagonal &= ~coordinates.structured
    step[n_theta : n_theta + n_omega][diagonal] = 2.0 * reach[n_theta : n_theta + n_omega][diagonal]
    step[n_theta + n_omega :] = reach[n_theta + n_omega :]
    moved = coordinates.move(problem, start, step)
    return Population(thetas=_inside(problem, start.thetas, moved.thetas), omega=moved.omega, sigma=moved.sigma)


def _inside(problem: Problem, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """THETAs that would lie at a bound stay a part of the way to it inside."""
    moved = within_bounds(after, problem)
    for i, theta in enumerate(problem.model.thetas):
        for bound in (theta.lower, theta.upper):
            if np.isfinite(bound) and moved[i] != before[i] and abs(moved[i] - bound) < INSIDE * abs(before[i] - bound):
                moved[i] = bound + INSIDE * (before[i] - bound)
    return moved
