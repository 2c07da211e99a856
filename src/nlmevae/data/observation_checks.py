"""Checks that need data and error model together."""

from __future__ import annotations

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.endpoints import censoring_column
from nlmevae.data.event_table import dataset_rows
from nlmevae.data.events import EventTable
from nlmevae.errors import DataError
from nlmevae.ir import Diagnostic, Model

#: exp(50) = 5e21: no quantity reported in sensible units is as large.
LARGEST_LOG = 50.0


def check_observations(model: Model, table: EventTable, dataset: Dataset) -> tuple[Diagnostic, ...]:
    """Whether the observed values can come from the model's error model.

    Returns:
        Warnings: values at or below 0 with an error proportional to the prediction.

    Raises:
        DataError: no observations, or DV on the natural scale for a model of log(DV).
    """
    if table.n_obs_total == 0:
        raise DataError(
            f"{dataset.path} has no observations",
            hint="observations are records with MDV = 0 (EVID = 0); check the MDV, EVID and AMT columns",
        )
    found: list[Diagnostic] = _censored(model, table, dataset)
    for e, observation in enumerate(model.observations):
        own = _known(table) if table.ob_endpoint is None else _known(table) & (table.ob_endpoint == e)
        if table.ob_scale is not None and observation.scale != "natural":
            continue  # values were checked where they were read
        if observation.scale == "log":
            _check_log_scale(model, table, dataset, own)
        elif observation.error.written_as == "exponential" or observation.error.kind == "proportional":
            found += _non_positive(model, table, dataset, own, observation.error.written_as)
    return tuple(found)


def _known(table: EventTable) -> np.ndarray:
    """(M,) bool, False where the value is censored."""
    return np.ones(table.n_obs_total, dtype=bool) if table.ob_limits is None else np.isnan(table.ob_limits[:, 0])


def _censored(model: Model, table: EventTable, dataset: Dataset) -> list[Diagnostic]:
    """Where a data item CENS says so: NONMEM would not know."""
    column, known = censoring_column(model), _known(table)
    if column is None or known.all() or model.data.monolix is not None:
        return []
    line, at = _row_at(model, table, dataset, ~known)
    return [
        Diagnostic(
            code="censored-by-data-item",
            severity="warning",
            message=f"{int((~known).sum())} observations count as censored, because their {column.name} is not 0 (the "
            f"first on line {line}): with 1 the value lies below DV (above LIMIT, if there is one), with -1 above DV",
            hint=f"NONMEM does not know this: drop the column with {column.name}=DROP if it means something else; M3 "
            "code (F_FLAG=1) takes its place",
            location=at,
        )
    ]


def _row_at(model: Model, table: EventTable, dataset: Dataset, which: np.ndarray):
    row = int(table.ob_row[int(np.argmax(which))])
    return int(dataset.lines[row]), dataset_rows(model, dataset).at(row, "dv")


def _check_log_scale(model: Model, table: EventTable, dataset: Dataset, own: np.ndarray) -> None:
    """Y = LOG(F) + EPS needs log(concentration) as DV.

    Zeros next to positive values only, or values beyond exp(50), give natural-scale data away.
    """
    value = table.ob_value
    zero, large = zeros_without_logarithm(value, own), own & (value > LARGEST_LOG)
    if zero.any():
        line, at = _row_at(model, table, dataset, zero)
        raise DataError(
            f"DV is 0 on line {line} and never negative, but the model is one of log(DV): log(0) does not exist",
            hint="put log(concentration) into DV, and leave records without a positive concentration out "
            "(MDV=1 or IGNORE); if 0 is log(1), write 1E-9",
            location=at,
        )
    if large.any():
        line, at = _row_at(model, table, dataset, large)
        raise DataError(
            f"DV is {value[int(np.argmax(large))]:g} on line {line}, but the model is one of log(DV)",
            hint="put log(concentration) into DV, or write the error model for concentrations, Y = F*(1 + EPS(1))",
            location=at,
        )


def zeros_without_logarithm(value: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(M,) bool: 0 where `own` values are said to be logarithms, of which none is negative."""
    return own & (value == 0.0) & (not np.any(own & (value < 0.0)))


def _non_positive(
    model: Model, table: EventTable, dataset: Dataset, own: np.ndarray, written_as: str
) -> list[Diagnostic]:
    wrong = own & (table.ob_value <= 0)
    if not wrong.any():
        return []
    line, at = _row_at(model, table, dataset, wrong)
    kind = "an exponential" if written_as == "exponential" else "a proportional"
    message = f"DV is not positive on {int(wrong.sum())} records (the first on line {line}), with {kind} error model"
    hint = "if these are values below the limit of quantification, say so: M3 code (F_FLAG=1) or a data item CENS"
    return [Diagnostic(code="non-positive-dv", severity="warning", message=message, hint=hint, location=at)]
