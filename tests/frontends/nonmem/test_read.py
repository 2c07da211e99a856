from __future__ import annotations

import time

import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.definitions import needed_names
from nlmevae.frontends.nonmem.read import lower_control_stream, parse_control_stream, read_control_stream
from nlmevae.frontends.nonmem.records import read_source
from nlmevae.ir import Binary, CovarianceRequest, SimulationRequest, Symbol, names_assigned
from tests.helpers.control_streams import ACCEPTED, FIXTURES, accepted, lower


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda p: p.stem)
def test_an_accepted_stream_lowers_and_keeps_its_text(path):
    model = lower_control_stream(read_source(path))
    if not model.source.included:
        assert model.source.text.encode("utf-8", "surrogateescape") == path.read_bytes()
    assert model.name == path.stem
    assert model.source.path == str(path)
    assert "Y" in names_assigned(model.program.error)
    assert (model.individual_parameters, model.covariate_effects, model.observations) == ((), (), ())


def test_there_are_enough_of_them():
    assert len(ACCEPTED) >= 20


@pytest.mark.parametrize("name", ["latin1", "utf8", "tabs", "no_final_newline"])
def test_encodings_and_blanks_do_not_change_the_model(name):
    plain, other = accepted("minimal"), accepted(name)
    assert other.program == plain.program
    assert other.thetas == plain.thetas
    assert other.data == plain.data


def test_the_title_is_readable_text():
    assert accepted("latin1").problem == "Größe, intravenous"
    assert accepted("utf8").problem == "One compartment, intravenous"


def test_replacements_reach_effects_parameters_and_compartments():
    model = accepted("abbreviated_replace")
    cl, v, _ = model.program.pk
    assert {"THETA(1)", "ETA(1)"} == cl.value.names()
    assert {"THETA(2)", "ETA(2)"} == v.value.names()
    (equation,) = model.program.des
    assert equation.target == "DADT(1)"
    assert "A(1)" in equation.value.names()
    assert model.program.error[0].value == Binary("+", Symbol("F"), Binary("*", Symbol("F"), Symbol("EPS(1)")))


def test_records_that_are_not_run_are_noted_and_the_requests_kept():
    model = accepted("kept_records")
    assert [(d.code, d.severity) for d in model.diagnostics] == [
        ("record-not-run", "warning"),  # $MSFI: initial estimates come from the records
        ("record-not-run", "note"),
        ("record-not-run", "note"),
        ("record-not-run", "note"),
        ("not-applicable", "note"),
    ]
    assert [e.method for e in model.estimation] == ["IMP", "NUTS"]
    assert ("FORMAT", ",1PE13.6") in model.estimation[0].options
    assert ("GRD", "TG(1):DS(1)") in model.estimation[0].options
    assert model.covariance == CovarianceRequest(matrix="S", unconditional=True)
    assert model.simulation == SimulationRequest(seed=12345, n=10, only=True, unread=("TRUE=FINAL",))


def test_the_method_defaults_to_first_order_and_no_covariance_step():
    model = lower(SIGMA="0.04\n$EST MAXEVAL=100")
    assert [e.method for e in model.estimation] == ["0"]
    assert model.covariance is None


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        ("$COVARIANCE", CovarianceRequest()),
        ("$COV MATRIX=R PRINT=E", CovarianceRequest(matrix="R")),
        ("$COVR MATR=s UNCOND SIGL=10", CovarianceRequest(matrix="S", unconditional=True)),
        ("$COV OMITTED", CovarianceRequest(omitted=True)),
        ("$COV UNCONDITIONAL\n$COV MATRIX=R", CovarianceRequest(matrix="R", unconditional=True)),
    ],
)
def test_the_covariance_step_is_read_in_its_spellings(record, asked):
    assert lower(SIGMA=f"0.04\n$EST METHOD=1\n{record}").covariance == asked


def test_only_the_first_problem_is_used_with_a_warning():
    model = accepted("several_problems")
    assert model.problem == "first"
    assert model.data.path == "data.csv"
    (warning,) = model.diagnostics
    assert (warning.code, warning.severity, warning.location.line) == ("several-problems", "warning", 9)


def test_a_variable_carried_over_for_tables_only_is_noted():
    model = accepted("table_only_carry_over")
    note = next(d for d in model.diagnostics if d.code == "carried-over")
    assert note.severity == "note"
    assert "TDOS" in note.message
    assert (note.location.line, note.location.column) == (7, 14)
    assert next(d for d in model.diagnostics if d.code == "output-compartment").message.startswith("S2 ")


def test_a_variable_carried_over_into_the_prediction_is_refused():
    with pytest.raises(UnsupportedError, match="LAST is only assigned under a condition on AMT"):
        lower(PRED="\nIF (AMT.GT.0) LAST = THETA(1)\nY = (TIME-LAST) + ETA(1) + EPS(1)\n")


def test_an_assignment_before_the_condition_makes_it_definite():
    assert lower(PRED="\nX = 0\nIF (AMT.GT.0) X = TIME\nY = THETA(1)*X + ETA(1) + EPS(1)\n").diagnostics == ()


def test_assignment_in_every_arm_makes_it_definite():
    text = "\nIF (AMT.GT.0) THEN\nX = TIME\nELSE\nX = 0\nENDIF\nY = THETA(1)*X + ETA(1) + EPS(1)\n"
    assert lower(PRED=text).diagnostics == ()


def test_needed_names_follow_conditions_and_assignments():
    model = lower(PRED="\nA1 = WT\nIF (SEX.EQ.1) THEN\nB1 = A1\nELSE\nB1 = 2\nENDIF\nZ = AMT\n"
                       "Y = THETA(1)*B1 + ETA(1) + EPS(1)\n")  # fmt: skip
    needed = needed_names(model.program, model.structural)
    assert {"A1", "B1", "WT", "SEX"} <= needed
    assert not {"Z", "AMT"} & needed


@pytest.mark.slow
def test_reading_a_control_stream_is_quick():
    source = read_source(FIXTURES / "accepted" / "if_blocks.ctl")
    lower_control_stream(source)  # builds the parser
    start = time.perf_counter()
    for _ in range(5):
        lower_control_stream(source)
    assert (time.perf_counter() - start) / 5 < 0.05


def test_reading_ends_with_recognition():
    model = read_control_stream(FIXTURES / "accepted" / "minimal.ctl")
    assert [(p.name, p.eta) for p in model.individual_parameters] == [("CL", "ETA(1)"), ("V", "ETA(2)")]
    formula = (FIXTURES / "accepted" / "pred_model.ctl").read_text()
    assert len(parse_control_stream(formula).observations) == 1
