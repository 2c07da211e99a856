"""Every structure of random effects is estimated by maximum likelihood: models linear in the effects, whose exact
marginal likelihood a generic optimiser maximises too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.polish import polish
from nlmevae.estimation.population import Population
from nlmevae.estimation.settings import FitSettings
from nlmevae.ir import CovarianceBlock
from nlmevae.results.status import FitStatus
from tests.helpers.linear_code import exact_minus_two_ll, linear_code_problem

#: of -2LL above the exact minimum: what the stopping rule allows on these models
ABOVE_MINIMUM = 0.02


def variance(number: int, value: float, same_as: int | None = None) -> CovarianceBlock:
    return CovarianceBlock(names=(f"ETA({number})",), matrix=((value,),), same_as=same_as)


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
        "A=THETA(1)+ETA(1)+ETA(3)\nB=THETA(2)+ETA(2)+ETA(3)*THETA(3)\nY=A+B*TIME+EPS(1)",
        (2.0, -1.0, 0.8), tuple(variance(k, 0.3) for k in (1, 2, 3)), (0.3, 0.2, 0.4), ((1, 2, 3),),
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
}  # fmt: skip


def case(name: str, **options):
    code, thetas, omega, variances, occasions = CASES[name]
    truth = Population(thetas=np.array(thetas), omega=np.diag(variances), sigma=np.array([[0.04]]))
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
    variances = np.diag(outcome.population.omega)
    for block, value in zip(problem.model.omega, variances, strict=True):
        assert value == variances[block.same_as if block.same_as is not None else problem.model.omega.index(block)]
