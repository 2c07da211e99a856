"""$TABLE files in NONMEM's layout.

    TABLE NO.  1
     ID          TIME        DV          PRED
      1.0000E+00  0.0000E+00  0.0000E+00  1.8143E+01

Every number is a blank and a field of FORMAT's width (s1PE11.4 unless the record says otherwise), labels are
left-aligned in the same width; other delimiters stand between the fields. Without ONEHEADER title and labels come
again every 900 lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nlmevae.ir import TableFormat
from nlmevae.results.record_table import RecordTable

LINES_PER_PAGE = 900


def table_text(table: RecordTable, number: int) -> str:
    """One table; `number` counts the tables of a run from 1."""
    return "".join(_pages(table, number))


def _pages(table: RecordTable, number: int) -> Iterator[str]:
    """Some lines at a time: not every line of millions is an object at once."""
    layout, again = table.request.format, table.request.header == "pages"
    head = "".join(f"{line}\n" for line in _head(table, number))
    for start in range(0, max(len(table.values), 1), LINES_PER_PAGE):
        rows = table.values[start : start + LINES_PER_PAGE]
        yield (head if again or not start else "") + "".join(f"{line}\n" for line in _lines(rows, layout))


def _lines(values: np.ndarray, layout: TableFormat) -> Iterator[str]:
    if layout.kind != "E":
        return (_line(row, layout) for row in values)
    lead = " " if layout.delimiter == " " else ""
    form = lead + layout.delimiter.join([f"%{layout.width}.{layout.decimals}E"] * values.shape[1])
    finite, positive_zero = np.isfinite(values).all(axis=1), values + 0.0
    rows = zip(values, positive_zero.tolist(), finite, strict=True)
    return (form % tuple(plain) if usual else _line(row, layout) for row, plain, usual in rows)


def _head(table: RecordTable, number: int) -> Iterator[str]:
    request = table.request
    if request.header == "none":
        return
    if request.title:
        yield f"TABLE NO. {number:2d}"
    if request.labels:
        delimiter, width = request.format.delimiter, request.format.width
        if delimiter == " ":
            yield "".join(f" {label.ljust(width)}" for label in table.labels).rstrip()
        else:
            yield delimiter.join(table.labels)


def _line(row: np.ndarray, layout: TableFormat) -> str:
    fields = [number_text(float(value), layout).rjust(layout.width) for value in row]
    lead = " " if layout.delimiter == " " else ""
    return lead + layout.delimiter.join(fields)


def number_text(value: float, layout: TableFormat) -> str:
    """The number as Fortran's 1PEw.d, Fw.d or Gw.d prints it (never ``*****``: wider instead)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    value = 0.0 if value == 0.0 else value  # no -0
    if layout.kind == "F":
        return f"{value:.{layout.decimals}f}"
    if layout.kind == "G" and value != 0.0:
        exponent = math.floor(math.log10(abs(float(f"{value:.{layout.decimals - 1}E}"))))
        if -1 <= exponent < layout.decimals:
            return f"{value:.{max(layout.decimals - 1 - exponent, 0)}f}    "
    return f"{value:.{layout.decimals}E}"
