"""Data items the code reads, split into what holds for a while (covariates) and what belongs to one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nlmevae.data.roles import Rows
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
    told = {item for o in model.observations for c in o.censoring for item, _ in c.stand_in}
    held = {n for n in read if n not in told and _constant(rows, n, observed, ptr)}
    return tuple(n for n in read if n in held), tuple(n for n in read if n not in held)


def _constant(rows: Rows, name: str, observed: np.ndarray, ptr: np.ndarray) -> bool:
    """The same on all observations of every subject; TIME and DV always belong to the record."""
    if rows.columns[_position(rows, name)].role in ("time", "dv"):
        return False
    values = item_values(rows, name)[observed]
    subject = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))[observed]
    return bool(np.all((np.diff(values) == 0) | (np.diff(subject) != 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CovariateRows:
    """The cov_* arrays of an event table."""

    ptr: np.ndarray
    time: np.ndarray
    order: np.ndarray
    values: np.ndarray


def covariate_rows(
    rows: Rows,
    names: tuple[str, ...],
    ptr: np.ndarray,
    time: np.ndarray,
    order: np.ndarray,
    more: Mapping[str, np.ndarray],
) -> CovariateRows:
    """The items `names` over time, then `more` (n_rows,); time and order (n_rows,) as for `held_values`."""
    columns = [*(item_values(rows, n) for n in names), *more.values()]
    return held_values(np.column_stack(columns) if columns else np.zeros((len(time), 0)), ptr, time, order)


def held_values(values: np.ndarray, ptr: np.ndarray, time: np.ndarray, order: np.ndarray) -> CovariateRows:
    """Values (n_rows, n) of records by NONMEM's rule: those of a record hold from the record before up to it. Equal
    consecutive rows are merged.

    Args:
        order: (n_rows,) rank within the subject of the last thing that a record does.
    """
    first = np.zeros(len(time), dtype=bool)
    first[ptr[:-1]] = True
    before = np.vstack([values[:1], values[:-1]])
    same = (values == before) | (np.isnan(values) & np.isnan(before))
    starts = np.flatnonzero(first | ~same.all(axis=1))
    ends = np.append(starts[1:], len(time)) - 1
    return CovariateRows(ptr=np.searchsorted(starts, ptr), time=time[ends], order=order[ends], values=values[starts])


def formula_covariates(rows: Rows, names: tuple[str, ...], ptr: np.ndarray, observed: np.ndarray) -> CovariateRows:
    """One row per subject, from its first observation (its first record if it has none)."""
    ranked = np.lexsort((np.arange(len(observed)), ~observed, np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))))
    first = ranked[ptr[:-1]]
    values = np.column_stack([item_values(rows, n)[first] for n in names]) if names else np.zeros((len(first), 0))
    n = len(first)
    return CovariateRows(ptr=np.arange(n + 1), time=np.zeros(n), order=np.zeros(n), values=values)
