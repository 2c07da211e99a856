from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from nlmevae.decoder.base import Solution
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.improve import improve
from nlmevae.estimation.newton import NOISY_SHARE, Curvature, curvature
from nlmevae.estimation.polish import polish
from nlmevae.estimation.refine import find_modes
from nlmevae.estimation.sample import Sample, draw_batch, em_step
from nlmevae.estimation.settings import FitSettings
from nlmevae.likelihood.importance import importance_likelihood, mixture
from nlmevae.results.status import FitStatus
from tests.helpers.decay import decay_problem, quadrature_minus_two_ll
from tests.helpers.linear_gaussian import (
    exact_minus_two_ll,
    exact_posterior,
    random_intercept_and_slope,
    regression_problem,
)

MODELS = {
    "diagonal": {},
    "block": {"block": True},
    "covariate": {"covariate": True},
    "structural": {"fixed_quadratic": True},
    "fixed omega": {"fixed_omegas": (2,)},
    "fixed theta": {"fixed_thetas": (1,)},
    "empty subject": {"empty_subject": True},
}


def exact_optimum(problem, minus_two_ll):
    """Generic optimiser on the exact marginal likelihood."""
    coordinates = Coordinates.of(problem)

    def objective(step):
        return minus_two_ll(problem, coordinates.move(problem, problem.initial, step)).sum()

    found = minimize(objective, np.zeros(sum(coordinates.sizes)), method="BFGS", options={"gtol": 1e-5})
    return coordinates.move(problem, problem.initial, found.x), found.fun


def sample_at(problem, population, n_draws=512, seed=0):
    joint = problem.joint(population)
    modes = find_modes(joint, joint.mean)
    proposal = mixture(joint, modes.mean, modes.chol)
    batch = draw_batch(problem, joint, modes.mean, proposal, n_draws, np.random.default_rng(seed))
    return Sample.of(problem, Coordinates.of(problem), batch)


@pytest.mark.parametrize("name", MODELS)
def test_the_fit_of_a_linear_model_is_the_exact_maximum_likelihood_estimate(name):
    problem = random_intercept_and_slope(**MODELS[name])
    best, minimum = exact_optimum(problem, exact_minus_two_ll)
    settings = FitSettings(n_draws=2048, gain_tolerance=1e-3)
    outcome = polish(problem, problem.initial, None, settings, np.random.default_rng(1))
    assert outcome.status is FitStatus.CONVERGED
    assert exact_minus_two_ll(problem, outcome.population).sum() == pytest.approx(minimum, abs=1e-3)
    assert outcome.population.vector() == pytest.approx(best.vector(), abs=1e-3)


def test_default_settings_end_within_two_hundredths_of_the_minimum():
    problem = random_intercept_and_slope(fixed_quadratic=True)
    _, minimum = exact_optimum(problem, exact_minus_two_ll)
    for seed in range(3):
        outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(seed))
        assert exact_minus_two_ll(problem, outcome.population).sum() - minimum < 0.02


def test_a_nonlinear_model_with_a_theta_without_random_effect_reaches_its_quadrature_optimum():
    problem = decay_problem(omega=0.7)
    best, minimum = exact_optimum(problem, quadrature_minus_two_ll)
    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    assert outcome.status is FitStatus.CONVERGED
    assert quadrature_minus_two_ll(problem, outcome.population).sum() - minimum < 0.02
    assert outcome.population.thetas == pytest.approx(best.thetas, rel=0.01)


def test_without_random_effects_the_fit_is_least_squares():
    problem = regression_problem()
    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    design, y = problem.decoder.design, problem.y
    coefficients, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert outcome.status is FitStatus.CONVERGED
    assert outcome.population.thetas == pytest.approx(coefficients, abs=1e-4)
    assert outcome.population.sigma[0, 0] == pytest.approx(squares[0] / len(y), rel=1e-3)
    joint = problem.joint(outcome.population)
    modes = outcome.modes
    likelihood = importance_likelihood(joint, modes.mean, modes.chol, n_draws=64, rng=np.random.default_rng(0))
    assert likelihood.total == pytest.approx(exact_minus_two_ll(problem, outcome.population).sum(), abs=1e-9)
    assert likelihood.mc_se == pytest.approx(0.0, abs=1e-9)


def test_fixed_parameters_do_not_move_and_bounds_hold():
    problem = random_intercept_and_slope(fixed_thetas=(2,), fixed_omegas=(1,), upper=0.7)
    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    assert outcome.population.thetas.tolist() == [0.7, 0.2]
    assert outcome.population.omega[0, 0] == 1.0
    assert outcome.population.omega[1, 0] == 0.0


