"""When $PK is evaluated: at every record, and before it at every model time since the record before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.derived_items import run_records
from nlmevae.data.event_table import dataset_rows, running_time
from nlmevae.errors import UnsupportedError
from nlmevae.ir import Model, past_flags, time_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCalls:
    """Evaluations of $PK in order, those of subject i in ptr[i]:ptr[i+1]. What one computes holds from the one before
    up to its time.

    Attributes:
        row (n_calls,): record whose data items it has. time (n_calls,). at_model_time (n_calls,) bool.
        past: ``MPAST(i)`` -> (n_calls,) 0 or 1.
    """

    ptr: np.ndarray
    row: np.ndarray
    time: np.ndarray
    at_model_time: np.ndarray
    past: Mapping[str, np.ndarray]

    @property
    def of_record(self) -> np.ndarray:
        """(n_rows,) the call at each record."""
        return np.flatnonzero(~self.at_model_time)


def record_calls(model: Model, dataset: Dataset, inputs: Mapping[str, np.ndarray]) -> RecordCalls:
    """Where the code of `model` is evaluated.

    Args:
        inputs: name -> (n_rows,) everything $PK may read but MPAST.

    Raises:
        UnsupportedError: a model time that changes within a subject.
    """
    ptr = dataset.subject_ptr
    time = running_time(model, dataset_rows(model, dataset), dataset)
    flags = past_flags(model.program)
    at = _model_times(model, ptr, dict(inputs), flags)
    row, when, between, starts = [], [], [], [0]
    for subject in range(len(ptr) - 1):
        first, end = ptr[subject], ptr[subject + 1]
        inside = np.unique(at[subject][(at[subject] > time[first]) & (at[subject] <= time[end - 1])])
        before = first + np.searchsorted(time[first:end], inside)  # the record that each belongs to
        rows = np.concatenate([before, np.arange(first, end)])
        is_time = np.arange(len(rows)) < len(inside)
        ranked = np.lexsort((~is_time, rows))
        row.append(rows[ranked])
        when.append(np.concatenate([inside, time[first:end]])[ranked])
        between.append(is_time[ranked])
        starts.append(starts[-1] + len(rows))
    row, when, between = (np.concatenate(parts) if parts else np.zeros(0, kind)
                          for parts, kind in ((row, int), (when, float), (between, bool)))  # fmt: skip
    own = at[np.repeat(np.arange(len(ptr) - 1), np.diff(starts))]
    passed = np.where(between[:, None], own < when[:, None], own <= when[:, None])
    return RecordCalls(
        ptr=np.array(starts),
        row=row,
        time=when,
        at_model_time=between,
        past={flag: passed[:, k].astype(float) for k, flag in enumerate(flags)},
    )


def _model_times(model: Model, ptr: np.ndarray, inputs: dict[str, np.ndarray], flags: tuple[str, ...]) -> np.ndarray:
    """(N, n_flags) the time of each flag."""
    if not flags:
        return np.zeros((len(ptr) - 1, 0))
    n_rows = int(ptr[-1])
    values = run_records(model.program.pk, ptr, inputs | {flag: np.zeros(n_rows) for flag in flags})
    times = []
    for flag in flags:
        value = values[time_of(flag)]
        first = value[ptr[:-1]]
        if not np.array_equal(value, np.repeat(first, np.diff(ptr)), equal_nan=True):
            raise UnsupportedError(
                f"{time_of(flag)} changes within a subject: not supported",
                hint="let it read THETAs, ETAs and data items that are constant in each subject",
            )
        times.append(first)
    return np.column_stack(times)
