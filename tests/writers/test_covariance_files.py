"""`.cov`, `.cor` and `.coi` are NONMEM's, and pharmpy reads them."""

import numpy as np
import pytest

from nlmevae.writers.covariance_files import matrix_text, write_coi, write_cor, write_cov
from tests.helpers.pharmpy_wheel import wheel_file
from tests.helpers.results import make_result, with_uncertainty

ESTIMATED = ["THETA(1)", "SIGMA(1,1)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)"]
ROUNDING = 1e-5  # six significant digits


def pharmpy_matrix(path):
    tables = pytest.importorskip("pharmpy.model.external.nonmem.table")
    return tables.NONMEMTableFile(path)[0].data_frame


def test_pharmpy_reads_the_covariance(tmp_path):
    result = with_uncertainty(make_result())
    write_cov(tmp_path / "run1.cov", result)
    read = pharmpy_matrix(tmp_path / "run1.cov")
    index = [result.uncertainty.names.index(name) for name in ESTIMATED]
    assert set(read.index) == set(read.columns) == set(ESTIMATED)
    assert read.loc[ESTIMATED, ESTIMATED].to_numpy() == pytest.approx(
        result.uncertainty.covariance[np.ix_(index, index)], rel=ROUNDING
    )


def test_the_correlations_have_standard_errors_on_their_diagonal(tmp_path):
    write_cor(tmp_path / "run1.cor", with_uncertainty(make_result()))
    rows = numbers(tmp_path / "run1.cor")
    assert np.diag(rows) == pytest.approx([0.02, 0.0, 0.003, 0.02, 0.01, 0.008])
    assert rows[0, 2] == pytest.approx(0.25)
    assert (rows[1] == 0).all()


def test_the_inverse_is_that_of_the_estimated_part(tmp_path):
    result = with_uncertainty(make_result())
    write_coi(tmp_path / "run1.coi", result)
    product = numbers(tmp_path / "run1.coi") @ result.uncertainty.covariance
    assert product == pytest.approx(np.diag([1.0, 0, 1, 1, 1, 1]), abs=1e-4)


def test_what_the_data_do_not_determine_is_not_a_number(tmp_path):
    write_cov(tmp_path / "run1.cov", with_uncertainty(make_result(), unknown=(0,)))
    rows = numbers(tmp_path / "run1.cov")
    assert np.isnan(rows[0]).all()
    assert np.isfinite(rows[1:, 1:]).all()


def test_the_layout_is_that_of_a_real_file():
    real = wheel_file("pheno.cov").read_text().splitlines()
    ours = matrix_text(with_uncertainty(make_result()), np.eye(6)).splitlines()
    assert ours[1].startswith(real[1][:14])
    assert ours[2][:14] == real[2][:14]
    assert len(ours[2].split()[1]) == len(real[2].split()[1])
    assert ours[0].rpartition("Estimation")[2] == real[0].rpartition("Interaction")[2].rstrip()


def numbers(path):
    return np.array([[float(x) for x in line.split()[1:]] for line in path.read_text().splitlines()[2:]])
