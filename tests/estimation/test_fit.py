"""The whole fit on the theophylline data, with the exact solution as decoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.data.dataset import Dataset
from nlmevae.errors import UnsupportedError
from nlmevae.estimation import decoders, evaluate, fit
from nlmevae.estimation.settings import FitSettings
from nlmevae.results.fit_result import FitResult
from nlmevae.results.status import FitStatus
from tests.helpers.analytic_decoder import OralDecoder, theophylline_model, theophylline_table
from tests.helpers.forms import bolus, make_table

BRIEF = FitSettings(burn_in_iterations=2, training_iterations=3, max_outer=2, n_draws=32, final_draws=256)


@pytest.fixture(autouse=True)
def _analytic(monkeypatch):
    monkeypatch.setattr(decoders, "make_decoder", lambda form, table, **_: OralDecoder(form, table))


def dataset() -> Dataset:
    """Only its path is read here."""
    empty = np.zeros(0, dtype=int)
    return Dataset(
        path="theophylline.csv",
        columns=(),
        values=np.zeros((0, 0)),
        missing=np.zeros((0, 0), dtype=bool),
        lines=empty,
        subject_ptr=empty,
        subject_labels=(),
        evid=empty,
        mdv=empty,
    )


def run(settings: FitSettings, *, progress=None) -> FitResult:
    return fit.fit_model(theophylline_model(), dataset(), theophylline_table(), settings, progress=progress)


@pytest.fixture(scope="module")
def default() -> FitResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoders, "make_decoder", lambda form, table, **_: OralDecoder(form, table))
        return run(FitSettings())


def test_the_default_method_reaches_the_maximum_likelihood(default):
    """331.9 and BICc 363.5 are the paper's SAEM values (table 1)."""
    assert default.status is FitStatus.CONVERGED
    found = default.likelihood("is")
    assert found.minus_two_ll == pytest.approx(331.93, abs=0.1)
    assert found.bicc == pytest.approx(363.5, abs=0.15)
    np.testing.assert_allclose(np.sqrt(np.diag(default.omega)), [0.545, 0.149, 0.130], atol=0.01)
    assert np.sqrt(default.sigma[0, 0]) == pytest.approx(0.724, abs=0.005)


def test_the_linearised_likelihood_is_the_papers(default):
    assert default.likelihood("lin").minus_two_ll == pytest.approx(330.4, abs=0.4)


def test_individual_likelihoods_sum_to_the_total(default):
    assert default.individuals.minus_two_ll.sum() == pytest.approx(default.minus_two_ll, abs=1e-9)


def test_individual_parameters_are_the_posterior_means_on_the_natural_scale(default):
    people = default.individuals
    assert people.psi_names == ("KA", "K", "V")
    mean = np.log(default.thetas[1])
    np.testing.assert_allclose(np.log(people.psi[:, 1]), mean + people.eta_mean[:, 1], rtol=1e-9)


def test_shrinkage_is_in_percent(default):
    eta = default.individuals.eta_mean
    expected = 100 * (1 - eta.std(axis=0) / np.sqrt(np.diag(default.omega)))
    np.testing.assert_allclose(default.eta_shrinkage_sd, expected)
    assert 20 < default.eta_shrinkage_sd[1] < 40
    assert 0 < default.eps_shrinkage_sd[0] < 25


def test_estimates_are_listed_with_their_names_and_values(default):
    assert [e.name for e in default.estimates[:5]] == [f"THETA({k})" for k in range(1, 6)]
    by_name = {e.name: e for e in default.estimates}
    assert by_name["OMEGA(2,2)"].value == default.omega[1, 1]
    assert by_name["OMEGA(2,2)"].label == "K"
    assert by_name["OMEGA(2,1)"].fixed
    assert by_name["SIGMA(1,1)"].label == "additive"
    assert not any(e.fixed for e in by_name.values() if e.row == e.column or e.kind == "theta")


def test_the_trace_is_one_sequence_over_all_phases(default):
    assert [row.iteration for row in default.trace] == list(range(len(default.trace)))
    phases = list(dict.fromkeys(row.phase for row in default.trace))
    assert phases == ["burn-in", "vae", "start", "polish"]
    assert (np.diff([row.seconds for row in default.trace]) > 0).all()


