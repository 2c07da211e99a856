from __future__ import annotations

import pytest

from nlmevae.errors import DataError
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import opposite_signs
from nlmevae.results.model_at import model_at
from nlmevae.results.parameter_values import ParameterValues

STREAM = """$PROBLEM sum of standard deviations
$INPUT ID TIME DV
$DATA data.csv IGNORE=@
$PRED
CL = THETA(1)*EXP(ETA(1))
W = {weight}
Y = CL + W*EPS(1)
$THETA (0, 10) 4 0.1
$OMEGA 0.1
$SIGMA 1 FIX
"""


def model(weight: str):
    return parse_control_stream(STREAM.format(weight=weight))


def at(weight: str, a: float, b: float):
    pairs = [("THETA(1)", 9.0), ("THETA(2)", a), ("THETA(3)", b), ("OMEGA(1,1)", 0.2)]
    return model_at(model(weight), ParameterValues.of(pairs, source="run1.ext"))


@pytest.mark.parametrize(("a", "b"), [(4.2, -0.08), (-4.2, 0.08)])
def test_a_sum_of_parts_of_opposite_signs_is_refused_where_it_is_given(a, b):
    """NONMEM's W = 4.2 - 0.08 F is not 4.2 + 0.08 F."""
    with pytest.raises(DataError, match=r"opposite signs") as caught:
        at("THETA(2) + CL*THETA(3)", a, b)
    assert "run1.ext" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("a", "b"), [(4.2, 0.08), (-4.2, -0.08), (4.2, 0.0)])
def test_parts_of_one_sign_are_executed(a, b):
    assert [t.init for t in at("THETA(2) + CL*THETA(3)", a, b).thetas] == [9.0, a, b]


def test_signs_do_not_matter_where_squares_are_added():
    found = at("SQRT(THETA(2)**2 + (THETA(3)*CL)**2)", 4.2, -0.08)
    assert opposite_signs(found.observations, found.thetas) is None


def test_a_note_says_that_a_fit_keeps_the_signs():
    notes = [d for d in model("THETA(2) + CL*THETA(3)").diagnostics if d.code == "residual-sign"]
    assert [(d.severity, d.message.split()[0]) for d in notes] == [("note", "THETA(2)"), ("note", "THETA(3)")]
