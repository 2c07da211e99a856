"""The real command on real files, read back by pharmpy."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from nlmevae.cli.main import main
from nlmevae.decoder.make import make_decoder
from nlmevae.model_summary import summarise
from nlmevae.pipeline import fit, prepare
from nlmevae.results.status import FitStatus
from nlmevae.writers.results_json import read_results_json

FIXTURES = Path(__file__).parents[2] / "fixtures"
SHORT = ["burn_in_iterations=4", "training_iterations=6", "max_outer=2", "final_draws=256", "n_draws=64"]
STREAMS = [p for p in sorted(FIXTURES.glob("*/*.ctl")) if list(p.parent.glob("*.csv"))]


def settings_line() -> list[str]:
    return [word for pair in SHORT for word in ("--set", pair)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short fit of theophylline: (folder, exit code)."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(FIXTURES / "theophylline" / "run_wt.ctl", folder / "run_wt.mod")
    shutil.copy(FIXTURES / "theophylline" / "theophylline.csv", folder)
    return folder, main(["fit", str(folder / "run_wt.mod"), "--quiet", *settings_line()])


def test_a_fit_that_may_not_converge_says_so_by_its_exit_code(finished):
    folder, code = finished
    result = read_results_json(folder / "run_wt.results.json")
    assert code == (0 if result.status.completed else 1)
    assert result.status is not FitStatus.NUMERICAL_FAILURE


def test_pharmpy_reads_what_was_written(finished):
    pytest.importorskip("pharmpy")
    from pharmpy.tools import read_modelfit_results

    folder, _ = finished
    result = read_results_json(folder / "run_wt.results.json")
    read = read_modelfit_results(folder / "run_wt.mod")
    assert read.ofv == pytest.approx(result.ofv_nonmem, abs=1e-9)
    estimated = [e.value for e in result.estimates if not e.fixed]
    np.testing.assert_allclose(list(read.parameter_estimates), estimated, rtol=1e-5)
    assert float(read.individual_ofv.sum()) == pytest.approx(result.ofv_nonmem, abs=1e-8)
    np.testing.assert_allclose(read.individual_estimates, result.individuals.eta_mean, rtol=1e-5, atol=1e-12)


def test_every_iteration_of_the_trace_is_in_the_ext(finished):
    folder, _ = finished
    result = read_results_json(folder / "run_wt.results.json")
    rows = [line.split() for line in (folder / "run_wt.ext").read_text().splitlines()[2:]]
    iterations = [row for row in rows if int(row[0]) >= 0]
    assert len(iterations) == len(result.trace) + 1
    written = np.array([[float(x) for x in row[1:-1]] for row in iterations[:-1]])
    np.testing.assert_allclose(written, [row.parameters for row in result.trace], rtol=1e-5, atol=1e-12)


def test_python_writes_nothing_unless_asked(tmp_path):
    shutil.copytree(FIXTURES / "theophylline", tmp_path / "case")
    before = sorted((tmp_path / "case").iterdir())
    events = []
    options = {name: int(value) for name, value in (pair.split("=") for pair in SHORT)}
    result = fit(tmp_path / "case" / "run_base.ctl", progress=events.append, seed=3, **options)
    assert result.seed == 3
    assert len([e for e in events if e.row is not None]) == len(result.trace)
    assert {e.phase for e in events if e.row is None} == {"likelihood", "errors"}
    assert sorted((tmp_path / "case").iterdir()) == before


@pytest.mark.parametrize("stream", STREAMS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_check_names_the_back_end_that_runs(stream):
    from nlmevae.codegen.latent_form import latent_form

    prepared = prepare(stream)
    form = latent_form(prepared.model, prepared.table)
    decoder = make_decoder(form, prepared.table)
    try:
        assert summarise(prepared).backend == decoder.backend
    finally:
        decoder.close()
