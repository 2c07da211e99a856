"""A prepared run with its fit: the model at the estimates, and the tables its text asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlmevae.errors import DataError
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import RunFolder
from nlmevae.results.status import FitStatus

if TYPE_CHECKING:
    from nlmevae.estimation.at_estimates import AtEstimates
    from nlmevae.writers.table_files import TableFiles

#: Told (what is being done, done, total).
Steps = Callable[[str, int, int], None]

#: These estimates are not worth tables.
ENDED_EARLY = {FitStatus.INTERRUPTED, FitStatus.NUMERICAL_FAILURE}


@contextmanager
def at_fit(run: PreparedRun, fit: FitResult | None, *, threads: int = 1) -> Iterator[AtEstimates]:
    """The model with these data at the estimates of `fit` (without one, at its initial estimates), compiled; released
    at the end of the block.

    Raises:
        DataError: the fit is of another model.
    """
    from nlmevae.diagnostics.fitted import at_fit

    check_same_model(run, fit)
    here = at_fit(run.model, run.table, fit, threads=threads)
    try:
        yield here
    finally:
        here.problem.decoder.close()


def check_same_model(run: PreparedRun, fit: FitResult | None) -> None:
    """Raises DataError where the numbers of parameters differ."""
    if fit is None:
        return
    model = run.model
    sizes = len(model.thetas), len(model.etas), len(model.epsilons)
    found = len(fit.thetas), len(fit.omega), len(fit.sigma)
    if sizes != found:
        raise DataError(
            f"the fit has {found[0]} THETA, {found[1]} ETA and {found[2]} EPS, the model {sizes[0]}, {sizes[1]} and "
            f"{sizes[2]}: it is not the fit of this model",
            hint=f"the fit is of {fit.source_path}",
        )


def table_files(run: PreparedRun, *, out: str | os.PathLike[str] | None = None, overwrite: bool = False) -> TableFiles:
    """The run's $TABLE files, checked before anything is computed.

    Raises:
        OutputError: one of them cannot be written, or is another program's.
    """
    from nlmevae.writers.table_files import TableFiles

    folder = RunFolder.beside(run.model.source.path or run.model.name, out)
    files = TableFiles(folder, run.model.tables)
    files.prepare(overwrite=overwrite, inputs=[run.model.source.path, run.dataset.path])
    return files


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTables:
    """Files, and what has to be known before using them."""

    paths: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def write_tables(
    run: PreparedRun, fit: FitResult | None, files: TableFiles, *, threads: int = 1, steps: Steps | None = None
) -> WrittenTables:
    """The model's $TABLE records at the conditional modes. After a fit that ended early there are none, and those of
    an earlier run are removed: tables never stand beside results of another run.

    Raises:
        DataError: the fit is of another model.
        OutputError: a file cannot be written.
    """
    from nlmevae.diagnostics.record_tables import record_tables

    if not files.paths:
        return WrittenTables()
    if fit is not None and fit.status in ENDED_EARLY:
        files.remove_previous()
        return WrittenTables(warnings=("No $TABLE file was written: the estimates are not final.",))
    with at_fit(run, fit, threads=threads) as here:
        tables = record_tables(here, run.dataset, seed=1 if fit is None else fit.seed, steps=steps)
    paths = files.write(tables)
    return WrittenTables(paths=paths, warnings=tuple(w for table in tables for w in table.warnings))
