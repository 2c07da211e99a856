"""A prepared run with its fit: the model at the estimates, and the tables its text asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nlmevae.errors import DataError
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import RunFolder

if TYPE_CHECKING:
    from nlmevae.estimation.at_estimates import AtEstimates
    from nlmevae.results.record_table import RecordTable
    from nlmevae.writers.table_files import TableFiles

#: Told (what is being done, done, total).
Steps = Callable[[str, int, int], None]


@contextmanager
def at_fit(run: PreparedRun, fit: FitResult, *, threads: int = 1) -> Iterator[AtEstimates]:
    """The model with these data at the estimates of `fit`, compiled; released at the end of the block.

    Raises:
        DataError: the fit is of another model.
    """
    from nlmevae.diagnostics.fitted import at_result

    check_same_model(run, fit)
    here = at_result(run.model, run.table, fit, threads=threads)
    try:
        yield here
    finally:
        here.problem.decoder.close()


def check_same_model(run: PreparedRun, fit: FitResult) -> None:
    """Raises DataError where numbers or names of the parameters differ."""
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


def record_tables(
    run: PreparedRun, fit: FitResult, *, threads: int = 1, steps: Steps | None = None
) -> tuple[RecordTable, ...]:
    """The model's $TABLE records at the conditional modes; nothing is written.

    Raises:
        DataError: the fit is of another model.
    """
    from nlmevae.diagnostics.record_tables import record_tables

    with at_fit(run, fit, threads=threads) as here:
        return record_tables(here, run.dataset, seed=fit.seed, steps=steps)
