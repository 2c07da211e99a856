"""DO WHILE, declared arrays, lists of $ABBREVIATED, code for other calls: what the text becomes."""

import numpy as np
import pytest

from nlmevae.errors import ModelError, UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import Assign, If, names_read
from nlmevae.ir.evaluate import derivative, run
from tests.helpers.control_streams import accepted, code, lower


def texts(statements):
    return [s.target for s in statements if isinstance(s, Assign)]


def test_a_loop_is_written_out():
    statements = code("I = 1\nS = 0\nDO WHILE (I.LE.4)\nS = S + I*WT\nI = I + 1\nENDDO")
    assert texts(statements) == ["I", "S"] + ["S", "I"] * 4
    assert run(statements, {"WT": 2.0})["S"] == 2.0 * (1 + 2 + 3 + 4)


def test_loops_in_loops_and_in_branches():
    statements = code(
        "S = 0\nI = 1\nDO WHILE (I <= 3)\nJ = I\nDO WHILE (J.LE.3)\nIF (SEX.EQ.1) THEN\nS = S + 10*I + J\nENDIF\n"
        "J = J + 1\nENDDO\nI = I + 1\nEND DO"
    )
    assert run(statements, {"SEX": 1.0})["S"] == 11 + 12 + 13 + 22 + 23 + 33
    assert run(statements, {"SEX": 0.0})["S"] == 0


def test_a_counter_that_data_may_change_has_no_known_bound():
    with pytest.raises(UnsupportedError, match="number of rounds"):
        code("I = 1\nIF (SEX.EQ.1) I = 2\nDO WHILE (I.LE.3)\nI = I + 1\nENDDO")


def test_a_loop_without_end_stops():
    with pytest.raises(UnsupportedError, match="more than 1000 rounds"):
        code("I = 1\nDO WHILE (I.GE.1)\nI = I + 1\nENDDO")


def test_an_index_that_a_loop_counts_names_a_theta_or_an_eta():
    model = lower(
        PRED="\nI = 1\nS = 0\nDO WHILE (I.LE.2)\nS = S + THETA(I)*EXP(ETA(I))\nI = I + 1\nENDDO\nY = S + EPS(1)\n",
        THETA="1 2", OMEGA="0.1 0.2",
    )  # fmt: skip
    assert {"THETA(1)", "THETA(2)", "ETA(1)", "ETA(2)"} <= names_read(model.program.error)
    with pytest.raises(ModelError, match="does not exist"):
        lower(PRED="\nI = 3\nY = THETA(I) + THETA(1) + ETA(1) + EPS(1)\n")


def test_equations_of_a_chain_by_a_loop():
    model = accepted("loops")
    env = {"A(1)": 8.0, "A(2)": 4.0, "A(3)": 2.0, "A(4)": 1.0, "THETA(1)": 4.0, "THETA(2)": 30.0}
    env |= {"ETA(1)": 0.0, "ETA(2)": 0.0, "WT": 70.0, "T": 0.0}
    values = run(model.program.des, run(model.program.pk, env))
    assert [values[f"DADT({n})"] for n in (1, 2, 3, 4)] == [-16.0, 16.0 - 8.0, 8.0 - 4.0, 4.0 - 4.0 / 30.0]
    assert [d.code for d in model.diagnostics if d.code == "simulation-code"] == ["simulation-code"]


def test_a_list_is_one_statement_for_each_value():
    model = accepted("abbreviated_lists")
    first = model.program.pk[0]
    assert isinstance(first, If)
    assert [(c.left.name, c.right.value) for c, _ in first.arms] == [("OCC", 1.0), ("OCC", 2.0)]
    env = {f"ETA({n})": float(n) for n in range(1, 7)} | {"THETA(1)": 1.0, "THETA(2)": 1.0}
    for occasion, (cl, v) in ((1.0, (1 + 3, 2 + 5)), (2.0, (1 + 4, 2 + 6))):
        values = run(model.program.pk, {**env, "OCC": occasion})
        assert values["CL"] == pytest.approx(2.718281828459045**cl)
        assert values["V"] == pytest.approx(2.718281828459045**v)


