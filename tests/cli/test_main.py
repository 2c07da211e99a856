"""Exit codes, messages and files of the command, as a shell user meets them. The estimator is a stand-in here."""

import dataclasses
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from nlmevae.cli.main import main
from nlmevae.errors import SemanticError
from nlmevae.estimation.shrinkage import shrinkage
from nlmevae.estimation.trace import ProgressEvent
from nlmevae.results.fit_result import TraceRow
from nlmevae.results.status import FitStatus
from nlmevae.writers.results_json import read_results_json
from tests.helpers.foreground import started
from tests.helpers.results import make_result

THEOPHYLLINE = Path(__file__).parents[2] / "fixtures" / "theophylline"


@pytest.fixture
def run(tmp_path):
    """A control stream with its data, in a folder of its own."""
    for name in ("run_wt.ctl", "theophylline.csv"):
        (tmp_path / name).write_bytes((THEOPHYLLINE / name).read_bytes())
    return tmp_path / "run_wt.ctl"


def fake_fit(status=FitStatus.CONVERGED, error=None, seen=None):
    """fit_model of the estimator's signature: three iterations, then a result of the model's sizes."""

    def fit_model(model, dataset, table, settings, *, progress=None, stages=None):
        if seen is not None:
            seen.append(settings)
        n = len(model.thetas) + 1 + 6
        rows = tuple(
            TraceRow(iteration=k, phase="vae", objective=400.0 - k, parameters=np.full(n, 0.5), seconds=0.1)
            for k in range(3)
        )
        for row in rows:
            progress(ProgressEvent.of(row, total=3))
        if error is not None:
            raise error
        people = dataclasses.replace(
            make_result().individuals,
            labels=table.subject_labels[:2],
            eta_mean=np.zeros((2, 3)),
            eta_cov=np.zeros((2, 3, 3)),
            eta_mode=np.zeros((2, 3)),
            eta_samples=np.zeros((0, 2, 3)),
        )
        omega = np.diag([0.1, 0.2, 0.3])
        seen_subjects = people.n_obs > 0
        return make_result(
            name=model.name,
            source_path=model.source.path,
            status=status,
            message="",
            thetas=np.full(len(model.thetas), 0.5),
            omega=omega,
            sigma=np.array([[0.5]]),
            estimates=(),
            individuals=people,
            shrinkage=shrinkage(
                mean=people.eta_mean,
                mode=people.eta_mode,
                cov=people.eta_cov,
                omega=omega,
                seen=seen_subjects,
                weighted_residuals=(np.ones(3),),
            ),
            trace=rows,
        )

    return types.SimpleNamespace(fit_model=fit_model)


@pytest.fixture
def estimator(monkeypatch):
    def install(**options):
        monkeypatch.setitem(sys.modules, "nlmevae.estimation.fit", fake_fit(**options))

    install()
    return install


def iterations(path: Path) -> list[int]:
    heads = ("TABLE", " ITERATION")
    return [int(line.split()[0]) for line in path.read_text().splitlines() if not line.startswith(heads)]


def test_a_fit_writes_its_files_beside_the_control_stream_and_shows_the_estimates(run, estimator, capsys):
    assert main(["fit", str(run)]) == 0
    assert iterations(run.with_suffix(".ext"))[:5] == [0, 1, 2, 3, -1000000000]
    assert run.with_suffix(".phi").exists()
    assert read_results_json(run.with_suffix(".results.json")).status is FitStatus.CONVERGED
    shown = capsys.readouterr().out
    assert "-2LL (importance sampling)" in shown
    assert str(run.with_suffix(".ext")) in shown


