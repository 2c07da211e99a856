"""A Monolix results folder of a finished fit: model + data + fit -> content -> files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nlmevae.after_fit import run_with_fit
from nlmevae.errors import SettingsError
from nlmevae.fitted_run import ENDED_EARLY, Steps
from nlmevae.pipeline import ModelSource
from nlmevae.results.fit_result import FitResult
from nlmevae.results_folder import open_monolix_folder, write_monolix_folder

if TYPE_CHECKING:
    from nlmevae.results.monolix_names import MonolixNames


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
