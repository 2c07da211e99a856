"""Calendar dates and clock times, by the examples of NONMEM's guides (Users Guide V, chapter 6, section 10.1)."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.data import read_dataset
from nlmevae.data.dates import parse_date
from nlmevae.errors import DataError, SemanticError
from tests.helpers.models import data_model


def times(folder, items: str, text: str, **options) -> list[float]:
    (folder / "data.csv").write_text(text)
    dataset = read_dataset(data_model(folder, items, **options), design=True)
    return dataset.column("TIME").tolist()


#: the guide prints two decimals
ELAPSED = [0.0, 0.25, 0.75, 5.42, 23.25, 0.0, 0.0, 36.83, 50.0]


def test_clock_times_of_the_guide(tmp_path):
    clock = ("9:15", "9:30", "10", "14:40", "32.5", "8", "8.0", "44:50", "58")
    text = "".join(f"{1 if k < 5 else 2},{t},1\n" for k, t in enumerate(clock))
    np.testing.assert_allclose(times(tmp_path, "ID TIME DV", text), ELAPSED, atol=0.005)


@pytest.mark.parametrize(
    "dates",
    [
        ("1", "1", "1", "1", "2", "1", "1", "2", "3"),
        ("10-1-86", "10-1-86", "10-1-86", "10-1-86", "10-2-86", "10-12", "10-12", "10-13", "10-14"),
    ],
)
def test_days_and_calendar_dates_of_the_guide(dates, tmp_path):
    clock = ("9:15", "9:30", "10", "14:40", "8.5", "8", "8.0", "20:50", "10")
    rows = zip((1, 1, 1, 1, 1, 2, 2, 2, 2), dates, clock, strict=True)
    text = "".join(f"{i},{d},{t},1\n" for i, d, t in rows)
    np.testing.assert_allclose(times(tmp_path, "ID DATE TIME DV", text), ELAPSED, atol=0.005)


def test_dates_make_times_relative_also_without_a_colon(tmp_path):
    assert times(tmp_path, "ID DATE TIME DV", "1,5,8,1\n1,6,10,1\n2,-1,3,1\n2,0,3,1\n") == [0, 26, 0, 24]


def test_time_starts_again_at_a_reset(tmp_path):
    text = "1,1,9:00,0,1\n1,1,11:00,0,1\n1,3,8:00,3,.\n1,3,9:30,0,1\n"
    assert times(tmp_path, "ID DATE TIME EVID DV", text) == [0, 2, 0, 1.5]


@pytest.mark.parametrize(
    ("label", "text", "last20", "same"),
    [
        ("DATE", "2/28/1987", 50, ("DAT1", "28.2.87")),
        ("DAT2", "87-02-28", 50, ("DAT3", "1987/28/2")),
        ("DATE", "02-28-00", 50, ("DAT2", "2000-02-28")),
        ("DATE", "02-28-60", 60, ("DAT2", "2060-02-28")),
        ("DATE", "02-28-51", 50, ("DAT2", "1951-02-28")),
        ("DAT2", "2-28", 50, ("DAT3", "28-2")),
    ],
)
def test_components_are_in_the_order_of_the_label(label, text, last20, same):
    assert parse_date(text, label, last20) == parse_date(same[1], same[0])


def test_the_years_of_the_guide():
    """02-28-00 to 03-01-00 are two days in 2000 and one in 1900; without a year it is no leap year."""

    def days(start: str, end: str, last20: int = 50) -> float:
        return parse_date(end, "DATE", last20)[0] - parse_date(start, "DATE", last20)[0]

    assert days("02-28-00", "03-01-00") == 2
    assert days("02-28-00", "03-01-00", -1) == 1
    assert days("12-31-99", "01-01-00") == 1
    assert days("02-28", "03-01") == 1


@pytest.mark.parametrize("text", ["13-1-86", "2-30-86", "1-2-3-4", "--", "ten"])
def test_what_is_no_date(text):
    assert parse_date(text, "DATE") is None


def test_dates_of_two_kinds_in_one_subject_stop(tmp_path):
    with pytest.raises(DataError, match="DATE on line 2 has 3 parts"):
        times(tmp_path, "ID DATE TIME DV", "1,10-1,9:15,1\n1,10-2-86,9:15,1\n")


def test_a_missing_date_stops(tmp_path):
    with pytest.raises(DataError, match="line 2"):
        times(tmp_path, "ID DATE TIME DV", "1,10-1,9:15,1\n1,.,9:15,1\n")


def test_code_cannot_read_calendar_dates(tmp_path):
    with pytest.raises(DataError, match="the code reads DATE"):
        times(tmp_path, "ID DATE TIME DV", "1,10-1,9:15,1\n", pk="CL = THETA(1)*EXP(ETA(1))\nV = 10 + DATE")


def test_dates_need_times(tmp_path):
    with pytest.raises(SemanticError, match="TIME"):
        times(tmp_path, "ID DATE DV", "1,10-1,1\n", n_compartments=0, error="Y = THETA(1)*EXP(ETA(1)) + EPS(1)")
