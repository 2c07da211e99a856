"""The covariate step of the M step against generalised least squares over all supports, subject by subject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.estimation.complete_data import complete_data_program
from nlmevae.estimation.m_step import m_step
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import SufficientStatistics
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.selector import Selector, rules_of
from nlmevae.estimation.settings import SelectionSettings
from nlmevae.ir import ErrorCoefficient, IndividualParameter, ObservationModel, ResidualError
from nlmevae.selection.program import Program, Rules
from nlmevae.selection.solve import solve
from tests.helpers.code_models import make_model
from tests.helpers.effect_problems import all_supports, effects_of, intercept_and_slope_search
from tests.helpers.linear_gaussian import LinearDecoder, _parameter, random_intercept_and_slope

MODELS = {
    "diagonal": {},
    "block": {"block": True},
    "covariate in the model": {"covariate": True},
    "block and covariate": {"block": True, "covariate": True},
    "fixed theta": {"fixed_thetas": (1,)},
    "fixed omega": {"fixed_omegas": (2,)},
    "empty subject": {"empty_subject": True},
    "groups of columns": {"units": (("A", (0, 1)), ("B", (2,)), ("B", (0, 1)), ("A", (2,)))},
}


def posterior_means(problem: Problem, seed: int = 0) -> np.ndarray:
    """(N, d) simulated from the model with effects on both latents."""
    rng = np.random.default_rng(seed)
    effects = problem.effects
    thetas = problem.initial.thetas.copy()
    thetas[effects.theta[:2]] = 0.4, -0.3
    root = np.array([[0.8, 0.0], [0.4, 0.5]])
    return problem.mean.mean(thetas) + rng.normal(size=(problem.n_subjects, 2)) @ root.T


def some_population(problem: Problem) -> Population:
    """Not the initial one: every THETA, and OMEGA with its covariances."""
    free = problem.omega_mask
    omega = np.where(free, [[0.5, 0.25], [0.25, 0.4]], problem.initial.omega)
    thetas = problem.initial.thetas + 0.1
    thetas[problem.effects.theta] = 0.0
    return replace(problem.initial, omega=omega, thetas=thetas)


def least_squares(problem: Problem, population: Population, target: np.ndarray, support: np.ndarray) -> float:
    """min over the model's THETAs and the support's coefficients of sum_i r_i' Omega^-1 r_i, from stacked whitened
    rows with a derivative of the mean by differences."""
    effects, mean = problem.effects, problem.mean
    thetas = effects.on_support(population.thetas, np.zeros(effects.n_units, dtype=bool))
    root = np.linalg.cholesky(np.linalg.inv(problem.latent_omega(population)))
    columns = []
    for index in mean.indices[: mean.n_base]:
        up, down = thetas.copy(), thetas.copy()
        up[index] += 1e-5
        down[index] -= 1e-5
        columns.append((mean.mean(up) - mean.mean(down)) / 2e-5)
    for c in np.flatnonzero(support[effects.unit]):
        column = np.zeros_like(target)
        column[:, effects.latent[c]] = effects.values[:, c]
        columns.append(column)
    seen = np.diff(problem.table.ob_ptr) > 0
    rows = np.array([(column[seen] @ root).ravel() for column in columns]).T
    right = ((target - mean.mean(thetas))[seen] @ root).ravel()
    if not rows.size:
        return float(right @ right)
    return float(((right - rows @ np.linalg.lstsq(rows, right, rcond=None)[0]) ** 2).sum())


def value_of(program: Program, support: np.ndarray) -> float:
    """The program's objective at its least-squares beta, without costs."""
    columns = [j for u in np.flatnonzero(support) for j in program.units[u]]
    gram, linear = program.gram[np.ix_(columns, columns)], program.linear[columns]
    return float(program.constant - linear @ np.linalg.solve(gram, linear)) if columns else program.constant


def program_of(problem: Problem, population: Population, target: np.ndarray, penalty=None, rules=None) -> Program:
    penalty = np.log(problem.n_subjects) * problem.effects.n_coefficients if penalty is None else penalty
    return complete_data_program(problem, population, target, penalty, rules or Rules())


@pytest.mark.parametrize("name", MODELS)
def test_every_support_has_the_sum_of_squares_of_generalised_least_squares(name):
    problem = intercept_and_slope_search(0, **MODELS[name])
    population, target = some_population(problem), posterior_means(problem)
    program = program_of(problem, population, target)
    for support in all_supports(problem.effects.n_units):
        expected = least_squares(problem, population, target, support)
        assert value_of(program, support) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_the_solution_is_the_best_of_all_supports(name):
    found = set()
    for seed in range(6):
        problem = intercept_and_slope_search(seed, **MODELS[name])
        population, target = some_population(problem), posterior_means(problem, seed)
        penalty = np.full(problem.effects.n_units, 3.0)
        solution = solve(program_of(problem, population, target, penalty))
        values = {
            s.tobytes(): least_squares(problem, population, target, s) + penalty[s].sum()
            for s in all_supports(problem.effects.n_units)
        }
        assert solution.certified
        assert solution.objective == pytest.approx(min(values.values()), rel=1e-8)
        assert solution.support.tobytes() == min(values, key=values.get)
        found.add(solution.support.tobytes())
    assert len(found) > 1  # not always the same answer


