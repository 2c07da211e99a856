"""Data items the code reads, split into what holds for a while (covariates) and what belongs to one record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.roles import Rows
from nlmevae.errors import UnsupportedError
from nlmevae.ir import Model, names_read


def item_values(rows: Rows, name: str) -> np.ndarray:
    """(n_rows,) values of the data item a program calls `name` (name or synonym of a column)."""
    return rows.values[:, _position(rows, name)]


def _position(rows: Rows, name: str) -> int:
    return next(k for k, c in enumerate(rows.columns) if name in (c.name, c.synonym))


def item_names(model: Model, rows: Rows, observed: np.ndarray, ptr: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """(covariate_names, record_names) in the order of $INPUT; see `EventTable`.

    Args:
        observed: (n_rows,) bool, records that are observations.
    """
    program = model.executed
    items = [name for c in rows.columns for name in (c.name, c.synonym) if name]
    error = names_read(program.error)
    if model.structural.compartments:
        held = names_read(program.pk) | names_read(program.des)
        return tuple(n for n in items if n in held), tuple(n for n in items if n in error)
    read = [n for n in items if n in error]
    held = {n for n in read if _constant(rows, n, observed, ptr)}
    return tuple(n for n in read if n in held), tuple(n for n in read if n not in held)


def _constant(rows: Rows, name: str, observed: np.ndarray, ptr: np.ndarray) -> bool:
    """The same on all observations of every subject; TIME and DV always belong to the record."""
    if rows.columns[_position(rows, name)].role in ("time", "dv"):
        return False
    values = item_values(rows, name)[observed]
    subject = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))[observed]
    return bool(np.all((np.diff(values) == 0) | (np.diff(subject) != 0)))


def covariate_rows(
    rows: Rows, names: tuple[str, ...], ptr: np.ndarray, time: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values over time by NONMEM's rule: a record's values hold from the record before up to it.

    Returns:
        cov_ptr (N+1,), cov_time (C,) and cov (C, n_cov); equal consecutive rows are merged.

    Raises:
        UnsupportedError: two records of one time have different values.
    """
    values = np.column_stack([item_values(rows, n) for n in names]) if names else np.zeros((len(time), 0))
    held = held_values(values, ptr, time)
    if held.clash is not None:
        row = held.clash
        column = names[int(np.argmax(values[row] != values[row - 1]))]
        raise UnsupportedError(
            f"{column} differs between two records of the same time (lines {rows.lines[row - 1]} and "
            f"{rows.lines[row]}), and $PK or $DES reads it",
            hint="give records of one time the same value, or read the item in $ERROR only",
            location=rows.at(row),
        )
    return held.ptr, held.time, held.values


@dataclass(frozen=True, slots=True)
class HeldValues:
    """`cov_ptr`, `cov_time` and `cov` of an EventTable. `clash` is the first record whose values differ from those of
    the record before at the same time, None where there is none."""

    ptr: np.ndarray
    time: np.ndarray
    values: np.ndarray
    clash: int | None


def held_values(values: np.ndarray, ptr: np.ndarray, time: np.ndarray) -> HeldValues:
    """Values (n_rows, n) of records over time: those of a record hold from the record before up to it."""
    first = np.zeros(len(time), dtype=bool)
    first[ptr[:-1]] = True
    before = np.vstack([values[:1], values[:-1]])
    same = (values == before) | (np.isnan(values) & np.isnan(before))
    changed = ~same.all(axis=1) & ~first
    clash = changed & (np.diff(time, prepend=np.nan) == 0)
    starts = np.flatnonzero(first | changed)
    ends = np.append(starts[1:], len(time)) - 1
    return HeldValues(
        np.searchsorted(starts, ptr), time[ends], values[starts], int(np.argmax(clash)) if clash.any() else None
    )


def formula_covariates(
    rows: Rows, names: tuple[str, ...], ptr: np.ndarray, observed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row per subject, from its first observation (its first record if it has none)."""
    ranked = np.lexsort((np.arange(len(observed)), ~observed, np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))))
    first = ranked[ptr[:-1]]
    values = np.column_stack([item_values(rows, n)[first] for n in names]) if names else np.zeros((len(first), 0))
    return np.arange(len(ptr)), np.zeros(len(first)), values
