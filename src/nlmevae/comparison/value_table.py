"""Parameter values in a table of two columns, ``name,value``: one line per parameter."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from nlmevae.errors import DataError, Location
from nlmevae.results.parameter_values import ParameterValues

_HEADERS = {"name", "parameter", "param"}


def read_value_table(path: str | os.PathLike[str]) -> ParameterValues:
    """Names as NONMEM writes them (THETA1, THETA(1), OMEGA(2,1), SIGMA(1,1)) or labels; OMEGA and SIGMA are
    variances and covariances. A first line of headings and lines that start with # are skipped; separators are
    commas, semicolons or tabs; further columns are not read.

    Raises:
        DataError: the file cannot be read, or a line is no name with a number; with its line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path of the file") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        cells = _cells(line)
        heading = not pairs and len(cells) > 1 and cells[0].lower() in _HEADERS
        if not any(cells) or cells[0].startswith("#") or heading:
            continue
        try:
            pairs.append((cells[0], float(cells[1])))
        except (IndexError, ValueError):
            raise DataError(
                "this line is not a parameter's name and its value",
                hint="write one parameter per line, for example THETA(1),0.5 or OMEGA(2,1),0.01",
                location=Location(path=str(path), line=number, length=len(line.strip()) or 1, snippet=line.rstrip()),
            ) from None
    if not pairs:
        raise DataError(f"{path} gives no parameter", hint="write one parameter per line, for example THETA(1),0.5")
    return ParameterValues.of(pairs, source=str(path))


def _cells(line: str) -> list[str]:
    """Commas inside the brackets of ``OMEGA(2,1)`` belong to the name, quoted or not."""
    separator = next((s for s in (";", "\t") if s in line), ",")
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    if separator == "," and len(cells) > 2 and "(" in cells[0] and ")" not in cells[0]:
        cells = [f"{cells[0]},{cells[1]}", *cells[2:]]
    return cells or [""]
