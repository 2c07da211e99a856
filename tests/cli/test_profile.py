"""`nlmevae profile` and the options of `nlmevae fit` that concern standard errors, on a real model."""

import csv
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

import nlmevae
from nlmevae.cli.main import main
from nlmevae.results.fit_result import FitResult
from nlmevae.writers.results_json import read_results_json, write_results_json

THEOPHYLLINE = Path(__file__).parents[2] / "fixtures" / "theophylline"
QUICK = {"burn_in_iterations": 4, "training_iterations": 6, "n_alternatives": 0, "final_draws": 512}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with a fitted theophylline model with $COVARIANCE MATRIX=R; the fit."""
    folder = tmp_path_factory.mktemp("profile")
    shutil.copy(THEOPHYLLINE / "theophylline.csv", folder)
    text = (THEOPHYLLINE / "run_base.ctl").read_text()
    (folder / "run1.ctl").write_text(text + "\n$COVARIANCE MATRIX=R\n")
    return folder, nlmevae.fit(folder / "run1.ctl", write=True, derive=["LOG(2)/K", "THETA(2)*V"], **QUICK)


#: What pharmpy wants to see of a covariance step in a listing, which nlmevae does not write.
LISTING = """1NONLINEAR MIXED EFFECTS MODEL PROGRAM (NONMEM) VERSION 7.5.1
 #TBLN:      1
 #METH: Importance Sampling assisted by VAE Estimation
 #TERM:
 OPTIMIZATION WAS COMPLETED
 #TERE:
 Elapsed estimation  time in seconds:     0.32
 Elapsed covariance  time in seconds:     0.28
"""


def test_the_files_of_the_covariance_step_are_read_back_by_pharmpy(finished):
    pytest.importorskip("pharmpy")
    from pharmpy.tools import read_modelfit_results

    folder, result = finished
    known = result.uncertainty
    assert known.method == "observed"
    (folder / "run1.lst").write_text(LISTING)
    read = read_modelfit_results(folder / "run1.ctl")
    free = [e for e in result.estimates if not e.fixed]
    index = [known.names.index(e.name) for e in free]
    assert list(read.standard_errors) == pytest.approx([e.standard_error for e in free], rel=1e-5)
    assert list(read.standard_errors_sdcorr)[3:] == pytest.approx(known.sd_standard_errors[index][3:], rel=1e-5)
    order = list(read.standard_errors.index)
    assert read.covariance_matrix.loc[order, order].to_numpy() == pytest.approx(
        known.covariance[np.ix_(index, index)], rel=1e-5
    )
    assert read.correlation_matrix.loc[order, order].to_numpy() == pytest.approx(
        known.correlation[np.ix_(index, index)], rel=1e-4, abs=1e-6
    )
    assert read.precision_matrix.loc[order, order].to_numpy() == pytest.approx(
        known.inverse[np.ix_(index, index)], rel=1e-4
    )
    assert read.condition_number == pytest.approx(known.condition_number, rel=1e-5)


def test_derived_quantities_agree_with_the_covariance(finished):
    _, result = finished
    half_life, clearance = result.derived
    k = next(e for e in result.estimates if e.label == "K")
    assert half_life.value == pytest.approx(np.log(2) / k.value)
    assert half_life.standard_error / half_life.value == pytest.approx(k.standard_error / k.value)
    assert clearance.low < clearance.value < clearance.high


def test_profile_starts_from_a_stored_fit_and_writes_its_points(finished, capsys):
    folder, result = finished
    line = ["profile", str(folder / "run1.ctl"), "V", "--estimates", str(folder / "run1.results.json"), "--quiet"]
    assert main(line) == 0
    rows = list(csv.DictReader((folder / "run1.profile.csv").open()))
    assert {row["profiled"] for row in rows} == {"THETA(3)"}
    low, high = (float(rows[0][name]) for name in ("interval_low", "interval_high"))
    value = next(e.value for e in result.estimates if e.name == "THETA(3)")
    assert low < value < high
    wald = result.uncertainty.intervals[2]
    assert (low, high) == pytest.approx(tuple(wald), rel=0.05)  # V is well known: both agree
    assert main(line) == 0  # our own file is replaced


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["THETA(9)"], "THETA(9) is no parameter of the model"),
        (["OMEGA(2,1)"], "is not estimated on its own"),
        (["V", "--level", "1.5"], "--level is 1.5"),
        (["V", "--estimates", "none.json"], "cannot read none.json"),
    ],
)
def test_what_cannot_be_profiled_stops_before_anything_is_fitted(finished, capsys, words, message):
    folder, _ = finished
    assert main(["profile", str(folder / "run1.ctl"), *words]) == 2
    assert message in capsys.readouterr().err


def test_estimates_of_another_model_are_refused(finished, tmp_path, capsys):
    folder, result = finished
    other: FitResult = dataclasses.replace(result, thetas=result.thetas[:2])
    write_results_json(tmp_path / "other.json", other)
    line = ["profile", str(folder / "run1.ctl"), "V", "--estimates", str(tmp_path / "other.json")]
    assert main(line) == 2
    assert "differs from this model" in capsys.readouterr().err


def test_a_wrong_expression_stops_before_the_fit_with_its_place(finished, capsys):
    folder, _ = finished
    assert main(["fit", str(folder / "run1.ctl"), "--derive", "CL/V"]) == 2
    shown = capsys.readouterr().err
    assert "CL is no population parameter" in shown
    assert "^" in shown


def test_none_means_no_standard_errors_and_no_files_of_them(finished, tmp_path):
    folder, _ = finished
    shutil.copy(folder / "run1.ctl", tmp_path)
    shutil.copy(folder / "theophylline.csv", tmp_path)
    options = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    assert main(["fit", str(tmp_path / "run1.ctl"), "--quiet", "--covariance", "none", *options]) in (0, 1)
    assert not (tmp_path / "run1.cov").exists()
    result = read_results_json(tmp_path / "run1.results.json")
    assert result.uncertainty is None
    assert all(e.standard_error is None for e in result.estimates)
