"""Records that turn compartments on and off: what NONMEM does not take, and what is not known, stops with its line."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.errors import DataError, UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream

STREAM = """$PROBLEM on and off
$INPUT ID TIME AMT RATE ADDL II SS EVID CMT DV MDV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN5
$MODEL COMP=(DEPOT) COMP=(CENTRAL DEFOBS NOOFF) COMP=(URINE INITIALOFF NODOSE) COMP=(OTHER INITIALOFF)
$PK
CL = THETA(1)*EXP(ETA(1))
V = THETA(2)*EXP(ETA(2))
K12 = 1
K23 = CL/V
K24 = CL/V
K40 = 1
S2 = V
{more}
$ERROR
Y = F + EPS(1)
$THETA (0, 3) (0, 20)
$OMEGA 0.1 0.1
$SIGMA 1
"""
HEADER = "ID,TIME,AMT,RATE,ADDL,II,SS,EVID,CMT,DV,MDV\n"
DOSE = "1,0,100,0,0,0,0,1,1,0,1\n"
SEEN = "1,9,0,0,0,0,0,0,2,1,0\n"


def table_of(folder, records: str, more: str = ""):
    (folder / "data.csv").write_text(HEADER + records)
    model = parse_control_stream(STREAM.format(more=more), str(folder / "run.ctl"))
    table = event_table(model, read_dataset(model))
    return table, latent_form(model, table)


def other(number: int, time: float = 1) -> str:
    return f"1,{time},0,0,0,0,0,2,{number},0,1\n"


@pytest.mark.parametrize(
    ("records", "kind", "says", "line"),
    [
        (DOSE.replace("1,1,0,1", "1,-1,0,1"), DataError, "the dose on line 2 goes into compartment -1", 2),
        (DOSE.replace("1,1,0,1", "1,3,0,1"), DataError, "compartment 3, which has the option NODOSE", 2),
        (DOSE + other(-2), DataError, "CMT = -2 on line 3: this compartment may not be turned off", 3),
        (DOSE + other(-6), DataError, "no compartment to turn off", 3),
        (DOSE + "1,1,0,0,0,0,0,0,-1,1,0\n", DataError, "no other", 3),
        (DOSE + "1,1,0,0,0,0,0,0,6,1,0\n", DataError, "observation of compartment 6", 3),
        (DOSE + "1,1,0,0,0,0,0,0,3,1,0\n", DataError, r"compartment 3 \(URINE\) is observed on line 3 while", 3),
        (DOSE + "1,1,0,0,0,0,0,0,5,1,0\n", DataError, r"compartment 5 \(OUTPUT\) is observed on line 3 while", 3),
        (DOSE + other(5) + "1,2,0,0,0,0,0,3,0,0,1\n1,3,0,0,0,0,0,0,5,1,0\n", DataError, "while it is off", 5),
        (DOSE.replace("100,0,0,0", "100,0,3,8") + other(-1), UnsupportedError, "before its last additional", 3),
        (DOSE.replace("100,0,", "100,5,") + other(-1), UnsupportedError, "gets infusions or delayed doses", 3),
        (
            DOSE + other(3) + other(4) + other(5) + "1,3,9,0,0,8,1,1,1,0,1\n1,4,0,0,0,0,0,0,5,1,0\n",
            UnsupportedError, "comes while the output compartment is on", 6,
        ),
        (DOSE + "1,3,9,0,0,8,1,1,4,0,1\n", UnsupportedError, "steady-state dose on line 3 turns a compartment on", 3),
    ],
)  # fmt: skip
def test_what_cannot_be_said_about_compartments_stops_with_its_line(records, kind, says, line, tmp_path):
    with pytest.raises(kind, match=says) as caught:
        table_of(tmp_path, records + SEEN)
    assert caught.value.location.line == line
    assert len(caught.value.hint) > 10


def test_a_delayed_dose_into_a_compartment_that_is_off_stops(tmp_path):
    records = DOSE + "1,1,100,0,0,0,0,1,4,0,1\n" + SEEN
    with pytest.raises(UnsupportedError, match="ALAG4 delays it"):
        table_of(tmp_path, records, "ALAG4 = 2")
    table_of(tmp_path, DOSE + other(4) + records.removeprefix(DOSE), "ALAG4 = 2")


def test_drug_lost_while_the_output_compartment_is_on_stops(tmp_path):
    records = DOSE + other(5) + other(4) + "1,2,0,0,0,0,0,0,5,1,0\n" + SEEN
    with pytest.raises(UnsupportedError, match="compartment 3 is off while the output compartment is on"):
        table_of(tmp_path, records)
    table_of(tmp_path, DOSE + other(3) + records.removeprefix(DOSE))


def test_initial_amounts_in_a_compartment_that_is_off_stop(tmp_path):
    with pytest.raises(UnsupportedError, match=r"OTHER is INITIALOFF and has an initial amount, A_0\(4\)"):
        table_of(tmp_path, DOSE + SEEN, "A_0(4) = 5")


def test_the_output_compartment_that_nothing_observes_is_left_out(tmp_path):
    table, form = table_of(tmp_path, DOSE + other(5) + other(-5, 2) + SEEN)
    assert not table.output
    assert form.n_compartments == 4
    assert "ON(5)" not in table.covariate_names


def test_a_random_fraction_of_an_output_compartment_that_nothing_observes_is_a_parameter_without_effect(tmp_path):
    (tmp_path / "data.csv").write_text(HEADER + DOSE + SEEN)
    text = STREAM.format(more="F0 = THETA(3)*EXP(ETA(3))").replace("(0, 20)", "(0, 20) (0, 0.5)")
    model = parse_control_stream(text.replace("$OMEGA 0.1 0.1", "$OMEGA 0.1 0.1 0.1"), str(tmp_path / "run.ctl"))
    form = latent_form(model, event_table(model, read_dataset(model)))
    assert [latent.name for latent in form.latents] == ["CL", "V", "F0"]
    assert "F0" not in form.parameters


def test_the_status_holds_up_to_the_record_that_changes_it(tmp_path):
    records = DOSE + other(3, 2) + "1,5,0,0,0,0,0,0,-3,1,0\n" + other(3, 5) + other(-3, 7) + SEEN
    table, _ = table_of(tmp_path, records)
    status = table.cov[:, table.covariate_names.index("ON(3)")]
    np.testing.assert_array_equal(table.cov_time, [2.0, 7.0, 9.0])
    np.testing.assert_array_equal(status, [0.0, 1.0, 0.0])
    emptied = table.ev_time[table.ev_kind == 8]
    np.testing.assert_array_equal(emptied, [5.0, 7.0])
    assert table.ob_order[0] < table.ev_order[table.ev_time == 5.0][0]  # observed, then turned off


def test_a_reset_takes_every_compartment_to_where_it_began(tmp_path):
    records = DOSE + other(3, 2) + "1,4,50,0,0,0,0,4,1,0,1\n" + SEEN
    table, _ = table_of(tmp_path, records)
    status = table.cov[:, table.covariate_names.index("ON(3)")]
    np.testing.assert_array_equal(status, [0.0, 1.0, 0.0])


def test_records_that_turn_a_compartment_on_are_predicted_in_the_default_one(tmp_path):
    from nlmevae.data.prediction_rows import predicted_dataset

    (tmp_path / "data.csv").write_text(HEADER + DOSE + other(3) + other(-3, 2) + other(5, 3) + SEEN)
    model = parse_control_stream(STREAM.format(more=""), str(tmp_path / "run.ctl"))
    table = event_table(model, predicted_dataset(model, read_dataset(model)))
    np.testing.assert_array_equal(table.ob_cmt, [2, 2, 2, 2])
