"""The verbs of many fits: what they print, their exit codes, and that Ctrl-C keeps what is finished."""

from __future__ import annotations

import csv

import pytest

from nlmevae.cli.main import main
from nlmevae.cli.study_arguments import exit_code, failed_lines
from nlmevae.cli.study_progress import StudyProgress
from nlmevae.results.fit_record import FitRecord
from nlmevae.studies import work
from tests.helpers.one_way import write_one_way

QUICK = [
    "--set",
    "burn_in_iterations=4",
    "--set",
    "training_iterations=6",
    "--set",
    "n_alternatives=0",
    "--workers",
    "0",
]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_one_way(tmp_path, n_subjects=12)
    return "run1.ctl"


def test_bootstrap_prints_its_table_and_says_what_is_missing_after_ctrl_c(model, tmp_path, capsys, monkeypatch):
    whole, done = work.Work.do, []

    def interrupted(self, task):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.number)
        return whole(self, task)

    monkeypatch.setattr(work.Work, "do", interrupted)
    assert main(["bootstrap", model, "--samples", "4", *QUICK]) == 130
    shown = capsys.readouterr()
    assert "2 of 4 samples, seed 1" in shown.out
    assert "2 of 4 samples are not fitted yet; the same command goes on" in shown.err
    monkeypatch.setattr(work.Work, "do", whole)
    assert main(["bootstrap", model, "--samples", "4", *QUICK]) == 0
    shown = capsys.readouterr()
    assert "2 of 4 are finished already" in shown.err
    assert "4 of 4 samples, seed 1" in shown.out
    assert "BETWEEN" in shown.out
    with (tmp_path / "run1_bootstrap" / "raw_results_run1.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 5


def test_another_seed_in_the_same_folder_is_an_error_with_a_remedy(model, capsys):
    assert main(["bootstrap", model, "--samples", "1", "--quiet", *QUICK]) == 0
    assert main(["bootstrap", model, "--samples", "1", "--seed", "2", "--quiet", *QUICK]) == 2
    message = capsys.readouterr().err
    assert "run1_bootstrap holds another study: the settings differ" in message
    assert "--restart" in message


def test_sse_prints_bias_and_power(model, tmp_path, capsys):
    text = (tmp_path / model).read_text().replace("$THETA 10", "$THETA 9 FIX")
    (tmp_path / "run0.ctl").write_text(text)
    assert main(["sse", model, "--samples", "2", "--alternative", "run0.ctl", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "2 data sets simulated from run1.ctl at the initial estimates of run1.ctl, seed 1" in shown
    assert "power, if the simulation model contains it (1 df, 5 %, 3.841)" in shown


def test_multistart_prints_the_starts_and_the_best_fit(model, tmp_path, capsys):
    assert main(["multistart", model, "--starts", "2", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "2 of 2 found the best maximum" in shown
    assert "The fit converged" in shown
    assert (tmp_path / "run1_multistart" / "run1.results.json").exists()


def test_fit_of_several_models_prints_a_line_for_each(model, tmp_path, capsys):
    (tmp_path / "run2.ctl").write_text("$PROBLEM nothing\n")
    assert main(["fit", model, "run2.ctl", *QUICK]) == 1
    shown = capsys.readouterr()
    assert "run1.ctl  converged" in shown.out
    assert "run2.ctl  refused" in shown.out
    assert "run2.ctl:1:1" in shown.err


@pytest.mark.parametrize("option", [["--report"], ["--lst"], ["--monolix-folder", "x"]])
def test_what_is_for_one_model_is_refused_for_several(model, capsys, option):
    assert main(["fit", model, "run2.ctl", *option, *QUICK]) == 2
    assert "is for one model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["bootstrap", "run1.ctl", "--samples", "x"], "samples is 'x'"),
        (["bootstrap", "run1.ctl", "--samples", "-3"], "samples is -3"),
        (["bootstrap", "run1.ctl", "--workers", "many"], "workers is 'many'"),
        (["bootstrap", "run1.ctl", "--workers", "1", "--scheduler", "a"], "more than one of workers"),
        (["bootstrap", "run1.ctl", "--scheduler-file", "nowhere"], "no scheduler file nowhere"),
        (["bootstrap", "run1.ctl", "--workers", "0", "--stratify", "AGE"], "no data item AGE"),
        (["bootstrap", "run1.ctl", "--workers", "0", "--fit", "nowhere.json"], "cannot read nowhere.json"),
        (["bootstrap", "run1.ctl", "--workers", "0", "--covariates", "GROUP", "--fit", "a"], "without a search"),
        (["multistart", "run1.ctl", "--workers", "0", "--spread", "1"], "spread is 1.0"),
        (["sse", "run1.ctl", "--workers", "0", "--params", "nowhere.ext"], "cannot read nowhere.ext"),
        (["sse", "run1.ctl", "--workers", "0", "--alternative", "nowhere.ctl"], "cannot read nowhere.ctl"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_fitted(model, tmp_path, capsys, line, message):
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(line) == 2
    assert message in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_counts_failures_and_tells_the_time_left(capsys):
    import sys

    clock = Clock()
    shown = StudyProgress("samples", stream=sys.stderr, clock=clock)
    good, bad = FitRecord(number=1, status="CONVERGED", values=(1.0,)), FitRecord(number=2, status="REFUSED")
    shown(None, 10, 30)
    clock.now = 10.0
    shown(bad, 11, 30)
    clock.now = 11.0
    shown(good, 12, 30)  # too soon
    clock.now = 20.0
    shown(good, 14, 30)
    shown(good, 30, 30)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "samples: 10 of 30 are finished already"
    assert lines[1].startswith("samples 11/30, 1 failed, 10 s, about 3 min")
    assert lines[2].startswith("samples 14/30, 1 failed, 20 s, about 1 min 20 s left")
    assert lines[3] == "samples 30/30, 1 failed, 20 s"


def test_exit_codes():
    assert exit_code(interrupted=False, missing=0, usable=3) == 0
    assert exit_code(interrupted=False, missing=0, usable=0) == 1
    assert exit_code(interrupted=False, missing=2, usable=3) == 1
    assert exit_code(interrupted=True, missing=2, usable=3) == 130


def test_only_the_first_failures_are_named():
    failed = [FitRecord(number=k, name=f"sample {k}", status="REFUSED", message="no") for k in range(8)]
    lines = failed_lines(failed)
    assert lines[0] == "  sample 0: no"
    assert lines[-1] == "  ... and 3 more"
    assert len(lines) == 6
