"""`.phi` has one line per individual, sums to the objective, and pharmpy reads it."""

import dataclasses

import numpy as np
import pytest

from nlmevae.writers.phi import phi_text, write_phi
from tests.helpers.results import make_result

CONTROL_STREAM = """$PROBLEM A PROBLEM
$INPUT ID TIME AMT DV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*EXP(ETA(1))
V = THETA(2) + ETA(2)
S1 = V
$ERROR
Y = F*(1 + EPS(1))
$THETA (0, 0.5) ; CL
$THETA 31.97 FIX ; V
$OMEGA BLOCK(2)
0.1
0.01 0.1
$SIGMA 0.04
$ESTIMATION METHOD=IMPMAP INTERACTION
"""


def test_lines_hold_etas_covariances_and_the_individual_objective():
    lines = phi_text(make_result()).splitlines()
    assert lines[0].startswith("TABLE NO.     1: Importance Sampling assisted by VAE Estimation: Problem=1")
    assert " ".join(lines[1].split()) == "SUBJECT_NO ID ETA(1) ETA(2) ETC(1,1) ETC(2,1) ETC(2,2) OBJ"
    first = [float(x) for x in lines[2].split()]
    assert first == pytest.approx([1, 1, -0.1, 0.2, 0.01, 0.002, 0.03, 40.123456789012345])


def test_an_individual_without_observations_is_a_line_of_zeros():
    last = phi_text(make_result()).splitlines()[-1].split()
    assert last[:2] == ["2", "7"]
    assert [float(x) for x in last[2:]] == [0.0] * 6


def test_individual_objectives_sum_to_the_objective_of_the_table():
    result = make_result()
    column = [float(line.split()[-1]) for line in phi_text(result).splitlines()[2:]]
    assert sum(column) == pytest.approx(result.ofv_nonmem, abs=1e-9)


@pytest.mark.parametrize(("label", "text"), [("1.0", "1"), ("007", "7"), ("1.5", "1.5"), ("A3", "A3")])
def test_ids_are_written_as_whole_numbers_where_they_are(label, text):
    result = make_result()
    people = dataclasses.replace(result.individuals, labels=(label, "2"))
    assert phi_text(make_result(individuals=people)).splitlines()[2].split()[1] == text


def test_pharmpy_reads_a_whole_run_back(tmp_path):
    """Control stream, `.ext` and `.phi` together, as `pharmpy` users do."""
    pytest.importorskip("pharmpy")
    from pharmpy.tools import read_modelfit_results

    from nlmevae.writers.ext import write_ext

    (tmp_path / "run1.mod").write_text(CONTROL_STREAM)
    data = ["ID,TIME,AMT,DV", "1,0,100,0", *(f"1,{k},0,{100 - k}" for k in range(1, 21)), "7,0,100,0"]
    (tmp_path / "data.csv").write_text("\n".join(data) + "\n")
    result = make_result()
    write_ext(tmp_path / "run1.ext", result)
    write_phi(tmp_path / "run1.phi", result)
    read = read_modelfit_results(tmp_path / "run1.mod")
    assert read.ofv == pytest.approx(result.ofv_nonmem, abs=1e-9)
    estimated = [1 / 3, 0.09, 0.03, 0.04, 0.0225]
    assert list(read.parameter_estimates) == pytest.approx(estimated, rel=1e-5)
    np.testing.assert_allclose(read.individual_estimates.loc[1], [-0.1, 0.2])
    np.testing.assert_allclose(read.individual_estimates_covariance.loc[1], [[0.01, 0.002], [0.002, 0.03]])
