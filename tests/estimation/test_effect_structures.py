"""Every structure of random effects is estimated by maximum likelihood: models linear in the effects, whose exact
marginal likelihood a generic optimiser maximises too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.covariance_step import run_covariance_step
from nlmevae.estimation.information import Posteriors
from nlmevae.estimation.polish import polish
from nlmevae.estimation.population import Population, block_mask, repeated_blocks
from nlmevae.estimation.settings import FitSettings
from nlmevae.ir import CovarianceBlock
from nlmevae.results.status import FitStatus
from tests.helpers.linear_code import exact_minus_two_ll, linear_code_problem, problem_of

#: of -2LL above the exact minimum: what the stopping rule allows on these models
ABOVE_MINIMUM = 0.02


def variance(number: int, value: float, same_as: int | None = None) -> CovarianceBlock:
    return CovarianceBlock(names=(f"ETA({number})",), matrix=((value,),), same_as=same_as)


def block(*numbers: int, matrix, same_as: int | None = None) -> CovarianceBlock:
    return CovarianceBlock(names=tuple(f"ETA({k})" for k in numbers), matrix=matrix, same_as=same_as)


BAND = np.array([[0.4, 0.15, 0.0], [0.15, 0.2, -0.05], [0.0, -0.05, 0.1]])
IOV = "IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nIF (OCC.EQ.3) IOV=ETA(5)\n"
OCCASIONS = tuple(variance(k, 0.3) for k in (1, 2)) + tuple(variance(k, 0.3, 2 * (k > 3) or None) for k in (3, 4, 5))
CASES = {
    "occasions": (
        IOV + "A=THETA(1)+ETA(1)+IOV\nB=THETA(2)+ETA(2)\nY=A+B*TIME+EPS(1)",
        (2.0, -1.0), OCCASIONS, (0.5, 0.3, 0.2, 0.2, 0.2), ((1, 2, 3),),
    ),
    "occasions that most subjects lack": (
        IOV + "A=THETA(1)+ETA(1)+IOV\nB=THETA(2)+ETA(2)\nY=A+B*TIME+EPS(1)",
        (2.0, -1.0), OCCASIONS, (0.5, 0.3, 0.2, 0.2, 0.2), ((1,), (1,), (1, 2), (1,), (3,)),
    ),
    "shared": (
        "A=THETA(1)+ETA(1)+ETA(3)\nB=THETA(2)+ETA(2)+ETA(3)*THETA(3)\nC=THETA(4)*(1+ETA(3))\nY=A+B*TIME+C*(OCC-2)+EPS(1)",
        (2.0, -1.0, 0.8, 0.6), tuple(variance(k, 0.3) for k in (1, 2, 3)), (0.3, 0.2, 0.4), ((1, 2, 3),),
    ),
    "scaled by the typical value": (
        "A=THETA(1)*(1+ETA(1))\nY=A*EXP(-THETA(2)*TIME)+EPS(1)",
        (2.0, 0.5), (variance(1, 0.3),), (0.1,), ((1, 2, 3),),
    ),
    "in the prediction": (
        "A=THETA(1)+ETA(1)\nY=A+THETA(2)*TIME+ETA(2)*TIME**2+EPS(1)",
        (2.0, -1.0), (variance(1, 0.3), variance(2, 0.3)), (0.3, 0.05), ((1, 2, 3),),
    ),
    "a typical value that changes over time": (
        "A=(THETA(1)+THETA(2)*TIME)+ETA(1)\nY=A+ETA(2)*TIME+EPS(1)",
        (2.0, -1.0), (variance(1, 0.3), variance(2, 0.3)), (0.3, 0.2), ((1, 2, 3),),
    ),
    "a THETA in a mean and in the prediction": (
        "A=THETA(1)+ETA(1)\nY=A+THETA(1)*TIME+THETA(2)*TIME**2+ETA(2)*TIME+EPS(1)",
        (2.0, -1.0), (variance(1, 0.3), variance(2, 0.3)), (0.3, 0.2), ((1, 2, 3),),
    ),
    "a band": (
        "A=THETA(1)+ETA(1)\nB=THETA(2)+ETA(2)\nY=A+B*TIME+ETA(3)*TIME**2+EPS(1)",
        (2.0, -1.0), (block(1, 2, 3, matrix=((0.5, 0.01, 0.0), (0.01, 0.5, 0.01), (0.0, 0.01, 0.5))),),
        BAND, ((1, 2, 3),),
    ),
    "a band in one block, the next one full": (
        "A=THETA(1)+ETA(4)\nB=THETA(2)+ETA(1)\nY=A+B*TIME+ETA(2)*TIME**2+ETA(3)*(OCC-2)+ETA(5)*(OCC-2)*TIME+EPS(1)",
        (2.0, -1.0),
        (block(1, 2, 3, matrix=((0.5, 0.0, 0.01), (0.0, 0.5, 0.01), (0.01, 0.01, 0.5))),
         block(4, 5, matrix=((0.5, 0.01), (0.01, 0.5)))),
        np.block([[BAND[np.ix_([0, 2, 1], [0, 2, 1])], np.zeros((3, 2))],
                  [np.zeros((2, 3)), np.array([[0.3, 0.1], [0.1, 0.2]])]]),
        ((1, 2, 3),),
    ),
    "blocks for each occasion": (
        "IA=ETA(3)\nIB=ETA(4)\nIF (OCC.EQ.2) THEN\nIA=ETA(5)\nIB=ETA(6)\nENDIF\n"
        "A=THETA(1)+ETA(1)+IA\nB=THETA(2)+ETA(2)+IB\nY=A+B*TIME+EPS(1)",
        (2.0, -1.0),
        (variance(1, 0.3), variance(2, 0.3), block(3, 4, matrix=((0.3, 0.01), (0.01, 0.3))),
         block(5, 6, matrix=((0.3, 0.01), (0.01, 0.3)), same_as=2)),
        np.kron(np.diag([0.0, 1.0, 1.0]), np.array([[0.3, -0.1], [-0.1, 0.2]])) + np.diag([0.4, 0.3, 0, 0, 0, 0]),
        ((1, 2), (2,), (1,)),
    ),
}  # fmt: skip


def case(name: str, **options):
    code, thetas, omega, variances, occasions = CASES[name]
    covariance = np.diag(variances) if np.ndim(variances) == 1 else variances
    truth = Population(thetas=np.array(thetas), omega=covariance, sigma=np.array([[0.04]]))
    start = [(-np.inf, 0.7 * t) for t in thetas]
    return linear_code_problem(code, thetas=start, omega=omega, truth=truth, occasions=occasions, **options)


def exact_minimum(problem) -> float:
    coordinates = Coordinates.of(problem)

    def objective(step):
        return exact_minus_two_ll(problem, coordinates.move(problem, problem.initial, step)).sum()

    return minimize(objective, np.zeros(sum(coordinates.sizes)), method="BFGS", options={"gtol": 1e-4}).fun


@pytest.mark.parametrize("name", CASES)
def test_the_fit_is_the_exact_maximum_likelihood_estimate(name):
    problem = case(name)
    minimum = exact_minimum(problem)
    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(1))
    assert outcome.status is FitStatus.CONVERGED
    assert exact_minus_two_ll(problem, outcome.population).sum() - minimum < ABOVE_MINIMUM
    omega = outcome.population.omega
    assert np.array_equal(omega == 0.0, ~block_mask(problem.model.omega))
    for copies in repeated_blocks(problem.model.omega):
        for other in copies[1:]:
            assert np.array_equal(omega[np.ix_(other, other)], omega[np.ix_(copies[0], copies[0])])


@pytest.mark.parametrize("number", [1, 2])
def test_a_bound_that_is_reached_costs_what_fixing_the_theta_there_costs(number):
    """THETA(1) is in a mean and in the prediction, THETA(2) in the prediction only; both below their free optimum."""
    problem = case("a THETA in a mean and in the prediction")
    bound = (1.7, -1.3)[number - 1]
    thetas = list(problem.model.thetas)
    thetas[number - 1] = replace(thetas[number - 1], upper=bound, init=bound - 0.3)
    bounded = problem_of(replace(problem.model, thetas=tuple(thetas)), problem.table)
    outcome = polish(bounded, bounded.initial, None, FitSettings(), np.random.default_rng(1))
    thetas[number - 1] = replace(thetas[number - 1], init=bound, fixed=True)
    fixed = problem_of(replace(problem.model, thetas=tuple(thetas)), problem.table)
    assert outcome.population.thetas[number - 1] == pytest.approx(bound, abs=1e-9)
    assert exact_minus_two_ll(bounded, outcome.population).sum() - exact_minimum(fixed) < ABOVE_MINIMUM


@pytest.mark.parametrize("name", ["a band", "blocks for each occasion", "occasions that most subjects lack"])
def test_standard_errors_are_those_of_the_exact_likelihood(name):
    problem = case(name, n_subjects=80)
    outcome = polish(problem, problem.initial, None, FitSettings(n_draws=1024), np.random.default_rng(1))
    coordinates, best = Coordinates.of(problem), outcome.population
    n = sum(coordinates.sizes)
    step = 1e-2 * np.eye(n)

    def value(x):
        return exact_minus_two_ll(problem, coordinates.move(problem, best, x)).sum()

    corners = [[value(a + b) - value(a - b) - value(b - a) + value(-a - b) for b in step] for a in step]
    covariance = np.linalg.inv(np.array(corners) / (4 * 1e-2**2) / 2)
    natural = [
        (coordinates.move(problem, best, e).vector() - coordinates.move(problem, best, -e).vector()) / 2e-4
        for e in 1e-4 * np.eye(n)
    ]
    exact = np.sqrt(np.einsum("pi,pq,qi->i", np.array(natural), covariance, np.array(natural)))
    posteriors = Posteriors(mode=outcome.modes.mean, mean=outcome.weighted.mean, cov=outcome.weighted.cov)
    known = run_covariance_step(problem, best, posteriors, "observed", np.random.default_rng(2))
    # the estimates are a maximum up to ABOVE_MINIMUM, and the draws have an error of their own
    assert known.standard_errors == pytest.approx(exact, rel=0.05, abs=1e-12)
