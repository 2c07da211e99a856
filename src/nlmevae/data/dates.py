"""Calendar dates (DATE, DAT1, DAT2, DAT3) and clock times to hours since the subject's first record or reset.

Rules: NONMEM Users Guide V, chapter 6, section 10.1; help for DATE and TIME. NM-TRAN writes such times with two
decimals; they are not rounded here.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

import numpy as np

from nlmevae.data.numbers import NULL_TEXTS, parse_real
from nlmevae.data.roles import Rows
from nlmevae.data.text import locate
from nlmevae.errors import DataError
from nlmevae.ir import DataSpec, Model, names_read

#: Order of the components; of two the year is absent.
_ORDERS = {"DATE": "mdy", "DAT1": "dmy", "DAT2": "ymd", "DAT3": "ydm"}
#: NM-TRAN's constant LAST20 as distributed: years up to 50 are 20nn.
_LAST20 = 50
_NO_LEAP_YEAR = 2001


def parse_date(text: str, label: str, last20: int = _LAST20) -> tuple[float, int] | None:
    """Day number and number of components of a date; None if it is none.

    One component is the day itself and may be 0 or negative; without a year no year is a leap year.
    """
    day = parse_real(text)
    if day is not None:
        return day, 1
    parts = re.split(r"[^0-9]+", text)
    order = _ORDERS[label]
    if len(parts) == 2:
        order = order.replace("y", "")
    if len(parts) != len(order) or not all(parts):
        return None
    found = dict(zip(order, parts, strict=True))
    year = _year(found["y"], last20) if "y" in found else _NO_LEAP_YEAR
    try:
        return float(datetime.date(year, int(found["m"]), int(found["d"])).toordinal()), len(parts)
    except ValueError:
        return None


def _year(text: str, last20: int) -> int:
    year = int(text)
    return year if len(text) > 2 else year + (2000 if year <= last20 else 1900)


def date_numbers(spec: DataSpec, texts: Sequence[str], item: int, path: str, lines: Sequence[int]) -> np.ndarray:
    """(n,) day number of each record.

    Raises:
        DataError: a date is missing or is none.
    """
    column, days = spec.columns[item], np.empty(len(texts))
    last20 = _LAST20 if spec.last20 is None else spec.last20
    for row, text in enumerate(texts):
        found = None if text in NULL_TEXTS else parse_date(text, column.name, last20)
        if found is None:
            words = {"m": "month", "d": "day", "y": "year"}
            order = ", ".join(words[letter] for letter in _ORDERS[column.name])
            what = f"'{text}' in column {column.name}" if text else f"{column.name} is missing"
            raise DataError(
                f"{what}, line {lines[row]}, {'is no date' if text else 'on a record'}",
                hint=f"{column.name} holds {order} (the year may be absent), as in 10-1 or 10/1/86; or a day number",
                location=locate(path, int(lines[row]), item),
            )
        days[row] = found[0]
    return days


def date_parts(label: str, texts: Sequence[str]) -> np.ndarray:
    """(n,) number of components of dates that are some."""
    known = {text: parse_date(text, label)[1] for text in set(texts)}
    return np.array([known[text] for text in texts], dtype=np.int8)


def check_dates(model: Model, rows: Rows, parts: np.ndarray, ptr: np.ndarray) -> None:
    """Of dates with `parts` (n_rows,) components.

    Raises:
        DataError: dates with and without a year in one subject, or the code reads calendar dates.
    """
    k = rows.index("date")
    if k is None:
        return
    label = rows.columns[k].name
    mixed = parts != np.repeat(parts[ptr[:-1]], np.diff(ptr))
    if mixed.any():
        row = int(np.argmax(mixed))
        raise DataError(
            f"{label} on line {rows.lines[row]} has {parts[row]} parts, others of the subject have not",
            hint="write all dates of a subject alike, with or without the year",
            location=rows.at(row, "date"),
        )
    program = model.program
    read = names_read(program.pk) | names_read(program.des) | names_read(program.error)
    if label in read and parts.max() > 1:
        raise DataError(
            f"the code reads {label}, which holds calendar dates and is no number",
            hint=f"drop it with {label}=DROP and read TIME, the hours since the first record",
            location=rows.columns[k].at,
        )


def relative_times(rows: Rows, ptr: np.ndarray, *, clock: bool) -> Rows:
    """Rows with hours since the subject's first record or last reset (EVID 3, 4) in place of dates with times, and of
    clock times (`clock`: any TIME has a colon)."""
    k, date = rows.index("time"), rows.index("date")
    if k is None or (date is None and not clock):
        return rows
    values = rows.values.copy()
    if date is not None:
        first = np.repeat(values[ptr[:-1], date], np.diff(ptr))
        values[:, k] += 24.0 * (values[:, date] - first)
    starts = np.isin(rows.of("evid"), (3, 4))
    starts[ptr[:-1]] = True
    first = np.maximum.accumulate(np.where(starts, np.arange(len(values)), 0))
    values[:, k] -= values[first, k]
    return Rows(rows.path, rows.columns, rows.items, values, rows.missing, rows.lines)