def test_two_lists_in_one_statement_go_together():
    statements = lower(
        ABBR="REPLACE THETA(SEX_A)=THETA(1:2) REPLACE THETA(SEX_B)=THETA(2,1)",
        PRED="\nX = THETA(SEX_A) + 10*THETA(SEX_B)\nY = X + ETA(1) + EPS(1)\n", THETA="1 2",
    ).program.error  # fmt: skip
    env = {"THETA(1)": 1.0, "THETA(2)": 2.0}
    assert [run(statements[:1], {**env, "SEX": s})["X"] for s in (1.0, 2.0)] == [21.0, 12.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X = 1\nIF (ICALL.EQ.4) X = 2", 1.0),
        ("X = 1\nIF (ICALL.EQ.2) X = 2", 2.0),
        ("IF (ICALL.NE.4) THEN\nX = 1\nELSE\nX = 2\nENDIF", 1.0),
        ("IF (ICALL.EQ.4) THEN\nX = 1\nELSEIF (SEX.EQ.1) THEN\nX = 2\nELSE\nX = 3\nENDIF", 2.0),
        ("X = 1\nIF (ICALL.EQ.4.OR.SEX.EQ.1) X = 2", 2.0),
        ("X = 1\nIF (SEX.EQ.1.AND.ICALL.EQ.4) X = 2", 1.0),
        ("X = 1\nIF (.NOT.(ICALL.EQ.4)) X = 2", 2.0),
        ("X = ICALL", 2.0),
        ("X = 1\nIF (ICALL.GE.5) EXIT 1 2", 1.0),
    ],
)
def test_code_runs_as_while_estimating(text, expected):
    statements = code(text)
    assert "ICALL" not in names_read(statements)
    assert run(statements, {"SEX": 1.0})["X"] == expected


def test_included_text_has_its_own_places(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "pk.txt").write_text("\nCL = THETA(1)*EXP(ETA(1))\nINCLUDE deep/v.txt\n")
    (tmp_path / "deep" / "v.txt").write_text("; volume\nV = THETA(2) + NOTHERE")
    text = (
        "$PROBLEM t\n$INPUT ID TIME AMT DV\n$DATA d.csv\n$SUBROUTINES ADVAN1 TRANS2\n$PK\ninclude 'pk.txt'\nS1 = V\n"
        "$ERROR\nY = F + F*EPS(1)\n$THETA 1 1\n$OMEGA 0.1\n$SIGMA 0.1\n"
    )
    with pytest.raises(ModelError) as caught:
        parse_control_stream(text, str(tmp_path / "run1.ctl"))
    at = caught.value.location
    assert (at.path, at.line, at.column) == (str(tmp_path / "deep" / "v.txt"), 2, 16)
    (tmp_path / "deep" / "v.txt").write_text("V = THETA(2)")
    model = parse_control_stream(text, str(tmp_path / "run1.ctl"))
    assert model.source.included == (str(tmp_path / "pk.txt"), str(tmp_path / "deep" / "v.txt"))
    again = parse_control_stream(model.source.text, "run1.ctl")
    assert (again.program, again.thetas, again.observations) == (model.program, model.thetas, model.observations)
    broken = text.replace("S1 = V", "S1 = V1")
    with pytest.raises(ModelError) as caught:
        parse_control_stream(broken, str(tmp_path / "run1.ctl"))
    assert (caught.value.location.path, caught.value.location.line) == (str(tmp_path / "run1.ctl"), 7)


def test_a_file_that_includes_itself_stops(tmp_path):
    (tmp_path / "pk.txt").write_text("INCLUDE pk.txt\n")
    with pytest.raises(ModelError, match="includes itself"):
        parse_control_stream("$PROBLEM t\n$PK\nINCLUDE pk.txt\n", str(tmp_path / "run1.ctl"))


