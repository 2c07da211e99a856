from dataclasses import replace

import numpy as np
import pytest

from nlmevae.estimation.guards import ITS_LIMITS, latent_scale, limit_change, widened, within_bounds
from tests.helpers.decay import decay_problem
from tests.helpers.linear_gaussian import random_intercept_and_slope


def omega_sd(population):
    return np.sqrt(np.diag(population.omega))


def test_a_small_change_passes_unchanged():
    problem = random_intercept_and_slope(block=True)
    old = problem.initial
    new = replace(old, thetas=old.thetas + 0.1, omega=1.1 * old.omega, sigma=0.9 * old.sigma)
    limited = limit_change(old, new, problem, ITS_LIMITS, latent_scale(problem))
    assert limited.vector() == pytest.approx(new.vector(), rel=1e-12)


def test_omega_may_grow_by_two_and_shrink_by_one_point_three():
    problem = random_intercept_and_slope()
    old = problem.initial
    new = replace(old, omega=np.diag([1e-8, 100.0]))
    limited = limit_change(old, new, problem, ITS_LIMITS, latent_scale(problem))
    assert omega_sd(limited) / omega_sd(old) == pytest.approx([1 / 1.3, 2.0])


def test_a_fixed_omega_is_left_alone():
    problem = random_intercept_and_slope(fixed_omegas=(2,))
    old = problem.initial
    limited = limit_change(old, replace(old, omega=np.diag([1e-8, 1.0])), problem, ITS_LIMITS, latent_scale(problem))
    assert limited.omega[1, 1] == 1.0


def test_a_singular_block_becomes_positive_definite():
    problem = random_intercept_and_slope(block=True)
    old = problem.initial
    limited = limit_change(old, replace(old, omega=np.ones((2, 2))), problem, ITS_LIMITS, latent_scale(problem))
    assert np.linalg.eigvalsh(limited.omega)[0] > 1e-5


def test_typical_values_move_at_most_one_and_a_half_units_of_their_scale():
    problem = decay_problem()
    old = problem.initial
    limited = limit_change(
        old, replace(old, thetas=old.thetas * np.array([1e4, 1.0])), problem, ITS_LIMITS, latent_scale(problem)
    )
    assert 1.4 < np.log(limited.thetas[0] / old.thetas[0]) <= 1.5 + 1e-6


def test_residual_errors_change_by_at_most_a_factor_three():
    problem = decay_problem()
    old = problem.initial
    limited = limit_change(old, replace(old, sigma=old.sigma * 100.0), problem, ITS_LIMITS, latent_scale(problem))
    assert np.diag(limited.sigma) == pytest.approx(9.0 * np.diag(old.sigma))


def test_bounds_clip_free_thetas_only():
    problem = random_intercept_and_slope(upper=0.8, fixed_thetas=(2,))
    assert within_bounds(np.array([5.0, 7.0]), problem).tolist() == [0.8, 7.0]


def test_latents_on_the_identity_scale_are_measured_in_their_own_units():
    assert latent_scale(random_intercept_and_slope()) == pytest.approx([1.0, 1.0])
    assert latent_scale(decay_problem()) == pytest.approx([1.0])


def test_widening_doubles_free_standard_deviations_up_to_one_unit():
    problem = random_intercept_and_slope(fixed_omegas=(2,))
    population = replace(problem.initial, omega=np.diag([0.04, 0.04]))
    wide = widened(population, problem, np.ones(2))
    assert omega_sd(wide) == pytest.approx([0.4, 0.2])
    assert omega_sd(widened(wide, problem, np.array([0.5, 0.5]))) == pytest.approx([0.5, 0.2])
