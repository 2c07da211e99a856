"""What is computed from a finished fit: tables, diagnostics, predictive checks, simulated data.

control stream + data + fit -> AtEstimates (fitted_run.py) -> one function each
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nlmevae.fitted_run import Steps, at_fit, record_tables, table_files
from nlmevae.pipeline import ModelSource, prepare
from nlmevae.results.fit_result import FitResult

if TYPE_CHECKING:
    from pathlib import Path

    from nlmevae.results.diagnostics import Diagnostics


def read_fit(fit: FitResult | str | os.PathLike[str]) -> FitResult:
    """A result, or the results.json that has it.

    Raises:
        DataError: the file cannot be read, or is not one of ours.
    """
    from nlmevae.writers.results_json import read_results_json

    return fit if isinstance(fit, FitResult) else read_results_json(fit)  # type: ignore[arg-type]


def tables(
    source: ModelSource,
    fit: FitResult | str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    threads: int = 1,
    steps: Steps | None = None,
) -> tuple[Path, ...]:
    """Write the $TABLE files of a model at the estimates of a fit; the paths written.

    Raises:
        ModelError, DataError, OutputError: as the readers and writers say.
    """
    run = prepare(source, data=data)
    files = table_files(run, out=out, overwrite=overwrite)
    return files.write(record_tables(run, read_fit(fit), threads=threads, steps=steps))


def diagnose(
    source: ModelSource,
    fit: FitResult | str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    n_simulations: int = 1000,
    seed: int = 1,
    stratify: str | None = None,
    threads: int = 1,
    steps: Steps | None = None,
) -> Diagnostics:
    """All diagnostics of a fit (`nlmevae.diagnostics.diagnose`).

    Raises:
        ModelError, DataError, SettingsError: as the readers say.
    """
    from nlmevae.diagnostics.diagnose import diagnose

    run = prepare(source, data=data)
    with at_fit(run, read_fit(fit), threads=threads) as here:
        return diagnose(here, run.dataset, n_simulations=n_simulations, seed=seed, stratify=stratify, steps=steps)
