"""IGNORE=(...) and ACCEPT=(...): which records are kept."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nlmevae.data.numbers import NULL_TEXTS, parse_real
from nlmevae.data.text import locate
from nlmevae.errors import DataError, SemanticError
from nlmevae.ir import DataFilter, DataSpec, Diagnostic

_OPERATORS: dict[str, Callable] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Records:
    """Records of the data file: line numbers (from 1) and their items as text, one list per record."""

    path: str
    lines: list[int]
    items: list[list[str]]

    def keep(self, kept: Sequence[bool]) -> Records:
        """Only the records marked True."""
        lines = [n for n, k in zip(self.lines, kept, strict=True) if k]
        return Records(self.path, lines, [r for r, k in zip(self.items, kept, strict=True) if k])


def apply_filters(spec: DataSpec, records: Records) -> tuple[Records, tuple[Diagnostic, ...]]:
    """Records left by IGNORE and ACCEPT lists, and warnings about comparisons that look mistaken.

    A record is dropped when any IGNORE condition holds, or when there are ACCEPT conditions and none
    holds. ``=``, ``.EQ.`` and ``.NE.`` compare texts, as NM-TRAN does: ``DVID.EQ.2`` does not match
    ``2.0``.

    Raises:
        SemanticError: a condition names a column that $INPUT has not.
        DataError: a numeric comparison meets a text that is not a number.
    """
    notes: list[Diagnostic] = []

    def holds(conditions: tuple[DataFilter, ...]) -> list[bool]:
        found = [False] * len(records.lines)
        for condition in conditions:
            found = [a or b for a, b in zip(found, _evaluate(condition, spec, records, notes), strict=True)]
        return found

    kept = [not dropped for dropped in holds(spec.ignore)]
    if spec.accept:
        kept = [a and b for a, b in zip(kept, holds(spec.accept), strict=True)]
    return records.keep(kept), tuple(notes)


def _evaluate(condition: DataFilter, spec: DataSpec, records: Records, notes: list[Diagnostic]) -> list[bool]:
    index = _column_index(condition, spec)
    texts = [row[index] for row in records.items]
    if condition.numeric or condition.operator not in ("==", "!="):
        return _compare_numbers(condition, index, texts, spec, records)
    _note_equal_numbers(condition, index, texts, records, notes)
    test = _OPERATORS[condition.operator]
    return [test(text, condition.value) for text in texts]


def _column_index(condition: DataFilter, spec: DataSpec) -> int:
    wanted = condition.column.upper()
    for index, column in enumerate(spec.columns):
        if wanted in (column.name.upper(), (column.synonym or "").upper()):
            return index
    names = " ".join(c.name for c in spec.columns)
    raise SemanticError(
        f"{condition.column} in the IGNORE/ACCEPT list of $DATA is not a column of $INPUT",
        hint=f"use one of: {names}",
        location=condition.at or spec.at,
    )


def _compare_numbers(
    condition: DataFilter, index: int, texts: list[str], spec: DataSpec, records: Records
) -> list[bool]:
    bound = parse_real(condition.value)
    if bound is None:
        raise SemanticError(
            f"{condition.column} {condition.operator} {condition.value} compares with something that is not a number",
            hint="compare texts with .EQ. or .NE.",
            location=condition.at or spec.at,
        )
    values = {text: spec.null_value if text in NULL_TEXTS else parse_real(text) for text in set(texts)}
    wrong = next((k for k, text in enumerate(texts) if values[text] is None), None)
    if wrong is not None:
        raise DataError(
            f"'{texts[wrong]}' in column {condition.column} is not a number, "
            f"but $DATA compares the column with {condition.value}",
            hint="correct the value, or compare it as text with .EQ. or .NE.",
            location=locate(records.path, records.lines[wrong], index),
        )
    test = _OPERATORS[condition.operator]
    return [test(values[text], bound) for text in texts]


def _note_equal_numbers(
    condition: DataFilter, index: int, texts: list[str], records: Records, notes: list[Diagnostic]
) -> None:
    """Warn where a text comparison says "different" about equal numbers."""
    value = parse_real(condition.value)
    if value is None:
        return
    alike = {t for t in set(texts) if t != condition.value and t not in NULL_TEXTS and parse_real(t) == value}
    if not alike:
        return
    first = next(k for k, text in enumerate(texts) if text in alike)
    numeric = {"==": ".EQN.", "!=": ".NEN."}[condition.operator]
    count = sum(text in alike for text in texts)
    notes.append(
        Diagnostic(
            code="filter-compares-text",
            severity="warning",
            message=f"{condition.column} = {condition.value} in $DATA compares texts and does not match "
            f"'{texts[first]}' ({count} record{'s' if count > 1 else ''}, the first on line {records.lines[first]})",
            hint=f"write {condition.column}{numeric}{condition.value} to compare numbers",
            location=locate(records.path, records.lines[first], index),
        )
    )
