"""What is computed from a finished fit: tables, diagnostics, predictive checks, simulated data.

control stream + data + fit or parameter values -> RunWithFit -> AtEstimates (fitted_run.py) -> one function each
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlmevae.at_parameters import prepare_at
from nlmevae.errors import SettingsError
from nlmevae.fitted_run import Steps, WrittenTables, at_fit, check_same_model, table_files, write_tables
from nlmevae.pipeline import ModelSource, prepare
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult

if TYPE_CHECKING:
    from nlmevae.results.diagnostics import Diagnostics

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWithFit:
    """`fit`: None where the values are the initial estimates of `run.model`. `origin` says where they are from."""

    run: PreparedRun
    fit: FitResult | None
    origin: str


def run_with_fit(
    source: ModelSource,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
) -> RunWithFit:
    """Model and data with a fit (or its results.json), or with parameter values (`at_parameters.parameter_values`),
    or at the initial estimates.

    Raises:
        ModelError, DataError: as the readers say, or the values are not those of this model.
        SettingsError: both are given.
    """
    if fit is None:
        at = prepare_at(source, params, data=data)
        return RunWithFit(run=at.run, fit=None, origin=at.origin)
    if params is not None:
        raise SettingsError("a fit and parameter values are given", hint="give one of them")
    from nlmevae.writers.results_json import read_results_json

    found = fit if isinstance(fit, FitResult) else read_results_json(fit)  # type: ignore[arg-type]
    run = prepare(source, data=data)
    check_same_model(run, found)
    return RunWithFit(run=run, fit=found, origin=f"the fit of {found.source_path}")


def tables(
    source: ModelSource,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    threads: int = 1,
    steps: Steps | None = None,
) -> WrittenTables:
    """Write the $TABLE files of a model at the estimates of a fit (or at other parameter values).

    Args:
        fit, params, data: as `run_with_fit` takes them.
        out: folder; None: that of the control stream.
        overwrite: also replace files that another program wrote.

    Raises:
        ModelError, DataError, OutputError, SettingsError: as the readers and writers say.
    """
    given = run_with_fit(source, fit=fit, params=params, data=data)
    files = table_files(given.run, out=out, overwrite=overwrite)
    return write_tables(given.run, given.fit, files, threads=threads, steps=steps)


def diagnose(
    source: ModelSource,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
    n_simulations: int = 1000,
    seed: int = 1,
    stratify: str | None = None,
    threads: int = 1,
    steps: Steps | None = None,
) -> Diagnostics:
    """Residuals, prediction errors, curves and predictive checks (`nlmevae.diagnostics.diagnose`).

    Raises:
        ModelError, DataError, SettingsError: as the readers say.
    """
    from nlmevae.diagnostics.diagnose import diagnose

    given = run_with_fit(source, fit=fit, params=params, data=data)
    with at_fit(given.run, given.fit, threads=threads) as here:
        return diagnose(here, given.run.dataset, n_simulations=n_simulations, seed=seed, stratify=stratify, steps=steps)
