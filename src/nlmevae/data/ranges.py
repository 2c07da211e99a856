"""What values data hold: where predictions for new subjects rest on experience, and where they do not."""

from __future__ import annotations

import numpy as np

from nlmevae.data.events import EventTable

TIME, AMOUNT = "TIME", "AMT"


def data_ranges(table: EventTable) -> dict[str, tuple[float, float]]:
    """Smallest and largest time of an observation since the subject's first record, amount of a dose, and value of
    each data item the model reads."""
    found = {name: values for name, _, values in _items(table)}
    return {name: (float(v.min()), float(v.max())) for name, v in found.items() if len(v)}


def outside(table: EventTable, ranges: dict[str, tuple[float, float]]) -> list[tuple[int, str, float]]:
    """(subject, item, value) of everything in `table` beyond `ranges`, the farthest value of each subject and item."""
    found = []
    for name, subject, values in _items(table):
        if name not in ranges:
            continue
        low, high = ranges[name]
        beyond = np.maximum(low - values, values - high)
        for i in np.unique(subject[beyond > 1e-9 * max(abs(low), abs(high))]):
            own = np.flatnonzero(subject == i)
            found.append((int(i), name, float(values[own[beyond[own].argmax()]])))
    return sorted(found)


def _items(table: EventTable) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, subject of each value, values)."""
    subject, everyone = table.ob_subject, np.arange(table.n_subjects)
    items = [(TIME, subject, table.ob_time - table.start_time[subject])]
    dose = table.ev_is_dose
    items.append((AMOUNT, np.repeat(everyone, np.diff(table.ev_ptr))[dose], table.ev_amt[dose]))
    holder = np.repeat(everyone, np.diff(table.cov_ptr))
    items += [
        (name, holder, table.cov[:, j]) for j, name in enumerate(table.covariate_names) if name not in table.statuses
    ]
    known = {TIME, AMOUNT, "DV", *table.covariate_names}
    return items + [
        (name, subject, table.ob_data[:, j]) for j, name in enumerate(table.record_names) if name not in known
    ]
