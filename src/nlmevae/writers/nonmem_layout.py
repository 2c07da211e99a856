"""NONMEM's number and line layout (default FORMAT s1PE12.5), as read in real output files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

#: NONMEM's objective function leaves this out per normally distributed observation.
LOG_2PI = 1.8378770664093453

_ROWS = 4096  # at a time: not every number of very many subjects is an object at once
_RUN = "Problem=1 Subproblem=0 Superproblem1=0 Iteration1=0 Superproblem2=0 Iteration2=0"


def title_line(method: str, *, goal: str | None = None, table: int = 1) -> str:
    """``TABLE NO.     1: <method>: Goal Function=<goal>: Problem=1 ...``; `.phi` has no goal."""
    goal_text = f"Goal Function={goal}: " if goal else ""
    return f"TABLE NO. {table:5d}: {method}: {goal_text}{_RUN}"


def each_table(method: str, lines: Sequence[str], n_tables: int) -> str:
    """The same lines once for each estimation step, below its title."""
    titles = (title_line(method, table=k + 1) for k in range(n_tables))
    return "".join("\n".join([title, *lines]) + "\n" for title in titles)


def header_line(labels: Iterable[str]) -> str:
    """One blank, then labels of 12 characters."""
    return (" " + " ".join(label.ljust(12) for label in labels)).rstrip()


def number(value: float) -> str:
    """13 wide, 6 significant digits; wider (never merged with its neighbour) when the exponent needs it."""
    if math.isnan(value):
        return "NaN".rjust(13)
    if math.isinf(value):
        return ("Infinity" if value > 0 else "-Infinity").rjust(13)
    text = f"{value:.5E}"
    return text.rjust(13) if len(text) < 13 else f" {text}"


def number_rows(values: np.ndarray) -> Iterator[str]:
    """Every row of values (n, k) as k `number`s; rows of usual numbers are formatted at once."""
    size = np.abs(values)
    usual = ((values == 0.0) | ((size > 1e-99) & (size < 1e99))).all(axis=1)
    form = "%13.5E" * values.shape[1]
    for start in range(0, len(values), _ROWS):
        part = slice(start, start + _ROWS)
        for row, plain in zip(values[part].tolist(), usual[part].tolist(), strict=True):
            yield form % tuple(row) if plain else "".join(map(number, row))


def objective(value: float) -> str:
    """22 wide, 17 significant digits, plain decimal: enough to recover the double exactly."""
    if math.isnan(value):
        text = "NaN"
    elif math.isinf(value):
        text = "Infinity" if value > 0 else "-Infinity"
    elif value == 0.0:
        text = "0.0000000000000000"
    else:
        digits_before = math.floor(math.log10(abs(value))) + 1
        plain = -5 < math.log10(abs(value)) < 16
        text = f"{value:.{max(1, 17 - digits_before)}f}" if plain else f"{value:.16E}"
    return text.rjust(22) if len(text) < 22 else f" {text}"


def lower_triangle_indices(n: int) -> list[tuple[int, int]]:
    """(0, 0), (1, 0), (1, 1), ... row by row."""
    return [(i, j) for i in range(n) for j in range(i + 1)]


def parameter_labels(*, n_theta: int, n_eps: int, n_eta: int) -> list[str]:
    """Columns in NONMEM's order: THETA1.., SIGMA lower triangle, OMEGA lower triangle."""
    thetas = [f"THETA{k + 1}" for k in range(n_theta)]
    sigmas = [f"SIGMA({i + 1},{j + 1})" for i, j in lower_triangle_indices(n_eps)]
    omegas = [f"OMEGA({i + 1},{j + 1})" for i, j in lower_triangle_indices(n_eta)]
    return thetas + sigmas + omegas


def id_text(label: str) -> str:
    """13 wide; ``1.0`` is ID 1."""
    try:
        value = float(label)
    except ValueError:
        return f" {label}".rjust(13)
    return f"{int(value):13d}" if value.is_integer() else f" {label}".rjust(13)
