"""`.ext` read back by eye (text) and by pharmpy's reader, the independent oracle."""

import dataclasses
import math

import numpy as np
import pytest

from nlmevae.results.status import FitStatus
from nlmevae.writers.ext import ExtStream, write_ext
from tests.helpers.results import make_result, trace_row, with_uncertainty

HEADER = " ITERATION    THETA1       THETA2       SIGMA(1,1)   OMEGA(1,1)   OMEGA(2,1)   OMEGA(2,2)   OBJ"


def rows_of(path) -> dict[int, list[str]]:
    lines = path.read_text().splitlines()[2:]
    assert all(line[:13].strip() for line in lines)
    return {int(line.split()[0]): line.split()[1:] for line in lines}


def written(tmp_path, **changes):
    path = tmp_path / "run1.ext"
    write_ext(path, make_result(**changes))
    return path


def writer(path) -> ExtStream:
    return ExtStream(path, n_theta=2, n_eps=1, n_eta=2, n_obs_total=20)


def test_one_table_with_nonmems_column_order(tmp_path):
    lines = written(tmp_path).read_text().splitlines()
    assert lines[0].startswith(
        "TABLE NO.     1: Importance Sampling assisted by VAE Estimation: Goal Function=FINAL VALUE"
    )
    assert lines[1] == HEADER
    assert sum(line.startswith("TABLE") for line in lines) == 1


def test_the_last_iteration_has_the_same_objective_text_as_the_final_row(tmp_path):
    rows = rows_of(written(tmp_path))
    last = max(rows)
    assert rows[last] == rows[-1000000000]
    assert float(rows[-1000000000][-1]) == pytest.approx(40.123456789012345, abs=1e-12)


def test_every_estimation_step_has_a_table_that_ends_at_the_final_estimates(tmp_path):
    path = tmp_path / "run1.ext"
    write_ext(path, make_result(), n_tables=3)
    tables = path.read_text().split("TABLE NO.")[1:]
    assert [table.split(":")[0].strip() for table in tables] == ["1", "2", "3"]
    finals = [[line for line in table.splitlines() if line.startswith("  -1000000000")] for table in tables]
    assert finals[0] == finals[1] == finals[2]
    assert [sum(line[:13].strip() == "1" for line in table.splitlines()) for table in tables] == [1, 0, 0]
    table = pytest.importorskip("pharmpy.model.external.nonmem.table")
    read = table.NONMEMTableFile(path)
    assert [t.final_ofv for t in read.tables] == pytest.approx([40.123456789012345] * 3, abs=1e-12)


def test_the_gradient_of_the_log_likelihood_stands_in_the_last_row(tmp_path):
    result = with_uncertainty(make_result())
    gradient = np.array([1.5, 0.0, -2.0, 0.25, 0.0, 3.0])
    known = dataclasses.replace(result.uncertainty, gradient=gradient)
    rows = rows_of(written(tmp_path, estimates=result.estimates, uncertainty=known))
    assert min(rows) == -1000000008
    assert [float(x) for x in rows[-1000000008]] == [*gradient, 0.0]


def test_iterations_are_on_nonmems_scale(tmp_path):
    rows = rows_of(written(tmp_path))
    assert sorted(k for k in rows if k >= 0) == [0, 1, 2, 3]
    assert float(rows[1][-1]) == pytest.approx(99.0 - 20 * math.log(2 * math.pi), abs=1e-12)


def test_special_rows_without_standard_errors(tmp_path):
    rows = rows_of(written(tmp_path))
    assert sorted(k for k in rows if k < 0) == [-1000000007, -1000000006, -1000000004, -1000000000]
    sd = [float(x) for x in rows[-1000000004][:-1]]
    assert sd == pytest.approx([0, 0, 0.15, 0.3, 0.5, 0.2])
    assert [float(x) for x in rows[-1000000006][:-1]] == [0, 1, 0, 0, 0, 0]


def test_a_structurally_zero_covariance_counts_as_fixed(tmp_path):
    result = make_result(omega=np.diag([0.09, 0.04]))
    kept = tuple(e for e in result.estimates if e.name != "OMEGA(2,1)")
    path = written(tmp_path, omega=result.omega, estimates=kept)
    assert [float(x) for x in rows_of(path)[-1000000006][:-1]] == [0, 1, 0, 0, 1, 0]


