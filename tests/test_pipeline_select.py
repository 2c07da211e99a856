"""`nlmevae.select` from its arguments to its result and files; what is wrong is said before anything is fitted."""

from __future__ import annotations

import numpy as np
import pytest

import nlmevae
from nlmevae import pipeline
from nlmevae.errors import DataError, ModelError, OutputError, SettingsError
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.ir import Model
from nlmevae.pipeline import make_selection_settings, prepare, prepare_selection, run_selection
from nlmevae.results.selection_result import SelectionResult
from tests.helpers.covariate_streams import FIXTURES, covariate_run

BASE = FIXTURES / "theophylline" / "run_base.ctl"
BRIEF = {
    "burn_in_iterations": 2,
    "training_iterations": 5,
    "n_draws": 32,
    "final_draws": 64,
    "max_outer": 3,
    "resamples": 0,
    "n_alternatives": 0,
    "its_iterations": 1,
    "covariance": "none",
}


@pytest.fixture(scope="module")
def result() -> SelectionResult:
    short = {"burn_in_iterations": 5, "training_iterations": 20, "final_draws": 512, "n_alternatives": 0}
    return nlmevae.select(BASE, covariates="WT,SEX", seed=1, resamples=5, **short)


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """They take longer than the brief runs here and have their own tests."""
    monkeypatch.setattr(pipeline, "_draw", lambda result: {})


# settings


def test_settings_of_fit_and_selection_are_told_apart():
    fit, selection = make_selection_settings({"seed": 4, "criterion": "aic", "resamples": 3, "method": "vae"})
    assert fit == FitSettings(seed=4, method="vae")
    assert selection == SelectionSettings(criterion="aic", resamples=3)


def test_penalties_may_be_a_mapping():
    _, selection = make_selection_settings({"penalties": {"V~WT": 3.0, "KA~WT": 4}})
    assert selection.penalties == (("V~WT", 3.0), ("KA~WT", 4))
    assert selection.as_dict()["penalties"] == {"V~WT": 3.0, "KA~WT": 4}


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"criterium": "aic"}, "no setting 'criterium'", "did you mean criterion"),
        ({"sed": 1}, "no setting 'sed'", "did you mean seed"),
        ({"criterion": "cic"}, "'cic' is not a selection criterion", "bicc"),
        ({"criterion": "lrt:2"}, "not between 0 and 1", "lrt:0.01"),
        ({"solver": "cplex"}, "solver is 'cplex'", "highs"),
        ({"audit": "cplex"}, "audit is 'cplex'", "scip"),
        ({"resamples": -1}, "resamples is -1", "0 or more"),
        ({"penalties": {"V~WT": -1.0}}, "penalty of V~WT is -1.0", "greater than 0"),
        ({"penalties": {"V~AGE": 1.0}}, "no candidate effect 'V~AGE'", "KA~WT"),
        ({"seed": 1.5}, "seed is 1.5", "whole number"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(options, message, hint, monkeypatch):
    monkeypatch.setattr("nlmevae.estimation.search.estimate", _must_not_run)
    with pytest.raises(SettingsError, match=message) as error:
        nlmevae.select(BASE, covariates="WT", **options)
    assert hint in error.value.hint


def _must_not_run(*_args, **_options):
    raise AssertionError("something was fitted")


# before anything is fitted


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"covariates": "WEIGHT"}, SettingsError, "WEIGHT"),
        ({"covariates": "WT", "parameters": "CL"}, SettingsError, "CL"),
        ({"covariates": "WT", "effects": "KA"}, SettingsError, "KA"),
        ({"covariates": "WT", "force": "KA~AGE"}, SettingsError, "AGE"),
        ({}, SettingsError, "no covariates are asked for"),
        ({"covariates": "WT", "settings_file": "nowhere.toml"}, SettingsError, "nowhere.toml"),
        ({"covariates": "WT", "data": "nowhere.csv"}, DataError, "nowhere.csv"),
        ({"covariates": "TIME"}, (SettingsError, DataError), "TIME"),
    ],
)
def test_a_wrong_search_stops_before_anything_is_fitted(options, error, message, monkeypatch):
    monkeypatch.setattr("nlmevae.estimation.search.estimate", _must_not_run)
    with pytest.raises(error, match=message):
        nlmevae.select(BASE, **options)


def test_a_missing_control_stream_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="cannot read"):
        nlmevae.select(tmp_path / "run9.ctl", covariates="WT")


def test_files_of_others_are_not_overwritten_and_nothing_is_fitted(tmp_path, monkeypatch):
    monkeypatch.setattr("nlmevae.estimation.search.estimate", _must_not_run)
    (tmp_path / "run_base_selected.ctl").write_text("$PROBLEM mine\n")
    with pytest.raises(OutputError, match=r"run_base_selected\.ctl"):
        nlmevae.select(BASE, covariates="WT", out=tmp_path, **BRIEF)
    assert (tmp_path / "run_base_selected.ctl").read_text() == "$PROBLEM mine\n"
    assert len(list(tmp_path.iterdir())) == 1


