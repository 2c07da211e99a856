"""A Monolix results folder of a finished fit: model + data + fit -> content -> files."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlmevae.after_fit import run_with_fit
from nlmevae.errors import SettingsError
from nlmevae.fitted_run import ENDED_EARLY, Steps, at_fit
from nlmevae.pipeline import ModelSource
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult

if TYPE_CHECKING:
    from nlmevae.results.monolix_names import MonolixNames
    from nlmevae.writers.monolix_folder import MonolixFolder

#: Draws of each subject's parameters that Monolix keeps by default (nbsimulatedparameters).
SAMPLES = 10


def monolix_folder(
    source: ModelSource,
    folder: str | os.PathLike[str],
    *,
    fit: FitResult | str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    names: MonolixNames | None = None,
    overwrite: bool = False,
    threads: int = 1,
    steps: Steps | None = None,
) -> tuple[Path, ...]:
    """Write the results of a fit as Monolix would (layout of 2023R1); the paths written.

    Args:
        fit: the result or its results.json. With samples (``samples=10``), also simulated parameters and tests.
        names: what the project calls things; None: as the model's labels and individual parameters say.
        overwrite: also over the folder of an earlier run of nlmevae; never over one of Monolix.

    Raises:
        ModelError, DataError, SettingsError, OutputError: as the readers and writers say; SettingsError too where
            the fit ended early.
    """
    given = run_with_fit(source, fit=fit, data=data)
    assert given.fit is not None
    opened = open_monolix_folder(given.run, folder, overwrite=overwrite)
    if given.fit.status in ENDED_EARLY:
        raise SettingsError(f"{given.origin} has no final estimates", hint="write the folder of a fit that ended")
    return write_monolix_folder(given.run, given.fit, opened, names=names, threads=threads, steps=steps)


def open_monolix_folder(run: PreparedRun, folder: str | os.PathLike[str], *, overwrite: bool = False) -> MonolixFolder:
    """The folder, checked before anything is fitted.

    Raises:
        OutputError: it may not be written to.
    """
    from nlmevae.writers.monolix_folder import MonolixFolder

    opened = MonolixFolder(folder=Path(folder))
    inputs = [run.model.source.path, run.dataset.path, *run.model.source.included]
    opened.prepare(overwrite=overwrite, inputs=inputs)
    return opened


def write_monolix_folder(
    run: PreparedRun,
    fit: FitResult,
    folder: MonolixFolder,
    *,
    names: MonolixNames | None = None,
    likelihood: Literal["is", "lin"] = "is",
    threads: int = 1,
    steps: Steps | None = None,
) -> tuple[Path, ...]:
    """The files of a finished fit; none after one that ended early (what is there stays).

    `likelihood`: the method of the -2LL in LogLikelihood/.

    Raises:
        DataError: the fit is of another model.
        OutputError: a file cannot be written.
    """
    from nlmevae.diagnostics.monolix_content import monolix_content
    from nlmevae.writers.monolix_folder import folder_texts

    if fit.status in ENDED_EARLY:
        return ()
    with at_fit(run, fit, threads=threads) as here:
        content = monolix_content(here, run.dataset, fit, names, steps=steps)
    return folder.write(folder_texts(fit, content, date=datetime.now(), likelihood=likelihood))
