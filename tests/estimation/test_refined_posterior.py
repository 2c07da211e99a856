"""A mode that the draws refute is searched again; rough moments are drawn again."""

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.refined_posterior import LARGEST_ERROR, refined_posterior
from tests.helpers.decay import decay_problem, quadrature_minus_two_ll
from tests.helpers.known_posteriors import known_posteriors
from tests.helpers.linear_gaussian import exact_minus_two_ll, exact_posterior, random_intercept_and_slope


def test_wrong_modes_are_corrected_from_the_draws():
    """Every subject's search is said to have ended six prior standard deviations away."""
    problem = random_intercept_and_slope()
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    wrong = here.modes.mean + 6.0
    log_joint = here.joint.log_joint(wrong, here.joint.predict(wrong))
    lost = replace(here, modes=replace(here.modes, mean=wrong, log_joint=log_joint))
    found = refined_posterior(lost, n_draws=1024, rng=np.random.default_rng(1))
    mean, cov = exact_posterior(problem, problem.initial)
    assert found.mode == pytest.approx(mean, abs=1e-3)
    assert found.importance.minus_two_ll == pytest.approx(exact_minus_two_ll(problem, problem.initial), abs=0.05)
    # a standard deviation is known to LARGEST_ERROR = 2 %, its square to 4 %; two such errors
    assert found.importance.cov == pytest.approx(cov, rel=0.08, abs=0.02)


def test_right_modes_and_regular_posteriors_cost_no_further_draws():
    problem = random_intercept_and_slope()
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    found = refined_posterior(here, n_draws=4096, rng=np.random.default_rng(1))
    assert (found.importance.n_draws == 4096).all()
    assert found.here is here


def test_few_draws_are_increased_until_the_moments_are_known():
    problem = decay_problem(omega=4.0, n_obs=1)
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    found = refined_posterior(here, n_draws=256, rng=np.random.default_rng(1))
    assert found.importance.n_draws.max() > 256
    assert np.median(found.importance.moment_error) < LARGEST_ERROR
    assert found.importance.total == pytest.approx(quadrature_minus_two_ll(problem, problem.initial).sum(), abs=0.2)


def test_of_many_subjects_only_those_who_are_known_worse_than_usual_are_drawn_anew():
    problem = decay_problem(omega=1.0, n_obs=2, n_subjects=1000)
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    found = refined_posterior(here, n_draws=256, rng=np.random.default_rng(1)).importance
    once = found.n_draws == 256
    assert (found.moment_error <= 2 * LARGEST_ERROR).all()
    assert (found.moment_error[once] > LARGEST_ERROR).any()
    assert 0.9 < once.mean() < 1.0


def test_the_reported_error_of_the_moments_is_the_real_one():
    """Median over 20 subjects of |mean - exact| / sd against the reported error: within a factor of 3."""
    problem = random_intercept_and_slope()
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    found = refined_posterior(here, n_draws=4096, rng=np.random.default_rng(1)).importance
    mean, cov = exact_posterior(problem, problem.initial)
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    own = np.sqrt(np.diagonal(found.cov, axis1=1, axis2=2))
    real = np.maximum(np.abs((found.mean - mean) / sd), np.abs(own / sd - 1.0)).max(axis=1)
    assert 1 / 3 < np.median(real) / np.median(found.moment_error) < 3


def test_a_lag_time_that_stops_the_search_does_not_change_the_likelihood(tmp_path):
    """Warfarin at Monolix's estimates, from prior draws alone: Monolix's own importance sampling gives 657.36."""
    case = known_posteriors("warfarin", tmp_path, (9,))
    here = at_estimates(case.problem, case.population, rng=np.random.default_rng(0))
    found = refined_posterior(here, n_draws=4096, rng=np.random.default_rng(1))
    assert found.importance.total == pytest.approx(657.36, abs=0.5)
    assert (found.importance.best_log_joint <= found.here.modes.log_joint + 0.5).mean() > 0.9
