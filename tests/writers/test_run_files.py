"""The files of a run belong together, whatever happens while it runs."""

import dataclasses
import math

import numpy as np
import pytest

from nlmevae.errors import OutputError
from nlmevae.pipeline import read_model
from nlmevae.results.run_folder import RunFolder
from nlmevae.results.status import FitStatus
from nlmevae.writers.results_json import read_results_json
from nlmevae.writers.run_files import RunFiles
from tests.helpers.results import make_result, trace_row, with_uncertainty

STREAM = """$PROBLEM two ETAs
$INPUT ID TIME DV
$DATA x.csv
$PRED
A = THETA(1)*EXP(ETA(1))
B = THETA(2) + ETA(2)
Y = A + B*TIME + EPS(1)
$THETA 1 2
$OMEGA BLOCK(2) 0.1 0.01 0.1
$SIGMA 0.1
$ESTIMATION METHOD=1
"""


@pytest.fixture
def open_files(tmp_path):
    (tmp_path / "run1.ctl").write_text(STREAM)
    model = read_model(tmp_path / "run1.ctl")
    return lambda: RunFiles(RunFolder.beside(tmp_path / "run1.ctl"), model, n_obs_total=20)


def final_row(path) -> list[str]:
    return next(line.split() for line in path.read_text().splitlines() if line.split()[0] == "-1000000000")


def test_a_killed_run_leaves_a_readable_ext_up_to_its_last_iteration(open_files):
    files = open_files()
    for k in range(3):
        files.add_iteration(trace_row(k))
    assert [int(line.split()[0]) for line in files.folder.ext.read_text().splitlines()[2:]] == [0, 1, 2]
    assert not files.folder.results_json.exists()


def test_of_two_runs_at_once_the_one_that_ends_last_leaves_all_its_files(open_files):
    first, second = open_files(), open_files()
    first.add_iteration(trace_row(0))
    second.add_iteration(trace_row(0))
    first.add_iteration(trace_row(1))
    first.finish(make_result(seed=1, status=FitStatus.CONVERGED))
    second.add_iteration(trace_row(1))
    second.finish(make_result(seed=2, status=FitStatus.INTERRUPTED, likelihoods=()))
    assert read_results_json(second.folder.results_json).seed == 2
    objective = float(final_row(second.folder.ext)[-1])
    assert objective == pytest.approx(98.0 - 20 * math.log(2 * math.pi), abs=1e-12)
    rows = [line.split()[0] for line in second.folder.ext.read_text().splitlines()[2:]]
    assert len(rows) == len(set(rows))


def test_files_of_an_earlier_run_go_when_the_first_iteration_arrives_and_not_before(open_files):
    files = open_files()
    written = files.finish(with_uncertainty(make_result()))
    assert set(written) == set(files.folder.files) - {files.folder.encoder}
    again = open_files()
    assert all(path.exists() for path in written)
    again.add_iteration(trace_row(0))
    assert [path for path in written if path.exists()] == [again.folder.ext]


def test_samples_are_written_only_where_there_are_some(open_files):
    files, people = open_files(), make_result().individuals
    assert files.folder.ets in files.finish(make_result())
    without = dataclasses.replace(people, eta_samples=np.empty((0, 2, 2)), psi_samples=np.empty((0, 2, 2)))
    assert files.folder.ets not in open_files().finish(make_result(individuals=without))
    assert not files.folder.ets.exists()


def test_without_standard_errors_no_covariance_is_written_and_none_of_an_earlier_run_stays(open_files):
    files = open_files()
    files.finish(with_uncertainty(make_result()))
    again = open_files()
    paths = again.finish(make_result())
    assert not {again.folder.cov, again.folder.cor, again.folder.coi} & set(paths)
    assert [path for path in again.folder.files if path.exists()] == list(paths)


def test_a_full_disk_while_streaming_does_not_end_the_fit(open_files, monkeypatch):
    files = open_files()

    def full_disk(row):
        raise OutputError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(files._stream, "append", full_disk)
        files.add_iteration(trace_row(0))
    files.add_iteration(trace_row(1))
    files.finish(make_result())
    assert final_row(files.folder.ext)


def test_one_file_that_cannot_be_written_does_not_keep_the_others_from_being_written(open_files):
    files = open_files()
    files.folder.ext.mkdir()
    (files.folder.ext / "x").touch()
    files._stream.n_rows = 1
    with pytest.raises(OutputError, match=r"run1\.ext"):
        files.finish(make_result())
    assert files.folder.results_json.exists()
    assert files.folder.phi.exists()