def test_coefficients_are_in_units_of_their_parameters_omega():
    problem = intercept_and_slope_search(1)
    population, target = some_population(problem), posterior_means(problem)
    all_in = problem.on_support(np.ones(6, dtype=bool))
    solution = solve(program_of(problem, population, target, np.zeros(6)))
    statistics = SufficientStatistics(
        z_mean=target,
        z_cov=np.broadcast_to(0.1 * np.eye(2), (problem.n_subjects, 2, 2)),
        prediction=problem.y[None] + 0.1,
        weight=np.ones((1, len(problem.y))),
    )
    moved = m_step(statistics, population, all_in)  # diagonal Omega: the mean does not depend on it
    sd = np.sqrt(np.diag(population.omega))[problem.effects.latent]
    np.testing.assert_allclose(solution.beta * sd, moved.thetas[problem.effects.theta], rtol=1e-9)


@pytest.mark.parametrize("name", ["diagonal", "covariate in the model", "fixed theta", "fixed omega"])
def test_a_diagonal_omega_separates_the_parameters_and_keeps_the_matrix(name):
    problem = intercept_and_slope_search(0, **MODELS[name])
    target = posterior_means(problem)
    population = some_population(problem)
    program = program_of(problem, population, target)
    other = problem.effects.latent[:, None] != problem.effects.latent
    assert (program.gram[other] == 0.0).all()
    free = np.diag(problem.omega_mask)
    omega = np.diag(np.where(free, [0.07, 3.1], np.diag(population.omega)))
    again = program_of(problem, replace(population, omega=omega), target + 1.0)
    np.testing.assert_allclose(again.gram, program.gram, rtol=1e-12, atol=1e-12)


def test_a_covariance_couples_the_parameters():
    problem = intercept_and_slope_search(0, block=True)
    program = program_of(problem, some_population(problem), posterior_means(problem))
    other = problem.effects.latent[:, None] != problem.effects.latent
    assert (program.gram[other] != 0.0).any()


def problem_of(code: str, n_thetas: int, parameters: tuple[IndividualParameter, ...], *, centre: float) -> Problem:
    """A search over three covariates with this mean of A and B; the covariates have the mean `centre`."""
    base = random_intercept_and_slope(n_subjects=30, covariate=True)
    error = ResidualError(kind="additive", a=ErrorCoefficient(parameter="EPS(1)", kind="sigma"))
    model = make_model(
        error=f"{code}\nY = A + B*TIME + EPS(1)",
        thetas=[(-np.inf, 0.1 * (k + 1)) for k in range(n_thetas)],
        omega=(1.0, 1.0),
        sigma=(1.0,),
        items="ID TIME DV X",
    )
    model = replace(model, individual_parameters=parameters, observations=(ObservationModel(name="DV", error=error),))
    form = latent_form(model, base.table)
    problem = make_problem(model, form, base.table, LinearDecoder(form, base.table, base.decoder.design))
    return problem.searching(effects_of(problem, centre + np.random.default_rng(0).normal(size=(30, 3))))


def test_a_shared_theta_couples_the_parameters():
    """A and B have the same mean, so an effect on A makes room for one on B."""
    both = (_parameter("A", 1, ("THETA(1)",), ()), _parameter("B", 2, ("THETA(1)",), ()))
    problem = problem_of("A = THETA(1) + ETA(1)\nB = THETA(1) + ETA(2)", 1, both, centre=1.0)
    population, target = some_population(problem), posterior_means(problem)
    program = program_of(problem, population, target)
    other = problem.effects.latent[:, None] != problem.effects.latent
    assert (program.gram[other] != 0.0).all()
    for support in all_supports(6):
        expected = least_squares(problem, population, target, support)
        assert value_of(program, support) == pytest.approx(expected, rel=1e-7)


def test_where_the_mean_is_not_linear_it_is_a_gauss_newton_step():
    """Effects enter linearly; the model's own THETAs to first order."""
    first = replace(_parameter("A", 1, ("THETA(1)", "THETA(3)"), ("X",)), mu_linear=False)
    both = (first, _parameter("B", 2, ("THETA(2)",), ()))
    code = "A = EXP(THETA(1) + THETA(3)*X) + ETA(1)\nB = THETA(2) + ETA(2)"
    problem = problem_of(code, 3, both, centre=0.0)
    assert not problem.mean.linear
    population, target = some_population(problem), posterior_means(problem)
    program = program_of(problem, population, target)
    for support in all_supports(6):
        expected = least_squares(problem, population, target, support)
        assert value_of(program, support) == pytest.approx(expected, rel=1e-6)


