"""Which occasions a Monolix data file has: what a model with variability between occasions is made from."""

from __future__ import annotations

from pathlib import Path

from nlmevae.data.monolix_file import read_monolix_file
from nlmevae.data.monolix_lines import read_lines_of
from nlmevae.data.monolix_periods import periods
from nlmevae.ir import DataSpec


def occasion_levels(spec: DataSpec, folder: Path) -> tuple[tuple[int, ...], ...]:
    """Distinct values of `MonolixRows.occasion_items` together, sorted.

    Args:
        folder: where relative paths start.

    Raises:
        DataError, SemanticError, UnsupportedError: as `read_monolix_rows`.
    """
    rows = spec.monolix
    if rows is None:
        raise ValueError("the data are not those of a Monolix project")
    file, _ = read_monolix_file(spec, rows, folder)
    lines = read_lines_of(file, rows, design=True)
    wanted = [j for j, column in enumerate(rows.of("occasion")) if column.item]
    found = set()
    for period in periods(lines):
        level = tuple(int(lines.occasion[period.lines[0], j]) for j in wanted)
        found.add(level + ((period.number,) if rows.event_occasion else ()))
    return tuple(sorted(found))
