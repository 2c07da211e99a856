import numpy as np
import pytest

from nlmevae.estimation.refine import find_modes
from nlmevae.likelihood.linearisation import linearised_minus_two_ll
from tests.helpers.linear_gaussian import exact_minus_two_ll, random_intercept_and_slope


@pytest.mark.parametrize("options", [{}, {"block": True}, {"fixed_quadratic": True}])
def test_linearisation_is_exact_for_a_linear_model(options):
    problem = random_intercept_and_slope(**options)
    joint = problem.joint(problem.initial)
    exact = exact_minus_two_ll(problem, problem.initial)
    assert linearised_minus_two_ll(joint, joint.mean + 0.7) == pytest.approx(exact, abs=1e-9)


def test_laplace_is_exact_for_a_linear_model():
    problem = random_intercept_and_slope(block=True)
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean, tolerance=1e-16)
    assert modes.minus_two_ll == pytest.approx(exact_minus_two_ll(problem, problem.initial).sum(), abs=1e-8)


def test_subjects_without_observations_add_nothing():
    problem = random_intercept_and_slope(empty_subject=True)
    joint = problem.joint(problem.initial)
    value = linearised_minus_two_ll(joint, joint.mean)
    assert np.flatnonzero(np.abs(value) < 1e-10).tolist() == [5]
