"""The comma-separated tables of a Monolix results folder: labels as text, numbers with nan, inf and empty cells."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import DataError, Location


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixTable:
    """`columns` by name, in file order, cells as written. `path` for messages."""

    path: str
    columns: dict[str, tuple[str, ...]]

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def texts(self, name: str) -> tuple[str, ...]:
        """
        Raises:
            DataError: there is no such column.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.path} has no column {name}", hint=f"it has {', '.join(self.columns) or 'no columns at all'}"
            )
        return self.columns[name]

    def numbers(self, name: str) -> tuple[float, ...]:
        """NaN for an empty cell.

        Raises:
            DataError: no such column, or a cell that is no number; with its line.
        """
        return tuple(cell_number(cell, self.path, row + 2) for row, cell in enumerate(self.texts(name)))


def cell_number(cell: str, path: str, line: int) -> float:
    """A number as Monolix writes it, ``<2.2e-16`` of a p-value too.

    Raises:
        DataError: it is none.
    """
    text = cell.strip().removeprefix("<")
    if not text or text == ".":
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise DataError(
            f"{cell!r} is not a number", hint="give a results folder as Monolix wrote it", location=Location(path, line)
        ) from None


def read_table(path: Path) -> MonolixTable:
    """A file with a header; columns of no name are dropped.

    Raises:
        DataError: it cannot be read, is empty, or a row has more cells than the header.
    """
    rows = read_rows(path)
    if not rows:
        raise DataError(f"{path} is empty", hint="give a results folder as Monolix wrote it")
    header = [cell.strip() for cell in rows[0]]
    body = []
    for line, row in enumerate(rows[1:], 2):
        if len(row) > len(header):
            raise DataError(
                f"this row has {len(row)} cells, the header {len(header)}",
                hint="give a results folder as Monolix wrote it",
                location=Location(str(path), line),
            )
        body.append([*row, *([""] * (len(header) - len(row)))])
    repeated = {name for name in header if name and header.count(name) > 1}
    if repeated:
        raise DataError(f"{path} has the column {sorted(repeated)[0]} twice", hint="rename the column of the data")
    columns = {name: tuple(row[k].strip() for row in body) for k, name in enumerate(header) if name}
    return MonolixTable(path=str(path), columns=columns)


def read_rows(path: Path) -> list[list[str]]:
    """Lines that are not blank; commas, semicolons or tabs between cells, as the first line has them.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path of the folder") from None
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = text.decode("cp1252", errors="replace").splitlines()
    lines = [line for line in lines if line.strip()]
    first = lines[0] if lines else ""
    separator = next((s for s in (",", ";", "\t") if s in first), ",")
    return list(csv.reader(lines, delimiter=separator))
