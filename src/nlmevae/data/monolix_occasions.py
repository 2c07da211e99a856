"""Which occasions a Monolix data file has: what a model with variability between occasions is made from."""

from __future__ import annotations

from pathlib import Path

from nlmevae.data.monolix_file import read_monolix_file
from nlmevae.data.monolix_lines import Lines, read_lines_of
from nlmevae.data.monolix_periods import periods
from nlmevae.ir import DataSpec, MonolixRows


def occasion_levels(spec: DataSpec, folder: Path) -> tuple[tuple[int, ...], ...]:
    """Distinct values of `MonolixRows.occasion_items` together, sorted.

    Args:
        folder: where relative paths start.

    Raises:
        DataError, SemanticError, UnsupportedError: as `read_monolix_rows`.
    """
    rows, lines = _lines(spec, folder)
    wanted = [j for j, column in enumerate(rows.of("occasion")) if column.item]
    found = set()
    for period in periods(lines):
        level = tuple(int(lines.occasion[period.lines[0], j]) for j in wanted)
        found.add(level + ((period.number,) if rows.event_occasion else ()))
    return tuple(sorted(found))


def event_period_line(spec: DataSpec, folder: Path) -> int | None:
    """The first line whose event identifier 4 begins a period that is not the first of its subject; None without one.

    Raises:
        DataError, SemanticError, UnsupportedError: as `read_monolix_rows`.
    """
    _, lines = _lines(spec, folder)
    later = [period for period in periods(lines) if period.number > 1]
    return lines.line(int(later[0].lines[0])) if later else None


def _lines(spec: DataSpec, folder: Path) -> tuple[MonolixRows, Lines]:
    rows = spec.monolix
    if rows is None:
        raise ValueError("the data are not those of a Monolix project")
    file, _ = read_monolix_file(spec, rows, folder)
    return rows, read_lines_of(file, rows, design=True)
