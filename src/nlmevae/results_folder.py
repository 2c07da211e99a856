"""The Monolix results folder of a prepared run: where it goes, checked before the fit, and its files after it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlmevae.fitted_run import ENDED_EARLY, Steps, at_fit
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult

if TYPE_CHECKING:
    from nlmevae.results.monolix_names import MonolixNames
    from nlmevae.writers.monolix_folder import MonolixFolder

#: Draws of each subject's parameters that Monolix keeps by default (nbsimulatedparameters).
SAMPLES = 10


def open_monolix_folder(run: PreparedRun, folder: str | os.PathLike[str], *, overwrite: bool = False) -> MonolixFolder:
    """The folder, checked before anything is fitted.

    Raises:
        OutputError: it may not be written to.
    """
    from nlmevae.writers.monolix_folder import MonolixFolder

    opened = MonolixFolder(folder=Path(folder))
    opened.prepare(overwrite=overwrite, inputs=_inputs(run))
    return opened


def _inputs(run: PreparedRun) -> list[str]:
    return [run.model.source.path, run.dataset.path, *run.model.source.included]


def open_project_folder(
    run: PreparedRun, *, out: str | os.PathLike[str] | None = None
) -> tuple[MonolixFolder, str] | None:
    """The results folder of a Monolix project, checked before anything is fitted, and a note where it is not the one
    the project names ("" where it is); None for another model.

    It is `exportpath` of the project, else its stem, beside the project or in `out`. Files of an earlier run of nlmevae
    are replaced. A folder that has others, perhaps results of Monolix, is left alone: `<folder>_nlmevae` is taken.

    Raises:
        OutputError: that may not be written to either.
    """
    from nlmevae.writers.monolix_folder import MonolixFolder

    if run.model.project is None:
        return None
    stated = _stated_folder(run.model.project.folder, Path(run.model.source.path), out)
    folder, note = MonolixFolder(folder=stated), ""
    if folder.is_foreign:
        folder = MonolixFolder(folder=stated.with_name(f"{stated.name}_nlmevae"))
        note = f"{stated} has files of another program, which stay; the results go to {folder.folder}"
    folder.prepare(overwrite=True, inputs=_inputs(run))
    return folder, note


def _stated_folder(written: str, project: Path, out: str | os.PathLike[str] | None) -> Path:
    """Of a path of another machine only its last part counts, as where a project was moved."""
    beside = project.parent if out is None else Path(out)
    parts = [part for part in written.replace("\\", "/").split("/") if part not in ("", ".")]
    absolute = written.startswith(("/", "\\")) or written[1:2] == ":"
    if not parts or parts[-1] == "..":
        return beside / project.stem
    if out is None and os.path.isabs(written) and Path(written).parent.is_dir():
        return Path(written)
    return beside / parts[-1] if absolute or out is not None else beside.joinpath(*parts)


def write_monolix_folder(
    run: PreparedRun,
    fit: FitResult,
    folder: MonolixFolder,
    *,
    names: MonolixNames | None = None,
    threads: int = 1,
    steps: Steps | None = None,
) -> tuple[Path, ...]:
    """The files of a finished fit; none after one that ended early (what is there stays). `names`: None: the model's.

    Raises:
        DataError: the fit is of another model.
        OutputError: a file cannot be written.
    """
    from nlmevae.diagnostics.monolix_content import monolix_content
    from nlmevae.writers.monolix_folder import folder_texts

    likelihood: Literal["is", "lin"] | None = "is" if run.model.project is None else run.model.project.likelihood
    if fit.status in ENDED_EARLY:
        return ()
    with at_fit(run, fit, threads=threads) as here:
        content = monolix_content(here, run.dataset, fit, names, steps=steps)
    return folder.write(folder_texts(fit, content, date=datetime.now(), likelihood=likelihood))
