"""Functions of parameters: closed-form derivatives, and no number where a parameter has none."""

import numpy as np
import pytest

from nlmevae.errors import ModelError
from nlmevae.frontends.nonmem.parameter_expression import parse_parameter_expression
from nlmevae.results.derived import derived_quantity, is_positive
from tests.helpers.results import make_result, with_uncertainty

NAMES = {"CL": "THETA(1)", "V": "THETA(2)", "IIV_CL": "OMEGA(1,1)"}
NAMES |= {name: name for name in ("THETA(1)", "THETA(2)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)", "SIGMA(1,1)")}
Z = 1.959963984540054


def derived(text, **options):
    return derived_quantity(with_uncertainty(make_result(), **options), text, parse_parameter_expression(text, NAMES))


def test_the_ratio_to_a_fixed_parameter_has_its_relative_error():
    found = derived("CL/V")
    assert found.value == pytest.approx(1 / 3 / 31.97)
    assert found.standard_error == pytest.approx(0.02 / 31.97)
    assert (found.scale, found.low) == ("log", pytest.approx(found.value * np.exp(-Z * 0.06)))


def test_covariances_between_parameters_count():
    found = derived("THETA(1)*IIV_CL")
    variance = (0.09 * 0.02) ** 2 + (0.02 / 3) ** 2 + 2 * 0.25 * (0.09 * 0.02) * (0.02 / 3)
    assert found.standard_error == pytest.approx(np.sqrt(variance))


def test_a_coefficient_of_variation_is_the_chain_rule():
    found = derived("100*SQRT(EXP(OMEGA(1,1)) - 1)")
    slope = 50 * np.exp(0.09) / np.sqrt(np.expm1(0.09))
    assert found.standard_error == pytest.approx(slope * 0.02)
    assert found.scale == "identity"  # nothing says that EXP(x) - 1 is positive


def test_an_interval_that_may_reach_zero_is_symmetric():
    found = derived("CL - 0.3")
    assert (found.low, found.high) == pytest.approx((found.value - Z * 0.02, found.value + Z * 0.02))


def test_a_function_of_fixed_parameters_or_of_what_is_not_known_has_no_error():
    assert derived("V*2").standard_error is None
    assert derived("CL/V", unknown=(0,)).standard_error is None
    assert derived("CL/V", unknown=(3,)).standard_error is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CL/VV", "VV is no population parameter"),
        ("CL/", "not an expression"),
        ("THETA(9)", "no population parameter"),
        ("LOG(2)", "has no parameter"),
        ("CL.GT.1", "a condition stands where a number"),
        ("FOO(CL)", "no population parameter"),
        ("ETA(1)", "no population parameter"),
        ("", "not an expression"),
    ],
)
def test_what_is_no_function_of_parameters_is_refused_with_a_hint(text, words):
    with pytest.raises(ModelError, match=words) as caught:
        parse_parameter_expression(text, NAMES)
    assert len(caught.value.hint) > 10


@pytest.mark.parametrize(
    ("text", "positive"),
    [("CL/V", True), ("LOG(2)*V/CL", True), ("CL-V", False), ("EXP(-CL)", True), ("CL**OMEGA(2,1)", True),
     ("OMEGA(2,1)", False), ("LOG(CL)", False), ("SQRT(CL+V)", True), ("-CL", False)],
)  # fmt: skip
def test_positive_expressions_are_recognised(text, positive):
    expression = parse_parameter_expression(text, NAMES)
    assert is_positive(expression, {"THETA(1)", "THETA(2)", "OMEGA(1,1)"}) is positive
