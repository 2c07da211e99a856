"""`nlmevae likelihood` as a shell user meets it: text, files, exit codes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from nlmevae.cli.likelihood import LikelihoodProgress
from nlmevae.cli.likelihood_text import likelihood_text
from nlmevae.cli.main import BAD_INPUT, DONE, UNFINISHED, main
from nlmevae.results.fit_result import LikelihoodValue
from nlmevae.results.likelihood_result import LikelihoodResult, SubjectLikelihood

THEOPHYLLINE = Path(__file__).parents[2] / "fixtures" / "theophylline"


@pytest.fixture
def run(tmp_path):
    for name in ("run_base.ctl", "theophylline.csv"):
        shutil.copy(THEOPHYLLINE / name, tmp_path)
    return tmp_path / "run_base.ctl"


def printed(capsys) -> dict[str, list[str]]:
    """Method -> the numbers of its line."""
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    return {line[0]: re.findall(r"-?\d+\.\d+", " ".join(line)) for line in lines if line}


def test_a_line_for_every_method_with_and_without_the_constant(run, capsys):
    assert main(["likelihood", str(run), "--method", "focei,lin,fo"]) == DONE
    lines = printed(capsys)
    for method in ("focei", "lin", "fo"):
        with_constant, without = (float(x) for x in lines[method][:2])
        assert with_constant - without == pytest.approx(120 * np.log(2 * np.pi), abs=1e-3)


def test_parameters_from_a_table_of_values_and_files_in_a_folder(run, capsys):
    values = run.with_name("values.csv")
    values.write_text(
        "name,value\nKA (1/h),1.6\nTHETA2,0.09\nTHETA3,32\nIIV_KA,0.3\nIIV_K,0.02\nIIV_V,0.02\nRUV_ADD,0.5\n"
    )
    values.write_text(values.read_text().replace("KA (1/h)", "THETA1"))
    out = run.parent / "out"
    line = ["likelihood", str(run), "--params", str(values), "--method", "focei", "--out", str(out)]
    assert main(line) == DONE
    output = capsys.readouterr().out
    assert f"Parameters: {values}" in output
    assert f"Wrote {out / 'run_base.likelihood.json'}" in output
    assert len((out / "run_base.likelihood.csv").read_text().splitlines()) == 13


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "exact"], "a likelihood method is 'exact'"),
        (["--params", "none.ext"], "cannot read none.ext"),
        (["--draws", "many"], "final_draws is 'many'"),
        (["--data", "none.csv"], "does not exist"),
    ],
)
def test_what_is_wrong_ends_with_a_sentence(run, capsys, options, words):
    assert main(["likelihood", str(run), *options]) == BAD_INPUT
    assert words in capsys.readouterr().err


def test_a_fit_can_be_asked_for_more_methods(run, capsys):
    text = run.read_text()
    run.write_text(text[: text.index("$ESTIMATION")] + "$ESTIMATION MAXEVAL=0\n")
    line = ["fit", str(run), "--likelihoods", "laplace,fo", "--set", "final_draws=128", "--out", str(run.parent / "o")]
    assert main(line) == DONE
    output = capsys.readouterr().out
    for label in ("Laplace, exact Hessian", "FOCE with interaction", "first order", "linearisation"):
        assert f"-2LL ({label})" in output
    assert "nothing was estimated" in output


def result(**changes) -> LikelihoodResult:
    value = LikelihoodValue(method="is", minus_two_ll=10.0, mc_se=0.25, aic=12.0, bic=13.0, bicc=14.0)
    subject = SubjectLikelihood(method="is", minus_two_ll=np.array([10.0]), error=np.array([0.25]), seconds=1.5)
    facts = {
        "name": "run1", "source_path": "run1.ctl", "data_path": "d.csv", "problem": "", "parameters_from": "x.ext",
        "objective_there": float("nan"), "parameters": {}, "seed": 1, "n_draws": 8, "n_subjects": 1, "n_obs_total": 2,
        "values": (value,), "subjects": (subject,), "labels": ("1",), "n_obs": np.array([2]), "ess": np.array([0.5]),
        "khat": np.array([0.1]), "warnings": (), "versions": {},
    }  # fmt: skip
    return LikelihoodResult(**{**facts, **changes})


def test_the_monte_carlo_error_is_marked_and_a_stated_objective_shown():
    text = likelihood_text(result(objective_there=6.4))
    assert "0.250 (SE)" in text
    assert "states an objective of 6.4000" in text
    assert "What an approximation misses" not in text


def test_long_computations_say_what_is_done_and_how_long_it_takes(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 1.5, 4.0, 5.0])
    monkeypatch.setattr("nlmevae.cli.likelihood.time.monotonic", lambda: next(clock))
    progress = LikelihoodProgress()
    for share in (0.0, 0.25, 0.5, 0.75):
        progress("is", share)
    assert capsys.readouterr().err == "importance sampling: 50 %, at most 3.0 s left\n"


def test_parameters_at_which_the_model_has_no_value_are_said_and_end_with_code_one(run, capsys):
    values = run.with_name("values.csv")
    values.write_text("THETA1,1e300\nTHETA2,1e-300\nTHETA3,1e-300\nIIV_KA,0.3\nIIV_K,0.02\nIIV_V,0.02\nRUV_ADD,0.5\n")
    line = ["likelihood", str(run), "--params", str(values), "--method", "all", "--draws", "64"]
    assert main(line) == UNFINISHED
    errors = capsys.readouterr().err
    for label in ("importance sampling", "FOCE with interaction", "first order", "linearisation"):
        assert f"No value by {label} for 12 subjects" in errors
    assert "has not settled" not in errors
