"""Numbers look like NONMEM's and never run into each other. Expected texts are from real output files."""

import math

import pytest

from nlmevae.writers.nonmem_layout import header_line, number, objective, parameter_labels, title_line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.69555e-03, "  4.69555E-03"),
        (-7.42237e-01, " -7.42237E-01"),
        (0.0, "  0.00000E+00"),
        (1e10, "  1.00000E+10"),
        (math.nan, "          NaN"),
        (-math.inf, "    -Infinity"),
    ],
)
def test_numbers_have_thirteen_columns_and_six_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize("value", [1e-120, -1e-120, 1e300, -1e300, -1e99])
def test_neighbours_stay_apart_whatever_the_exponent(value):
    assert [float(x) for x in (number(value) + number(value)).split()] == [value, value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (586.27605628188053, "586.27605628188053"),
        (5.9473520242962552, "5.9473520242962552"),
        (0.0, "0.0000000000000000"),
    ],
)
def test_the_objective_is_plain_decimal_with_seventeen_digits(value, text):
    assert objective(value) == text.rjust(22)


@pytest.mark.parametrize("value", [1e-9, -0.01234567890123456, 1234567.8901234567, -2.5e20, 0.1, 99999.99999999999])
def test_the_objective_recovers_the_double_exactly(value):
    assert float(objective(value)) == value
    assert objective(value).startswith(" ")


def test_title_and_header_are_laid_out_as_nonmem_does():
    assert title_line("METH", goal="GOAL") == (
        "TABLE NO.     1: METH: Goal Function=GOAL: Problem=1 Subproblem=0 Superproblem1=0 Iteration1=0 "
        "Superproblem2=0 Iteration2=0"
    )
    assert header_line(["ITERATION", "THETA1", "OBJ"]) == " ITERATION    THETA1       OBJ"


def test_columns_are_theta_sigma_omega_lower_triangles():
    assert parameter_labels(n_theta=1, n_eps=2, n_eta=2) == [
        "THETA1", "SIGMA(1,1)", "SIGMA(2,1)", "SIGMA(2,2)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)",
    ]  # fmt: skip