def test_standard_errors_add_their_rows(tmp_path):
    result = with_uncertainty(make_result())
    rows = rows_of(written(tmp_path, estimates=result.estimates, uncertainty=result.uncertainty))
    assert [float(x) for x in rows[-1000000001][:-1]] == [0.02, 1e10, 0.003, 0.02, 0.01, 0.008]
    # five parameters that all correlate by 1/4: one eigenvalue 1 + 4/4, four of 1 - 1/4
    assert [float(x) for x in rows[-1000000002][:-1]] == pytest.approx([0.75, 0.75, 0.75, 0.75, 2.0, 0.0], rel=1e-5)
    assert [float(x) for x in rows[-1000000003][:-1]] == pytest.approx([2 / 0.75, 0.75, 2.0, 0, 0, 0], rel=1e-5)
    assert float(rows[-1000000005][3]) == pytest.approx(0.02 / (2 * 0.3), rel=1e-5)
    assert float(rows[-1000000005][0]) == 0.0


def test_a_parameter_the_data_do_not_determine_has_nonmems_number_for_none(tmp_path):
    result = with_uncertainty(make_result(), unknown=(0,))
    rows = rows_of(written(tmp_path, estimates=result.estimates, uncertainty=result.uncertainty))
    assert [float(x) for x in rows[-1000000001][:-1]] == [1e10, 1e10, 0.003, 0.02, 0.01, 0.008]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (FitStatus.CONVERGED, 0),
        (FitStatus.NOT_CONVERGED, 1),
        (FitStatus.FINISHED_SCHEDULE, 2),
        (FitStatus.INTERRUPTED, 4),
    ],
)
def test_the_termination_status_uses_nonmems_codes(tmp_path, status, code):
    assert float(rows_of(written(tmp_path, status=status))[-1000000007][0]) == code


@pytest.mark.parametrize("status", list(FitStatus))
def test_only_a_completed_fit_is_not_marked_as_unfinished(tmp_path, status):
    code = float(rows_of(written(tmp_path, status=status))[-1000000007][0])
    assert (code in (0, 2)) == status.completed


def test_every_iteration_is_on_disk_as_soon_as_it_is_appended(tmp_path):
    path = tmp_path / "run1.ext"
    stream = writer(path)
    assert not path.exists()
    for k in range(3):
        stream.append(trace_row(k))
        assert len(path.read_text().splitlines()) == 2 + k + 1
    stream.close()


def test_the_whole_table_begins_with_the_streamed_one(tmp_path):
    result = make_result()
    stream = writer(tmp_path / "streamed.ext")
    for row in result.trace:
        stream.append(row)
    stream.close()
    streamed = (tmp_path / "streamed.ext").read_text()
    assert len(streamed.splitlines()) == 2 + len(result.trace)
    assert written(tmp_path).read_text().startswith(streamed)


def test_iteration_numbers_go_on_when_a_phase_restarts_its_count(tmp_path):
    trace = (trace_row(0), trace_row(1), trace_row(0, phase="polish"), trace_row(1, phase="polish"))
    assert sorted(k for k in rows_of(written(tmp_path, trace=trace)) if k >= 0) == [0, 1, 2, 3, 4]


def test_a_run_interrupted_before_its_likelihood_keeps_the_last_iterations_objective(tmp_path):
    rows = rows_of(written(tmp_path, likelihoods=(), status=FitStatus.INTERRUPTED))
    assert float(rows[-1000000000][-1]) == pytest.approx(98.0 - 20 * math.log(2 * math.pi), abs=1e-12)


def test_a_likelihood_that_could_not_be_computed_is_not_replaced_by_another_number(tmp_path):
    lost = dataclasses.replace(make_result().likelihood("is"), minus_two_ll=math.nan)
    rows = rows_of(written(tmp_path, likelihoods=(lost,)))
    assert rows[-1000000000][-1] == rows[3][-1] == "NaN"


def test_a_trace_of_the_wrong_size_is_a_programming_error(tmp_path):
    with pytest.raises(ValueError, match="columns"):
        writer(tmp_path / "x.ext").append(trace_row(0, parameters=np.zeros(3)))


def test_pharmpy_reads_the_table(tmp_path):
    tables = pytest.importorskip("pharmpy.model.external.nonmem.table")
    table = tables.NONMEMTableFile(written(tmp_path))[0]
    assert table.final_parameter_estimates["THETA(1)"] == pytest.approx(1 / 3, rel=1e-5)
    assert table.omega_sigma_stdcorr["OMEGA(2,1)"] == pytest.approx(0.5)
    assert table.fixed["THETA(2)"]
    assert not table.fixed["THETA(1)"]
    assert table.final_ofv == pytest.approx(40.123456789012345, abs=1e-12)
    assert table.iterations == [0, 1, 2, 3]
