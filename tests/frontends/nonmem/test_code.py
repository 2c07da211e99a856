from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nlmevae.errors import ModelSyntaxError, SemanticError
from nlmevae.ir import Assign, Binary, Call, Compare, If, Logical, Negate, Not, Number, Symbol
from nlmevae.ir.evaluate import evaluate, run
from tests.helpers.control_streams import accepted, code, lower

A, B, C = Symbol("WT"), Symbol("TIME"), Symbol("SEX")


def value(text: str, **env: float) -> float:
    (statement,) = code(f"X = {text}")
    return float(evaluate(statement.value, {"WT": 3.0, "TIME": 2.0, "SEX": 5.0, **env}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-WT**2", Negate(Binary("**", A, Number(2.0)))),
        ("WT**TIME**SEX", Binary("**", A, Binary("**", B, C))),
        ("WT-TIME-SEX", Binary("-", Binary("-", A, B), C)),
        ("WT/TIME*SEX", Binary("*", Binary("/", A, B), C)),
        ("WT+TIME*SEX", Binary("+", A, Binary("*", B, C))),
        ("-WT+TIME", Binary("+", Negate(A), B)),
        ("-WT*TIME", Negate(Binary("*", A, B))),
        ("+WT", A),
        ("(WT+TIME)*SEX", Binary("*", Binary("+", A, B), C)),
        ("exp(-wt)", Call("EXP", (Negate(A),))),
        ("ETA ( 1 )", Symbol("ETA(1)")),
        ("ERR(1)", Symbol("EPS(1)")),
    ],
)
def test_operators_bind_as_in_fortran(text, expected):
    assert code(f"X = {text}") == (Assign("X", expected),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1.0), ("1.", 1.0), (".5", 0.5), ("1E-3", 0.001), ("1.D0", 1.0), ("2.5d+2", 250.0), ("0.25e1", 2.5),
        ("007", 7.0),
    ],
)  # fmt: skip
def test_numbers_have_fortran_spellings(text, expected):
    assert code(f"X = {text}") == (Assign("X", Number(expected)),)


@pytest.mark.parametrize("dotted", [".EQ.", ".eq.", "==", ".EQN.", " . EQ . "])
def test_a_point_before_an_operator_belongs_to_the_operator(dotted):
    (statement,) = code(f"IF (SEX{dotted}1.AND.5.LT.WT) X = 1")
    ((condition, body),) = statement.arms
    assert condition == Logical("and", Compare("==", C, Number(1.0)), Compare("<", Number(5.0), A))
    assert body == (Assign("X", Number(1.0)),)


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        (".NE.", "!="), ("/=", "!="), (".NEN.", "!="), (".GT.", ">"), (">", ">"), (".GE.", ">="), (">=", ">="),
        (".LT.", "<"), ("<", "<"), (".LE.", "<="), ("<=", "<="),
    ],
)  # fmt: skip
def test_comparisons_have_two_spellings(text, operator):
    (statement,) = code(f"IF (WT{text}TIME) X = 1")
    assert statement.arms[0][0] == Compare(operator, A, B)


def test_and_binds_tighter_than_or_and_not_tightest():
    (statement,) = code("IF (WT>1.OR..NOT.TIME>2.AND.SEX>3) X = 1")
    expected = Logical("or", Compare(">", A, Number(1.0)),
                       Logical("and", Not(Compare(">", B, Number(2.0))), Compare(">", C, Number(3.0))))  # fmt: skip
    assert statement.arms[0][0] == expected


def test_constants_divide_as_real_numbers():
    assert value("1/2") == 0.5


def test_functions_have_their_meaning():
    assert value("MIN(WT,TIME,SEX) + MAX(WT,SEX)") == 7.0
    assert value("MOD(SEX,WT) + INT(7.9) + ABS(-WT)") == 12.0
    assert value("ALOG(WT) + LOG10(100) + TANH(WT)") == pytest.approx(math.log(3.0) + 2.0 + math.tanh(3.0))
    assert value("PHI(0) + GAMLN(SEX) + DSQRT(4)") == pytest.approx(0.5 + math.log(24.0) + 2.0)


