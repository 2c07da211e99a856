"""Whole searches: reproducible, interruptible, and right in the corners of what models and data can be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

import nlmevae
from nlmevae import pipeline
from nlmevae.errors import DataError, SettingsError, UnsupportedError
from nlmevae.estimation.search import _check_means
from nlmevae.estimation.selector import FEWEST
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import CovarianceBlock
from nlmevae.results.selection_result import SelectionResult
from nlmevae.results.status import FitStatus
from nlmevae.writers.results_json import read_results_json
from nlmevae.writers.selection_json import read_selection_json
from tests.helpers import covariate_streams
from tests.helpers.code_models import make_model
from tests.helpers.covariate_streams import FIXTURES, covariate_run

THEOPHYLLINE = FIXTURES / "theophylline"
BASE = THEOPHYLLINE / "run_base.ctl"
#: Only that a run goes through all its parts.
BRIEF = {
    "burn_in_iterations": 2,
    "training_iterations": 5,
    "n_draws": 32,
    "final_draws": 64,
    "max_outer": 8,
    "resamples": 2,
    "n_alternatives": 1,
    "its_iterations": 1,
}
#: The decisions of a run, without the large sample for the reported likelihood.
QUICK = {
    "burn_in_iterations": 5,
    "training_iterations": 20,
    "final_draws": 512,
    "resamples": 0,
    "n_alternatives": 0,
}
PAPER = ("KA~WT", "V~WT")


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """They take longer than the brief runs here and have their own tests."""
    monkeypatch.setattr(pipeline, "_draw", lambda result: {})


def staged(folder: Path, edit: Callable[[str], str] = str, rows: Callable[[list[str]], list[str]] = list) -> Path:
    """Theophylline without covariates, control stream and data lines edited."""
    (folder / "run1.ctl").write_text(edit(BASE.read_text()))
    lines = (THEOPHYLLINE / "theophylline.csv").read_text().splitlines()
    (folder / "theophylline.csv").write_text("\n".join(rows(lines)) + "\n")
    return folder / "run1.ctl"


def digits(value: object) -> object:
    """Everything but times, comparable."""
    if dataclasses.is_dataclass(value):
        return {
            f.name: digits(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if "seconds" not in f.name and f.name not in ("source_path", "data_path")
        }
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {k: digits(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [digits(v) for v in value]
    return repr(value)


# reproducible


def test_the_same_seed_gives_the_same_digits():
    first, second = (nlmevae.select(BASE, covariates="WT,SEX", seed=5, **BRIEF) for _ in range(2))
    assert digits(first) == digits(second)
    is_complete(first)
    assert first.seconds["total"] > 0


def test_another_seed_gives_other_digits_and_the_same_decisions():
    runs = [nlmevae.select(BASE, covariates="WT,SEX", seed=seed, **QUICK) for seed in (11, 12)]
    assert [r.support for r in runs] == [PAPER, PAPER]
    assert digits(runs[0].fit) != digits(runs[1].fit)
    assert runs[0].criterion_value == pytest.approx(runs[1].criterion_value, abs=0.2)
    for one, two in zip(runs[0].effects, runs[1].effects, strict=True):
        assert one.margin == pytest.approx(two.margin, abs=0.15, nan_ok=True)


@pytest.mark.slow
def test_the_published_algorithm_selects_the_papers_effects():
    """Paper, Table 1, column VAE: -2LL by importance sampling 332.2 with weight on KA and V."""
    result = nlmevae.select(BASE, covariates="WT,SEX", seed=1, method="vae", resamples=0)
    assert result.fit.status is FitStatus.FINISHED_SCHEDULE
    assert result.support == PAPER
    assert 331.9 <= result.fit.minus_two_ll <= 332.6
    assert set(result.trace.phase) == {"burn-in", "vae"}
    assert all(np.isfinite(e.margin) for e in result.effects)
    assert result.certificate.n_uncertified == 0


# interrupts


def interrupt(*_args, **_options):
    raise KeyboardInterrupt


def interrupted(*args, **options) -> SelectionResult:
    """A selection that Ctrl-C ends somewhere."""
    try:
        return nlmevae.select(*args, **options)
    except KeyboardInterrupt:
        pytest.fail("Ctrl-C ended the run without a result", pytrace=False)


def read_back(folder: Path, result: SelectionResult, name: str = "run_base") -> SelectionResult:
    """The files of a run, checked against its result."""
    found = read_selection_json(folder / f"{name}_selected.selection.json")
    assert found.support == result.support
    assert read_results_json(folder / f"{name}_selected.results.json").status is result.fit.status
    assert (folder / f"{name}_selected.ctl").read_text() == result.model_text
    assert {t.name for t in nlmevae.read_model(folder / f"{name}_selected.ctl").thetas} >= {
        name for e in result.effects for name in e.thetas
    }
    return found


def is_complete(result: SelectionResult) -> None:
    """Estimates and support belong together."""
    assert np.isfinite(result.fit.thetas).all()
    assert len(result.fit.thetas) == 3 + len(result.support)
    for effect in result.effects:
        assert (len(effect.thetas) == 1) == effect.selected
        assert (effect.beta != (0.0,)) == effect.selected
    outside = ~result.trace.support  # one coefficient per candidate
    assert (result.trace.beta[outside] == 0.0).all()


@pytest.mark.parametrize("stop_in", ["burn-in", "vae", "start", "polish"])
def test_ctrl_c_keeps_the_last_complete_support(stop_in, tmp_path):
    def stop(event):
        if event.phase == stop_in:
            raise KeyboardInterrupt

    result = interrupted(BASE, covariates="WT,SEX", out=tmp_path, progress=stop, **BRIEF)
    assert result.fit.status is FitStatus.INTERRUPTED
    assert np.isnan(result.fit.minus_two_ll)
    assert result.trace.phase[-1] == stop_in
    assert result.trace.support[-1].tolist() == [e.selected for e in result.effects]
    is_complete(result)
    read_back(tmp_path, result)


@pytest.mark.parametrize(
    "inside",
    [
        "vae.m_step",
        "selector.Selector.complete_data",
        "fit.scattered_starts",
        "selector.Selector.observed",
        "selector.improve",
        "polish._Run._modes",
        "fit.evaluate",
    ],
)
def test_ctrl_c_inside_any_part_of_the_estimation_is_a_status(inside, tmp_path, monkeypatch):
    monkeypatch.setattr(f"nlmevae.estimation.{inside}", interrupt)
    result = interrupted(BASE, covariates="WT,SEX", out=tmp_path, **BRIEF)
    assert result.fit.status is FitStatus.INTERRUPTED
    is_complete(result)
    read_back(tmp_path, result)


@pytest.mark.parametrize("inside", ["path", "supports_by_criterion", "stability"])
def test_ctrl_c_after_the_estimation_keeps_it_and_says_what_is_missing(inside, tmp_path, monkeypatch):
    monkeypatch.setattr(f"nlmevae.estimation.search_evidence.{inside}", interrupt)
    result = interrupted(BASE, covariates="WT,SEX", out=tmp_path, **BRIEF)
    assert result.fit.status is not FitStatus.INTERRUPTED
    assert np.isfinite(result.fit.minus_two_ll)
    assert any("Interrupted after the estimation" in w for w in result.warnings)
    assert all(np.isnan(e.frequency) for e in result.effects)
    read_back(tmp_path, result)


def test_ctrl_c_during_the_audit_keeps_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr("nlmevae.selection.audit.audit", interrupt)
    result = interrupted(BASE, covariates="WT,SEX", out=tmp_path, audit="highs", **BRIEF)
    assert np.isfinite(result.fit.minus_two_ll)
    assert result.certificate.audit_agrees is None
    read_back(tmp_path, result)


def test_the_audit_solves_the_last_program_once(tmp_path, monkeypatch):
    from nlmevae.selection import audit as module

    calls, original = [], module.audit

    def counted(program, solution, **options):
        calls.append(program)
        return original(program, solution, **options)

    monkeypatch.setattr(module, "audit", counted)
    result = interrupted(BASE, covariates="WT,SEX", out=tmp_path, audit="highs", **BRIEF)
    assert result.certificate.audit_agrees is True
    assert len(calls) == 1


# failures and corners


@pytest.mark.parametrize("method", ["vae", "vae+polish"])
def test_a_model_without_finite_predictions_is_a_status(method, tmp_path, monkeypatch):
    stream = covariate_streams.STREAM.replace("SLOPE*TIME", "SLOPE*LOG(TIME - 5)")
    monkeypatch.setattr(covariate_streams, "STREAM", stream)
    covariate_run(tmp_path, {"AGE": [20.0, 30.0, 40.0, 50.0, 25.0, 35.0]})
    result = nlmevae.select(tmp_path / "run1.ctl", covariates="AGE", out=tmp_path / "out", method=method, **BRIEF)
    assert result.fit.status is FitStatus.NUMERICAL_FAILURE
    assert "could not be evaluated" in result.fit.message
    assert (result.support, result.path) == ((), ())
    assert np.isnan(result.criterion_value)
    read_back(tmp_path / "out", result, "run1")


def test_of_one_subject_no_covariate_can_be_searched(tmp_path):
    source = staged(tmp_path, rows=lambda lines: [lines[0], *(x for x in lines[1:] if x.split(",")[0] == "1")])
    with pytest.raises(DataError, match=r"WT is 79\.6 for every subject"):
        nlmevae.select(source, covariates="WT", **BRIEF)


@pytest.mark.parametrize("subjects", [("1", "2"), ("1", "2", "12"), ("3", "4", "5", "6")])
def test_few_subjects_end_with_a_result(tmp_path, subjects):
    source = staged(tmp_path, rows=lambda lines: [lines[0], *(x for x in lines[1:] if x.split(",")[0] in subjects)])
    result = nlmevae.select(source, covariates="WT", **BRIEF)
    assert np.isfinite(result.fit.minus_two_ll)
    assert len(result.support) <= FEWEST
    is_complete(result)


def test_more_candidates_than_subjects_never_explain_every_subject(tmp_path):
    """24 candidates for 12 subjects, 18 of them noise: the size of the model is limited, and the run says so."""
    extra = np.random.default_rng(0).normal(size=(13, 6)).round(3)
    names = [f"X{j}" for j in range(6)]

    def wide(lines):
        rows = [line + "".join(f",{v}" for v in extra[int(line.split(",")[0])]) for line in lines[1:]]
        return [lines[0] + "," + ",".join(names), *rows]

    source = staged(tmp_path, lambda text: text.replace("WT SEX", f"WT SEX {' '.join(names)}"), wide)
    prepared = pipeline.prepare_selection(source, covariates=["WT", "SEX", *names])
    assert any(d.code == "many-candidates" for d in prepared.diagnostics)
    result = nlmevae.select(source, covariates=["WT", "SEX", *names], criterion="bicc", **QUICK)
    assert result.fit.status.completed
    assert len(result.effects) == 24
    assert 2 <= len(result.support) <= FEWEST
    # the paper's support is among the allowed ones: what was found must not be worse (exact BICc 363.493)
    assert result.criterion_value < 363.6
    limited = len(result.support) == FEWEST
    assert any("stopped at" in w for w in result.warnings) == limited
    better = [e.name for e in result.effects if e.margin < -0.05]
    assert limited or not better  # only the limit keeps out what would improve the criterion
    assert not set(better) & set(result.support)


def test_effects_of_the_model_stay_and_are_no_candidates():
    result = nlmevae.select(THEOPHYLLINE / "run_wt.ctl", covariates="WT,SEX", **QUICK)
    assert [e.name for e in result.effects] == ["KA~SEX", "K~WT", "K~SEX", "V~SEX"]
    assert result.support == ()
    assert result.fit.minus_two_ll == pytest.approx(331.92, abs=0.15)
    assert result.fit.thetas[3:] == pytest.approx([2.61, 0.58], rel=0.03)


def test_when_no_candidate_is_left_the_error_says_why():
    with pytest.raises(SettingsError, match=r"no candidate effect is left.*KA already depends on WT"):
        nlmevae.select(THEOPHYLLINE / "run_wt.ctl", covariates="WT", parameters="KA,V")


def test_without_covariates_there_is_nothing_to_search():
    with pytest.raises(SettingsError, match="no covariates are asked for"):
        nlmevae.select(BASE)


def test_a_parameter_without_a_random_effect_is_left_out_or_refused(tmp_path):
    source = staged(tmp_path, lambda text: text.replace("  0.3        ;", "  0 FIX ;"))
    names = [c.name for c in pipeline.prepare_selection(source, covariates="WT").search.space.candidates]
    assert names == ["K~WT", "V~WT"]
    with pytest.raises(UnsupportedError, match="KA has no mu-referenced random effect") as error:
        nlmevae.select(source, covariates="WT", parameters="KA")
    assert "search K, V" in error.value.hint


def test_a_fixed_omega_stays_in_the_search(tmp_path):
    """OMEGA of KA fixed near its estimate: the paper's support, and one variance fewer in BICc."""
    source = staged(tmp_path, lambda text: text.replace("  0.3        ;", "  0.3 FIX ;"))
    result = nlmevae.select(source, covariates="WT,SEX", **QUICK)
    assert result.fit.omega[0, 0] == 0.3
    assert result.support == PAPER
    # log 12 for two effects and two variances, log 120 for three typical values and sigma
    assert result.criterion_value == pytest.approx(result.fit.minus_two_ll + 4 * np.log(12) + 4 * np.log(120), abs=1e-6)


