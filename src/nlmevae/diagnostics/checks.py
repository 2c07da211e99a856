"""The predictive checks of one fit: by endpoint, stratum and kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.times import observation_times, time_after_dose
from nlmevae.diagnostics.censoring import censoring
from nlmevae.diagnostics.endpoints import Endpoints
from nlmevae.diagnostics.replicates import SimulatedObservations
from nlmevae.diagnostics.vpc import CheckedValues, CheckOptions, visual_predictive_check
from nlmevae.errors import SettingsError
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.ir import Model
from nlmevae.results.diagnostics import VisualPredictiveCheck

#: A data item with more distinct values is split in two, at its median.
MOST_STRATA = 6


def predictive_checks(
    at: AtEstimates,
    dataset: Dataset,
    simulated: SimulatedObservations,
    kinds: Endpoints,
    pred: np.ndarray,
    options: Sequence[CheckOptions],
    *,
    stratify: str | None = None,
    against: str | None = None,
) -> tuple[VisualPredictiveCheck, ...]:
    """Every check of every stratum of every endpoint that has observations, in that order.

    Args:
        pred: (M,) population predictions, for prediction correction.
        stratify: data item; each of its values at the observations is a stratum (two strata, up to the median and
            above, where there are more than 6 values).
        against: the independent variable: None for TIME, TAD for the time after the last dose, or a data item.

    Raises:
        SettingsError: there is no such data item.
    """
    table = at.problem.table
    model = at.problem.model
    x = _independent(at, dataset, against)
    stratum, names = strata(model, dataset, table.ob_row, stratify)
    limits = censoring(table)
    found = []
    for number, kind in enumerate(kinds.kinds):
        for s, name in enumerate(names):
            which = (kinds.of == number) & (stratum == s)
            if not which.any():
                continue
            values = CheckedValues(
                x=x, y=at.joint.y, pred=pred, simulated=simulated.y, below=limits.below, limit=limits.limit,
                log_scale=kind.log_scale,
            ).part(which)  # fmt: skip
            found += [visual_predictive_check(values, o, endpoint=number, stratum=name) for o in options]
    return tuple(check for check in found if check is not None)


def _independent(at: AtEstimates, dataset: Dataset, against: str | None) -> np.ndarray:
    """(M,) values of the independent variable; NaN where there is none (before the first dose)."""
    model, table = at.problem.model, at.problem.table
    if against is None:
        return observation_times(model, dataset, table)
    name = _column(model, against)
    if name is not None:
        return dataset.column(name)[table.ob_row]
    if against.upper() == "TAD":
        return time_after_dose(table)
    raise _no_item(against, dataset, more=("TAD",))


def strata(model: Model, dataset: Dataset, rows: np.ndarray, item: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """(M,) stratum of each observation, and what to print for each stratum."""
    if item is None:
        return np.zeros(len(rows), dtype=int), ("",)
    name = _column(model, item)
    if name is None:
        raise _no_item(item, dataset)
    values = dataset.column(name)[rows]
    levels, index = np.unique(values, return_inverse=True)
    if len(levels) <= MOST_STRATA:
        return index.reshape(-1), tuple(f"{name} = {level:g}" for level in levels)
    middle = float(np.median(values))
    if not np.any(values > middle):
        middle = float(levels[levels < middle][-1])
    return (values > middle).astype(int), (f"{name} <= {middle:g}", f"{name} > {middle:g}")


def _column(model: Model, item: str) -> str | None:
    """The column a user calls `item`, by name or synonym, in any case."""
    wanted = item.upper()
    for column in model.data.columns:
        if column.role != "drop" and wanted in {n.upper() for n in (column.name, column.synonym) if n}:
            return column.name
    return None


def _no_item(item: str, dataset: Dataset, more: tuple[str, ...] = ()) -> SettingsError:
    return SettingsError(f"the data have no item {item}", hint=f"use one of {', '.join((*dataset.columns, *more))}")
