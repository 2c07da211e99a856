"""Covariates of a Monolix data file: one value per subject, or per occasion where there are occasions.

Rules (documentation of the columns that define covariates): a continuous "." is the value before it in the same
subject-occasion, a categorical "." is a label like any other.
"""

from __future__ import annotations

import numpy as np

from nlmevae.data.monolix_file import is_missing
from nlmevae.data.monolix_lines import Lines
from nlmevae.data.monolix_periods import Period
from nlmevae.data.numbers import parse_real
from nlmevae.errors import DataError, SemanticError
from nlmevae.ir import MonolixRows, RowColumn
from nlmevae.ir.evaluate import evaluate


def covariate_values(lines: Lines, rows: MonolixRows, periods: list[Period]) -> np.ndarray:
    """(n_periods, n) values of `rows.covariate_items`.

    Raises:
        DataError: a value is missing, is no number, is none of the categories, or changes within a period.
        SemanticError: a group of categories has members that are none of the source's.
    """
    columns = {c.name: c for c in rows.of("covariate")}
    wanted = {c.name for c in columns.values() if c.item} | {r.source for r in rows.regrouped}
    values = {name: _column(lines, columns[name], periods) for name in columns if name in wanted}
    items = {c.item: values[c.name] for c in columns.values() if c.item}
    for regrouped in rows.regrouped:
        column = columns.get(regrouped.source)
        if column is None or not column.categories:
            raise SemanticError(
                f"{regrouped.item} regroups {regrouped.source}, which is no categorical covariate of the data",
                hint="correct `transform` in [COVARIATE]",
                location=regrouped.at,
            )
        items[regrouped.item] = _regrouped(lines, regrouped, column, values[column.name], periods)
    for computed in rows.computed:
        value = np.broadcast_to(np.asarray(evaluate(computed.value, items), dtype=float), len(periods))
        wrong = ~np.isfinite(value)
        if wrong.any():
            k = periods[int(np.argmax(wrong))].lines[0]
            raise DataError(
                f"the covariate {computed.item} is not finite for ID {lines.labels[lines.subject[k]]} (line "
                f"{lines.line(k)})",
                hint="correct the covariates it is computed from, or its formula in [COVARIATE]",
                location=lines.file.at(int(lines.row[k])),
            )
        items[computed.item] = value
    found = [items[name] for name in rows.covariate_items]
    return np.column_stack(found) if found else np.zeros((len(periods), 0))


def _column(lines: Lines, column: RowColumn, periods: list[Period]) -> np.ndarray:
    """(n_periods,) value of one column; lines in the order of the file."""
    texts = lines.file.column(column.name)
    found = np.zeros(len(periods))
    for p, period in enumerate(periods):
        value = None
        for k in np.sort(period.lines):
            text = texts[lines.row[k]]
            if is_missing(text) and not column.categories:
                if value is None:
                    raise _problem(lines, k, column, "is missing where it is first needed", "give it on every line")
                continue
            number = _number(lines, k, column, text)
            if value is not None and number != value:
                raise _problem(
                    lines, k, column, f"changes to '{text}' within "
                    + ("an occasion" if len(lines.occasion[0]) or lines.reset.any() else "a subject"),
                    "a covariate is constant there; what changes over time has the use regressor",
                )  # fmt: skip
            value = number
        found[p] = value
    return found


def _number(lines: Lines, k: int, column: RowColumn, text: str) -> float:
    if not column.categories:
        number = parse_real(text)
        if number is None:
            raise _problem(lines, k, column, f"is '{text}', which is no number", 'correct it, or write "."')
        return number
    position = category_position(column.categories, text)
    if position is None:
        raise _problem(
            lines, k, column, f"is '{text}', which is none of its categories ({', '.join(column.categories)})",
            "add it to `categories` in [COVARIATE], or correct the line",
        )  # fmt: skip
    return float(position)


def category_position(categories: tuple[str, ...], text: str) -> int | None:
    """Position of a label from 0; numbers are compared as numbers (1 and 1.0)."""
    if text in categories:
        return categories.index(text)
    number = parse_real(text)
    if number is None:
        return None
    return next((k for k, label in enumerate(categories) if parse_real(label) == number), None)


def _regrouped(lines: Lines, regrouped, column: RowColumn, values: np.ndarray, periods: list[Period]) -> np.ndarray:
    group: dict[int, int] = {}
    for g, members in enumerate(regrouped.groups):
        for member in members:
            position = category_position(column.categories, member)
            if position is None or position in group:
                what = "has no category" if position is None else "is put into two groups:"
                raise SemanticError(
                    f"{regrouped.item}: {column.name} {what} '{member}'",
                    hint="correct `categories` in [COVARIATE]",
                    location=regrouped.at,
                )
            group[position] = g
    for p, value in enumerate(values):
        if int(value) not in group:
            k = periods[p].lines[0]
            raise _problem(
                lines, k, column, f"is '{column.categories[int(value)]}', which no group of {regrouped.item} has",
                "put every category into a group",
            )  # fmt: skip
    return np.array([group[int(value)] for value in values], dtype=float)


def _problem(lines: Lines, k: int, column: RowColumn, what: str, hint: str) -> DataError:
    return DataError(
        f"the covariate {column.name} {what} (ID {lines.labels[lines.subject[k]]}, line {lines.line(k)})",
        hint=hint,
        location=lines.file.at(int(lines.row[k]), column.name),
    )