# the run


def test_a_model_read_earlier_gives_the_same_result_as_its_file():
    model = nlmevae.read_model(BASE)
    assert isinstance(model, Model)
    one, two = (nlmevae.select(source, covariates="WT", **BRIEF) for source in (model, BASE))
    assert one.support == two.support
    assert one.fit.thetas.tolist() == two.fit.thetas.tolist()
    assert one.model_text == two.model_text


def test_other_data_can_be_given(tmp_path):
    lines = (FIXTURES / "theophylline" / "theophylline.csv").read_text().splitlines()
    few = [lines[0], *(x for x in lines[1:] if int(x.split(",")[0]) <= 8)]
    (tmp_path / "eight.csv").write_text("\n".join(few) + "\n")
    found = nlmevae.select(BASE, covariates="WT", data=tmp_path / "eight.csv", **BRIEF)
    assert found.fit.n_subjects == 8
    assert found.fit.data_path == str(tmp_path / "eight.csv")


def test_lists_text_and_a_settings_file_ask_the_same(tmp_path):
    (tmp_path / "search.toml").write_text('covariates = ["WT"]\ncategorical = ["SEX"]\nparameters = ["KA", "V"]\n')
    ways = (
        {"covariates": "WT", "categorical": "SEX", "parameters": "KA,V"},
        {"covariates": ["WT"], "categorical": ["SEX"], "parameters": ["KA", "V"]},
        {"settings_file": tmp_path / "search.toml"},
    )
    found = [prepare_selection(BASE, **way).search for way in ways]
    assert found[0].space == found[1].space == found[2].space
    assert [c.name for c in found[0].space.candidates] == ["KA~WT", "KA~SEX", "V~WT", "V~SEX"]


def test_progress_is_called_with_every_row_of_the_trace():
    events = []
    found = nlmevae.select(BASE, covariates="WT", progress=events.append, **BRIEF)
    rows = [event.row for event in events if event.row is not None]
    assert [r.phase for r in rows] == list(found.trace.phase)
    assert [r.iteration for r in rows] == list(range(len(rows)))
    assert [r.seconds for r in rows] == sorted(r.seconds for r in rows)
    np.testing.assert_array_equal([r.support for r in rows], found.trace.support)


def test_nothing_is_written_unless_asked(tmp_path):
    run = covariate_run(tmp_path, {"AGE": [20.0, 30.0, 40.0, 50.0, 25.0, 35.0, 44.0, 61.0]})
    before = sorted(p.name for p in tmp_path.iterdir())
    nlmevae.select(run.model, covariates="AGE", **BRIEF)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    nlmevae.select(run.model, covariates="AGE", write=True, **BRIEF)
    assert (tmp_path / "run1_selected.ctl").is_file()
    assert (tmp_path / "run1_selected.selection.json").is_file()


def test_the_fit_is_of_the_written_model(result, tmp_path):
    (tmp_path / "theophylline.csv").write_bytes((BASE.parent / "theophylline.csv").read_bytes())
    (tmp_path / "written.ctl").write_text(result.model_text)
    run = prepare(tmp_path / "written.ctl")
    assert [t.name for t in run.model.thetas] == [e.name for e in result.fit.estimates if e.kind == "theta"]
    assert run.table.n_obs_total == result.fit.n_obs_total
    # initial estimates of the written effects are the final ones, in the digits that are written
    for effect in result.effects:
        for name, beta in zip(effect.thetas, effect.beta, strict=False):
            init = next(t.init for t in run.model.thetas if t.name == name)
            assert init == pytest.approx(beta, rel=1e-4)


def test_the_criterion_is_likelihood_plus_penalties(result):
    likelihood = result.fit.likelihood("is")
    assert result.criterion == "mbic"  # with two candidates on each parameter it is the BICc
    assert result.criterion_value == pytest.approx(likelihood.bicc)
    # log 12 for three variances and two effects, log 120 for three typical values and sigma
    assert likelihood.bicc == pytest.approx(likelihood.minus_two_ll + 5 * np.log(12) + 4 * np.log(120))
    assert "log(12) = 2.48" in result.criterion_text


