import numpy as np
import pytest
from scipy.integrate import quad

from nlmevae.estimation.refine import find_modes
from nlmevae.likelihood.gauss_hermite import gauss_hermite, product_rule
from tests.helpers.decay import decay_problem, quadrature_minus_two_ll
from tests.helpers.linear_gaussian import exact_minus_two_ll, random_intercept_and_slope, regression_problem


def value_of(problem, **options):
    joint = problem.joint(problem.initial)
    return gauss_hermite(joint, find_modes(joint, joint.mean, tolerance=1e-10).mean, **options)


@pytest.mark.parametrize("options", [{}, {"block": True}, {"fixed_quadratic": True}, {"empty_subject": True}])
def test_a_linear_gaussian_model_is_integrated_exactly(options):
    problem = random_intercept_and_slope(**options)
    result = value_of(problem)
    assert result.minus_two_ll == pytest.approx(exact_minus_two_ll(problem, problem.initial), abs=1e-10)
    assert result.total_error < 1e-8


@pytest.mark.parametrize("omega", [0.2, 0.5, 1.0])
def test_a_nonlinear_model_equals_brute_force_quadrature(omega):
    problem = decay_problem(omega=omega)
    result = value_of(problem, tolerance=1e-6)
    exact = quadrature_minus_two_ll(problem, problem.initial)
    assert result.minus_two_ll == pytest.approx(exact, abs=1e-7)
    assert not result.remark


def test_it_equals_scipys_adaptive_quadrature_of_one_subject():
    problem = decay_problem()
    joint = problem.joint(problem.initial)

    def density(z):
        at = np.full((problem.n_subjects, 1), z)
        return np.exp(joint.log_joint(at, joint.predict(at))[0])

    integral = quad(density, joint.mean[0, 0] - 6, joint.mean[0, 0] + 6, epsabs=0.0, epsrel=1e-11, limit=200)[0]
    assert value_of(problem, tolerance=1e-7).minus_two_ll[0] == pytest.approx(-2 * np.log(integral), abs=1e-8)


def test_the_reported_error_covers_the_error():
    """One noisy observation and a wide prior: far from Gaussian. At a tolerance of 1e-2 a tail of 2 % of the mass,
    far from the mode, is missed: no rule of this kind can know."""
    problem = decay_problem(n_obs=1, omega=1.5, seed=3)
    exact = quadrature_minus_two_ll(problem, problem.initial)
    for tolerance in (1e-3, 1e-5):
        result = value_of(problem, tolerance=tolerance)
        assert np.abs(result.minus_two_ll - exact).sum() <= result.total_error + 1e-10


def test_subjects_that_do_not_settle_are_counted_in_a_remark():
    result = value_of(decay_problem(omega=1.0), tolerance=0.0)
    assert "has not settled for" in result.remark


def test_a_model_without_random_effects_has_nothing_to_integrate():
    problem = regression_problem()
    joint = problem.joint(problem.initial)
    expected = -2 * joint.log_likelihood(joint.predict(joint.mean))
    assert value_of(problem).minus_two_ll == pytest.approx(expected, abs=1e-12)


def test_the_product_rule_integrates_polynomials_of_its_degree():
    """E[x^4 y^2] = 3 under two standard normals; the rule of order 3 is exact to degree 5 in each."""
    x, log_weight = product_rule(3, 2)
    weight = np.exp(log_weight - 0.5 * (x**2).sum(axis=1)) / (2 * np.pi)
    assert weight.sum() == pytest.approx(1.0, abs=1e-14)
    assert (weight * x[:, 0] ** 4 * x[:, 1] ** 2).sum() == pytest.approx(3.0, abs=1e-13)
    assert product_rule(5, 4)[0].shape == (625, 4)


def test_the_share_that_is_done_is_reported_and_grows():
    shares = []
    value_of(decay_problem(omega=1.0), report=shares.append)
    assert shares == sorted(shares)
    assert 0.0 <= shares[0] <= shares[-1] < 1.0
