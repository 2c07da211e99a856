"""Which observation model each observation belongs to, and what is known of its value."""

from __future__ import annotations

import numpy as np

from nlmevae.data.roles import Rows
from nlmevae.errors import DataError
from nlmevae.ir import Expression, Model
from nlmevae.ir.evaluate import evaluate


def observation_endpoints(model: Model, rows: Rows, observed: np.ndarray) -> np.ndarray | None:
    """(M,) int32 index of the observation model of each record number in `observed` (M,); None where there is one.

    Raises:
        DataError: the code has no residual error for a record.
    """
    if len(model.observations) == 1 and model.observations[0].when is None:
        return None
    items = item_environment(rows, observed)
    holds = np.array([condition_holds(o.when, items, len(observed)) for o in model.observations])
    count = holds.sum(axis=0)
    wrong = count != 1
    if wrong.any():
        at = int(np.argmax(wrong))
        names = sorted(set().union(*(o.when.names() for o in model.observations if o.when is not None)))
        values = ", ".join(f"{name} = {items[name][at]:g}" for name in names)
        line = int(rows.lines[observed[at]])
        known = ", ".join(o.name for o in model.observations)
        raise DataError(
            f"the model has {'no' if count[at] == 0 else 'more than one'} verified residual error for the observation "
            f"on line {line} ({values})",
            hint=f"it has one for: {known}; correct the data, or drop the record with IGNORE",
            location=rows.at(int(observed[at]), "dv"),
        )
    return holds.argmax(axis=0).astype(np.int32)


def item_environment(rows: Rows, observed: np.ndarray) -> dict[str, np.ndarray]:
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
