"""Expressions of Mlxtran mean what the same formula means to Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import norm

from nlmevae.errors import ModelError
from nlmevae.frontends.monolix.text.expression import condition_of, statements_of, value_of
from nlmevae.frontends.monolix.text.nodes import Assignment
from nlmevae.frontends.monolix.text.split import split_blocks
from nlmevae.frontends.monolix.text.syntax import parse_block
from nlmevae.frontends.nonmem.records import source_text
from nlmevae.ir import Symbol
from nlmevae.ir.dual import Dual
from nlmevae.ir.evaluate import evaluate, run


def block(text: str):
    return split_blocks(source_text(f"EQUATION:\n{text}\n", "model.txt"))[-1]


def expression(text: str):
    (node,) = parse_block(block(f"x = {text}"))
    assert isinstance(node, Assignment)
    return node.value


def value(text: str, **names: float) -> float:
    return float(evaluate(value_of(expression(text)), names))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-2^2", -4.0),
        ("2^3^2", 512.0),
        ("2**3", 8.0),
        ("2^-1", 0.5),
        ("2^-1^2", 0.5),
        ("3*-2", -6.0),
        ("1 - -2", 3.0),
        ("8/4/2", 1.0),
        ("8 - 4 - 2", 2.0),
        ("2*3^2", 18.0),
        ("+2", 2.0),
        ("(1+2)*3", 9.0),
        (".5e1 + 1.", 6.0),
        ("(2 > 1)*3", 3.0),
        ("(2 < 1)*3", 0.0),
    ],
)
def test_arithmetic(text, expected):
    assert value(text) == expected


def test_a_sign_is_weaker_than_a_power_and_stronger_than_a_product():
    assert value("-a^2*b", a=3, b=2) == -18
    assert value("a*-b^2", a=3, b=2) == -12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 < 2 & 2 < 1 | 1 == 1", True),
        ("1 == 1 || 1 == 1 && 1 == 2", True),
        ("!(1 == 2)", True),
        ("~(1 == 2) & 1 ~= 2", True),
        ("1 != 1", False),
        ("2", True),
        ("0", False),
        ("(1 >= 1) == 1", True),
    ],
)
def test_conditions(text, expected):
    assert bool(evaluate(condition_of(expression(text)), {})) is expected


@pytest.mark.parametrize("x", [-2.5, -2.0, -0.3, 0.0, 0.3, 2.0, 2.5, 1e6 + 0.25])
def test_floor_and_ceil(x):
    assert value("floor(x)", x=x) == math.floor(x)
    assert value("ceil(x)", x=x) == math.ceil(x)


@pytest.mark.parametrize(("a", "b"), [(7, 3), (-7, 3), (7, -3), (-7.5, 2), (0, 2)])
def test_the_remainder_has_the_sign_of_the_dividend(a, b):
    assert value("rem(a, b)", a=a, b=b) == math.fmod(a, b)


@pytest.mark.parametrize("y", [-2.0, -1e-9, 0.0, 1e-9, 1.0, 3.0])
@pytest.mark.parametrize("x", [-2.0, -1e-9, 0.0, 1e-9, 1.0, 3.0])
def test_the_angle_in_every_quadrant(x, y):
    assert value("atan2(y, x)", x=x, y=y) == pytest.approx(math.atan2(y, x), abs=1e-15)


@pytest.mark.parametrize(("x", "y"), [(1.0, 2.0), (-2.0, 1.0), (-2.0, -1.0), (0.0, 1.0), (3.0, 0.0)])
def test_the_angle_has_a_finite_derivative(x, y):
    angle = evaluate(value_of(expression("atan2(y, x)")), {"x": Dual(x, 1.0), "y": Dual(y, 0.0)})
    assert float(angle.tangent) == pytest.approx(-y / (x * x + y * y), rel=1e-12)


def test_the_other_functions():
    x = 0.37
    assert value("logit(x)", x=x) == pytest.approx(math.log(x / (1 - x)), rel=1e-15)
    assert value("invlogit(x)", x=x) == pytest.approx(1 / (1 + math.exp(-x)), rel=1e-15)
    assert value("normcdf(x) + pnorm(x)", x=x) == pytest.approx(2 * norm.cdf(x), rel=1e-14)
    assert value("gammaln(x) + lgamma(x)", x=x) == pytest.approx(2 * gammaln(x), rel=1e-13)
    assert value("factorial(5)") == pytest.approx(120, rel=1e-14)
    assert value("factln(5)") == pytest.approx(math.log(120), rel=1e-14)
    assert value("log(x) + log10(x)", x=x) == pytest.approx(math.log(x) + math.log10(x), rel=1e-15)
    assert value("min(3, x, 2) + max(3, x, 2)", x=x) == x + 3
    for name in ("abs", "sqrt", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"):
        function = getattr(np, {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}.get(name, name))
        assert value(f"{name}(x)", x=x) == pytest.approx(float(function(x)), rel=1e-14), name


def test_statements_need_no_line_ends():
    text = "if a > 1 x = 1 elseif a > 0 x = 2\ny = 1 else x = 3 end z = x\n+ 1"
    statements = statements_of(parse_block(block(text)))
    assert [float(run(statements, {"a": a})["z"]) for a in (2, 0.5, -1)] == [2, 3, 4]


def test_names_keep_their_case_and_their_place():
    node = value_of(expression("Cl + cl"))
    assert (node.left, node.right) == (Symbol("Cl"), Symbol("cl"))
    assert (node.right.at.line, node.right.at.column) == (2, 10)


@pytest.mark.parametrize(
    "text", ["1 < 2 < 3", "!a == 1", "a b", "a +", "(a", "exp(a", "exp(", "a^", "{a}", "'a'", "2a", "a == ", "a,b"]
)
def test_what_is_no_expression_stops(text):
    with pytest.raises(ModelError) as caught:
        value_of(expression(text))
    assert caught.value.location is not None
    assert caught.value.hint
