"""The VAE on its own: published numbers, reproducibility, how it ends when it must end early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.decoder.base import Solution
from nlmevae.decoder.residual_kernels import Observed
from nlmevae.estimation.posterior import SufficientStatistics
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.vae import balanced, run_vae, running_average
from nlmevae.likelihood.importance import importance_likelihood
from nlmevae.results.status import FitStatus
from tests.helpers.analytic_decoder import theophylline
from tests.helpers.linear_gaussian import LinearDecoder, random_intercept_and_slope
from tests.helpers.observed import residual_model

QUICK = FitSettings(burn_in_iterations=2, training_iterations=4, smoothing=2)


@pytest.fixture(scope="module")
def published():
    problem = theophylline()
    return problem, run_vae(problem, FitSettings(method="vae", seed=1))


def test_the_published_method_reproduces_the_papers_table_1(published):
    """Column VAE of table 1; tolerances are its spread over seeds (supporting information S2) or rounding."""
    _, outcome = published
    thetas, sd = outcome.population.thetas, np.sqrt(np.diag(outcome.population.omega))
    np.testing.assert_allclose(thetas[:3], [1.63, 0.086, 31.97], rtol=0.012)
    np.testing.assert_allclose(thetas[3:], [2.55, 0.57], atol=0.06)
    np.testing.assert_allclose(sd, [0.53, 0.15, 0.13], atol=0.016)
    assert np.sqrt(outcome.population.sigma[0, 0]) == pytest.approx(0.71, abs=0.02)
    assert outcome.status is FitStatus.FINISHED_SCHEDULE


def test_the_published_method_reproduces_the_papers_likelihood(published):
    problem, outcome = published
    joint = problem.joint(outcome.population)
    found = importance_likelihood(joint, outcome.posterior.mean, outcome.posterior.chol, rng=np.random.default_rng(0))
    assert found.total == pytest.approx(332.2, abs=0.6)
    assert found.mc_se < 0.2


def test_the_elbo_it_reports_bounds_the_likelihood(published):
    _, outcome = published
    last = np.mean([row.objective for row in outcome.trace[-20:]])
    assert 332.0 < last < 350.0


def test_the_trace_has_one_row_per_iteration(published):
    _, outcome = published
    assert [row.iteration for row in outcome.trace] == list(range(400))
    assert [row.phase for row in outcome.trace] == ["burn-in"] * 100 + ["vae"] * 300
    np.testing.assert_array_equal(outcome.trace[-1].parameters, outcome.population.vector())


def test_the_short_schedule_lands_in_the_right_basin():
    problem = theophylline()
    for seed in range(2):
        thetas = run_vae(problem, FitSettings(seed=seed)).population.thetas
        np.testing.assert_allclose(np.log(thetas[:3] / [1.636, 0.0867, 31.94]), 0.0, atol=0.1)


@pytest.mark.parametrize("method", ["vae", "vae+polish"])
def test_one_seed_gives_identical_digits_and_another_seed_others(method):
    problem = theophylline()
    settings = replace(QUICK, method=method)
    first, second = run_vae(problem, settings), run_vae(problem, settings)
    np.testing.assert_array_equal(first.population.vector(), second.population.vector())
    np.testing.assert_array_equal(first.posterior.chol, second.posterior.chol)
    other = run_vae(problem, replace(settings, seed=2))
    assert not np.array_equal(first.population.vector(), other.population.vector())


def test_a_theta_without_random_effect_is_estimated_too():
    """The quadratic term is 0.8 in the data and starts at 0.1."""
    problem = random_intercept_and_slope(fixed_quadratic=True, n_subjects=40)
    outcome = run_vae(problem, FitSettings())
    assert outcome.population.thetas[2] == pytest.approx(0.8, abs=0.25)


def test_fixed_parameters_stay():
    problem = random_intercept_and_slope(fixed_quadratic=True, fixed_thetas=(1,), fixed_omegas=(2,))
    population = run_vae(problem, QUICK).population
    assert population.thetas[0] == problem.initial.thetas[0]
    assert population.omega[1, 1] == problem.initial.omega[1, 1]


def test_an_interrupt_gives_the_last_complete_iteration():
    seen = []

    def stop(event):
        seen.append(event)
        if len(seen) == 4:
            raise KeyboardInterrupt

    outcome = run_vae(theophylline(), QUICK, stop)
    assert outcome.status is FitStatus.INTERRUPTED
    assert len(outcome.trace) == 4
    np.testing.assert_array_equal(outcome.population.vector(), outcome.trace[-1].parameters)


class InterruptedDecoder(LinearDecoder):
    """Ctrl-C in the middle of an iteration."""

    n_calls = 0

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        self.n_calls += 1
        if self.n_calls > 14:
            raise KeyboardInterrupt
        return super().linearise(x, rows)


def test_an_interrupt_between_iterations_discards_the_unfinished_one():
    problem = random_intercept_and_slope(fixed_quadratic=True)
    decoder = InterruptedDecoder(problem.form, problem.table, problem.decoder.design)
    outcome = run_vae(replace(problem, decoder=decoder), QUICK)
    assert outcome.status is FitStatus.INTERRUPTED
    assert len(outcome.trace) == 2
    np.testing.assert_array_equal(outcome.population.vector(), outcome.trace[-1].parameters)


class BrokenDecoder(LinearDecoder):
    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        solution = super().linearise(x, rows)
        return replace(solution, prediction=np.full_like(solution.prediction, np.nan))


def test_a_model_that_cannot_be_evaluated_is_a_status_with_a_reason():
    problem = random_intercept_and_slope()
    decoder = BrokenDecoder(problem.form, problem.table, problem.decoder.design)
    outcome = run_vae(replace(problem, decoder=decoder), FitSettings())
    assert outcome.status is FitStatus.NUMERICAL_FAILURE
    assert "initial estimates" in outcome.message
    np.testing.assert_array_equal(outcome.population.thetas, problem.initial.thetas)


def test_progress_counts_up_to_the_total_and_says_what_is_left():
    events = []
    run_vae(theophylline(), QUICK, events.append)
    assert [e.iteration for e in events] == [1, 2, 3, 4, 5, 6]
    assert {e.total for e in events} == {6}
    assert events[-1].seconds_left == 0.0
    assert events[0].seconds_left > 0.0


class Combined:
    """As much of a problem as `balanced` reads: sd = a + b |f|."""

    def __init__(self, a_fixed: bool = False) -> None:
        model, _ = residual_model("combined1")
        first, second = model.parts
        self.residual = replace(model, parts=(replace(first, fixed=a_fixed), second))
        self.y = np.array([1.0, 4.0, 9.0])
        self.observed = Observed.of(self.y)


def residual_statistics() -> SufficientStatistics:
    prediction = np.array([[2.0, 4.0, 6.0], [1.0, 3.0, 8.0]])
    empty = np.zeros((0, 1))
    return SufficientStatistics(z_mean=empty, z_cov=empty, prediction=prediction, weight=np.full((2, 3), 0.5))


@pytest.mark.parametrize("start", [(1e-4, 0.3), (2.0, 1e-6)])
def test_neither_part_of_a_combined_error_can_vanish(start):
    problem, stats = Combined(), residual_statistics()
    a, b = balanced(np.array(start), problem, stats, 5.0)
    parts = sorted([a, b * stats.prediction.mean()])
    assert parts[1] == pytest.approx(5.0 * parts[0])
    scaled = (problem.y - stats.prediction) / (a + b * stats.prediction)
    assert (stats.weight * scaled**2).sum() / stats.weight.sum() == pytest.approx(1.0)


def test_a_balanced_or_fixed_error_is_left_alone():
    assert balanced(np.array([0.5, 0.1]), Combined(), residual_statistics(), 5.0).tolist() == [0.5, 0.1]
    found = balanced(np.array([1e-4, 0.3]), Combined(a_fixed=True), residual_statistics(), 5.0)
    assert found.tolist() == [1e-4, 0.3]


def test_weights_one_over_k_average_the_statistics():
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(5):
        root = rng.normal(size=(3, 2, 2))
        parts.append(
            SufficientStatistics(
                z_mean=rng.normal(size=(3, 2)),
                z_cov=root @ np.swapaxes(root, 1, 2),
                prediction=rng.normal(size=(1, 4)),
                weight=np.ones((1, 4)),
            )
        )
    average = None
    for k, part in enumerate(parts):
        average = running_average(average, part, 1.0 / (k + 1))
    second = np.mean([p.z_cov + p.z_mean[:, :, None] * p.z_mean[:, None, :] for p in parts], axis=0)
    np.testing.assert_allclose(average.z_mean, np.mean([p.z_mean for p in parts], axis=0), rtol=1e-12)
    found = average.z_cov + average.z_mean[:, :, None] * average.z_mean[:, None, :]
    np.testing.assert_allclose(found, second, rtol=1e-12)
    np.testing.assert_allclose(average.weight, np.full((5, 4), 0.2), rtol=1e-12)
