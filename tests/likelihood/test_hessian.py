import numpy as np
import pytest

from nlmevae.estimation.refine import find_modes
from nlmevae.likelihood.expansion import expand, gaussian_integral
from nlmevae.likelihood.hessian import exact_hessian, sharpened
from tests.helpers.decay import decay_problem
from tests.helpers.linear_gaussian import exact_posterior, random_intercept_and_slope


def test_the_hessian_of_a_linear_model_is_the_exact_posterior_precision():
    problem = random_intercept_and_slope(block=True)
    joint = problem.joint(problem.initial)
    z = joint.mean + 0.3
    hessian, coarser = exact_hessian(joint, z, expand(joint, z))
    assert hessian == pytest.approx(np.linalg.inv(exact_posterior(problem, problem.initial)[1]), rel=1e-9)
    assert coarser == pytest.approx(hessian, rel=1e-9)


def test_the_hessian_equals_differences_of_the_gradient_of_a_nonlinear_model():
    problem = decay_problem()
    joint = problem.joint(problem.initial)
    z = joint.mean + 0.1
    step = 1e-5
    slope = (expand(joint, z - step).gradient - expand(joint, z + step).gradient) / (2 * step)
    # central differences of this step are good to about 1e-7 of the curvature
    assert exact_hessian(joint, z, expand(joint, z))[0][:, 0] == pytest.approx(slope, rel=1e-6)


def test_sharpening_ends_where_the_gradient_vanishes_from_a_coarse_search():
    problem = decay_problem(omega=1.0)
    joint = problem.joint(problem.initial)
    coarse = find_modes(joint, joint.mean, tolerance=1e-2).mean
    before, after = (np.abs(expand(joint, z).gradient).max() for z in (coarse, sharpened(joint, coarse)))
    assert before > 1e-3
    assert after < 1e-5


def test_sharpening_never_lowers_the_joint_density():
    """From far away, where Newton's step is no good."""
    problem = decay_problem(omega=1.0)
    joint = problem.joint(problem.initial)
    far = joint.mean + 3.0
    assert (expand(joint, sharpened(joint, far)).log_joint >= expand(joint, far).log_joint).all()


def test_an_information_that_is_not_positive_definite_has_no_integral():
    information = np.array([[[1.0, 0.0], [0.0, -1.0]], [[2.0, 0.0], [0.0, 2.0]], [[np.nan, 0.0], [0.0, 1.0]]])
    value = gaussian_integral(np.zeros(3), information)
    assert np.isnan(value).tolist() == [True, False, True]
    assert value[1] == pytest.approx(np.log(4.0) - 2 * np.log(2 * np.pi))
