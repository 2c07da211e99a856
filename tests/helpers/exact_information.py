"""Observed information of an exact marginal likelihood, by central differences: the oracle of the covariance step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem

MinusTwoLogLikelihood = Callable[[Problem, Population], np.ndarray]
STEP = 1e-3


def exact_maximum(problem: Problem, minus_two_ll: MinusTwoLogLikelihood) -> Population:
    """By a generic optimiser in the coordinates around the initial estimates."""
    coordinates = Coordinates.of(problem)
    found = minimize(
        lambda step: minus_two_ll(problem, coordinates.move(problem, problem.initial, step)).sum(),
        np.zeros(sum(coordinates.sizes)),
        method="BFGS",
        options={"gtol": 1e-6},
    )
    return coordinates.move(problem, problem.initial, found.x)


def exact_information(problem: Problem, population: Population, minus_two_ll: MinusTwoLogLikelihood) -> np.ndarray:
    """(p, p) minus the Hessian of the log-likelihood in the coordinates around `population`."""
    coordinates = Coordinates.of(problem)
    p = sum(coordinates.sizes)
    steps = STEP * np.eye(p)

    def value(step: np.ndarray) -> float:
        return 0.5 * minus_two_ll(problem, coordinates.move(problem, population, step)).sum()

    hessian = np.empty((p, p))
    for i in range(p):
        for j in range(i + 1):
            up, down = steps[i] + steps[j], steps[i] - steps[j]
            hessian[i, j] = hessian[j, i] = (value(up) - value(down) - value(-down) + value(-up)) / (4 * STEP**2)
    return hessian


def exact_scores(problem: Problem, population: Population, minus_two_ll: MinusTwoLogLikelihood) -> np.ndarray:
    """(N, p) derivatives of every subject's log-likelihood."""
    coordinates = Coordinates.of(problem)
    columns = [
        minus_two_ll(problem, coordinates.move(problem, population, -step))
        - minus_two_ll(problem, coordinates.move(problem, population, step))
        for step in STEP * np.eye(sum(coordinates.sizes))
    ]
    return np.array(columns).T / (4 * STEP)
