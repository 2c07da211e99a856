"""What $TABLE asks for, at the conditional modes of the random effects (NONMEM's post hoc ETAs)."""

from __future__ import annotations

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.diagnostics.censoring import censoring
from nlmevae.diagnostics.prediction_errors import PredictionErrors, prediction_errors
from nlmevae.diagnostics.record_items import SIMULATED, RecordItems
from nlmevae.diagnostics.replicates import Steps, simulate_observations
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.ir import TableRequest
from nlmevae.results.record_table import RecordTable

#: Items appended unless NOAPPEND (NONMEM help, $TABLE).
APPENDED = ("DV", "PRED", "RES", "WRES")


def record_tables(
    at: AtEstimates, dataset: Dataset, *, seed: int = 1, steps: Steps | None = None
) -> tuple[RecordTable, ...]:
    """All tables the model asks for that have a FILE, in order.

    A column that cannot be computed is NaN in every row, and named in `RecordTable.missing`.

    Args:
        dataset: the data `at` was made from.
        seed: of simulations, where the record does not give one.
        steps: told about simulations.
    """
    wanted = [t for t in at.problem.model.tables if t.file is not None and not t.omitted]
    if not wanted:
        return ()
    items = RecordItems.of(at, dataset)
    known: dict[tuple[int, int], PredictionErrors] = {}
    tables = []
    for request in wanted:
        errors = None
        names = [name for name, _ in columns_of(request)]
        if any(name in SIMULATED and name not in items.individual for name in names):
            key = (request.samples, seed if request.seed is None else request.seed)
            if key not in known:
                known[key] = _errors(at, *key, steps)
            errors = known[key]
        tables.append(_table(items, request, errors))
    return tuple(tables)


def columns_of(request: TableRequest) -> tuple[tuple[str, str], ...]:
    """(name, label) of every column, with the appended ones."""
    more = tuple((name, name) for name in APPENDED) if request.append else ()
    return (*request.columns, *more)


def _errors(at: AtEstimates, samples: int, seed: int, steps: Steps | None) -> PredictionErrors:
    simulated = simulate_observations(at.joint, samples, seed=seed, steps=steps)
    table = at.problem.table
    return prediction_errors(at.joint.y, simulated.y, table.ob_ptr, below=censoring(table).below, seed=seed)


def _table(items: RecordItems, request: TableRequest, errors: PredictionErrors | None) -> RecordTable:
    rows = _rows(items.dataset, request)
    columns = columns_of(request)
    values = np.full((len(rows), len(columns)), np.nan)
    missing, undefined = {}, {}
    for k, (name, label) in enumerate(columns):
        found = items.column(name, errors=errors, cholesky=request.cholesky)
        if isinstance(found, str):
            missing[label] = found
            continue
        values[:, k] = found[rows]
        n_undefined = int(np.isnan(values[:, k]).sum())
        if n_undefined:
            undefined[label] = n_undefined
    labels = tuple(label for _, label in columns)
    return RecordTable(request=request, labels=labels, values=values, missing=missing, undefined=undefined)


def _rows(dataset: Dataset, request: TableRequest) -> np.ndarray:
    first, last = dataset.subject_ptr[:-1], dataset.subject_ptr[1:] - 1
    match request.records:
        case "first":
            return first
        case "last":
            return last
        case "first_last":
            return np.unique(np.concatenate([first, last]))
    return np.arange(dataset.n_rows)
