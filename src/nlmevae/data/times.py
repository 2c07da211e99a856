"""Times of records and observations as the data file has them, and since the last dose."""

from __future__ import annotations

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventTable
from nlmevae.ir import Model


def time_name(model: Model) -> str | None:
    """The name of the time column in $INPUT, None without one."""
    return next((c.name for c in model.data.columns if c.role == "time"), None)


def observation_times(model: Model, dataset: Dataset, table: EventTable) -> np.ndarray:
    """(M,) TIME of each observation as in the data; without a TIME item its place within the subject."""
    name = time_name(model)
    return table.ob_time if name is None else dataset.column(name)[table.ob_row]


def time_after_dose(table: EventTable) -> np.ndarray:
    """(M,) time since the last dose before each observation, NaN before the first.

    Additional doses (ADDL) count; a dose at the time of an observation counts if its record comes first, as in the
    prediction. Lag times are not taken off: it is the time since the dose was given.
    """
    result = np.full(table.n_obs_total, np.nan)
    for i in range(table.n_subjects):
        events = slice(table.ev_ptr[i], table.ev_ptr[i + 1])
        dose = table.ev_is_dose[events]
        time, order = table.ev_time[events][dose], table.ev_order[events][dose]
        for row in range(table.ob_ptr[i], table.ob_ptr[i + 1]):
            at = table.ob_time[row]
            given = (time < at) | ((time == at) & (order < table.ob_order[row]))
            if given.any():
                result[row] = at - time[given].max()
    return result
