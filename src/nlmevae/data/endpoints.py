"""Which observation model each observation belongs to, and what is known of its value.

Values are censored by the model's own code (F_FLAG = 1, `ir.Censoring`), or else by data items named CENS and LIMIT,
with Monolix's meaning: CENS 1, the value lies below DV and above LIMIT if that is given; CENS -1, it lies above DV and
below LIMIT if that is given; CENS 0, the value is DV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.roles import Rows
from nlmevae.errors import DataError
from nlmevae.ir import Censoring, Column, Expression, Model, names_read
from nlmevae.ir.evaluate import evaluate

CENSORING_ITEM, LIMIT_ITEM = "CENS", "LIMIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationKinds:
    """Of M observations: `endpoint` (M,) int32 index of the observation model, None where there is one; `limits`
    (M, 3) lower, upper, floor as in `EventTable.ob_limits`, None where every value is known and no floor;
    `stand_in`: per data item, (M,) bool where it is replaced for the prediction, and by what."""

    endpoint: np.ndarray | None
    limits: np.ndarray | None
    stand_in: dict[str, tuple[np.ndarray, np.ndarray]]


def observation_kinds(model: Model, rows: Rows, observed: np.ndarray) -> ObservationKinds:
    """For the records number `observed` (M,).

    Raises:
        DataError: the code has no residual error for a record, or its limits make no sense.
    """
    items = _environment(rows, observed)
    n = len(observed)
    kinds: list[tuple[int, Censoring | None]] = []
    holds = []
    for e, observation in enumerate(model.observations):
        kinds.append((e, None))
        holds.append(condition_holds(observation.when, items, n))
        for censoring in observation.censoring:
            kinds.append((e, censoring))
            holds.append(condition_holds(censoring.when, items, n))
    matches = np.array(holds) if holds else np.ones((1, n), dtype=bool)
    _check_one(model, rows, observed, items, matches)
    which = matches.argmax(axis=0)
    endpoint = np.array([e for e, _ in kinds] or [0], dtype=np.int32)[which]
    limits = _stated_limits(model, kinds, which, items)
    column = censoring_column(model)
    if column is not None:
        _add_columns(model, rows, observed, column, limits)
    known = np.isnan(limits[:, 0]).all() and np.isneginf(limits[:, 2]).all()
    _check_limits(rows, observed, limits)
    return ObservationKinds(
        endpoint=endpoint if len(model.observations) > 1 else None,
        limits=None if known else limits,
        stand_in=_stand_ins(model, rows, observed, kinds, which, items),
    )


def censoring_column(model: Model) -> Column | None:
    """The data item CENS, where it acts: the code neither reads it nor has likelihoods of its own."""
    if any(o.censoring or o.floor is not None for o in model.observations):
        return None
    return _unread(model, CENSORING_ITEM)


def _unread(model: Model, name: str) -> Column | None:
    """The column of this name, unless it is dropped or the code reads it."""
    program = model.program
    read = names_read(program.pk) | names_read(program.des) | names_read(program.error)
    for column in model.data.columns:
        names = {n for n in (column.name, column.synonym) if n}
        if model.data.monolix is None:  # there, only a column with that use has this name
            names = {n.upper() for n in names}
        if name in names and column.role == "covariate" and not {column.name, column.synonym} & read:
            return column
    return None


def _environment(rows: Rows, observed: np.ndarray) -> dict[str, np.ndarray]:
    """Values (M,) of every data item under both of its names."""
    return {
        name: rows.values[observed, k]
        for k, column in enumerate(rows.columns)
        for name in (column.name, column.synonym)
        if name
    }


def condition_holds(condition: Expression | None, items: dict[str, np.ndarray], n: int) -> np.ndarray:
    """(n,) bool."""
    if condition is None:
        return np.ones(n, dtype=bool)
    return np.broadcast_to(np.asarray(evaluate(condition, items), dtype=bool), (n,))


def _check_one(
    model: Model, rows: Rows, observed: np.ndarray, items: dict[str, np.ndarray], matches: np.ndarray
) -> None:
    count = matches.sum(axis=0)
    if (count == 1).all():
        return
    at = int(np.argmax(count != 1))
    conditions = [c for o in model.observations for c in (o.when, *(k.when for k in o.censoring)) if c is not None]
    names = sorted(set().union(*(c.names() for c in conditions)))
    values = ", ".join(f"{name} = {items[name][at]:g}" for name in names)
    known = ", ".join(o.name for o in model.observations)
    raise DataError(
        f"the model has {'no' if count[at] == 0 else 'more than one'} verified residual error for the observation on "
        f"line {rows.lines[observed[at]]} ({values})",
        hint=f"it has one for: {known}; correct the data, or leave the record out",
        location=rows.at(int(observed[at]), "dv"),
    )


def _stated_limits(
    model: Model, kinds: list[tuple[int, Censoring | None]], which: np.ndarray, items: dict[str, np.ndarray]
) -> np.ndarray:
    """(M, 3) from the code."""
    n = len(which)
    limits = np.column_stack([np.full((n, 2), np.nan), np.full(n, -np.inf)])
    for k, (e, censoring) in enumerate(kinds):
        here = which == k
        floor = model.observations[e].floor if censoring is None else censoring.floor
        if floor is not None:
            limits[here, 2] = np.broadcast_to(evaluate(floor, items), (n,))[here]
        if censoring is not None:
            for j, limit, none in ((0, censoring.lower, -np.inf), (1, censoring.upper, np.inf)):
                value = none if limit is None else np.broadcast_to(evaluate(limit, items), (n,))[here]
                limits[here, j] = value
    return limits


def _add_columns(model: Model, rows: Rows, observed: np.ndarray, column: Column, limits: np.ndarray) -> None:
    k = next(j for j, c in enumerate(rows.columns) if c.name == column.name)
    cens, dv = rows.values[observed, k], rows.of("dv")[observed]
    wrong = ~np.isin(cens, (-1.0, 0.0, 1.0))
    if wrong.any():
        row = int(observed[int(np.argmax(wrong))])
        raise DataError(
            f"{column.name} is {rows.values[row, k]:g} on line {rows.lines[row]}; it must be 0 (DV is the value), 1 "
            "(the value lies below DV) or -1 (above DV)",
            hint=f"correct the column, or drop it with {column.name}=DROP if it means something else",
            location=rows.at(row, "dv"),
        )
    other = _unread(model, LIMIT_ITEM)
    given = np.zeros(len(observed), dtype=bool)
    limit = np.zeros(len(observed))
    if other is not None:
        j = next(i for i, c in enumerate(rows.columns) if c.name == other.name)
        given, limit = ~rows.missing[observed, j], rows.values[observed, j]
    left, right = cens == 1.0, cens == -1.0
    limits[left, 0] = np.where(given, limit, -np.inf)[left]
    limits[left, 1] = dv[left]
    limits[right, 0] = dv[right]
    limits[right, 1] = np.where(given, limit, np.inf)[right]


def _check_limits(rows: Rows, observed: np.ndarray, limits: np.ndarray) -> None:
    censored = ~np.isnan(limits[:, 0]) | ~np.isnan(limits[:, 1])
    with np.errstate(invalid="ignore"):
        wrong = censored & ~(limits[:, 0] < limits[:, 1])
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"the value on line {rows.lines[observed[at]]} is said to lie between {limits[at, 0]:g} and "
            f"{limits[at, 1]:g}, which leaves nothing",
            hint="the limits of a censored value must be in order: correct DV and LIMIT, or the limits in the code",
            location=rows.at(int(observed[at]), "dv"),
        )
    below = ~censored & (rows.of("dv")[observed] <= limits[:, 2])
    if below.any():
        at = int(np.argmax(below))
        raise DataError(
            f"DV on line {rows.lines[observed[at]]} is not above {limits[at, 2]:g}, but its density is conditional on "
            "that",
            hint="mark the record as censored, or leave it out",
            location=rows.at(int(observed[at]), "dv"),
        )


def _stand_ins(
    model: Model,
    rows: Rows,
    observed: np.ndarray,
    kinds: list[tuple[int, Censoring | None]],
    which: np.ndarray,
    items: dict[str, np.ndarray],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Checked: with them a censored record is one of its endpoint's others."""
    n = len(which)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for k, (e, censoring) in enumerate(kinds):
        here = which == k
        if censoring is None or not here.any():
            continue
        moved = dict(items)
        for item, value in censoring.stand_in:
            where, by = found.get(item, (np.zeros(n, dtype=bool), np.zeros(n)))
            found[item] = where | here, np.where(here, value, by)
            moved |= dict.fromkeys(_spellings(rows, item), np.where(here, value, items[item]))
        plain = condition_holds(model.observations[e].when, moved, n)
        if not plain[here].all():
            at = int(np.argmax(here & ~plain))
            raise DataError(
                f"no prediction can be made for the censored record on line {rows.lines[observed[at]]}",
                hint="tell censored records by a data item of their own, as in IF (BLQ.EQ.1)",
                location=rows.at(int(observed[at]), "dv"),
            )
    return found


def _spellings(rows: Rows, item: str) -> list[str]:
    column = next(c for c in rows.columns if item in (c.name, c.synonym))
    return [name for name in (column.name, column.synonym) if name]