def test_posteriors_of_the_outcome_belong_to_its_population():
    problem = random_intercept_and_slope()
    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    mean, cov = exact_posterior(problem, outcome.population)
    assert outcome.modes.mean == pytest.approx(mean, abs=1e-3)
    assert outcome.weighted.mean == pytest.approx(mean, abs=0.03)
    assert outcome.modes.cov == pytest.approx(cov, abs=1e-6)


def test_same_seed_gives_identical_digits():
    brief = FitSettings(max_outer=2)
    first, second = (
        polish(decay_problem(), decay_problem().initial, None, brief, np.random.default_rng(3)) for _ in range(2)
    )
    assert (first.population.vector() == second.population.vector()).all()


@pytest.mark.parametrize("make", [random_intercept_and_slope, decay_problem])
def test_em_steps_never_raise_the_sample_likelihood(make):
    problem = make()
    population = problem.initial
    sample = sample_at(problem, population)
    values = [sample.weigh(population).total]
    for _ in range(12):
        population = em_step(sample, population, sample.weigh(population))
        values.append(sample.weigh(population).total)
    assert (np.diff(values) <= 1e-8).all()
    assert values[0] - values[-1] > 1.0


@pytest.mark.parametrize("make", [random_intercept_and_slope, decay_problem])
def test_the_inner_loop_lowers_minus_two_ll_on_its_draws(make):
    problem = make()
    sample = sample_at(problem, problem.initial)
    before = sample.weigh(problem.initial)
    population, after = improve(sample, problem.initial, before)
    assert after.total < before.total
    assert sample.weigh(population).total == pytest.approx(after.total, abs=1e-9)


@pytest.mark.parametrize(
    "problem",
    [
        random_intercept_and_slope(block=True, covariate=True),
        random_intercept_and_slope(fixed_quadratic=True),
        decay_problem(),
    ],
    ids=["block", "structural", "nonlinear"],
)
def test_analytic_score_equals_finite_differences_of_the_sample_likelihood(problem):
    population = problem.initial
    sample = sample_at(problem, population)
    score = curvature(sample, population, sample.weigh(population)).score
    for j, direction in enumerate(1e-5 * np.eye(len(score))):
        up = sample.weigh(sample.coordinates.move(problem, population, direction)).total
        down = sample.weigh(sample.coordinates.move(problem, population, -direction)).total
        assert score[j] == pytest.approx(-0.5 * (up - down) / 2e-5, rel=1e-5, abs=1e-5)


def test_observed_information_equals_finite_differences_at_the_optimum():
    problem = random_intercept_and_slope(block=True, covariate=True)
    population = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0)).population
    sample = sample_at(problem, population, n_draws=4096)
    observed = curvature(sample, population, sample.weigh(population)).observed
    numeric = np.zeros_like(observed)
    for j, direction in enumerate(1e-4 * np.eye(len(observed))):
        # x is a local coordinate: columns need scores in the coordinates of the centre, so use values only
        for k, other in enumerate(1e-4 * np.eye(len(observed))):
            corners = [
                sample.weigh(sample.coordinates.move(problem, population, a * direction + b * other)).total
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            numeric[j, k] = 0.5 * (corners[0] - corners[1] - corners[2] + corners[3]) / 4e-8
    scale = np.sqrt(np.diag(observed))
    assert observed / np.outer(scale, scale) == pytest.approx(numeric / np.outer(scale, scale), abs=0.02)


def test_carrying_draws_along_with_structural_thetas_is_exact_for_linear_models():
    problem = random_intercept_and_slope(fixed_quadratic=True)
    sample = sample_at(problem, problem.initial, n_draws=4096)
    moved = replace(problem.initial, thetas=problem.initial.thetas + np.array([0.0, 0.0, 0.5]))
    solved = problem.decoder.n_solved
    weighted = sample.weigh(moved)
    assert problem.decoder.n_solved == solved
    assert weighted.minus_two_ll == pytest.approx(exact_minus_two_ll(problem, moved), abs=0.1)
    assert (weighted.ess > 0.5).all()


def test_interrupting_returns_the_last_complete_population():
    problem = random_intercept_and_slope()
    seen = []

    def stop(event):
        seen.append(event)
        if event.phase == "polish":
            raise KeyboardInterrupt

    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0), stop)
    assert outcome.status is FitStatus.INTERRUPTED
    assert outcome.n_outer == 1
    assert outcome.population.vector() == pytest.approx(outcome.trace[-1].parameters)
    assert outcome.modes is not None
    assert [e.row for e in seen] == list(outcome.trace)


def test_a_model_that_cannot_be_evaluated_is_a_status_and_names_the_subject(monkeypatch):
    problem = random_intercept_and_slope()
    decoder_class = type(problem.decoder)
    solve = decoder_class.linearise

    def fails(self, x, rows=None):
        solution = solve(self, x, rows)
        return Solution(
            prediction=np.full_like(solution.prediction, np.nan),
            jacobian=np.zeros_like(solution.jacobian),
            status=solution.status,
            n_steps=solution.n_steps,
            ptr=solution.ptr,
        )

    monkeypatch.setattr(decoder_class, "linearise", fails)
    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    assert outcome.status is FitStatus.NUMERICAL_FAILURE
    assert "subject 1 " in outcome.message
    assert np.isfinite(outcome.population.vector()).all()


