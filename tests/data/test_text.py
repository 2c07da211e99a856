from __future__ import annotations

import math

import pytest

from nlmevae.data.numbers import parse_clock, parse_real
from nlmevae.data.text import is_comment, locate, split_items


@pytest.mark.parametrize(
    ("line", "items"),
    [
        ("1,2,3", ["1", "2", "3"]),
        ("1,,3", ["1", "", "3"]),
        (",2,", ["", "2", ""]),
        ("1 , 2,  3", ["1", "2", "3"]),
        ("  1  2   3  ", ["1", "2", "3"]),
        ("1\t\t3", ["1", "", "3"]),
        ("1 2,3\t4", ["1", "2", "3", "4"]),
        ("1, ,3", ["1", "", "3"]),
    ],
)
def test_items_are_separated_by_commas_tabs_and_blanks(line, items):
    assert split_items(line) == items


@pytest.mark.parametrize(
    ("line", "character", "dropped"),
    [
        ("ID,TIME", "@", True),
        ("  ID TIME", "@", True),
        ("@1,2", "@", True),
        ("#1,2", "@", True),  # NM-TRAN could make no number of it
        ("1,A", "@", False),
        ("C1,2", "C", True),
        (" C1,2", "C", False),
        ("c1,2", "C", False),
        ("#1,2", None, True),
        ("ID,TIME", None, False),
        ("#1,2", "C", False),
    ],
)
def test_ignore_character(line, character, dropped):
    assert is_comment(line, character) is dropped


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-.5", -0.5), ("+2.", 2.0), ("1.D0", 1.0), ("1d-3", 0.001), ("2E5", 2e5), ("007", 7.0)],
)
def test_fortran_numbers(text, value):
    assert parse_real(text) == value


@pytest.mark.parametrize("text", ["1+3", "NaN", "inf", "1_000", "0x10", "1,5", "-", ".", "1e", "١", " 1"])
def test_what_fortran_does_not_read_is_no_number(text):
    assert parse_real(text) is None


@pytest.mark.parametrize(("text", "hours"), [("9:15", 9.25), ("14:40", 14 + 2 / 3), ("0:00:36", 0.01), ("7.5", 7.5)])
def test_clock_times_are_hours(text, hours):
    assert math.isclose(parse_clock(text), hours)


@pytest.mark.parametrize("text", ["9:75", "9h15", "9:", ":15", "-1:00"])
def test_impossible_clock_times_are_no_number(text):
    assert parse_clock(text) is None


@pytest.mark.parametrize("line", ["1,22,333", " 1 22  333", "1\t22 ,\t333", "1,,333"])
def test_location_of_an_item_covers_its_text(tmp_path, line):
    path = tmp_path / "data.csv"
    path.write_text(f"0\n{line}\n")
    for k, item in enumerate(split_items(line)):
        at = locate(str(path), 2, k)
        assert at.snippet[at.column - 1 :].startswith(item)
        assert at.length == max(1, len(item))
