"""FO, FOCE, FOCEI, Laplace and linearisation against formulas worked out independently for one random effect."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from nlmevae.estimation.refine import find_modes
from nlmevae.likelihood.first_order import first_order
from nlmevae.likelihood.foce import foce
from nlmevae.likelihood.focei import focei
from nlmevae.likelihood.hessian import sharpened
from nlmevae.likelihood.laplace import laplace
from nlmevae.likelihood.linearisation import linearised
from tests.helpers.decay import decay_problem
from tests.helpers.linear_gaussian import exact_minus_two_ll, random_intercept_and_slope

LOG_TWO_PI = np.log(2 * np.pi)


def joint_and_mode(problem):
    joint = problem.joint(problem.initial)
    return joint, sharpened(joint, find_modes(joint, joint.mean, max_iterations=50, tolerance=1e-10).mean)


class Subject:
    """y = 8 exp(-exp(z) t) + noise with variance a^2 + b^2 f^2: its own formulas, nothing of the program."""

    def __init__(self, problem, i):
        joint = problem.joint(problem.initial)
        rows = slice(problem.table.ob_ptr[i], problem.table.ob_ptr[i + 1])
        self.t, self.y = problem.table.ob_time[rows], problem.y[rows]
        self.start, self.mean, self.omega = joint.structural[0], joint.mean[i, 0], joint.omega[0, 0]
        self.a, self.b = joint.coefficients

    def f(self, z):
        return self.start * np.exp(-np.exp(z) * self.t)

    def slope(self, z):
        return -self.f(z) * np.exp(z) * self.t

    def variance(self, z):
        return self.a**2 + (self.b * self.f(z)) ** 2

    def minus_log_joint(self, z, variance=None):
        v = self.variance(z) if variance is None else variance
        data = 0.5 * ((self.y - self.f(z)) ** 2 / v + np.log(v) + LOG_TWO_PI).sum()
        return data + 0.5 * ((z - self.mean) ** 2 / self.omega + np.log(self.omega) + LOG_TWO_PI)

    def mode(self, variance=None):
        found = minimize_scalar(
            self.minus_log_joint, args=(variance,), bounds=(self.mean - 3, self.mean + 3), options={"xatol": 1e-12}
        )
        return found.x


@pytest.fixture(scope="module")
def problem():
    return decay_problem()


def compared(problem, marginal, expected, tolerance):
    values = [expected(Subject(problem, i)) for i in range(problem.n_subjects)]
    assert marginal.minus_two_ll == pytest.approx(values, abs=tolerance)


def test_focei_is_laplace_with_the_expected_information(problem):
    """J^2/v + (v'/v)^2 / 2 + 1/omega with v' by central differences; modes of scipy are good to 1e-8."""

    def expected(s):
        z = s.mode()
        v = s.variance(z)
        v_slope = (s.variance(z + 1e-6) - s.variance(z - 1e-6)) / 2e-6
        information = (s.slope(z) ** 2 / v + 0.5 * (v_slope / v) ** 2).sum() + 1 / s.omega
        return 2 * s.minus_log_joint(z) + np.log(information) - LOG_TWO_PI

    compared(problem, focei(*joint_and_mode(problem)), expected, 1e-6)


def test_laplace_has_the_exact_second_derivative(problem):
    """By second differences of the log density: good to about 1e-7 of the derivative at this step."""

    def expected(s):
        z, h = s.mode(), 1e-3
        around = [s.minus_log_joint(z + k * h) for k in (-2, -1, 0, 1, 2)]
        hessian = np.dot([-1, 16, -30, 16, -1], around) / (12 * h * h)
        return 2 * s.minus_log_joint(z) + np.log(hessian) - LOG_TWO_PI

    compared(problem, laplace(*joint_and_mode(problem)), expected, 1e-6)


def test_foce_takes_the_variance_of_the_typical_prediction(problem):
    def expected(s):
        v = s.variance(s.mean)
        z = s.mode(v)
        return 2 * s.minus_log_joint(z, v) + np.log((s.slope(z) ** 2 / v).sum() + 1 / s.omega) - LOG_TWO_PI

    joint, mode = joint_and_mode(problem)
    compared(problem, foce(joint, mode), expected, 1e-6)


def test_first_order_is_the_gaussian_around_the_typical_prediction(problem):
    def expected(s):
        cov = s.omega * np.outer(s.slope(s.mean), s.slope(s.mean)) + np.diag(s.variance(s.mean))
        return -2 * multivariate_normal(s.f(s.mean), cov).logpdf(s.y)

    compared(problem, first_order(problem.joint(problem.initial)), expected, 1e-9)


def test_linearisation_is_the_gaussian_around_the_prediction_at_the_mode(problem):
    def expected(s):
        z = s.mode()
        cov = s.omega * np.outer(s.slope(z), s.slope(z)) + np.diag(s.variance(z))
        return -2 * multivariate_normal(s.f(z) + s.slope(z) * (s.mean - z), cov).logpdf(s.y)

    compared(problem, linearised(*joint_and_mode(problem)), expected, 1e-6)


ALL = [laplace, focei, foce, linearised, lambda joint, mode: first_order(joint)]


@pytest.mark.parametrize("method", ALL, ids=["laplace", "focei", "foce", "lin", "fo"])
@pytest.mark.parametrize("options", [{}, {"block": True}, {"fixed_quadratic": True}, {"covariate": True}])
def test_every_approximation_is_exact_for_a_linear_model(method, options):
    problem = random_intercept_and_slope(**options)
    exact = exact_minus_two_ll(problem, problem.initial)
    assert method(*joint_and_mode(problem)).minus_two_ll == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize("method", ALL, ids=["laplace", "focei", "foce", "lin", "fo"])
def test_a_subject_without_observations_adds_exactly_nothing(method):
    marginal = method(*joint_and_mode(random_intercept_and_slope(empty_subject=True)))
    assert np.flatnonzero(marginal.minus_two_ll == 0.0).tolist() == [5]
    assert marginal.error[5] == 0.0


@pytest.mark.parametrize("method", [laplace, focei, linearised], ids=["laplace", "focei", "lin"])
def test_the_error_covers_what_a_sloppy_mode_costs(method, problem):
    joint, sharp = joint_and_mode(problem)
    sloppy = method(joint, sharp + 1e-3)
    truth = method(joint, sharp)
    difference = np.abs(sloppy.minus_two_ll - truth.minus_two_ll).sum()
    assert difference < 3 * (sloppy.total_error + truth.total_error)
    assert truth.total_error < 1e-4
