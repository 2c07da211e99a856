"""The information is that of the exact likelihood, and its Monte-Carlo error is what it says."""

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.estimation.information import Posteriors, information_at, jackknife
from nlmevae.estimation.refine import find_modes
from tests.helpers.decay import decay_problem, quadrature_minus_two_ll
from tests.helpers.exact_information import exact_information, exact_maximum, exact_scores
from tests.helpers.linear_gaussian import (
    exact_minus_two_ll,
    exact_posterior,
    random_intercept_and_slope,
    regression_problem,
)

#: Of 1024 draws per subject, relative to the complete-data information: measured below .004.
MONTE_CARLO = 0.01

MODELS = {
    "diagonal": {},
    "block": {"block": True},
    "covariate": {"covariate": True},
    "THETA without random effect": {"fixed_quadratic": True},
    "fixed": {"fixed_omegas": (2,), "fixed_thetas": (1,)},
    "subject without observations": {"empty_subject": True},
}


def information_of(problem, population, posterior, n_draws=1024, seed=0):
    mean, cov = posterior
    posteriors = Posteriors(mode=mean, mean=mean, cov=cov)
    return information_at(problem, population, posteriors, n_draws=n_draws, rng=np.random.default_rng(seed))


def relative_error(found, exact, complete):
    scale = np.sqrt(np.diag(complete))
    return np.abs((found - exact) / np.outer(scale, scale)).max()


@pytest.fixture(scope="module", params=MODELS)
def linear(request):
    problem = random_intercept_and_slope(n_subjects=20, **MODELS[request.param])
    population = exact_maximum(problem, exact_minus_two_ll)
    return problem, population, information_of(problem, population, exact_posterior(problem, population))


def test_the_observed_information_of_a_linear_model_is_that_of_its_exact_likelihood(linear):
    problem, population, information = linear
    exact = exact_information(problem, population, exact_minus_two_ll)
    found, error = jackknife(information.observed)
    assert relative_error(found, exact, information.complete) < MONTE_CARLO
    assert error.max() > 0


def test_the_cross_product_of_a_linear_model_is_that_of_its_exact_scores(linear):
    problem, population, information = linear
    scores = exact_scores(problem, population, exact_minus_two_ll)
    found = jackknife(information.product)[0]
    assert relative_error(found, scores.T @ scores, information.complete) < MONTE_CARLO


def test_a_nonlinear_model_with_a_theta_without_random_effect_has_its_quadrature_information():
    problem = decay_problem(n_subjects=6)
    population = replace(problem.initial, thetas=np.array([0.5, 10.0]))
    joint = problem.joint(population)
    modes = find_modes(joint, joint.mean)
    information = information_of(problem, population, (modes.mean, modes.chol @ np.swapaxes(modes.chol, -1, -2)))
    exact = exact_information(problem, population, quadrature_minus_two_ll)
    assert relative_error(jackknife(information.observed)[0], exact, information.complete) < MONTE_CARLO


def test_the_stated_monte_carlo_error_is_the_spread_between_seeds():
    problem = random_intercept_and_slope(n_subjects=20, block=True)
    population = exact_maximum(problem, exact_minus_two_ll)
    posterior = exact_posterior(problem, population)
    repeats = [jackknife(information_of(problem, population, posterior, 128, s).observed) for s in range(20)]
    spread = np.std([np.diag(value) for value, _ in repeats], axis=0, ddof=1)
    stated = np.sqrt(np.mean([np.diag(error) ** 2 for _, error in repeats], axis=0))
    # 20 repeats know a standard deviation to 16 %, eight replicates each to 27 %
    assert (stated > 0.5 * spread).all()
    assert (stated < 2.0 * spread).all()


def test_without_random_effects_the_information_is_that_of_the_regression():
    problem = regression_problem()
    population = exact_maximum(problem, exact_minus_two_ll)
    information = information_of(problem, population, (np.zeros((10, 0)), np.zeros((10, 0, 0))))
    exact = exact_information(problem, population, exact_minus_two_ll)
    found, error = jackknife(information.observed)
    assert found == pytest.approx(exact, rel=1e-3, abs=1e-3 * np.diag(exact).max())
    assert (error == 0).all()


def test_the_jackknife_removes_a_bias_of_one_over_the_draws():
    values = np.random.default_rng(0).normal(2.0, 1.0, size=8)
    without = [np.delete(values, r).mean() + 1 / 7 for r in range(8)]
    estimate, error = jackknife(np.array([values.mean() + 1 / 8, *without]))
    assert estimate == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(8))