@pytest.mark.parametrize(
    ("line", "inert"),
    [
        ('" FIRST', True),
        ('" REAL(KIND=DPSIZE) :: Q', True),
        ('" DOUBLE PRECISION X', True),
        ('" INTEGER I, J(10)', True),
        ('" INTEGER X', False),
        ('" REAL I, X', False),
        ('" COMMON /A/ X', False),
        ('" WRITE (50,*) &\n"  WT', True),
        ('" IF (ICALL.EQ.1) OPEN (50)', True),
        ('" X = 2', False),
        ('" REAL = 2', False),
        ('" CALL FOO(X)', False),
        ('" GOTO 5', False),
        ('" RETURN', False),
        ('" INTEGER :: X = 3', False),
    ],
)
def test_verbatim_lines_that_no_prediction_depends_on_are_left_out(line, inert):
    if inert:
        assert texts(code(f"{line}\nX = WT")) == ["X"]
    else:
        with pytest.raises(UnsupportedError, match="verbatim"):
            code(f"{line}\nX = WT")


def test_initialisation_code_may_not_act():
    assert [d.code for d in lower(INFN="\nZ = 1\nWRITE (50,*) Z\n").diagnostics] == ["record-not-run"]
    for text, what in (("WT = 1", "assigns WT"), ("CALL SUPP(1,1)", "runs CALL")):
        with pytest.raises(UnsupportedError, match=what):
            lower(INFN=f"\nIF (ICALL.EQ.1) {text}\n")


@pytest.mark.parametrize("section", ["$PK", "$ERROR"])
def test_a_record_that_reaches_exit_has_no_finite_prediction(section):
    program = accepted("exit").program
    env = {"THETA(1)": 4.0, "THETA(2)": 30.0, "ETA(1)": 0.0, "ETA(2)": 0.0, "EPS(1)": 0.0, "F": 2.0}
    assert run(program.error, run(program.pk, env))["Y"] == 2.0
    reached = {"$PK": {"THETA(2)": -1.0}, "$ERROR": {"F": -2.0}}[section]
    assert np.isnan(run(program.error, run(program.pk, {**env, **reached}))["Y"])
    slopes = derivative((*program.pk, *program.error), {**env, "F": np.array([2.0])}, ["EPS(1)"], "Y")
    assert slopes.tolist() == [[2.0]]


def test_several_code_records_are_one():
    text = (
        "$PROBLEM t\n$INPUT ID TIME AMT DV\n$DATA d.csv\n$SUBR ADVAN=1 TRANS2 TOL9\n"
        "$PK CL=THETA(1)*EXP(ETA(1))\n$ERROR\nIPRED=F\n$PK\nV=THETA(2)\n$THETA 1 1\n$ERROR Y=IPRED+NOTHERE*EPS(1)\n"
        "$OMEGA 0.1\n$SIGMA 0.1\n"
    )
    with pytest.raises(ModelError) as caught:
        parse_control_stream(text, "run1.ctl")
    assert (caught.value.location.line, caught.value.location.column) == (11, 16)
    model = parse_control_stream(text.replace("NOTHERE", "IPRED"), "run1.ctl")
    assert texts(model.program.pk)[:2] == ["CL", "V"]
    assert texts(model.program.error) == ["IPRED", "Y"]


@pytest.mark.parametrize("code", ["PRED_IGNORE_DATA = 1", "INCLUDE nonmem_reserved_general\nMDVI1 = 1"])
def test_initialisation_that_sets_variables_of_nonmem_stops(code):
    with pytest.raises(UnsupportedError, match=r"\$INFN is not supported here: it assigns (PRED_IGNORE_DATA|MDVI1)"):
        lower(INFN=f"\n{code}\n")


def test_code_before_the_estimation_that_sets_variables_of_nonmem_stops():
    with pytest.raises(UnsupportedError, match="RPTO is not supported"):
        lower(PRED="\nIF (ICALL.EQ.0) RPTO = 1\nY = THETA(1) + ETA(1) + EPS(1)\n")
    assert lower(PRED="\nIF (ICALL.EQ.4) CORRL2 = 1\nY = THETA(1) + ETA(1) + EPS(1)\n")