@pytest.mark.parametrize(
    ("criterion", "penalty"), [("aic", 2.0), ("lrt:0.05", 3.841458821), ("ebic", np.log(12) + 2 * np.log(3))]
)
def test_what_a_criterion_charges_is_in_every_effect_and_in_the_value(criterion, penalty):
    found = nlmevae.select(BASE, covariates="WT", criterion=criterion, **BRIEF)
    assert [e.penalty for e in found.effects] == pytest.approx([penalty] * 3)
    likelihood = found.fit.likelihood("is")
    expected = {
        "aic": likelihood.aic,
        "ebic": likelihood.bic + 2 * np.log(3) * len(found.support),
    }.get(criterion, likelihood.minus_two_ll + penalty * len(found.support))
    assert found.criterion_value == pytest.approx(expected)
    assert found.settings["criterion"] == criterion


def test_the_users_penalty_is_charged(result):
    found = nlmevae.select(BASE, covariates="WT", penalties={"KA~WT": 80.0, "V~WT": 0.01}, **BRIEF)
    assert "KA~WT" not in found.support
    assert "V~WT" in found.support
    likelihood = found.fit.likelihood("is")
    charged = sum(e.penalty - np.log(12) for e in found.effects if e.selected)
    assert found.criterion_value == pytest.approx(likelihood.bicc + charged)


def test_post_selection_estimates_come_with_standard_errors(result):
    for estimate in result.fit.estimates:
        free = not estimate.fixed
        assert (estimate.standard_error is not None) == free
        assert not free or estimate.standard_error > 0
    for effect in result.effects:
        assert len(effect.standard_error) == len(effect.beta) == len(effect.coefficients)
        assert np.isfinite(effect.standard_error).all() == effect.selected


def test_every_candidate_is_reported_once_in_the_order_of_the_search(result):
    assert [e.name for e in result.effects] == ["KA~WT", "KA~SEX", "K~WT", "K~SEX", "V~WT", "V~SEX"]
    assert result.parameters == ("KA", "K", "V")
    assert len(result.coefficients) == 6
    assert sum(e.selected for e in result.effects) == len(result.support)


def test_the_path_holds_the_selected_support_at_the_criterions_penalty(result):
    at = [step for step in result.path if step.low < np.log(12) <= step.high]
    assert [step.support for step in at] == [result.support]
    assert result.path[-1].support == ()


def test_a_forced_effect_is_in_and_a_forbidden_one_is_no_candidate():
    found = nlmevae.select(BASE, covariates="WT,SEX", force="K~WT", forbid="V~SEX,KA~SEX", **BRIEF)
    by_name = {e.name: e for e in found.effects}
    assert set(by_name) == {"KA~WT", "K~WT", "K~SEX", "V~WT"}
    assert by_name["K~WT"].selected
    assert by_name["K~WT"].forced
    assert np.isnan(by_name["K~WT"].margin)


def test_levels_of_a_category_enter_together_or_one_by_one(tmp_path):
    race = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 1, 1]
    run = covariate_run(tmp_path, {"RACE": race})
    together = nlmevae.select(run.model, categorical="RACE", penalties={"BASE~RACE": 1e-6}, **BRIEF)
    assert [len(e.coefficients) for e in together.effects] == [2, 2]
    base = together.effects[0]
    assert base.selected
    assert (len(base.thetas), len(base.beta)) == (2, 2)
    assert base.beta[0] != 0.0 != base.beta[1]
    each = prepare_selection(run.model, categorical="RACE", levels="each").search.space.candidates
    assert [c.name for c in each] == ["BASE~RACE=2", "BASE~RACE=3", "SLOPE~RACE=2", "SLOPE~RACE=3"]


def test_at_most_one_form_of_a_relation_is_selected():
    found = nlmevae.select(
        BASE, covariates="WT", forms="power,exponential", parameters="KA,V", criterion="aic", **BRIEF
    )
    assert [e.form for e in found.effects] == ["power", "exponential"] * 2
    for parameter in ("KA", "V"):
        assert sum(e.selected for e in found.effects if e.parameter == parameter) <= 1


def test_twins_are_reported_as_exchangeable(tmp_path):
    age = np.array([20.0, 30.0, 40.0, 50.0, 25.0, 35.0, 44.0, 61.0])
    run = covariate_run(tmp_path, {"AGE": age, "BIRTH": 2000 - age})
    found = nlmevae.select(run.model, covariates="AGE,BIRTH", parameters="BASE", **BRIEF)
    assert any({"BASE~AGE", "BASE~BIRTH"} == set(group) for group in found.exchangeable)


def test_a_search_prepared_once_can_be_run_with_other_settings():
    prepared = prepare_selection(BASE, covariates="WT")
    one = run_selection(prepared, *make_selection_settings({**BRIEF, "seed": 1}))
    two = run_selection(prepared, *make_selection_settings({**BRIEF, "seed": 2}))
    assert one.fit.thetas.tolist() != two.fit.thetas.tolist()
    assert one.seconds.keys() == two.seconds.keys()


def test_the_public_name_is_the_pipelines():
    assert nlmevae.select is pipeline.select
