"""The closed-form M step against a generic optimiser of the exact Q function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from nlmevae.codegen.latent_form import latent_form
from nlmevae.estimation.m_step import bounded_minimum, m_step
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import SufficientStatistics
from nlmevae.estimation.problem import Problem, make_problem
from tests.helpers.code_models import make_model
from tests.helpers.linear_gaussian import LinearDecoder, _parameter, observation_table, random_intercept_and_slope


def statistics(problem: Problem, seed: int = 0, n_draws: int = 3) -> SufficientStatistics:
    """Arbitrary but legal: what the M step reads need not come from a posterior."""
    rng = np.random.default_rng(seed)
    n, d = problem.n_subjects, problem.n_latents
    root = rng.normal(size=(n, d, d)) * 0.4
    weight = rng.dirichlet(np.ones(n_draws), n).T
    return SufficientStatistics(
        z_mean=rng.normal(size=(n, d)) + np.array([1.5, -0.5]),
        z_cov=root @ np.swapaxes(root, 1, 2) + 0.05 * np.eye(d),
        prediction=problem.y + 0.5 * rng.normal(size=(n_draws, len(problem.y))),
        weight=np.repeat(weight, np.diff(problem.table.ob_ptr), axis=1),
    )


def minus_two_q(problem: Problem, stats: SufficientStatistics, population: Population) -> float:
    """-2 Q, written out subject by subject."""
    omega = problem.latent_omega(population)
    mean = problem.mean.mean(population.thetas)
    total = 0.0
    for i in np.flatnonzero(np.diff(problem.table.ob_ptr)):
        shift = stats.z_mean[i] - mean[i]
        moment = stats.z_cov[i] + np.outer(shift, shift)
        total += np.linalg.slogdet(omega)[1] + np.trace(np.linalg.solve(omega, moment))
    a = problem.residual.coefficients(population.thetas, population.sigma)[0]
    squares = ((problem.y - stats.prediction) / a) ** 2 + 2 * np.log(a)
    return total + (stats.weight * squares).sum()


def optimum(problem: Problem, stats: SufficientStatistics, to_population, start: np.ndarray) -> Population:
    found = minimize(
        lambda u: minus_two_q(problem, stats, to_population(u)),
        start,
        method="BFGS",
        options={"gtol": 1e-9, "maxiter": 2000},
    )
    return to_population(found.x)


def coordinates(problem: Problem, free_thetas: list[int], *, block: bool):
    """Unconstrained numbers -> population: THETAs, log Cholesky factor of OMEGA, log a."""

    def to_population(u: np.ndarray) -> Population:
        thetas = problem.initial.thetas.copy()
        thetas[free_thetas] = u[: len(free_thetas)]
        rest = u[len(free_thetas) :]
        root = np.diag(np.exp(rest[:2]))
        root[1, 0] = rest[2] if block else 0.0
        return Population(thetas=thetas, omega=root @ root.T, sigma=np.array([[np.exp(2 * rest[3])]]))

    return to_population, np.zeros(len(free_thetas) + 4)


def assert_same(found: Population, expected: Population, tolerance: float = 2e-5) -> None:
    np.testing.assert_allclose(found.vector(), expected.vector(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("covariate", [False, True])
def test_one_step_maximises_q(block, covariate):
    problem = random_intercept_and_slope(block=block, covariate=covariate)
    stats = statistics(problem)
    to_population, start = coordinates(problem, list(range(2 + covariate)), block=block)
    assert_same(m_step(stats, problem.initial, problem), optimum(problem, stats, to_population, start))


def test_the_result_does_not_depend_on_the_parameters_before():
    problem = random_intercept_and_slope(block=True, covariate=True)
    stats = statistics(problem)
    other = replace(problem.initial, thetas=np.array([5.0, 3.0, -2.0]), omega=np.array([[2.0, -0.5], [-0.5, 0.3]]))
    assert_same(m_step(stats, other, problem), m_step(stats, problem.initial, problem), 1e-7)


def test_one_round_is_all_where_every_theta_moves_one_latent():
    problem = random_intercept_and_slope(covariate=True)
    assert problem.mean.apart
    once = m_step(statistics(problem), problem.initial, problem)
    again = m_step(statistics(problem), once, problem)
    assert_same(again, once, 1e-12)


def test_a_second_round_follows_a_step_that_was_cut_short():
    problem = random_intercept_and_slope()
    mean = replace(problem.mean, log_scale=np.array([True, False]))
    far, near = np.array([np.exp(4.99), 50.0]), np.array([np.exp(2.0), 50.0])
    assert not mean.reached(np.array([1.0, 0.0]), far)
    assert mean.reached(np.array([1.0, 0.0]), near)


def test_fixed_parameters_stay():
    problem = random_intercept_and_slope(fixed_omegas=(2,), fixed_thetas=(1,))
    updated = m_step(statistics(problem), problem.initial, problem)
    assert updated.thetas[0] == problem.initial.thetas[0]
    assert updated.thetas[1] != problem.initial.thetas[1]
    assert updated.omega[1, 1] == problem.initial.omega[1, 1]
    assert updated.omega[0, 0] != problem.initial.omega[0, 0]


def test_subjects_without_observations_change_nothing():
    problem = random_intercept_and_slope(covariate=True)
    stats = statistics(problem)
    table = problem.table
    longer = observation_table(
        np.append(np.diff(table.ob_ptr), 0),
        table.ob_time,
        table.ob_value,
        items={"X": np.append(table.cov[:, 0], 30.0)},
    )
    form = latent_form(problem.model, longer)
    wider = make_problem(problem.model, form, longer, LinearDecoder(form, longer, problem.decoder.design))
    extra = replace(
        stats,
        z_mean=np.vstack([stats.z_mean, [9.0, 9.0]]),
        z_cov=np.concatenate([stats.z_cov, 50 * np.eye(2)[None]]),
    )
    assert_same(m_step(extra, wider.initial, wider), m_step(stats, problem.initial, problem), 1e-10)


def nonlinear_problem(upper: float = np.inf) -> Problem:
    """A = THETA(1) exp(THETA(2) X): mu is not linear, and THETA(1) acts on B too."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=15)
    counts = np.full(15, 2)
    table = observation_table(counts, np.tile([0.0, 1.0], 15), rng.normal(size=30), items={"X": x})
    model = make_model(
        error="A = THETA(1)*EXP(THETA(2)*X) + ETA(1)\nB = THETA(3) - THETA(1) + ETA(2)\nY = A + B*TIME + EPS(1)",
        thetas=[(-10.0, 1.0, upper), (-2.0, 0.1, 2.0), (-10.0, 0.0)],
        omega=(((1.0, 0.2), (0.2, 1.0)),),
        sigma=(1.0,),
        items="ID TIME DV X",
    )
    base = random_intercept_and_slope().model
    model = replace(
        model,
        observations=base.observations,
        individual_parameters=(
            replace(_parameter("A", 1, ("THETA(1)", "THETA(2)"), ("X",)), mu_linear=False),
            _parameter("B", 2, ("THETA(1)", "THETA(3)"), ()),
        ),
    )
    form = latent_form(model, table)
    design = np.column_stack([np.ones(30), table.ob_time])
    return make_problem(model, form, table, LinearDecoder(form, table, design))


