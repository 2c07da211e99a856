"""Weighted draws: moments, quantiles and samples against closed forms."""

import numpy as np
import pytest
from scipy.stats import norm

from nlmevae.estimation.refine import find_modes
from nlmevae.likelihood.importance import importance_likelihood
from nlmevae.likelihood.posterior_draws import PosteriorDraws, SubjectDraws, weighted_quantiles
from tests.helpers.linear_gaussian import exact_posterior, random_intercept_and_slope

LEVELS = (0.05, 0.5, 0.95)


def gaussian_draws(problem) -> PosteriorDraws:
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    return importance_likelihood(joint, modes.mean, modes.chol, rng=np.random.default_rng(0)).draws


def test_moments_and_quantiles_of_a_function_are_those_of_the_exact_posterior():
    """exp of a Gaussian: log-normal mean, SD and quantiles. 4096 quasi-random draws: 1 % of the SD."""
    problem = random_intercept_and_slope()
    mean, cov = exact_posterior(problem, problem.initial)
    found = gaussian_draws(problem).summarise(lambda z, subjects: np.exp(z), 2, LEVELS)
    variance = np.diagonal(cov, axis1=1, axis2=2)
    exact_mean = np.exp(mean + variance / 2)
    exact_sd = exact_mean * np.sqrt(np.expm1(variance))
    assert np.abs(found.mean - exact_mean).max() < 0.01 * exact_sd.max()
    assert found.sd == pytest.approx(exact_sd, rel=0.03)
    for quantile, level in zip(found.quantiles, LEVELS, strict=True):
        below = norm.cdf((np.log(quantile) - mean) / np.sqrt(variance))
        assert np.abs(below - level).max() < 0.015  # 3.5 standard errors of 4096 independent draws at the median: 0.027


def test_samples_have_the_moments_of_the_posterior_and_are_reproducible():
    """2000 systematic samples: better than independent ones, whose standard errors are 2.2 % of the SD."""
    problem = random_intercept_and_slope()
    mean, cov = exact_posterior(problem, problem.initial)
    draws = gaussian_draws(problem)
    samples = draws.resample(2000, np.random.default_rng(5))
    assert samples.shape == (2000, problem.n_subjects, 2)
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    assert np.abs((samples.mean(axis=0) - mean) / sd).max() < 0.07
    assert samples.std(axis=0) == pytest.approx(sd, rel=0.07)
    np.testing.assert_array_equal(samples, draws.resample(2000, np.random.default_rng(5)))


def test_successive_samples_are_not_ordered():
    samples = gaussian_draws(random_intercept_and_slope()).resample(500, np.random.default_rng(0))[:, 0, 0]
    assert abs(np.corrcoef(samples[1:], samples[:-1])[0, 1]) < 0.15


def test_weighted_quantiles_of_equal_weights_are_numpys():
    x = np.random.default_rng(0).normal(size=(101, 3))
    found = weighted_quantiles(x, np.full(x.shape, 1 / 101), LEVELS)
    assert found == pytest.approx(np.quantile(x, LEVELS, axis=0, method="hazen"), rel=1e-12)


def test_a_subject_without_usable_draws_is_unknown_and_a_later_part_replaces_an_earlier_one():
    z = np.zeros((4, 2, 1))
    bad = SubjectDraws(subjects=np.array([0, 1]), z=z, weight=np.full((4, 2), np.nan))
    good = SubjectDraws(subjects=np.array([1]), z=z[:, :1] + 7.0, weight=np.full((4, 1), 0.25))
    draws = PosteriorDraws(n_subjects=2, parts=(bad, good))
    samples = draws.resample(3, np.random.default_rng(0))
    assert np.isnan(samples[:, 0]).all()
    assert (samples[:, 1] == 7.0).all()
    found = draws.summarise(lambda z, subjects: z, 1, LEVELS)
    assert np.isnan(found.quantiles[:, 0]).all()
    assert (found.quantiles[:, 1] == 7.0).all()


def test_subjects_without_observations_have_exactly_the_prior():
    problem = random_intercept_and_slope(empty_subject=True)
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    found = importance_likelihood(joint, modes.mean, modes.chol, n_draws=256, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(found.mean[5], joint.mean[5])
    np.testing.assert_array_equal(found.cov[5], joint.omega)