def test_out_chooses_the_folder_and_leaves_the_models_folder_alone(run, estimator, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert main(["fit", str(run), "--out", str(tmp_path / "new" / "folder")]) == 0
    assert {p.name for p in (tmp_path / "new" / "folder").iterdir()} == {
        "run_wt.ext", "run_wt.phi", "run_wt.shk", "run_wt.shm", "run_wt.individuals.csv", "run_wt.results.json",
    }  # fmt: skip
    assert sorted(p for p in tmp_path.iterdir() if p.name != "new") == before


def test_a_report_in_nonmems_layout_is_written_where_it_is_asked_for(run, estimator, capsys):
    report = run.with_suffix(".lst")
    report.write_text("NONMEM's\n")
    assert main(["fit", str(run)]) == 0
    assert report.read_text() == "NONMEM's\n"
    assert main(["fit", str(run), "--lst"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["fit", str(run), "--lst", "--overwrite"]) == 0
    assert "NONMEM WAS NOT RUN" in report.read_text()
    assert main(["fit", str(run)]) == 0
    assert not report.exists()  # ours, of the run before


@pytest.mark.parametrize(
    ("options", "seed"), [([], 4711), (["--seed", "9"], 9), (["--set", "seed=1"], 1), (["--set", "seed = 2"], 2)]
)
def test_the_seed_is_that_of_the_control_stream_unless_one_is_given(run, estimator, options, seed):
    seen = []
    estimator(seen=seen)
    text = run.read_text()
    run.write_text(text + "$ESTIMATION METHOD=SAEM SEED=4711\n$ESTIMATION METHOD=IMP EONLY=1\n")
    assert main(["fit", str(run), *options]) == 0
    assert seen[0].seed == seed


def test_the_file_that_the_control_stream_names_is_written_once_more(run, estimator, capsys):
    run.write_text(run.read_text() + "$ESTIMATION METHOD=SAEM FILE=raw.csv FORMAT=,1PE15.8 NOTITLE\n")
    raw = run.parent / "raw.csv"
    for _ in range(2):  # the second run knows the file of the first
        assert main(["fit", str(run)]) == 0
        assert str(raw) in capsys.readouterr().out
        lines = [line.split(",") for line in raw.read_text().splitlines()]
        assert (lines[0][0], lines[0][-1]) == ("ITERATION", "OBJ")
        numbers = [int(line[0]) for line in lines if line[0] != "ITERATION"]  # labels before each of two tables
        assert numbers == iterations(run.with_suffix(".ext"))
    assert main(["fit", str(run), "--out", str(run.parent / "new")]) == 0
    assert (run.parent / "new" / "raw.csv").read_text() == raw.read_text()
    raw.write_text("another program's\n")
    assert main(["fit", str(run)]) == 2
    assert raw.read_text() == "another program's\n"
    assert "--overwrite" in capsys.readouterr().err


def test_options_reach_the_estimator(run, estimator):
    seen = []
    estimator(seen=seen)
    line = ["fit", str(run), "--method", "vae", "--seed", "9", "--backend", "compiled", "--set", "n_draws=64"]
    assert main(line) == 0
    assert (seen[0].method, seen[0].seed, seen[0].backend, seen[0].n_draws) == ("vae", 9, "compiled", 64)


def test_a_second_run_replaces_its_own_files(run, estimator):
    assert main(["fit", str(run)]) == 0
    assert main(["fit", str(run)]) == 0


def test_a_result_of_nonmem_is_kept_and_the_fit_does_not_start(run, estimator, capsys):
    seen = []
    estimator(seen=seen)
    run.with_suffix(".ext").write_text("TABLE NO.     1: Importance Sampling: Goal Function=...\n")
    assert main(["fit", str(run)]) == 2
    assert seen == []
    assert "--overwrite" in capsys.readouterr().err
    assert main(["fit", str(run), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (FitStatus.CONVERGED, 0),
        (FitStatus.FINISHED_SCHEDULE, 0),
        (FitStatus.NOT_CONVERGED, 1),
        (FitStatus.MONTE_CARLO_LIMITED, 1),
        (FitStatus.NUMERICAL_FAILURE, 1),
        (FitStatus.INTERRUPTED, 130),
    ],
)
def test_the_exit_code_says_how_the_fit_ended(run, estimator, status, code):
    estimator(status=status)
    assert main(["fit", str(run), "--quiet"]) == code
    assert read_results_json(run.with_suffix(".results.json")).status is status


def test_quiet_prints_nothing_on_success(run, estimator, capsys):
    assert main(["fit", str(run), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "warning: a warning\n"


def test_a_missing_file_is_the_users_business_not_a_traceback(tmp_path, capsys):
    for verb in ("fit", "check", "code"):
        assert main([verb, str(tmp_path / "no.ctl")]) == 2
        message = capsys.readouterr().err
        assert "no.ctl" in message
        assert "Traceback" not in message


def test_a_mistake_in_the_model_is_shown_with_its_place_and_a_caret(run, capsys):
    run.write_text(run.read_text().replace("THETA(3)", "THETA(9)"))
    assert main(["check", str(run)]) == 2
    message = capsys.readouterr().err
    assert f"{run}:" in message
    assert "^" in message
    assert "  -> " in message


def test_tracebacks_appear_only_when_debugging(run, estimator, capsys, monkeypatch):
    estimator(error=SemanticError("no good", hint="do better"))
    assert main(["fit", str(run)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("NLMEVAE_DEBUG", "1")
    assert main(["fit", str(run)]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_is_called_one(run, estimator, capsys):
    estimator(error=ZeroDivisionError("oops"))
    assert main(["fit", str(run)]) == 3
    assert "defect of nlmevae" in capsys.readouterr().err


def test_an_interrupt_outside_the_estimator_ends_with_130(run, estimator, capsys):
    estimator(error=KeyboardInterrupt())
    assert main(["fit", str(run)]) == 130


def test_estimates_are_shown_even_when_the_disk_is_full(run, estimator, capsys, monkeypatch):
    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    assert main(["fit", str(run)]) == 2
    captured = capsys.readouterr()
    assert "-2LL (importance sampling)" in captured.out
    assert "No space left on device" in captured.err


def test_a_failed_estimation_leaves_the_results_of_the_last_run_complete(run, estimator):
    assert main(["fit", str(run)]) == 0
    kept = run.with_suffix(".results.json").read_text()
    sys.modules["nlmevae.estimation.fit"].fit_model = lambda *a, **k: (_ for _ in ()).throw(SemanticError("at once"))
    assert main(["fit", str(run)]) == 2
    assert run.with_suffix(".results.json").read_text() == kept


def test_check_prints_what_was_understood(run, capsys):
    assert main(["check", str(run)]) == 0
    shown = capsys.readouterr().out
    for fact in (
        "one compartment with first-order absorption",
        "closed_form",
        "12 x bolus into compartment 1 (DEPOT), amount 267.84 to 320.65",
        "120 (10 per subject) in 132 records",
        "KA: log-normal, ETA(1), mean from THETA(1), THETA(4) and WT",
        "KA = THETA(1)*EXP(THETA(4)*LWT)*EXP(ETA(1))",
        "additive, sd = a, a = SD of EPS(1)",
    ):
        assert fact in shown


def test_letters_the_terminal_cannot_show_do_not_stop_a_check(run):
    run.write_bytes(run.read_bytes().replace(b"Theophylline", b"Th\xe9ophylline", 1))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.run(command("check", str(run)), capture_output=True, timeout=60, env=environment)
    assert process.returncode == 0, process.stderr
    assert b"Th\\xe9ophylline" in process.stdout


def test_data_replaces_the_file_named_in_the_model(run, tmp_path, capsys):
    moved = tmp_path / "elsewhere" / "other.csv"
    moved.parent.mkdir()
    (tmp_path / "theophylline.csv").rename(moved)
    assert main(["check", str(run)]) == 2
    assert main(["check", str(run), "--data", str(moved)]) == 0
    assert str(moved) in capsys.readouterr().out


@pytest.mark.parametrize(("name", "reason"), [("no.csv", "does not exist"), ("", "is a folder")])
def test_a_wrong_data_option_is_not_blamed_on_the_model(run, tmp_path, capsys, name, reason):
    assert main(["check", str(run), "--data", str(tmp_path / name)]) == 2
    message = capsys.readouterr().err
    assert reason in message
    assert "$DATA" not in message


def test_code_shows_the_generated_functions(run, capsys):
    assert main(["code", str(run)]) == 0
    assert "log(KA)" in capsys.readouterr().out


def test_a_wrong_command_line_ends_with_two(capsys):
    for line in ([], ["fit"], ["fit", "x.ctl", "--method", "saem"], ["nonsense"]):
        with pytest.raises(SystemExit) as ended:
            main(line)
        assert ended.value.code == 2


def command(*line: str) -> list[str]:
    return [sys.executable, "-m", "nlmevae.cli", *line]


def test_a_closed_pipe_is_not_an_error(run):
    process = subprocess.run(
        f"{' '.join(command('check', str(run)))} | head -1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert process.stdout.startswith("Model")
    assert "Traceback" not in process.stderr
    assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_a_valid_partial_result(run, number):
    pytest.importorskip("torch")
    line = ["fit", str(run), "--method", "vae", "--set", "training_iterations=100000"]
    ext = run.with_suffix(".ext")
    with started(*line) as process:
        for _ in range(1200):
            if ext.exists() and len(ext.read_text().splitlines()) > 5:
                break
            try:
                process.wait(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                pass
        process.send_signal(number)
        _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    rows = [line.split() for line in ext.read_text().splitlines()[2:]]
    final = next(row for row in rows if row[0] == "-1000000000")
    last = max((row for row in rows if int(row[0]) >= 0), key=lambda row: int(row[0]))
    assert last[1:] == final[1:]
    assert read_results_json(run.with_suffix(".results.json")).status is FitStatus.INTERRUPTED