def test_a_nonlinear_mean_with_shared_thetas_is_maximised_too():
    problem = nonlinear_problem()
    stats = statistics(problem)
    to_population, start = coordinates(problem, [0, 1, 2], block=True)
    start[:3] = problem.initial.thetas
    found = m_step(stats, problem.initial, problem)
    for _ in range(5):
        found = m_step(stats, found, problem)
    assert_same(found, optimum(problem, stats, to_population, start), 1e-4)


def test_q_never_falls_from_any_start():
    problem = nonlinear_problem()
    stats = statistics(problem)
    rng = np.random.default_rng(1)
    for _ in range(20):
        thetas = rng.normal(size=3) * np.array([4.0, 1.0, 4.0])
        start = replace(problem.initial, thetas=thetas)
        after = minus_two_q(problem, stats, m_step(stats, start, problem))
        assert after <= minus_two_q(problem, stats, start) + 1e-9


def test_an_active_bound_holds_and_the_others_adapt():
    free, bounded = nonlinear_problem(), nonlinear_problem(upper=1.1)
    stats = statistics(free)
    assert m_step(stats, free.initial, free).thetas[0] > 1.1
    found = bounded.initial
    for _ in range(5):
        found = m_step(stats, found, bounded)
    assert found.thetas[0] == 1.1
    to_population, start = coordinates(bounded, [1, 2], block=True)

    def at_bound(u: np.ndarray) -> Population:
        population = to_population(u)
        return replace(population, thetas=np.array([1.1, *population.thetas[1:]]))

    assert_same(found, optimum(bounded, stats, at_bound, start), 1e-4)


def test_repeated_blocks_share_one_value():
    problem = random_intercept_and_slope()
    first, second = problem.model.omega
    model = replace(problem.model, omega=(first, replace(second, same_as=0)))
    same = replace(problem, model=model)
    stats = statistics(problem)
    separate = np.diag(m_step(stats, problem.initial, problem).omega)
    shared = np.diag(m_step(stats, same.initial, same).omega)
    np.testing.assert_allclose(shared, [separate.mean()] * 2, rtol=1e-12)


def test_bounded_minimum_agrees_with_a_generic_optimiser():
    rng = np.random.default_rng(0)
    for _ in range(50):
        root = rng.normal(size=(4, 4))
        matrix, gradient = root @ root.T + 0.1 * np.eye(4), 3 * rng.normal(size=4)
        lower, upper = -rng.uniform(0, 1, 4), rng.uniform(0, 1, 4)
        found = bounded_minimum(matrix, gradient, lower, upper)
        expected = minimize(
            lambda x, m=matrix, g=gradient: 0.5 * x @ m @ x - g @ x,
            np.zeros(4),
            jac=lambda x, m=matrix, g=gradient: m @ x - g,
            bounds=list(zip(lower, upper, strict=True)),
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-10},
        ).x
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_theta_the_data_say_nothing_about_does_not_move():
    found = bounded_minimum(np.diag([2.0, 0.0]), np.array([1.0, 0.0]), np.full(2, -9.0), np.full(2, 9.0))
    np.testing.assert_allclose(found, [0.5, 0.0])


def test_a_coefficient_that_acts_on_nobody_does_not_move():
    """Rounding once made 1e141 of the coefficient of a category that no subject has."""
    rng = np.random.default_rng(7)
    a = rng.standard_normal((5, 5))
    matrix = a @ a.T
    matrix[2] = matrix[:, 2] = 0.0
    gradient = matrix @ rng.standard_normal(5) + np.array([0.0, 0.0, 1e-17, 0.0, 0.0])
    free = np.full(5, np.inf)
    x = bounded_minimum(matrix, gradient, -free, free)
    assert x[2] == 0.0
    np.testing.assert_allclose(matrix @ x, np.where(np.arange(5) == 2, 0.0, gradient), atol=1e-10)