def test_progress_sees_every_row_of_the_trace():
    events = []
    result = run(BRIEF, progress=events.append)
    assert [e.row.iteration for e in events if e.row is not None] == [row.iteration for row in result.trace]
    assert [e.phase for e in events if e.row is not None] == [row.phase for row in result.trace]
    assert [e.phase for e in events if e.row is None][-1] == "errors"


def test_the_same_seed_gives_identical_digits():
    first, second = run(BRIEF), run(BRIEF)
    np.testing.assert_array_equal(first.thetas, second.thetas)
    assert first.minus_two_ll == second.minus_two_ll
    assert run(replace(BRIEF, seed=5)).minus_two_ll != first.minus_two_ll


def test_method_vae_stops_after_the_schedule_and_says_so():
    result = run(replace(BRIEF, method="vae"))
    assert result.status is FitStatus.FINISHED_SCHEDULE
    assert {row.phase for row in result.trace} == {"burn-in", "vae"}
    assert result.likelihood("elbo") is not None
    assert np.isfinite(result.minus_two_ll)


@pytest.mark.parametrize("stop_in", ["burn-in", "vae", "start", "polish"])
def test_ctrl_c_gives_the_last_complete_iteration(stop_in):
    last = {}

    def stop(event):
        last["row"] = event.row
        if event.phase == stop_in:
            raise KeyboardInterrupt

    result = run(BRIEF, progress=stop)
    assert result.status is FitStatus.INTERRUPTED
    assert np.isnan(result.minus_two_ll)
    assert np.isfinite(result.thetas).all()
    assert result.trace[-1].iteration == last["row"].iteration
    assert result.individuals.eta_mean.shape == (12, 3)


def test_ctrl_c_during_the_likelihood_keeps_the_estimates(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "evaluate", interrupt)
    result = run(BRIEF)
    assert result.status is FitStatus.INTERRUPTED
    assert "estimates are final" in result.message


def test_a_subject_without_observations_gets_the_prior_and_no_likelihood():
    table = theophylline_table()
    subjects = [
        {
            "events": [bolus(0.0, table.ev_amt[i])],
            "observations": [(t, 2) for t in table.ob_time[table.ob_ptr[i] : table.ob_ptr[i + 1]]],
            "covariates": [(0.0, tuple(table.cov[i]))],
        }
        for i in range(12)
    ]
    subjects.append({"events": [bolus(0.0, 300.0)], "observations": [], "covariates": [(0.0, (70.0,))]})
    longer = replace(make_table(subjects, covariate_names=("WT",)), ob_value=table.ob_value)
    result = fit.fit_model(theophylline_model(), dataset(), longer, FitSettings())
    assert result.individuals.n_obs[-1] == 0
    assert result.individuals.minus_two_ll[-1] == 0.0
    np.testing.assert_allclose(result.individuals.eta_mean[-1], 0.0, atol=0.05)
    np.testing.assert_allclose(np.diag(result.individuals.eta_cov[-1]), np.diag(result.omega), rtol=0.15)
    assert result.likelihood("is").minus_two_ll == pytest.approx(331.93, abs=0.1)


def test_a_model_without_random_effects_has_nothing_to_encode():
    model = theophylline_model(weight=False)
    fixed = tuple(replace(b, matrix=((0.0,),), fixed=True) for b in model.omega)
    with pytest.raises(UnsupportedError, match="no random effects"):
        fit.fit_model(replace(model, omega=fixed), dataset(), theophylline_table(), FitSettings(method="vae"))


def test_settings_and_versions_are_in_the_result(default):
    assert default.settings["method"] == "vae+polish"
    assert default.settings["backend"] == "test"
    assert set(default.versions) >= {"nlmevae", "numpy", "torch"}
    assert set(default.seconds) == {"setup", "vae", "polish", "likelihood", "covariance", "total"}


@pytest.mark.parametrize(
    ("asked", "n_subjects", "draws"),
    [(None, 12, 4096), (None, 500, 2000), (None, 5000, 1024), (None, 16_000, 625), (None, 90_000, 512), (9, 5000, 9)],
)
def test_the_reported_likelihood_has_as_many_draws_as_asked_for_or_as_the_size_needs(asked, n_subjects, draws):
    assert evaluate.final_draws(n_subjects, asked) == draws
