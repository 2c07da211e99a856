"""Numbers and lines as Monolix 2023R1 writes them: comma-separated, `nan` for what is not known."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

import numpy as np


def number(value: float, digits: int = 6) -> str:
    """`digits` significant digits, as C's %g writes them."""
    value = float(value)
    if math.isnan(value):
        return "nan"
    return f"{value:.{digits}g}"


def table_text(header: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> str:
    """Labels with commas or quotes are quoted."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if header is not None:
        writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def columns_text(columns: Iterable[tuple[str, Iterable[str]]]) -> str:
    """From columns of equal length."""
    named = [(name, list(cells)) for name, cells in columns]
    return table_text([name for name, _ in named], zip(*(cells for _, cells in named), strict=True))


def numbers(values: np.ndarray, digits: int = 6) -> list[str]:
    """Of a column (n,)."""
    return [number(v, digits) for v in values]
