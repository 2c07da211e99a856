"""IGNORE=(...) and ACCEPT=(...): which records are kept."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nlmevae.data.numbers import NULL_TEXTS, parse_real
from nlmevae.data.records import Records
from nlmevae.data.text import locate
from nlmevae.errors import DataError, SemanticError
from nlmevae.ir import DataFilter, DataSpec, Diagnostic

_OPERATORS: dict[str, Callable] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(slots=True)
class _Unequal:
    """Texts that a comparison calls different though their numbers are equal: the first, its line, how many."""

    text: str = ""
    line: int = 0
    count: int = 0


@dataclass(slots=True)
class Filters:
    """IGNORE and ACCEPT lists, applied to some records after the other.

    A record is dropped when any IGNORE condition holds, or when there are ACCEPT conditions and none
    holds. ``=``, ``.EQ.`` and ``.NE.`` compare texts, as NM-TRAN does: ``DVID.EQ.2`` does not match
    ``2.0``.
    """

    spec: DataSpec
    path: str
    unequal: list[_Unequal] = field(init=False)

    def __post_init__(self) -> None:
        self.unequal = [_Unequal() for _ in (*self.spec.ignore, *self.spec.accept)]

    def apply(self, records: Records) -> Records:
        """
        Raises:
            SemanticError: a condition names a column that $INPUT has not.
            DataError: a numeric comparison meets a text that is not a number.
        """
        if not self.unequal:
            return records
        n_ignore = len(self.spec.ignore)
        kept = [not dropped for dropped in self._hold(self.spec.ignore, 0, records)]
        if self.spec.accept:
            kept = [a and b for a, b in zip(kept, self._hold(self.spec.accept, n_ignore, records), strict=True)]
        return records.keep(kept)

    def notes(self) -> tuple[Diagnostic, ...]:
        """Warnings about comparisons that look mistaken."""
        conditions = (*self.spec.ignore, *self.spec.accept)
        pairs = zip(conditions, self.unequal, strict=True)
        return tuple(_about_unequal(c, found, self.spec, self.path) for c, found in pairs if found.count)

    def _hold(self, conditions: tuple[DataFilter, ...], first: int, records: Records) -> list[bool]:
        held = [False] * len(records.lines)
        for k, condition in enumerate(conditions, first):
            found = _evaluate(condition, self.spec, records, self.unequal[k])
            held = [a or b for a, b in zip(held, found, strict=True)]
        return held


def _evaluate(condition: DataFilter, spec: DataSpec, records: Records, unequal: _Unequal) -> list[bool]:
    index = _column_index(condition, spec)
    texts = records.columns[index]
    if condition.numeric or condition.operator not in ("==", "!="):
        return _compare_numbers(condition, index, texts, spec, records)
    _count_equal_numbers(condition, texts, records, unequal)
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
    condition: DataFilter, index: int, texts: Sequence[str], spec: DataSpec, records: Records
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
            location=locate(records.path, int(records.lines[wrong]), index),
        )
    test = _OPERATORS[condition.operator]
    return [test(values[text], bound) for text in texts]


def _count_equal_numbers(condition: DataFilter, texts: Sequence[str], records: Records, unequal: _Unequal) -> None:
    """Where a text comparison says "different" about equal numbers."""
    value = parse_real(condition.value)
    if value is None:
        return
    alike = {t for t in set(texts) if t != condition.value and t not in NULL_TEXTS and parse_real(t) == value}
    if not alike:
        return
    if not unequal.count:
        first = next(k for k, text in enumerate(texts) if text in alike)
        unequal.text, unequal.line = texts[first], int(records.lines[first])
    unequal.count += sum(text in alike for text in texts)


def _about_unequal(condition: DataFilter, found: _Unequal, spec: DataSpec, path: str) -> Diagnostic:
    numeric = {"==": ".EQN.", "!=": ".NEN."}[condition.operator]
    count = found.count
    return Diagnostic(
        code="filter-compares-text",
        severity="warning",
        message=f"{condition.column} = {condition.value} in $DATA compares texts and does not match "
        f"'{found.text}' ({count} record{'s' if count > 1 else ''}, the first on line {found.line})",
        hint=f"write {condition.column}{numeric}{condition.value} to compare numbers",
        location=locate(path, found.line, _column_index(condition, spec)),
    )