def test_an_iteration_limit_is_not_called_convergence():
    problem = random_intercept_and_slope()
    far = replace(problem.initial, thetas=problem.initial.thetas + 6.0)
    outcome = polish(problem, far, None, FitSettings(its_iterations=0, max_outer=1), np.random.default_rng(0))
    assert outcome.status is FitStatus.NOT_CONVERGED
    small = FitSettings(max_outer=1)
    assert polish(problem, problem.initial, None, small, np.random.default_rng(0)).status is (
        FitStatus.MONTE_CARLO_LIMITED
    )


def test_the_gain_promised_by_fresh_draws_is_the_distance_to_the_optimum():
    problem = random_intercept_and_slope(block=True)
    best, minimum = exact_optimum(problem, exact_minus_two_ll)
    n_parameters = sum(Coordinates.of(problem).sizes)
    for direction in 0.1 * np.eye(n_parameters):
        away = Coordinates.of(problem).move(problem, best, direction)
        sample = sample_at(problem, away, n_draws=4096)
        promised = curvature(sample, away, sample.weigh(away)).expected_gain()
        assert promised == pytest.approx(exact_minus_two_ll(problem, away).sum() - minimum, rel=0.25, abs=0.01)


def test_newton_steps_follow_a_ridge_only_where_the_score_is_more_than_noise():
    ridge = np.diag([1.0, 0.01])
    exact, noisy = (
        Curvature(
            scores=np.array([[0.1, 0.1]]), complete=np.eye(2), observed=ridge, noise=variance * np.eye(2),
            lower=np.full(2, -np.inf), upper=np.full(2, np.inf),
        )
        for variance in (0.0, 1.0)
    )  # fmt: skip
    assert exact.newton_step() == pytest.approx([0.1, 10.0])
    assert noisy.newton_step() == pytest.approx([0.1, 0.1 / NOISY_SHARE])
    assert exact.newton_step(1.0) == pytest.approx([0.1, 0.1])
    assert exact.expected_gain() == pytest.approx(1.01)
    assert noisy.noise_gain() == pytest.approx(101.0)


def _ridge_problem():
    """Slope and intercept are hardly told apart: EM would need hundreds of steps."""
    problem = random_intercept_and_slope(block=True, n_subjects=60)
    noise = np.random.default_rng(1).normal(size=len(problem.y))
    return replace(problem, table=replace(problem.table, ob_value=problem.table.ob_value + 1.5 * noise))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_convergence_on_a_ridge_means_the_minimum_whatever_the_seed(seed):
    problem = _ridge_problem()
    _, minimum = exact_optimum(problem, exact_minus_two_ll)
    outcome = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(seed))
    assert outcome.status is FitStatus.CONVERGED
    assert exact_minus_two_ll(problem, outcome.population).sum() - minimum < 0.4


def test_a_small_gain_alone_is_not_convergence(monkeypatch):
    problem = random_intercept_and_slope()
    far = replace(problem.initial, thetas=problem.initial.thetas + 0.5)

    def stay(sample, population, weighted):
        return population, weighted

    monkeypatch.setattr("nlmevae.estimation.polish.improve", stay)
    settings = FitSettings(its_iterations=0, max_outer=6)
    outcome = polish(problem, far, None, settings, np.random.default_rng(0))
    assert outcome.gain == 0.0
    assert outcome.status is not FitStatus.CONVERGED


def test_a_newton_step_stops_at_a_bound_and_the_others_take_the_best_step_left():
    """Minimum of x'Ax/2 - g'x with x_1 <= 0.2; a score that points beyond a bound already reached promises nothing."""
    a, g = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([1.0, 1.0])
    upper = np.array([0.2, np.inf])
    slopes = Curvature(
        scores=g[None], complete=a, observed=a, noise=np.zeros((2, 2)), lower=np.full(2, -np.inf), upper=upper
    )
    free = np.linalg.solve(a, g)
    assert (slopes.newton_step() == pytest.approx(free)) == (free[0] <= 0.2)
    held = Curvature(
        scores=g[None], complete=a, observed=a, noise=np.zeros((2, 2)), lower=np.full(2, -np.inf),
        upper=np.array([0.0, np.inf]),
    )  # fmt: skip
    assert held.newton_step() == pytest.approx([0.0, 1.0])
    assert held.expected_gain() == pytest.approx(1.0)
    tight = replace(slopes, upper=np.array([0.05, np.inf]))
    assert tight.newton_step() == pytest.approx([0.05, 1.0 - 0.9 * 0.05])
