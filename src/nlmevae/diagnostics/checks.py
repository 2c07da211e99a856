"""The predictive checks of one fit: by endpoint, stratum and kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.times import observation_times, time_after_dose, time_name
from nlmevae.diagnostics.censoring import Censoring, natural_censoring
from nlmevae.diagnostics.endpoints import Endpoints, endpoints
from nlmevae.diagnostics.replicates import SimulatedObservations, Steps, simulate_observations
from nlmevae.diagnostics.vpc import CheckedValues, CheckOptions, visual_predictive_check
from nlmevae.errors import SettingsError
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.ir import Model
from nlmevae.results.diagnostics import PredictiveChecks, VisualPredictiveCheck

#: A data item with more distinct values is split in two, at its median.
MOST_STRATA = 6


def check_fit(
    at: AtEstimates,
    dataset: Dataset,
    options: Sequence[CheckOptions],
    *,
    n_simulations: int,
    seed: int = 1,
    stratify: str | None = None,
    against: str | None = None,
    threads: int = 1,
    steps: Steps | None = None,
) -> PredictiveChecks:
    """Predictive checks alone, options as `predictive_checks` takes them.

    Raises:
        SettingsError: there is no such data item, or an option is impossible.
    """
    model, table = at.problem.model, at.problem.table
    independent(at, dataset, against)  # before minutes are spent on simulations
    strata(model, dataset, table.ob_row, stratify)
    kinds = endpoints(at.problem)
    simulated = simulate_observations(at.joint, n_simulations, seed=seed, threads=threads, steps=steps)
    pred = at.joint.predict(at.joint.mean)
    found = predictive_checks(at, dataset, simulated, kinds, pred, options, stratify=stratify, against=against)
    return PredictiveChecks(
        endpoints=kinds.kinds,
        vpcs=found,
        n_simulations=n_simulations,
        seed=seed,
        time_name=against or time_name(model) or "RECORD",
        warnings=_warnings(simulated, found, independent(at, dataset, against)),
    )


def _warnings(
    simulated: SimulatedObservations, found: Sequence[VisualPredictiveCheck], x: np.ndarray
) -> tuple[str, ...]:
    warnings = []
    if simulated.n_failed:
        warnings.append(
            f"{simulated.n_failed} of {len(simulated.y)} simulated data sets have predictions that failed; "
            "the rest was used."
        )
    lost = int(np.isnan(x).sum())
    if lost:
        warnings.append(f"{lost} observations before the first dose have no time after dose and are left out.")
    outside = sum(len(v.time) - int(v.count.sum()) for v in found)
    if outside:
        warnings.append(f"{outside} observations are outside the bins and do not count.")
    empty = sum(int((v.count == 0).sum()) for v in found)
    if empty:
        warnings.append(f"{empty} bins have no observation.")
    return tuple(warnings)


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
        pred: (M,) population predictions as the decoder gives them, for prediction correction.
        stratify: data item; each of its values at the observations is a stratum (two strata, up to the median and
            above, where there are more than 6 values).
        against: the independent variable: None for TIME, TAD for the time after the last dose, or a data item.

    Raises:
        SettingsError: there is no such data item.
    """
    table = at.problem.table
    model = at.problem.model
    x = independent(at, dataset, against)
    stratum, names = strata(model, dataset, table.ob_row, stratify)
    limits = natural_censoring(table)
    y, drawn, pred = (table.natural(values) for values in (at.joint.y, simulated.y, pred))
    found = []
    for number, kind in enumerate(kinds.kinds):
        for s, name in enumerate(names):
            which = (kinds.of == number) & (stratum == s)
            if not which.any():
                continue
            values = CheckedValues(
                x=x,
                y=_values(y, limits),
                pred=pred,
                simulated=drawn,
                below=limits.below,
                limit=limits.limit,
                log_scale=kind.log_scale,
            ).part(which)
            found += [visual_predictive_check(values, o, endpoint=number, stratum=name) for o in options]
    return tuple(check for check in found if check is not None)


def _values(y: np.ndarray, limits: Censoring) -> np.ndarray:
    """(M,) y; infinite above an upper limit, the middle of an interval that is closed."""
    with np.errstate(invalid="ignore"):
        middle = np.where(limits.upper == np.inf, np.inf, 0.5 * (limits.lower + limits.upper))
    return np.where(limits.censored & ~limits.below, middle, y)


def independent(at: AtEstimates, dataset: Dataset, against: str | None) -> np.ndarray:
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
