"""Numbers keep their meaning when they get short."""

import math

import pytest

from nlmevae.cli.text_table import duration, short_number, text_table


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1.000"), (31.974, "31.97"), (0.08612, "0.08612"), (1234567.0, "1234567"), (2.5e-7, "2.500e-07"),
     (-0.5, "-0.5000"), (0.0, "0"), (None, ""), (math.nan, "nan"), (1e9, "1.000e+09")],
)  # fmt: skip
def test_short_numbers_have_four_significant_digits(value, text):
    assert short_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3.21, "3.2 s"),
        (42.4, "42 s"),
        (245.0, "4 min 05 s"),
        (7800.0, "2 h 10 min"),
        (3599.9, "1 h 00 min"),
    ],
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


def test_columns_line_up():
    lines = text_table(("Name", "Value"), [("a", "1.0"), ("long name", "-10.0")])
    assert lines == ["Name       Value", "---------  -----", "a            1.0", "long name  -10.0"]
