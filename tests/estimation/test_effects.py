"""Candidate effects as columns of mu: by hand, and in the place of effects that the control stream states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nlmevae
from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.effects import latent_of_parameter
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.search import effects_of, search_effects
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.pipeline import prepare, prepare_selection
from tests.helpers.covariate_streams import FIXTURES, covariate_run, searched
from tests.helpers.effect_problems import intercept_and_slope_search

AGE = np.array([20.0, 35.0, 50.0, 41.0, 28.0, 66.0, 33.0, 59.0])
SEX = np.array([0, 1, 1, 0, 1, 0, 0, 0])
RACE = np.array([1, 2, 3, 1, 1, 2, 3, 1])


@pytest.fixture
def lines(tmp_path) -> Problem:
    """BASE = THETA(1)*(1 + THETA(4)*AGE), SLOPE log-normal; candidates of AGE, SEX and RACE on both."""
    run = covariate_run(
        tmp_path,
        {"AGE": AGE, "SEX": SEX, "RACE": RACE},
        base="THETA(1)*(1 + THETA(4)*AGE) + ETA(1)",
        thetas="0.01",
    )
    search = searched(run, covariates="AGE", categorical="SEX,RACE", force="SLOPE~SEX")
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    return problem.searching(effects_of(run.model, problem, search))


def named(problem: Problem, *names: str) -> np.ndarray:
    """(n_units,) the support of these candidates."""
    return np.array([c.name in names for c in problem.effects.space.candidates])


def filled(problem: Problem, seed: int = 0) -> np.ndarray:
    """All THETAs, with a value for every coefficient."""
    thetas = problem.initial.thetas.copy()
    thetas[problem.effects.theta] = np.random.default_rng(seed).normal(size=len(problem.effects.names))
    return thetas


def by_hand(problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """(N, 2) mean of z from the formulas: the references are the most frequent levels, the centre the mean."""
    beta = dict(zip(problem.effects.names, thetas[problem.effects.theta], strict=True))
    mean = np.column_stack([thetas[0] * (1 + thetas[3] * AGE), np.full(8, np.log(thetas[1]))])
    for k, name in enumerate(("BASE", "SLOPE")):
        mean[:, k] += beta.get(f"{name}_AGE", 0.0) * np.log(AGE / AGE.mean())
        mean[:, k] += beta.get(f"{name}_SEX", beta.get(f"{name}_SEX_1", 0.0)) * (SEX == 1)
        for level in (2, 3):
            mean[:, k] += beta.get(f"{name}_RACE_{level}", 0.0) * (level == RACE)
    return mean


def test_an_effect_that_the_model_has_is_no_candidate(lines):
    assert [c.name for c in lines.effects.space.candidates] == [
        "BASE~SEX",
        "BASE~RACE",
        "SLOPE~AGE",
        "SLOPE~SEX",
        "SLOPE~RACE",
    ]
    assert lines.effects.n_coefficients.tolist() == [1, 2, 1, 1, 2]


def test_the_mean_is_the_models_own_plus_x_beta(lines):
    thetas = filled(lines)
    np.testing.assert_allclose(lines.mean.mean(thetas), by_hand(lines, thetas), rtol=1e-13)


def test_with_all_coefficients_zero_the_mean_is_the_models_own(lines):
    np.testing.assert_array_equal(lines.mean.mean(lines.initial.thetas), by_hand(lines, lines.initial.thetas))


@pytest.mark.parametrize("names", [(), ("SLOPE~AGE",), ("BASE~RACE", "SLOPE~AGE", "SLOPE~SEX")])
def test_the_design_is_the_derivative_by_every_estimated_theta(lines, names):
    moved = lines.on_support(named(lines, *names))
    thetas = moved.restricted(moved.initial).thetas
    design = moved.mean.design(thetas)
    assert design.shape == (8, 2, len(moved.mean.indices))
    for q, index in enumerate(moved.mean.indices):
        step = 1e-5 * (thetas[index] if moved.mean.log_scale[q] else 1.0)
        up, down = thetas.copy(), thetas.copy()
        up[index] += step
        down[index] -= step
        slope = (by_hand(moved, up) - by_hand(moved, down)) / 2e-5
        np.testing.assert_allclose(design[:, :, q], slope, atol=1e-7)


def test_only_the_coefficients_of_the_support_are_estimated(lines):
    moved = lines.on_support(named(lines, "BASE~RACE", "SLOPE~AGE"))
    free = [t.name for t in moved.model.thetas if not t.fixed]
    assert free == ["THETA(1)", "THETA(2)", "THETA(4)", "BASE_RACE_2", "BASE_RACE_3", "SLOPE_AGE"]
    assert [moved.model.thetas[i].name for i in moved.mean.indices] == free
    assert sum(Coordinates.of(moved).sizes) == len(free) + 3  # two variances and sigma


def test_a_step_never_moves_a_coefficient_outside_the_support(lines):
    moved = lines.on_support(named(lines, "SLOPE~AGE"))
    stepped = moved.mean.step(moved.initial.thetas, np.full(len(moved.mean.indices), 0.3))
    outside = [i for i, t in enumerate(moved.model.thetas) if t.fixed]
    assert stepped[outside].tolist() == moved.initial.thetas[outside].tolist()
    assert stepped[moved.mean.indices[-1]] == 0.3


def test_restricting_gives_exact_zeros_outside_and_keeps_everything_else(lines):
    moved = lines.on_support(named(lines, "BASE~RACE"))
    population = replace(lines.initial, thetas=filled(lines))
    restricted = moved.restricted(population)
    inside = moved.support[moved.effects.unit]
    beta = restricted.thetas[moved.effects.theta]
    assert (beta[~inside] == 0.0).all()
    assert (beta[inside] == population.thetas[moved.effects.theta][inside]).all()
    assert (restricted.thetas[: moved.effects.theta[0]] == population.thetas[: moved.effects.theta[0]]).all()
    assert restricted.omega is population.omega
    assert restricted.sigma is population.sigma


def test_the_search_starts_with_the_forced_effects_alone(lines):
    assert lines.effects.forced.tolist() == named(lines, "SLOPE~SEX").tolist()
    assert lines.support.tolist() == lines.effects.forced.tolist()
    assert (lines.initial.thetas[lines.effects.theta] == 0.0).all()


def test_a_change_of_support_keeps_everything_else(lines):
    there = lines.on_support(named(lines, "BASE~SEX", "BASE~RACE", "SLOPE~AGE"))
    back = there.on_support(lines.support)
    for name in ("form", "table", "decoder", "residual", "initial", "latent_index", "omega_mask"):
        assert getattr(there, name) is getattr(lines, name), name
    assert back.model == lines.model
    assert back.mean.indices.tolist() == lines.mean.indices.tolist()
    assert len(there.model.thetas) == len(lines.model.thetas)
    assert [t.name for t in there.model.thetas] == [t.name for t in lines.model.thetas]


def test_the_same_support_is_the_same_problem(lines):
    assert lines.on_support(lines.support.copy()) is lines


def test_the_support_of_a_problem_is_its_own(lines):
    support = named(lines, "SLOPE~AGE")
    moved = lines.on_support(support)
    support[:] = False
    assert moved.support.sum() == 1


def test_bounds_of_the_models_thetas_stay_and_coefficients_have_none(lines):
    moved = lines.on_support(np.ones(5, dtype=bool))
    base = lines.mean.n_base
    assert moved.mean.n_base == base
    assert moved.mean.lower[:base].tolist() == lines.mean.lower[:base].tolist()
    assert np.isneginf(moved.mean.lower[base:]).all()
    assert np.isposinf(moved.mean.upper[base:]).all()


def test_linear_means_with_effects_agree_with_the_formula():
    """Means linear in the THETAs have a shortcut without generated code."""
    problem = intercept_and_slope_search(0, covariate=True)
    assert problem.mean.linear
    thetas = problem.initial.thetas.copy()
    thetas[:3] = 1.3, -0.4, 0.7
    thetas[problem.effects.theta] = np.arange(1.0, 7.0)
    x = problem.table.cov[:, 0]
    values = problem.effects.values
    mean = np.column_stack([1.3 + 0.7 * x + values[:, :3] @ [1, 2, 3], -0.4 + values[:, 3:] @ [4, 5, 6]])
    np.testing.assert_allclose(problem.mean.mean(thetas), mean, rtol=1e-12)


def test_latents_are_found_by_the_parameters_name():
    parameters = prepare(FIXTURES / "theophylline/run_base.ctl").model.individual_parameters
    assert latent_of_parameter(parameters, ("V", "KA")) == {"KA": 1, "V": 0}


def test_forced_candidates_give_the_fit_of_the_control_stream_that_states_them():
    """Theophylline with weight on KA and V: exact maximum likelihood 331.918."""
    short = {"seed": 3, "n_alternatives": 0, "burn_in_iterations": 5, "training_iterations": 20}
    settings = FitSettings(**short)
    forced = prepare_selection(
        FIXTURES / "theophylline/run_base.ctl", effects="KA~WT,V~WT", force="KA~WT,V~WT", centre="WT=69.5833333333"
    )
    found = search_effects(
        forced.model, forced.table, forced.search, settings, SelectionSettings(resamples=0)
    ).estimation
    assert found.problem.support.all()
    other = nlmevae.fit(FIXTURES / "theophylline/run_wt.ctl", **short)
    assert other.minus_two_ll == pytest.approx(331.918, abs=0.1)
    # both are within their convergence tolerance of the maximum
    np.testing.assert_allclose(found.population.thetas, other.thetas, rtol=5e-3)
    np.testing.assert_allclose(found.population.sigma, other.sigma, rtol=5e-3)
    np.testing.assert_allclose(np.diag(found.population.omega), np.diag(other.omega), rtol=0.02)
    # and to rounding the same likelihood at the same parameters
    stated = prepare(FIXTURES / "theophylline/run_wt.ctl")
    form = latent_form(stated.model, stated.table)
    problem = make_problem(stated.model, form, stated.table, make_decoder(form, stated.table))
    here, there = found.problem.joint(found.population), problem.joint(found.population)
    np.testing.assert_allclose(here.mean, there.mean, rtol=1e-9)
    z = here.mean + 0.1
    np.testing.assert_allclose(here.log_prior(z), there.log_prior(z), rtol=1e-9)
    np.testing.assert_allclose(here.log_likelihood(here.predict(z)), there.log_likelihood(there.predict(z)), rtol=1e-9)
