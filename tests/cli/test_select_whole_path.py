"""The real command on theophylline: the paper's effects, files that agree, interrupts."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from nlmevae.cli.main import main
from nlmevae.pipeline import prepare, read_model
from nlmevae.results.status import FitStatus
from nlmevae.writers.results_json import read_results_json
from nlmevae.writers.selection_json import read_selection_json
from tests.helpers.foreground import started
from tests.writers.test_results_json import same

THEOPHYLLINE = Path(__file__).parents[2] / "fixtures" / "theophylline"
LINE = ["--covariates", "WT,SEX", "--seed", "1", "--set", "final_draws=512", "--resamples", "10", "--audit", "highs"]


def copy_to(folder: Path) -> Path:
    for name in ("run_base.ctl", "theophylline.csv"):
        shutil.copy(THEOPHYLLINE / name, folder)
    return folder / "run_base.ctl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A selection of theophylline: (folder, exit code)."""
    run = copy_to(tmp_path_factory.mktemp("run"))
    return run.parent, main(["select", str(run), "--quiet", *LINE])


@pytest.fixture(scope="module")
def result(finished):
    return read_selection_json(finished[0] / "run_base_selected.selection.json")


def test_one_run_selects_the_effects_of_the_paper_and_ends_with_zero(finished, result):
    assert finished[1] == 0
    assert result.support == ("KA~WT", "V~WT")
    beta = {e.name: e.beta[0] for e in result.effects}
    assert beta["KA~WT"] == pytest.approx(2.6, abs=0.1)
    assert beta["V~WT"] == pytest.approx(0.58, abs=0.05)
    assert result.criterion_value == pytest.approx(363.5, abs=0.3)


def test_every_step_was_proven_and_the_audit_agrees(result):
    assert (result.certificate.n_uncertified, result.certificate.audit_agrees) == (0, True)
    assert result.certificate.n_solves > 50


def test_the_written_control_stream_is_the_fitted_model(finished, result):
    folder = finished[0]
    path = folder / "run_base_selected.ctl"
    assert path.read_text() == result.model_text
    model = read_model(path)
    assert {name for e in result.effects for name in e.thetas} <= {theta.name for theta in model.thetas}
    assert prepare(path).table.n_obs_total == result.fit.n_obs_total
    assert same(read_results_json(folder / "run_base_selected.results.json"), result.fit)


def test_the_ext_has_the_selected_models_parameters(finished, result):
    lines = (finished[0] / "run_base_selected.ext").read_text().splitlines()
    assert lines[1].split()[1:6] == [f"THETA{k}" for k in range(1, 6)]
    final = next(line.split() for line in lines if line.split()[0] == "-1000000000")
    assert float(final[-1]) == pytest.approx(result.fit.ofv_nonmem, abs=1e-9)
    assert len({len(line.split()) for line in lines[1:]}) == 1


def test_pharmpy_reads_the_selected_model_and_its_results(finished, result):
    pytest.importorskip("pharmpy")
    from pharmpy.tools import read_modelfit_results

    read = read_modelfit_results(finished[0] / "run_base_selected.ctl")
    assert read.ofv == pytest.approx(result.fit.ofv_nonmem, abs=1e-9)


def test_the_trace_ends_at_the_selected_model(result):
    trace = result.trace
    assert [e.selected for e in result.effects] == trace.support[-1].tolist()
    assert (trace.beta[:, 1] == 0.0).all() == (not trace.support[:, 1].any())
    assert trace.beta.shape == (len(trace.phase), len(result.coefficients))


def test_the_plots_are_there(finished):
    pytest.importorskip("matplotlib")
    for name in ("trace", "support", "path"):
        assert (finished[0] / f"run_base_selected.{name}.png").stat().st_size > 5000


def test_inputs_are_as_they_were(finished):
    for name in ("run_base.ctl", "theophylline.csv"):
        assert (finished[0] / name).read_bytes() == (THEOPHYLLINE / name).read_bytes()


def test_in_another_folder_the_selected_model_still_finds_its_data(tmp_path):
    run = copy_to(tmp_path)
    out = tmp_path / "results" / "first"
    short = ["burn_in_iterations=2", "training_iterations=3", "max_outer=1", "final_draws=64", "n_draws=32"]
    line = ["--out", str(out), "--resamples", "0", *(word for pair in short for word in ("--set", pair))]
    assert main(["select", str(run), "--covariates", "WT", "--quiet", *line]) in (0, 1)
    assert prepare(out / "run_base_selected.ctl").table.n_obs_total == 120


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_and_sigterm_leave_a_valid_partial_result(tmp_path, number):
    run = copy_to(tmp_path)
    line = ["select", str(run), "--covariates", "WT,SEX", "--method", "vae", "--set", "training_iterations=100000"]
    with started(*line) as process:
        # the title, then the first progress line: by then there are iterations
        shown = [process.stderr.readline() for _ in range(2)]
        assert "vae" in shown[1] or "burn-in" in shown[1], shown
        time.sleep(1.0)
        process.send_signal(number)
        _, messages = process.communicate(timeout=120)
    assert process.returncode == 130, messages
    result = read_selection_json(tmp_path / "run_base_selected.selection.json")
    assert result.fit.status is FitStatus.INTERRUPTED
    assert len(result.trace.phase) > 1
    assert (tmp_path / "run_base_selected.ctl").read_text() == result.model_text
