"""Differences of -2LL on common draws, against models whose likelihood is known exactly."""

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.estimation.comparison import Estimated, difference, difference_of_models
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.sample import FEW_DRAWS, Sample, draw_batch, few_draws
from nlmevae.likelihood import proposal
from nlmevae.likelihood.importance import mixture
from nlmevae.likelihood.proposal import allocate
from tests.helpers.linear_gaussian import exact_minus_two_ll, exact_posterior, random_intercept_and_slope


def sample_at(problem, population, *, seed=0, n_draws=256):
    joint = problem.joint(population)
    mean, cov = exact_posterior(problem, population)
    around = mixture(joint, mean, np.linalg.cholesky(cov))
    batch = draw_batch(problem, joint, mean, around, n_draws, np.random.default_rng(seed))
    return Sample.of(problem, Coordinates.of(problem), batch)


def moved(population, by):
    thetas = population.thetas.copy()
    thetas[0] += by
    return replace(population, thetas=thetas)


def independent(n_points, dimension):
    return np.random.default_rng(n_points).random((n_points, dimension))


@pytest.mark.parametrize("on_a_lattice", [False, True])
def test_the_difference_of_two_populations_is_exact_within_its_noise_which_is_that_of_repeated_draws(
    on_a_lattice, monkeypatch
):
    """The noise is stated for independent draws; those on a lattice have less."""
    if not on_a_lattice:
        monkeypatch.setattr(proposal, "lattice", independent)
    problem = random_intercept_and_slope(n_subjects=60)
    here, there = problem.initial, moved(problem.initial, 0.05)
    exact = (exact_minus_two_ll(problem, there) - exact_minus_two_ll(problem, here)).sum()
    found = [
        difference(sample.weigh(there), sample.weigh(here))
        for sample in (sample_at(problem, here, seed=k) for k in range(40))
    ]
    values, noise = np.array([d.value for d in found]), np.array([d.noise for d in found])
    assert abs(values.mean() - exact) < 4 * noise.mean() / np.sqrt(len(found))
    assert (0.1 if on_a_lattice else 0.6) < values.std() / noise.mean() < 1.4


def test_common_draws_have_a_fraction_of_the_noise_of_two_likelihoods():
    problem = random_intercept_and_slope(n_subjects=60)
    sample = sample_at(problem, problem.initial)
    one, other = sample.weigh(moved(problem.initial, 0.02)), sample.weigh(problem.initial)
    assert difference(one, other).noise < 0.2 * np.hypot(one.mc_se, other.mc_se)


@pytest.mark.parametrize("fixed_quadratic", [False, True])
def test_models_are_compared_on_the_draws_of_both(fixed_quadratic):
    problem = random_intercept_and_slope(n_subjects=60, fixed_quadratic=fixed_quadratic)
    far = moved(problem.initial, 1.0)
    ends = [
        Estimated(problem=problem, population=p, batch=sample_at(problem, p, seed=k).batch)
        for k, p in enumerate((far, problem.initial))
    ]
    exact = (exact_minus_two_ll(problem, far) - exact_minus_two_ll(problem, problem.initial)).sum()
    found = difference_of_models(*ends)
    assert found.value == pytest.approx(exact, abs=4 * found.noise)
    assert found.noise < 0.05 * abs(exact)
    other_way = difference_of_models(*reversed(ends))
    assert other_way.value == pytest.approx(-found.value, abs=1e-6)


def test_the_first_draws_of_a_batch_have_the_proportions_of_its_proposal_and_its_likelihood():
    problem = random_intercept_and_slope(n_subjects=60)
    sample = sample_at(problem, problem.initial, n_draws=1024)
    few = replace(sample, batch=sample.batch.first(128))
    shares, rows = sample.batch.proposal.share, few.batch.draws.z[:, 0, 0]
    sizes = allocate(shares, 128)
    ends = np.cumsum(allocate(shares, 1024))
    expected = np.concatenate([sample.batch.draws.z[e - n : e - n + s, 0, 0] for e, n, s in zip(
        ends, allocate(shares, 1024), sizes, strict=True)])  # fmt: skip
    assert np.array_equal(rows, expected)
    weighted = few.weigh(problem.initial)
    assert weighted.total == pytest.approx(exact_minus_two_ll(problem, problem.initial).sum(), abs=4 * weighted.mc_se)
    assert sample.batch.first(1024) is sample.batch


def test_few_draws_are_the_usual_ones_up_to_some_hundred_subjects():
    assert [few_draws(n) for n in (1, 80, 580, 2425, 100_000)] == [FEW_DRAWS[1]] * 3 + [FEW_DRAWS[0]] * 2