def test_nested_ifs_take_the_branch_fortran_would_take():
    model = accepted("if_blocks")
    for sex, age, race in itertools.product((0, 1), (3.0, 5.0, 40.0, 65.0, 70.0, 80.5), (1, 2, 3)):
        env = {"SEX": sex, "AGE": age, "RACE": race, "ETA(1)": 0.0, "ETA(2)": 0.0}
        env |= {"THETA(1)": 4.0, "THETA(2)": 30.0, "THETA(3)": 0.5}
        if age >= 65 and not (sex == 1 or race != 2):
            tvv = 30.0
            if age > 80:
                tvv *= 0.9
                tvv *= 0.8 if race == 3 else 1.0
            elif age != 70:
                tvv *= 0.95
        elif age <= 5:
            tvv = 3.0
        else:
            tvv = 60.0
        result = run(model.program.pk, env)
        assert result["V"] == pytest.approx(tvv)
        assert result["CL"] == (2.0 if sex == 1 else 4.0)


def test_an_else_if_is_an_arm_and_an_inner_if_is_a_statement():
    model = accepted("if_blocks")
    outer = next(s for s in model.program.pk if isinstance(s, If) and len(s.arms) == 2)
    assert [len(body) for _, body in outer.arms] == [2, 1]
    assert len(outer.orelse) == 1
    inner = outer.arms[0][1][1]
    assert isinstance(inner, If)
    assert len(inner.arms) == 2
    assert inner.orelse == ()


def test_line_ends_do_not_change_the_program():
    assert accepted("crlf").program == accepted("if_blocks").program


def test_statements_keep_the_order_they_are_written_in():
    targets = [s.target for s in code("X = 1\nZ = X\nX = 2")]
    assert targets == ["X", "Z", "X"]


def test_an_ampersand_joins_lines_whatever_stands_in_between():
    assert accepted("continuation").program.pk[0].value == Binary(
        "*",
        Binary("*", Symbol("THETA(1)"), Binary("**", Binary("/", A, Number(70.0)), Number(0.75))),
        Call("EXP", (Symbol("ETA(1)"),)),
    )


def test_every_node_knows_where_it_is_written():
    (statement,) = code("X = 2 + EXP(\tWT)")
    assert (statement.at.line, statement.at.column) == (5, 1)
    plus = statement.value
    call = plus.right
    assert plus.at.column == 5
    assert (call.at.column, call.at.length) == (9, 3)
    assert call.arguments[0].at.column == 14


def test_variables_may_be_called_like_functions_and_words():
    assert code("PHI = 1\nELSEX = PHI\nIFF = 2\nTHENX = 3\nENDIF2 = 4\nCALLS = 5\nEXITED = 6\nDOSE = 7")[0] == Assign(
        "PHI", Number(1.0)
    )


def test_refused_words_can_be_variables_when_assigned():
    assert [s.target for s in code("RETURN = 1\nEXIT = 2\nOPEN = 3")] == ["RETURN", "EXIT", "OPEN"]


def test_random_expressions_have_pythons_value():
    generator = np.random.default_rng(7)
    names = ["WT", "TIME", "SEX"]

    def draw(depth: int) -> str:
        kind = generator.integers(0, 7) if depth else generator.integers(0, 2)
        if kind == 0:
            return str(generator.choice(names))
        if kind == 1:
            return f"{generator.uniform(0.5, 3):.3f}"
        left, right = draw(depth - 1), draw(depth - 1)
        return [f"{left}+{right}", f"{left}-{right}", f"{left}*({right})", f"({left})/({right})",
                f"(({left})**2)**0.3"][kind - 2]  # fmt: skip

    env = {"WT": 3.0, "TIME": 2.0, "SEX": 5.0}
    for _ in range(150):
        text = draw(4)
        try:
            expected = eval(text, {}, env)
        except ZeroDivisionError:
            continue
        assert value(text) == pytest.approx(expected, rel=1e-12)


def test_a_broken_line_does_not_hide_behind_a_later_one():
    with pytest.raises(ModelSyntaxError) as caught:
        lower(PRED="\nX = (1 + 2 ; comment (with parenthesis)\nY = THETA(1) + ETA(1) + EPS(1)\n")
    assert (caught.value.location.line, caught.value.location.column) == (5, 5)


def test_an_empty_code_record_is_refused():
    with pytest.raises(ModelSyntaxError, match=r"\$PRED has no statement"):
        lower(PRED="\n; nothing\n")


def test_reading_an_undefined_name_suggests_a_close_one():
    with pytest.raises(SemanticError) as caught:
        code("TVCL = 1\nX = TVLC")
    assert "TVCL" in caught.value.hint
