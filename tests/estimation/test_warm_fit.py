"""A warm fit of resampled data is the whole fit of them, and it knows what they do not show."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.diagnostics.fitted import problem_at
from nlmevae.estimation.fit import fit_model
from nlmevae.estimation.population import Population
from nlmevae.estimation.subset import restricted
from nlmevae.estimation.warm_fit import _first_of_same, acting, warm_fit
from nlmevae.pipeline import make_settings, prepare
from nlmevae.results.status import FitStatus
from tests.benchmarks.warm_fits import minus_two_ll

THEOPHYLLINE = "fixtures/theophylline/run_wt.ctl"
DRAWN = np.array([0, 0, 2, 3, 5, 5, 6, 7, 8, 8, 10, 11])


@pytest.mark.slow
def test_it_ends_where_a_whole_fit_ends():
    run, settings = prepare(THEOPHYLLINE), make_settings({"covariance": "none"})
    table, form = restricted(run.table, DRAWN), latent_form(run.model, run.table)
    warm = warm_fit(run.model, form, table, Population.initial(run.model), settings)
    cold = fit_model(run.model, run.dataset, table, settings)
    assert warm.status is FitStatus.CONVERGED
    there = Population(thetas=cold.thetas, omega=cold.omega, sigma=cold.sigma)
    # .01 of -2LL moves an estimate by at most a tenth of its standard error
    assert minus_two_ll(run, table, warm.population) == pytest.approx(minus_two_ll(run, table, there), abs=0.01)
    assert warm.minus_two_ll == pytest.approx(cold.minus_two_ll, abs=0.1)


def test_the_order_of_what_was_fitted_before_does_not_matter():
    run, settings = prepare(THEOPHYLLINE), make_settings({"final_draws": 64})
    form, start = latent_form(run.model, run.table), Population.initial(run.model)
    first = warm_fit(run.model, form, restricted(run.table, DRAWN), start, settings)
    warm_fit(run.model, form, restricted(run.table, DRAWN[::-1]), start, settings)
    again = warm_fit(run.model, form, restricted(run.table, DRAWN), start, settings)
    assert (first.population.vector() == again.population.vector()).all()
    assert first.minus_two_ll == again.minus_two_ll


def test_standard_errors_come_with_it_where_they_are_asked_for():
    run, settings = prepare(THEOPHYLLINE), make_settings({"final_draws": 256})
    form, start = latent_form(run.model, run.table), Population.initial(run.model)
    found = warm_fit(run.model, form, run.table, start, settings, covariance="observed")
    errors = dict(zip(found.uncertainty.names, found.uncertainty.standard_errors, strict=True))
    assert errors["THETA(3)"] == pytest.approx(1.44, rel=0.05)  # that of nlmevae fit


def test_what_acts_is_found_for_means_random_effects_and_predictions():
    run = prepare(THEOPHYLLINE)
    problem = problem_at(run.model, run.table, None)
    assert set(acting(problem, problem.initial)) == {f"THETA({k})" for k in range(1, 6)} | {
        f"ETA({k})" for k in (1, 2, 3)
    }
    problem.decoder.close()


def test_a_random_effect_of_another_occasion_is_shown_by_the_one_it_repeats():
    blocks = (
        SimpleNamespace(names=("ETA(1)",), same_as=None),
        SimpleNamespace(names=("ETA(2)", "ETA(3)"), same_as=None),
        SimpleNamespace(names=("ETA(4)", "ETA(5)"), same_as=1),
        SimpleNamespace(names=("ETA(6)", "ETA(7)"), same_as=2),
    )
    found = _first_of_same(SimpleNamespace(omega=blocks))
    assert [found[f"ETA({k})"] for k in range(1, 8)] == [
        "ETA(1)", "ETA(2)", "ETA(3)", "ETA(2)", "ETA(3)", "ETA(2)", "ETA(3)",
    ]  # fmt: skip
