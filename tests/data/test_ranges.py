"""Which values data hold, and what lies beyond them."""

import pytest

from nlmevae.data.ranges import data_ranges, outside
from nlmevae.pipeline import prepare

STREAM = """$PROBLEM ranges
$INPUT ID TIME AMT DV WT
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*WT*EXP(ETA(1))
V = THETA(2)
S1 = V
$ERROR
Y = F + EPS(1)
$THETA (0, 2) (0, 0.5)
$OMEGA 0.1
$SIGMA 0.1
"""


def table(folder, *rows: str):
    (folder / "run1.ctl").write_text(STREAM)
    (folder / "data.csv").write_text("ID,TIME,AMT,DV,WT\n" + "\n".join(rows) + "\n")
    return prepare(folder / "run1.ctl").table


def test_times_doses_and_covariates_are_measured(tmp_path):
    found = data_ranges(table(tmp_path, "1,10,100,.,60", "1,11,0,3,60", "1,14,0,2,60", "2,0,50,.,80", "2,2,0,1,80"))
    assert found == {"TIME": (1.0, 4.0), "AMT": (50.0, 100.0), "WT": (60.0, 80.0)}


def test_the_farthest_value_of_each_subject_and_item_is_named(tmp_path):
    ranges = {"TIME": (1.0, 4.0), "AMT": (50.0, 100.0), "WT": (60.0, 80.0)}
    rows = ["1,0,100,.,60", "1,0.5,0,3,60", "1,9,0,2,60", "2,0,700,.,90", "2,4,0,1,90"]
    assert outside(table(tmp_path, *rows), ranges) == [(0, "TIME", 9.0), (1, "AMT", 700.0), (1, "WT", 90.0)]


def test_values_on_the_edge_are_inside(tmp_path):
    rows = ["1,0,100,.,60", "1,1,0,3,60", "1,4,0,2,60"]
    assert outside(table(tmp_path, *rows), {"TIME": (1.0, 4.0), "AMT": (100.0, 100.0), "WT": (60.0, 60.0)}) == []


def test_an_item_the_fit_did_not_know_is_not_judged(tmp_path):
    assert outside(table(tmp_path, "1,0,100,.,60", "1,1,0,3,60"), {}) == []


def test_the_range_of_a_formulas_items_is_known(tmp_path):
    (tmp_path / "run1.ctl").write_text(
        "$PROBLEM x\n$INPUT ID TIME DV DOSE\n$DATA data.csv IGNORE=@\n$PRED\nK=THETA(1)*EXP(ETA(1))\n"
        "Y=DOSE*EXP(-K*TIME)+EPS(1)\n$THETA (0,1)\n$OMEGA 0.1\n$SIGMA 0.1\n"
    )
    (tmp_path / "data.csv").write_text("ID,TIME,DV,DOSE\n1,1,3,10\n1,2,2,10\n2,1,3,20\n2,5,1,20\n")
    found = data_ranges(prepare(tmp_path / "run1.ctl").table)
    assert found["DOSE"] == pytest.approx((10.0, 20.0))
    assert found["TIME"][1] == pytest.approx(4.0)
