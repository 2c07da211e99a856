"""Rows of a Monolix data file as records: tables written out by hand, from the rules of the documented data format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.data.event_table import event_table
from nlmevae.data.monolix_occasions import occasion_levels
from nlmevae.data.monolix_rows import read_monolix_rows
from nlmevae.data.prediction_rows import predicted_dataset
from nlmevae.data.read import read_dataset
from nlmevae.data.search_space import search_space
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import DataError, SemanticError, UnsupportedError
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import Binary, Call, ComputedItem, DoseInput, DoseRoute, Number, RegroupedItem, Symbol
from tests.helpers.monolix_data import monolix_model, read, rows_of, table


def csv(header: str, *lines: str) -> str:
    return "\n".join([header.replace(" ", ","), *lines]) + "\n"


def test_a_line_with_an_amount_and_a_value_is_both(tmp_path):
    header = "ID TIME AMT Y"
    found = read(tmp_path, csv(header, "a,0,100,0.5", "a,1,.,8", "b,0,0,3", "b,2,.,4"), rows_of(header))
    assert table(found, "LINE ID TIME EVID MDV AMT DV CMT") == [
        (2, 1, 0, 0, 0, 0, 0.5, 0),  # the observation comes before the dose
        (2, 1, 0, 1, 1, 100, 0, 1),
        (3, 1, 1, 0, 0, 0, 8, 0),
        (4, 2, 0, 0, 0, 0, 3, 0),  # an amount of 0 is no dose
        (5, 2, 2, 0, 0, 0, 4, 0),
    ]
    assert found.subject_labels == ("a", "b")
    assert [d.code for d in found.diagnostics] == ["observation-at-dose"]


def test_event_identifiers_go_before_what_the_line_holds(tmp_path):
    header = "ID TIME AMT Y EVID MDV"
    text = csv(
        header, "1,0,100,7,1,0", "1,1,50,5,0,0", "1,2,50,5,2,0", "1,3,50,x,3,1", "1,4,.,3,0,0", "1,5,0,.,3,1",
        "1,6,.,2,0,1", "1,7,.,1,0,0",
    )  # fmt: skip
    found = read(tmp_path, text, rows_of(header))
    assert table(found, "LINE TIME EVID AMT DV") == [
        (2, 0, 1, 100, 0),
        (3, 1, 0, 0, 5),
        (4, 2, 2, 0, 0),
        (5, 3, 3, 0, 0),
        (5, 3, 1, 50, 0),
        (6, 4, 0, 0, 3),
        (7, 5, 3, 0, 0),
        (7, 5, 2, 0, 0),
        (8, 6, 2, 0, 0),
        (9, 7, 0, 0, 1),
    ]


def test_an_observation_na_is_none(tmp_path):
    found = read(tmp_path, csv("ID TIME AMT Y", "1,0,100,.", "1,1,.,NA", "1,2,.,8"), rows_of("ID TIME AMT Y"))
    expected = read(tmp_path, csv("ID TIME AMT Y", "1,0,100,.", "1,1,.,.", "1,2,.,8"), rows_of("ID TIME AMT Y"))
    np.testing.assert_array_equal(found.values, expected.values)


def test_missing_values_quotes_and_delimiters(tmp_path):
    header = "ID TIME AMT Y SEX"
    expected = [(1, 0, 1, 100, 0, 1), (1, 1, 0, 0, 8, 1), (2, 0, 1, 50, 0, 0), (2, 3, 0, 0, 4, 0)]
    lines = [('"s 1"', "0", "100", ".", '"M"'), ('"s 1"', "1", "", "8", "M"), ("2", "0", "50", ".", "F"),
             ("2", "3", ".", "4", "F")]  # fmt: skip
    for delimiter in (",", ";", "\t"):
        text = "\n".join([delimiter.join(header.split()), *(delimiter.join(line) for line in lines)])
        for stated in (delimiter, None):
            found = read(tmp_path, text, rows_of(header, delimiter=stated))
            assert table(found, "ID TIME EVID AMT DV SEX") == expected
            assert found.subject_labels == ("s 1", "2")
    blanks = "\n".join([" ID   TIME AMT Y SEX", *("  ".join(x or "." for x in line) for line in lines)])
    assert table(read(tmp_path, blanks, rows_of(header, delimiter=None)), "ID TIME EVID AMT DV SEX") == expected


def test_the_projects_header_names_the_columns(tmp_path):
    header = "ID TIME AMT Y"
    found = read(tmp_path, "ID,TIME,Y,AMT\n1,0,100,.\n1,1,.,8\n", rows_of(header))
    assert table(found, "EVID AMT DV") == [(1, 100, 0), (0, 0, 8)]
    assert "header-order" in {d.code for d in found.diagnostics}


def test_lines_of_a_subject_need_not_be_together_or_in_order(tmp_path):
    header = "ID TIME AMT Y"
    found = read(tmp_path, csv(header, "x,2,.,3", "y,0,10,.", "x,0,20,.", "y,1,.,1", "x,1,.,5"), rows_of(header))
    assert table(found, "LINE ID TIME EVID") == [
        (4, 1, 0, 1), (6, 1, 1, 0), (2, 1, 2, 0), (3, 2, 0, 1), (5, 2, 1, 0),
    ]  # fmt: skip
    assert "unsorted-lines" not in {d.code for d in found.diagnostics}  # no line follows one of its subject here
    found = read(tmp_path, csv(header, "x,2,.,3", "x,0,20,.", "x,1,.,5"), rows_of(header))
    assert "unsorted-lines" in {d.code for d in found.diagnostics}


def test_additional_and_steady_state_doses_are_explicit(tmp_path):
    header = "ID TIME AMT Y SS II ADDL"
    text = csv(header, "1,24,100,.,1,12,2", "1,25,.,7,.,.,.", "1,50,.,3,.,.,.")
    found = read(tmp_path, text, rows_of(header, n_doses=3))
    assert table(found, "TIME EVID AMT") == [
        (-12, 1, 100), (0, 1, 100), (12, 1, 100), (24, 1, 100), (25, 0, 0), (36, 1, 100), (48, 1, 100), (50, 0, 0),
    ]  # fmt: skip
    assert found.added.tolist() == [True, True, True, False, False, True, True, False]
    assert set(found.lines[found.added].tolist()) == {2}
    late = read(tmp_path, csv(header, "1,0,50,.,0,0,0", "1,24,100,.,1,12,2", "1,50,.,3,.,.,."), rows_of(header))
    assert "steady-after-doses" in {d.code for d in late.diagnostics}


def test_added_doses_near_other_occasions(tmp_path):
    header = "ID TIME AMT Y II ADDL OCC"
    text = csv(header, "1,0,100,.,4,2,1", "1,5,.,8,.,.,1", "1,10,.,8,.,.,2")
    found = read(tmp_path, text, rows_of(header))
    assert table(found, "TIME EVID OCC") == [(0, 1, 1), (4, 1, 1), (5, 0, 1), (8, 1, 1), (10, 2, 1), (10, 0, 2)]
    with pytest.raises(UnsupportedError, match="additional doses of line 2 reach the next occasion"):
        read(tmp_path, text.replace(",4,2,1", ",4,3,1"), rows_of(header))
    header = "ID TIME AMT Y II SS OCC"
    text = csv(header, "1,0,100,.,.,.,1", "1,5,.,8,.,.,1", "1,100,9,8,12,1,2", "1,110,.,8,.,.,2")
    found = read(tmp_path, text, rows_of(header))
    assert [row[0] for row in table(found, "TIME")] == [0, 5, 40, 40, 52, 64, 76, 88, 100, 100, 110]
    with pytest.raises(UnsupportedError, match="before the steady-state dose on line 4 reach into the occasion before"):
        read(tmp_path, text.replace("8,12,1,2", "8,20,1,2"), rows_of(header))


def test_resets_and_added_doses(tmp_path):
    header = "ID TIME AMT Y EVID II ADDL SS"
    for lines, message in (
        (
            ("1,0,10,.,1,4,3,0", "1,6,0,.,3,.,.,.", "1,9,.,1,0,.,.,."),
            "additional doses of line 2 go on after that reset",
        ),
        (
            ("1,0,10,.,1,.,.,.", "1,6,9,.,3,4,.,1", "1,9,.,1,0,.,.,."),
            "before the steady-state dose on line 3 would lie",
        ),
        (
            ("1,0,10,.,1,.,.,.", "1,6,9,.,3,.,.,.", "1,6,.,1,0,.,.,."),
            "the observation on line 4 has the time of the reset",
        ),
        (("1,5,.,1,0,.,.,.", "1,6,9,.,1,.,.,.", "1,6,0,.,3,.,.,."), "the dose on line 3 has the time of the reset"),
        (
            ("1,6,9,.,1,.,.,.", "1,9,9,.,3,.,.,.", "1,7,.,1,0,.,.,."),
            "the lines of ID 1 are not in order of time, and one",
        ),
        (("1,6,9,.,1,.,.,.", "1,9,9,.,4,.,.,.", "1,7,.,1,0,.,.,."), "the reset on line 3 begins a period, but line 4"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            read(tmp_path, csv(header, *lines), rows_of(header))


def test_occasions_of_a_file(tmp_path):
    header = "ID TIME AMT Y OCC OCC2 EVID"
    text = csv(
        header, "1,0,1,.,1,1,1", "1,1,.,2,1,1,0", "2,0,1,.,1,1,1", "2,1,.,3,1,1,0", "2,2,4,.,2,7,4", "2,3,.,3,2,7,0"
    )
    model = monolix_model(tmp_path, text, rows_of(header, event_occasion="OE"))
    assert occasion_levels(model.data, tmp_path) == ((1, 1, 1), (2, 7, 2))


def test_infusions_with_a_fraction_and_no_duration_are_refused(tmp_path):
    header = "ID TIME AMT Y TINF"
    inputs = (DoseInput(number=2, compartment=1, bioavailability="V"),)
    rows = rows_of(header, routes=(DoseRoute(administration=1, input=2, kind="direct"),))
    text = csv(header, "1,0,100,.,2", "1,1,.,8,.")
    with pytest.raises(UnsupportedError, match="line 2 is an infusion into an input with a fraction p"):
        read(tmp_path, text, rows, inputs=inputs)


def test_times_that_start_again_and_models_that_read_the_time(tmp_path):
    header = "ID TIME AMT Y OCC"
    text = csv(header, "1,0,100,.,1", "1,5,.,8,1", "1,0,50,.,2", "1,5,.,9,2")
    model = monolix_model(
        tmp_path, text, rows_of(header), pk="CL = THETA(1)\nV = THETA(2)", des="DADT(1) = -CL/V*A(1)*T",
        error="Y = A(1)/V + EPS(1)",
    )  # fmt: skip
    with pytest.raises(
        UnsupportedError, match="TIME starts again at the reset on line 4, and the structural model reads T"
    ):
        event_table(model, read_dataset(model))


def test_rounding_does_not_separate_an_additional_dose_from_a_line(tmp_path):
    header = "ID TIME AMT Y II ADDL"
    found = read(tmp_path, csv(header, "1,0,1,.,0.1,3", "1,0.3,.,2,.,.", "1,1,.,2,.,."), rows_of(header))
    assert [row[0] for row in table(found, "TIME")][-3:] == [0.3, 0.3, 1.0]


def test_infusions_by_rate_and_by_duration(tmp_path):
    for header, line in (("ID TIME AMT Y RATE", "1,0,100,.,25"), ("ID TIME AMT Y TINF", "1,0,100,.,4")):
        found = read(tmp_path, csv(header, line, "1,1,.,8,."), rows_of(header))
        assert table(found, "EVID AMT RATE") == [(1, 100, 25), (0, 0, 0)]
    header = "ID TIME AMT Y RATE"
    found = read(tmp_path, csv(header, "1,0,100,.,-1", "1,1,.,8,."), rows_of(header))  # negative: a bolus
    assert table(found, "EVID AMT RATE") == [(1, 100, 0), (0, 0, 0)]
    absorbed = rows_of(header, routes=(DoseRoute(administration=1, input=1, kind="absorption"),))
    with pytest.raises(
        DataError, match=r"data.csv:2:1: the dose on line 2 is an infusion, but its administration has an"
    ):
        read(tmp_path, csv(header, "1,0,100,.,25", "1,1,.,8,."), absorbed)


def test_an_administration_enters_its_inputs(tmp_path):
    header = "ID TIME AMT Y ADM"
    routes = (
        DoseRoute(administration=1, input=2, kind="absorption"),
        DoseRoute(administration=1, input=3, kind="zero_order"),
        DoseRoute(administration=2, input=1, kind="direct"),
    )
    text = csv(header, "1,0,100,.,1", "1,1,.,8,.", "1,2,40,.,2", "1,3,.,8,.")
    found = read(tmp_path, text, rows_of(header, routes=routes))
    assert table(found, "LINE EVID AMT RATE CMT") == [
        (2, 1, 100, 0, 2), (2, 1, 100, -2, 3), (3, 0, 0, 0, 0), (4, 1, 40, 0, 1), (5, 0, 0, 0, 0),
    ]  # fmt: skip
    with pytest.raises(DataError, match="line 2 is a dose of administration 3, for which the model has no macro"):
        read(tmp_path, csv(header, "1,0,100,.,3", "1,1,.,8,."), rows_of(header, routes=routes))


def test_kinds_that_are_not_fitted_are_left_out(tmp_path):
    header = "ID TIME AMT Y YTYPE"
    text = csv(header, "1,0,100,.,.", "1,1,.,8,pk", "1,2,.,50,pd", "1,3,.,1,other", "2,0,10,.,.", "2,1,.,3,other")
    found = read(tmp_path, text, rows_of(header, kinds=("pd", "pk")))
    assert table(found, "ID TIME EVID DV YTYPE") == [
        (1, 0, 1, 0, 0), (1, 1, 0, 8, 2), (1, 2, 0, 50, 1), (1, 3, 2, 0, 0),
    ]  # fmt: skip
    messages = {d.code: d.message for d in found.diagnostics}
    assert messages["observations-not-fitted"] == "observations left out: 2 of YTYPE other"
    assert messages["no-observations"] == "1 subject without observations left out (ID 2)"
    assert found.subject_labels == ("1",)
    numbers = read(tmp_path, csv(header, "1,0,1,.,.", "1,1,.,8,1.0", "1,2,.,8,2"), rows_of(header, kinds=("1",)))
    assert table(numbers, "EVID YTYPE") == [(1, 0), (0, 1), (2, 0)]


def test_censored_values_and_their_limits(tmp_path):
    header = "ID TIME AMT Y CENS LIMIT"
    text = csv(header, "1,0,100,.,.,.", "1,1,.,8,0,.", "1,2,.,2,1,.", "1,3,.,2,1,0.5", "1,4,.,90,-1,.", "1,5,.,9,.,3")
    model = monolix_model(tmp_path, text, rows_of(header))
    limits = event_table(model, read_dataset(model)).ob_limits
    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(
        limits[:, :2], [[nan, nan], [-inf, 2.0], [0.5, 2.0], [90.0, inf], [nan, nan]]
    )  # fmt: skip


def test_a_regressor_is_carried_forward(tmp_path):
    header = "ID TIME AMT Y REG"
    text = csv(header, "1,0,100,.,5", "1,2,.,8,.", "1,3,.,.,7", "1,4,.,6,.", "1,4,50,.,9", "1,6,.,2,.")
    found = read(tmp_path, text, rows_of(header))
    assert table(found, "LINE TIME EVID REG") == [
        (2, 0, 1, 5),
        (3, 2, 0, 5),
        (4, 3, 2, 5),  # the old value up to the change
        (4, 3, 2, 7),
        (5, 4, 2, 7),
        (5, 4, 0, 9),  # x(t) is the value given at t, on whatever line
        (6, 4, 1, 9),
        (7, 6, 0, 9),
    ]
    assert found.added.tolist() == [False, False, True, False, True, False, False, False]
    model = monolix_model(tmp_path, text, rows_of(header))
    observed = predicted_dataset(model, found).mdv == 0
    assert found.lines[observed].tolist() == [3, 4, 5, 7]  # no prediction at a record that is no line
    with pytest.raises(DataError, match="the regressor REG has no value at the first dose or observation of ID 1"):
        read(tmp_path, csv(header, "1,0,100,.,.", "1,2,.,8,4"), rows_of(header))
    with pytest.raises(DataError, match="the regressor REG has the values 4, 5 at the time 2 of ID 1"):
        read(tmp_path, csv(header, "1,0,100,.,3", "1,2,.,8,4", "1,2,3,.,5"), rows_of(header))
    before = read(tmp_path, csv(header, "1,-1,.,.,3", "1,0,100,.,.", "1,2,.,8,."), rows_of(header))
    assert table(before, "TIME REG") == [(0, 3), (2, 3)]  # given before the first dose; nothing happens there


def test_step_functions_of_the_last_dose(tmp_path):
    header = "ID TIME AMT Y TINF II ADDL"
    rows = rows_of(header, dose_time="TD", dose_amount="AD", dose_duration="DD")
    text = csv(header, "1,-1,.,5,.,.,.", "1,0,100,.,4,12,1", "1,5,.,8,.,.,.", "1,20,.,8,.,.,.")
    assert table(read(tmp_path, text, rows), "TIME EVID TD AD DD") == [
        (-1, 0, 0, 0, 0),
        (0, 2, 0, 0, 0),
        (0, 1, 0, 100, 4),
        (5, 0, 0, 100, 4),
        (12, 2, 0, 100, 4),
        (12, 1, 12, 100, 4),
        (20, 0, 12, 100, 4),
    ]
    clash = csv(header, "1,0,100,.,4,0,0", "1,0,50,.,4,0,0", "1,5,.,8,.,.,.")
    with pytest.raises(UnsupportedError, match="doses on lines 2 and 3 have one time"):
        read(tmp_path, clash, rows)


def test_covariates_of_subjects(tmp_path):
    header = "ID TIME AMT Y WT GRP"
    rows = rows_of(
        header,
        regrouped=(RegroupedItem(item="TG", source="GRP", groups=(("b",), ("a", "c"))),),
        computed=(
            ComputedItem(item="LW", value=Call("LOG", (Binary("/", Symbol("WT"), Number(70.0)),))),
            ComputedItem(item="LW2", value=Binary("*", Symbol("LW"), Number(2.0))),
        ),
    )
    text = csv(header, "1,0,1,.,35,c", "1,1,.,8,.,c", "2,0,1,.,140,b", "2,1,.,8,140.0,b")
    found = read(tmp_path, text, rows)
    assert table(found, "WT GRP TG") == [(35, 2, 1), (35, 2, 1), (140, 1, 0), (140, 1, 0)]
    np.testing.assert_allclose(found.column("LW2"), 2 * np.log([0.5, 0.5, 2, 2]), rtol=1e-15)
    for line, message in (
        ("1,1,.,8,36,c", r"data.csv:3:9: the covariate WT changes to '36' within a subject \(ID 1, line 3\)"),
        ("1,1,.,8,35,d", r"data.csv:3:12: the covariate GRP is 'd', which is none of its categories \(a, b, c\)"),
        ("1,1,.,8,35,.", "the covariate GRP is '.'"),
        ("1,1,.,8,ten,c", "the covariate WT is 'ten', which is no number"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, csv(header, "1,0,1,.,35,c", line), rows)
    with pytest.raises(DataError, match="the covariate WT is missing where it is first needed"):
        read(tmp_path, csv(header, "1,0,1,.,.,c", "1,1,.,8,35,c"), rows)
    wrong = RegroupedItem(item="TG", source="GRP", groups=(("z",),))
    with pytest.raises(SemanticError, match="TG: GRP has no category 'z'"):
        read(tmp_path, text, replace(rows, regrouped=(wrong,), computed=()))
    with pytest.raises(DataError, match="LW is not finite for ID 1"):
        read(tmp_path, csv(header, "1,0,1,.,0,c", "1,1,.,8,0,c"), rows)


def test_occasions_that_go_on_keep_the_state(tmp_path):
    header = "ID TIME AMT Y OCC WT"
    text = csv(header, "1,0,100,.,1,70", "1,1,.,8,1,70", "1,10,100,.,3,72", "1,11,.,9,3,72")
    found = read(tmp_path, text, rows_of(header))
    assert table(found, "TIME EVID OCC WT") == [
        (0, 1, 1, 70), (1, 0, 1, 70), (10, 2, 1, 70), (10, 1, 3, 72), (11, 0, 3, 72),
    ]  # fmt: skip


def test_occasions_that_overlap_begin_anew(tmp_path):
    header = "ID TIME AMT Y OCC"
    text = csv(header, "1,0,100,.,1", "1,5,.,8,1", "1,0,50,.,2", "1,5,.,9,2")
    found = read(tmp_path, text, rows_of(header))
    assert table(found, "TIME EVID AMT OCC") == [
        (0, 1, 100, 1), (5, 0, 0, 1), (0, 3, 0, 2), (0, 1, 50, 2), (5, 0, 0, 2),
    ]  # fmt: skip
    model = monolix_model(tmp_path, text, rows_of(header))
    assert event_table(model, read_dataset(model)).ob_time.tolist() == [5.0, 10.0]  # the engine's own clock goes on
    for lines, message in (
        (
            ("1,0,1,.,1", "1,5,.,8,1", "1,5,1,.,2", "1,9,.,9,2"),
            "the occasion on line 4 begins when the one before ends",
        ),
        (("1,8,1,.,1", "1,9,.,8,1", "1,0,1,.,2", "1,5,.,9,2"), "line 4 lies before the one before it"),
        (
            ("1,0,1,.,1", "1,5,.,8,1", "1,0,1,.,2", "1,5,.,9,2", "1,7,.,9,3"),
            "some occasions of ID 1 overlap in time and others do not",
        ),
    ):
        with pytest.raises(UnsupportedError, match=message):
            read(tmp_path, csv(header, *lines), rows_of(header))
    with pytest.raises(DataError, match="line 4 goes back to an earlier occasion of ID 1"):
        read(tmp_path, csv(header, "1,0,1,.,1", "1,5,.,8,2", "1,6,1,.,1"), rows_of(header))


def test_event_identifier_4_begins_a_period(tmp_path):
    header = "ID TIME AMT Y EVID"
    text = csv(header, "1,0,100,.,4", "1,5,.,8,0", "1,0,50,.,4", "1,5,.,9,0", "1,20,0,.,4", "1,21,.,9,0")
    found = read(tmp_path, text, rows_of(header, event_occasion="OCCEVID"))
    assert table(found, "TIME EVID AMT OCCEVID") == [
        (0, 1, 100, 1), (5, 0, 0, 1), (0, 3, 0, 2), (0, 1, 50, 2), (5, 0, 0, 2), (21, 3, 0, 3), (21, 0, 0, 3),
    ]  # fmt: skip


def test_the_initial_time_of_the_model(tmp_path):
    header = "ID TIME AMT Y"
    text = csv(header, "1,2,100,.", "1,5,.,8")
    assert table(read(tmp_path, text, rows_of(header, initial_time=-3.0)), "TIME EVID") == [(-3, 2), (2, 1), (5, 0)]
    assert table(read(tmp_path, text, rows_of(header, initial_time=2.0)), "TIME EVID") == [(2, 1), (5, 0)]
    with pytest.raises(UnsupportedError, match="line 2 has a dose or observation at 2, before the initial time 4"):
        read(tmp_path, text, rows_of(header, initial_time=4.0))


def test_ignored_lines_and_columns(tmp_path):
    header = "ID TIME AMT Y IGN NOTE"
    text = csv(header, "1,0,100,.,0,x", "1,1,.,8,1,y", "1,2,.,9,.,z")
    assert table(read(tmp_path, text, rows_of(header)), "LINE EVID") == [(2, 1), (4, 0)]


def test_designs_need_no_values(tmp_path):
    header = "ID TIME AMT Y EVID"
    text = csv(header, "1,0,100,.,1", "1,1,.,.,0")
    assert table(read(tmp_path, text, rows_of(header), design=True), "EVID DV") == [(1, 0), (0, 0)]
    with pytest.raises(DataError, match="Y is missing on line 3, which its event identifier makes an observation"):
        read(tmp_path, text, rows_of(header))


BAD = [
    ("ID TIME AMT Y", ["1,x,100,."], DataError, "data.csv:2:3: TIME is 'x' on line 2, which is no number (the time)"),
    ("ID TIME AMT Y", ["1,.,100,."], DataError, "data.csv:2:3: TIME is missing on line 2"),
    ("ID TIME AMT Y", ["1,10:30,100,."], UnsupportedError, "data.csv:2:3: TIME is '10:30' on line 2: dates and clock"),
    ("ID TIME AMT Y EVID", ["1,0,100,.,1", "1,1,.,NA,0"], DataError, "data.csv:3:7: Y is 'NA' on line 3"),
    ("ID TIME AMT Y", [".,0,100,."], DataError, "data.csv:2:1: ID is missing on line 2"),
    ("ID TIME AMT Y", ["1,0,100,BLQ"], DataError, "data.csv:2:9: Y is 'BLQ' on line 2"),
    ("ID TIME AMT Y", ["1,0,-5,."], DataError, "data.csv:2:5: AMT is -5 on line 2"),
    ("ID TIME AMT Y", ["1,0,1e31,."], DataError, "AMT is '1e31' on line 2"),
    ("ID TIME AMT Y", ["1,0,100"], DataError, "data.csv:2:1: line 2 has 3 items between commas, the header 4"),
    ("ID TIME AMT Y", ["1,0,100,.,7"], DataError, "line 2 has 5 items between commas"),
    ("ID TIME AMT Y", ["1,0,100,."], DataError, "has no observation"),
    ("ID TIME AMT Y", [], DataError, "has no line after its header"),
    ("ID TIME AMT Y EVID", ["1,0,.,.,1"], DataError, "AMT is missing on line 2, which its event identifier makes"),
    ("ID TIME AMT Y EVID", ["1,0,1,.,."], DataError, "EVID is missing on line 2"),
    ("ID TIME AMT Y EVID", ["1,0,1,.,5"], DataError, "EVID is 5 on line 2, the event identifier: it must be one"),
    ("ID TIME AMT Y MDV", ["1,0,.,.,0"], DataError, "Y is missing on line 2, which MDV = 0 makes an observation"),
    ("ID TIME AMT Y MDV", ["1,0,.,.,2"], DataError, "MDV is 2 on line 2"),
    ("ID TIME AMT Y SS II", ["1,0,1,.,1,."], DataError, "repeated without a positive interval"),
    ("ID TIME AMT Y SS II", ["1,0,1,.,2,12"], UnsupportedError, "SS is 2 on line 2"),
    ("ID TIME AMT Y ADDL II", ["1,0,1,.,1.5,12"], DataError, "ADDL is 1.5 on line 2"),
    ("ID TIME AMT Y RATE TINF", ["1,0,1,.,2,12"], DataError, "line 2 gives both a rate and a duration"),
    ("ID TIME AMT Y ADM", ["1,0,1,.,."], DataError, "ADM is '.' on line 2, a dose"),
    ("ID TIME AMT Y CENS", ["1,0,.,5,2"], DataError, "CENS is 2 on line 2"),
    ("ID TIME AMT Y OCC", ["1,0,1,.,1.5"], DataError, "OCC is 1.5 on line 2, an occasion: it must be a whole number"),
    ("ID TIME AMT Y IGN", ["1,0,1,.,1"], DataError, "every line of"),
    ("ID TIME AMT Y YTYPE", ["1,0,.,5,3"], DataError, "no observation is of a kind that is fitted"),
    ("ID AMT Y", ["1,1,."], UnsupportedError, "no column has the use time"),
    ("TIME AMT Y", ["1,1,."], SemanticError, "no column has the use identifier"),
    ("ID TIME AMT", ["1,1,1"], SemanticError, "no column has the use observation"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "lines", "kind", "message"), BAD)
def test_bad_lines_are_named(tmp_path, header, lines, kind, message):
    rows = rows_of(header, kinds=("1",) if "YTYPE" in header else ())
    with pytest.raises(kind) as caught:
        read(tmp_path, csv(header, *lines), rows)
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_delimiter_that_is_not_clear_is_asked_for(tmp_path):
    header = "ID TIME AMT Y"
    with pytest.raises(DataError, match="the project names no delimiter, and none of tab"):
        read(tmp_path, "ID,TIME,AMT,Y\n1,0;1,.\n", rows_of(header, delimiter=None))


def test_absent_files_and_names(tmp_path):
    header = "ID TIME AMT Y"
    model = monolix_model(tmp_path, csv(header, "1,0,1,.", "1,1,.,2"), rows_of(header))
    moved = replace(model, data=replace(model.data, path="..\\elsewhere\\data.csv"))
    found = read_monolix_rows(moved, folder=tmp_path)
    assert found.diagnostics[0].code == "moved-data-file"
    with pytest.raises(DataError, match="data file not found"):
        read_monolix_rows(replace(model, data=replace(model.data, path="other.csv")), folder=tmp_path)
    rows = rows_of(header)
    extra = replace(rows, columns=(*rows.columns, replace(rows.columns[0], name="SEX", use="covariate", item="SEX")))
    with pytest.raises(SemanticError, match="uses the column SEX, which `header` does not name"):
        read(tmp_path, csv(header, "1,0,1,.", "1,1,.,2"), extra)
    twice = replace(rows, columns=(*rows.columns, replace(rows.columns[0], name="AMT", use="regressor", item="DV")))
    with pytest.raises(SemanticError, match="two data items are called DV"):
        read(tmp_path, csv(header, "1,0,1,.", "1,1,.,2"), twice)


def test_covariates_of_the_file_can_be_searched(tmp_path):
    """Candidates are columns of the data set, whatever column of the file they come from; places are lines."""
    header = "ID TIME AMT Y NOTE WT SEX AGE"
    lines = [f"{i},{t},{100 if t == 0 else '.'},{'.' if t == 0 else i},x,{60 + i},{'FM'[i % 2]},30"
             for i in range(1, 9) for t in (0, 1)]  # fmt: skip
    model = recognise(monolix_model(tmp_path, csv(header, *lines), rows_of(header)))
    dataset = read_dataset(model)
    table = event_table(model, dataset)
    search = search_space(model, dataset, table, SearchSpec(covariates=("WT", "SEX")))
    assert {c.covariate for c in search.space.candidates} == {"WT", "SEX"}
    with pytest.raises(DataError, match="AGE") as caught:
        search_space(model, dataset, table, SearchSpec(covariates=("AGE",)))
    assert caught.value.location is None or caught.value.location.column == 1
