"""The event table that observes every compartment at every record, for what is printed per record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nlmevae.data.covariate_table import held_values
from nlmevae.data.dataset import Dataset
from nlmevae.data.event_table import dataset_rows, record_order, running_time
from nlmevae.data.events import EventTable
from nlmevae.data.record_calls import RecordCalls
from nlmevae.ir import Model


def states_table(
    model: Model, dataset: Dataset, table: EventTable, calls: RecordCalls, parameters: Mapping[str, np.ndarray]
) -> EventTable:
    """Observations are the records in order, compartment by compartment within each; a record is observed after the
    dose or reset it brings (NONMEM's F on a dose record includes a bolus).

    Args:
        table: the event table of the same data.
        parameters: name -> (n_calls,) values of every evaluation of $PK, which take the place of the covariates: those
            of a record hold from the record, or model time, before up to it.
    """
    n, rows = len(model.structural.compartments), dataset_rows(model, dataset)
    time = running_time(model, rows, dataset)
    order = record_order(dataset, rows)
    values = np.column_stack(list(parameters.values())) if parameters else np.zeros((len(calls.row), 0))
    rank = 2 * (order + (dataset.evid == 4)) + 1  # of the observation at a record: after all that it does
    # whatever happens at a model time happens after it
    held = held_values(values, calls.ptr, calls.time, np.where(calls.at_model_time, -1, rank[calls.row]))
    return replace(
        table,
        ev_order=(2 * table.ev_order).astype(np.int32),
        ob_ptr=(n * dataset.subject_ptr).astype(np.int32),
        ob_time=np.repeat(time, n),
        ob_value=np.zeros(n * dataset.n_rows),
        ob_cmt=np.tile(np.arange(1, n + 1, dtype=np.int16), dataset.n_rows),
        ob_row=np.repeat(np.arange(dataset.n_rows, dtype=np.int32), n),
        ob_order=np.repeat(rank, n).astype(np.int32),
        covariate_names=tuple(parameters),
        cov_ptr=held.ptr.astype(np.int32),
        cov_time=np.ascontiguousarray(held.time, dtype=float),
        cov_order=held.order.astype(np.int32),
        cov=np.ascontiguousarray(held.values, dtype=float),
        record_names=(),
        ob_data=np.zeros((n * dataset.n_rows, 0)),
        ob_endpoint=None,
        ob_limits=None,
        ob_scale=None,
    )
