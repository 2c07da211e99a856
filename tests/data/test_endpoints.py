"""Which observation model a record belongs to, and what its CENS and LIMIT say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlmevae.errors import DataError
from nlmevae.pipeline import prepare

STREAM = """$PROBLEM test
$INPUT {items}
$DATA data.csv IGNORE=@
$PRED
K = THETA(1)*EXP(ETA(1))
IPRED = 10*EXP(-K*TIME)
{code}
$THETA (0,0.5) (0,0.2)
$OMEGA 0.1
$SIGMA 1 FIX
"""
PLAIN = "Y = IPRED + THETA(2)*EPS(1)"
M3 = """IF ({condition}) THEN
  F_FLAG = 1
  Y = PHI((LLOQ - IPRED)/THETA(2))
ELSE
  F_FLAG = 0
  Y = IPRED + THETA(2)*EPS(1)
ENDIF"""


def run(folder: Path, rows: str, *, items: str, code: str = PLAIN):
    (folder / "data.csv").write_text(rows)
    (folder / "run.ctl").write_text(STREAM.format(items=items, code=code))
    return prepare(folder / "run.ctl")


def test_cens_and_limit_are_monolixs(tmp_path):
    rows = "1,1,5,0,.\n1,2,0.5,1,.\n1,3,0.5,1,0\n1,4,9,-1,.\n1,5,9,-1,12\n"
    found = run(tmp_path, rows, items="ID TIME DV CENS LIMIT")
    expected = [[np.nan, np.nan], [-np.inf, 0.5], [0.0, 0.5], [9.0, np.inf], [9.0, 12.0]]
    np.testing.assert_array_equal(found.table.ob_limits[:, :2], expected)
    assert np.isneginf(found.table.ob_limits[:, 2]).all()
    assert (found.table.n_known, found.table.censored.tolist()) == (1, [False, True, True, True, True])
    (warning,) = found.diagnostics
    assert (warning.code, warning.severity, warning.location.line) == ("censored-by-data-item", "warning", 2)


def test_cens_without_censored_records_changes_nothing(tmp_path):
    found = run(tmp_path, "1,1,5,0\n1,2,3,0\n", items="ID TIME DV CENS")
    assert found.table.ob_limits is None
    assert found.diagnostics == ()


def test_a_dropped_cens_does_not_act(tmp_path):
    assert run(tmp_path, "1,1,5,0\n1,2,3,1\n", items="ID TIME DV CENS=DROP").table.ob_limits is None


def test_code_that_reads_cens_says_itself_what_it_means(tmp_path):
    code = "Y = IPRED + THETA(2)*EPS(1)\nIF (CENS.EQ.1) Y = IPRED + 2*THETA(2)*EPS(1)"
    found = run(tmp_path, "1,1,5,0\n1,2,3,1\n", items="ID TIME DV CENS", code=code)
    assert found.table.ob_limits is None
    assert found.table.ob_endpoint.tolist() == [1, 0] or found.table.ob_endpoint.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1,1,5,2,.\n", "CENS is 2"),
        ("1,1,5,1,5\n", "between 5 and 5"),
        ("1,1,5,1,6\n", "between 6 and 5"),
        ("1,1,5,-1,4\n", "between 5 and 4"),
    ],
)
def test_limits_that_make_no_sense_stop_with_the_line(tmp_path, rows, words):
    with pytest.raises(DataError, match=words) as caught:
        run(tmp_path, rows, items="ID TIME DV CENS LIMIT")
    assert caught.value.location.line == 1


@pytest.mark.parametrize(
    ("condition", "items"), [("BLQ.EQ.1", "ID TIME DV BLQ LLOQ"), ("DV.LT.LLOQ", "ID TIME DV X LLOQ")]
)
def test_code_for_censored_records_gives_limits_and_the_prediction_of_the_others(tmp_path, condition, items):
    rows = "1,1,5,0,0.5\n1,2,0.2,1,0.5\n1,3,0.1,1,0.25\n2,1,4,0,0.5\n"
    found = run(tmp_path, rows, items=items, code=M3.format(condition=condition))
    table = found.table
    np.testing.assert_array_equal(table.ob_limits[:, 1], [np.nan, 0.5, 0.25, np.nan])
    np.testing.assert_array_equal(table.ob_limits[:, 0], [np.nan, -np.inf, -np.inf, np.nan])
    item = condition.split(".")[0]
    read = table.ob_data[:, table.record_names.index(item)]
    assert (read[[1, 2]] >= 0.5).all() if item == "DV" else read.tolist() == [0.0] * 4
    assert table.ob_value.tolist() == [5.0, 0.2, 0.1, 4.0]


def test_a_subject_with_censored_records_only(tmp_path):
    """The flag is then constant in every subject, and still belongs to the record."""
    rows = "1,1,5,0,0.5\n1,2,3,0,0.5\n2,1,0,1,0.5\n2,2,0,1,0.5\n"
    table = run(tmp_path, rows, items="ID TIME DV BLQ LLOQ", code=M3.format(condition="BLQ.EQ.1")).table
    assert "BLQ" in table.record_names
    assert table.ob_data[:, table.record_names.index("BLQ")].tolist() == [0.0] * 4


def test_a_record_of_no_endpoint_stops_with_its_line(tmp_path):
    code = "IF (DVID.EQ.1) Y = IPRED + THETA(2)*EPS(1)\nIF (DVID.EQ.2) Y = IPRED + 2*THETA(2)*EPS(1)"
    with pytest.raises(
        DataError, match=r"no verified residual error for the observation on line 3 \(DVID = 3\)"
    ) as caught:
        run(tmp_path, "1,1,5,1\n1,2,3,2\n1,3,2,3\n", items="ID TIME DV DVID", code=code)
    assert "DVID == 1, DVID == 2" in caught.value.hint


def test_a_flag_must_be_0_or_1(tmp_path):
    code = "Y = IPRED + THETA(2)*EPS(1)*FLAG + IPRED*THETA(2)*EPS(1)*(1-FLAG)"
    table = run(tmp_path, "1,1,5,1\n1,2,3,0\n", items="ID TIME DV FLAG", code=code).table
    assert sorted(table.ob_endpoint.tolist()) == [0, 1]
    with pytest.raises(DataError, match=r"FLAG = 0.5"):
        run(tmp_path, "1,1,5,1\n1,2,3,0.5\n", items="ID TIME DV FLAG", code=code)


def test_a_value_below_its_floor_stops(tmp_path):
    code = "YLO = 0.5\nY = IPRED + THETA(2)*EPS(1)"
    with pytest.raises(DataError, match=r"DV on line 2 is not above 0\.5"):
        run(tmp_path, "1,1,5\n1,2,0.2\n", items="ID TIME DV", code=code)