def test_effects_outside_the_program_do_not_matter():
    """The coefficients that the population has are no part of the offset: the program is about all of them."""
    problem = intercept_and_slope_search(0).on_support(np.array([True, False, True, False, False, False]))
    population, target = some_population(problem), posterior_means(problem)
    with_beta = population.thetas.copy()
    with_beta[problem.effects.theta[[0, 2]]] = 0.7, -0.2
    one = program_of(problem, population, target)
    two = program_of(problem, replace(population, thetas=with_beta), target)
    np.testing.assert_allclose(one.gram, two.gram)
    np.testing.assert_allclose(one.linear, two.linear, atol=1e-9)
    assert one.constant == pytest.approx(two.constant)


def arbitrary_statistics(problem: Problem, seed: int) -> SufficientStatistics:
    rng = np.random.default_rng(seed)
    root = 0.4 * rng.normal(size=(problem.n_subjects, 2, 2))
    return SufficientStatistics(
        z_mean=posterior_means(problem, seed),
        z_cov=root @ np.swapaxes(root, 1, 2) + 0.05 * np.eye(2),
        prediction=problem.y[None] + 0.5 * rng.normal(size=(3, len(problem.y))),
        weight=np.full((3, len(problem.y)), 1 / 3),
    )


def criterion(problem: Problem, population: Population, stats: SufficientStatistics, penalty: np.ndarray) -> float:
    """-2 E[log p(y, z)] plus penalties, subject by subject (the BICc of complete data, the paper's equation 12)."""
    omega, mean = problem.latent_omega(population), problem.mean.mean(population.thetas)
    total = float(penalty[problem.support].sum())
    for i in np.flatnonzero(np.diff(problem.table.ob_ptr)):
        shift = stats.z_mean[i] - mean[i]
        total += np.linalg.slogdet(omega)[1] + np.trace(np.linalg.solve(omega, stats.z_cov[i] + np.outer(shift, shift)))
    a = problem.residual.coefficients(population.thetas, population.sigma)[0]
    return total + (stats.weight * (((problem.y - stats.prediction) / a) ** 2 + 2 * np.log(a))).sum()


@pytest.mark.parametrize("factor", [1.0, 3.0])
@pytest.mark.parametrize("name", MODELS)
def test_selection_and_m_step_never_raise_the_criterion_of_the_complete_data(name, factor):
    moves = 0
    for seed in range(8):
        problem = intercept_and_slope_search(seed, **MODELS[name])
        stats = arbitrary_statistics(problem, seed)
        selector = Selector.of(problem, SelectionSettings(criterion="aic"))
        start = np.random.default_rng(seed).random(problem.effects.n_units) < 0.5
        problem = problem.on_support(start)
        population = problem.restricted(some_population(problem))
        penalty = factor * selector.penalty
        before = criterion(problem, population, stats, penalty)
        for _ in range(5):
            chosen = selector.complete_data(problem, population, stats, factor)
            moves += not np.array_equal(chosen.support, problem.support)
            problem = chosen
            population = m_step(stats, problem.restricted(population), problem)
            after = criterion(problem, population, stats, penalty)
            assert after <= before + 1e-8 * abs(before)
            before = after
        assert selector.count.uncertified == 0
        assert selector.count.solves == 5
    assert moves >= 4


def test_the_prepared_solver_answers_like_a_fresh_one():
    """The built-in engine keeps its table as long as the matrix is the same: another Omega, target and penalty."""
    problem = intercept_and_slope_search(3)
    keeps = Selector.of(problem, SelectionSettings())
    rules = rules_of(problem.effects, problem.n_subjects)
    for seed in range(8):
        stats = arbitrary_statistics(problem, seed)
        rng = np.random.default_rng(seed)
        population = replace(problem.initial, omega=np.diag(rng.uniform(0.05, 1.0, 2)))
        factor = rng.uniform(0.3, 4.0)
        found = keeps.complete_data(problem, population, stats, factor)
        program = program_of(problem, population, stats.z_mean, factor * keeps.penalty, rules)
        assert found.support.tolist() == solve(program).support.tolist()


@pytest.mark.parametrize("solver", ["native", "highs"])
def test_named_solvers_choose_the_same_support(solver):
    problem = intercept_and_slope_search(2)
    for seed in range(2):
        stats = arbitrary_statistics(problem, seed)
        chosen = [
            Selector.of(problem, SelectionSettings(solver=name)).complete_data(problem, problem.initial, stats, 1.0)
            for name in ("auto", solver)
        ]
        assert chosen[0].support.tolist() == chosen[1].support.tolist()