def test_a_block_omega_is_kept_and_searched(tmp_path):
    def block(text):
        text = text.replace("$OMEGA\n  0.3        ; IIV_KA\n", "$OMEGA BLOCK(2)\n  0.3\n")
        text = text.replace("  0.05       ; IIV_K\n", "  0.01 0.05\n")
        return text.replace("  0.05       ; IIV_V", "$OMEGA 0.05")

    result = nlmevae.select(staged(tmp_path, block), covariates="WT", **QUICK)
    assert result.fit.status.completed
    assert result.fit.omega[0, 1] != 0.0
    assert (result.fit.omega[:2, 2] == 0.0).all()
    assert "KA~WT" in result.support


def test_a_model_without_random_effects_is_refused(tmp_path):
    def fixed(text):
        for value in ("0.3 ", "0.05"):
            text = text.replace(f"  {value}       ;", "  0 FIX ;")
        return text

    with pytest.raises(UnsupportedError, match="random effect"):
        nlmevae.select(staged(tmp_path, fixed), covariates="WT", **BRIEF)


# the written model


def test_standard_errors_are_those_of_a_fit_of_the_written_model(tmp_path):
    found = nlmevae.select(BASE, covariates="WT,SEX", seed=1, out=tmp_path, **QUICK)
    fitted = nlmevae.fit(
        tmp_path / "run_base_selected.ctl", seed=2, **{k: v for k, v in QUICK.items() if k != "resamples"}
    )
    assert fitted.minus_two_ll == pytest.approx(found.fit.minus_two_ll, abs=0.15)
    for one, two in zip(found.fit.estimates, fitted.estimates, strict=True):
        assert one.name == two.name
        assert (one.standard_error is None) == (two.standard_error is None)
        if one.standard_error is not None:
            assert one.standard_error == pytest.approx(two.standard_error, rel=0.08)
            assert one.value == pytest.approx(two.value, abs=0.05 * two.standard_error)
    for effect in found.effects:
        own = [e.standard_error for e in found.fit.estimates if e.name in effect.thetas]
        assert [s for s in effect.standard_error if np.isfinite(s)] == own
    # a Wald test of what was selected: the data support each effect
    wald = {e.name: e.beta[0] / e.standard_error[0] for e in found.effects if e.selected}
    assert all(2 * norm.sf(abs(z)) < 0.1 for z in wald.values())


def test_a_parameter_without_a_mean_and_a_block_with_zeros_are_refused_before_anything_is_estimated():
    model = recognise(make_model(pk="CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))"))
    with pytest.raises(UnsupportedError, match="CL changes within a subject"):
        _check_means(model, {"V": 1}, ["CL", "V"])
    band = CovarianceBlock(names=("ETA(1)", "ETA(2)"), matrix=((0.1, 0.0), (0.0, 0.1)))
    with pytest.raises(UnsupportedError, match="is 0 and stays 0"):
        _check_means(dataclasses.replace(model, omega=(band,)), {"CL": 0, "V": 1}, ["CL", "V"])
    _check_means(model, {"CL": 0, "V": 1}, ["CL", "V"])
