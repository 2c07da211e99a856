"""The event table of one data set with other observations: where predictions are wanted that nobody measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventKind, EventTable
from nlmevae.data.times import observation_times, time_name
from nlmevae.ir import Model

#: Equal steps per dose, where that is more than `n_times` in all: with fewer, the peaks of a long series of doses would
#: be cut off here and there, and the curve would seem to beat. At most so many steps.
STEPS_PER_DOSE, MOST_STEPS = 8, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class GridTable:
    """`table` with observations on a fine grid of times; `subject`, `kind` and `time` (G,) of each."""

    table: EventTable
    subject: np.ndarray
    kind: np.ndarray
    time: np.ndarray


def grid_table(model: Model, dataset: Dataset, table: EventTable, kind: np.ndarray, *, n_times: int = 100) -> GridTable:
    """Times from the first record to the last observation of every subject, for each kind of observation it has.

    Besides `n_times` equal steps (more where there are many doses) the grid has the times of the observations and,
    where compartments change at once, every dose twice: just before it and just after. What the prediction reads
    besides TIME is that of the subject's observations of the kind. Where that changes from one to the next (or the
    clock starts again at a reset) nothing is known between observations, and the grid has their times only.

    Args:
        kind: (M,) which kind each observation is, counted from 0.
    """
    parts = [
        _curve_rows(model, dataset, table, rows, n_times)
        for i in range(table.n_subjects)
        for rows in _by_kind(table, kind, i)
    ]
    source = np.concatenate([p.source for p in parts] or [np.zeros(0, dtype=int)])
    time = np.concatenate([p.time for p in parts] or [np.zeros(0)])
    order = np.concatenate([p.order for p in parts] or [np.zeros(0, dtype=int)])
    subject = table.ob_subject[source]
    ranked = np.lexsort((np.arange(len(time)), order, time, subject))
    source, time, order, subject = (a[ranked] for a in (source, time, order, subject))
    name = time_name(model)
    shown = observation_times(model, dataset, table)[source] + (time - table.ob_time[source])
    ob_data = table.ob_data[source].copy()
    items = [k for k, item in enumerate(table.record_names) if _is_time(model, item)]
    ob_data[:, items] = (shown if name is not None else time)[:, None]
    made = replace(
        table,
        ob_ptr=np.searchsorted(subject, np.arange(table.n_subjects + 1)).astype(table.ob_ptr.dtype),
        ob_time=np.ascontiguousarray(time),
        ob_value=np.zeros(len(time)),
        ob_cmt=np.ascontiguousarray(table.ob_cmt[source]),
        ob_row=np.ascontiguousarray(table.ob_row[source]),
        ob_order=np.ascontiguousarray(order, dtype=table.ob_order.dtype),
        ob_data=np.ascontiguousarray(ob_data),
        ob_endpoint=None if table.ob_endpoint is None else table.ob_endpoint[source],
        ob_limits=None,
        ob_scale=None if table.ob_scale is None else table.ob_scale[source],
    )
    return GridTable(table=made, subject=subject, kind=kind[source], time=shown)


@dataclass(frozen=True, slots=True)
class _CurveRows:
    """`source`: the observation whose items hold at each time; `order` as ob_order."""

    source: np.ndarray
    time: np.ndarray
    order: np.ndarray


def _by_kind(table: EventTable, kind: np.ndarray, subject: int) -> list[np.ndarray]:
    rows = np.arange(table.ob_ptr[subject], table.ob_ptr[subject + 1])
    return [rows[kind[rows] == k] for k in np.unique(kind[rows])]


def _curve_rows(model: Model, dataset: Dataset, table: EventTable, rows: np.ndarray, n_times: int) -> _CurveRows:
    subject = int(table.ob_subject[rows[0]])
    shown = observation_times(model, dataset, table)[rows]
    others = [k for k, item in enumerate(table.record_names) if not _is_time(model, item)]
    steady = np.all(table.ob_data[rows][:, others] == table.ob_data[rows[0], others])
    running = np.all(shown - table.ob_time[rows] == shown[0] - table.ob_time[rows[0]])
    if not (steady and running) or time_name(model) is None:
        return _CurveRows(rows, table.ob_time[rows], table.ob_order[rows])
    start, end = float(table.start_time[subject]), float(table.ob_time[rows].max())
    events = slice(table.ev_ptr[subject], table.ev_ptr[subject + 1])
    doses = table.ev_time[events][table.ev_kind[events] != EventKind.RESET]
    doses = np.unique(doses[(doses >= start) & (doses <= end)])
    n_steps = max(n_times, min(STEPS_PER_DOSE * len(doses), MOST_STEPS))
    plain = np.setdiff1d(np.union1d(np.linspace(start, end, n_steps), table.ob_time[rows]), doses)
    last = int(np.iinfo(table.ob_order.dtype).max)
    before = doses[doses > start]
    time = np.concatenate([plain, before, doses])
    order = np.concatenate([np.full(len(plain), last), np.full(len(before), -1), np.full(len(doses), last)])
    ranked = np.lexsort((order, time))
    return _CurveRows(np.full(len(time), rows[0]), time[ranked], order[ranked])


def _is_time(model: Model, item: str) -> bool:
    return any(c.role == "time" and item in (c.name, c.synonym) for c in model.data.columns)
