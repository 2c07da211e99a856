"""From a control stream to a result: the whole path, one step per function.

text -> read_model -> Model -> prepare (data, event table) -> run_fit -> FitResult -> files
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.errors import DataError, ModelError, SettingsError
from nlmevae.ir import Model
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import RunFolder

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.trace import ProgressEvent
    from nlmevae.model_summary import ModelSummary
    from nlmevae.writers.run_files import RunFiles

ModelSource = str | os.PathLike[str] | Model


def read_model(path: str | os.PathLike[str]) -> Model:
    """Read a NONMEM control stream.

    Raises:
        ModelError: the file is missing, not legal, or beyond this version; with file, line and column.
    """
    from nlmevae.frontends.nonmem.read import read_control_stream

    try:
        return read_control_stream(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}", hint="check the path of the control stream") from None


def prepare(source: ModelSource, *, data: str | os.PathLike[str] | None = None) -> PreparedRun:
    """Read the model (unless it is one) and its data.

    Args:
        data: read this file instead of the one $DATA names.

    Raises:
        ModelError, DataError: as the readers say.
    """
    from nlmevae.data.event_table import event_table
    from nlmevae.data.observation_checks import check_observations
    from nlmevae.data.read import read_dataset

    model = source if isinstance(source, Model) else read_model(source)
    if data is not None:
        model = _with_data(model, Path(data))
    dataset = read_dataset(model)
    table = event_table(model, dataset)
    notes = (*model.diagnostics, *dataset.diagnostics, *check_observations(model, table, dataset))
    return PreparedRun(model=model, dataset=dataset, table=table, diagnostics=notes)


def _with_data(model: Model, path: Path) -> Model:
    if not path.is_file():
        what = "is a folder, not a data file" if path.is_dir() else "does not exist"
        raise DataError(f"the data file {path} {what}", hint="correct the path; it is taken from the current folder")
    return dataclasses.replace(model, data=dataclasses.replace(model.data, path=str(path.resolve())))


def check(source: ModelSource, *, data: str | os.PathLike[str] | None = None) -> ModelSummary:
    """What nlmevae understands of a model and its data; nothing is fitted.

    Raises:
        ModelError, DataError: what would also stop a fit.
    """
    from nlmevae.model_summary import summarise

    return summarise(prepare(source, data=data))


def fit(
    source: ModelSource,
    *,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    write: bool = False,
    overwrite: bool = False,
    progress: Callable[[ProgressEvent], None] | None = None,
    **settings: Any,
) -> FitResult:
    """Fit a model.

    Args:
        source: control stream or a model read earlier.
        data: read this file instead of the one $DATA names.
        out: folder for ``<run>.ext``, ``<run>.phi`` and ``<run>.results.json``; created if missing.
        write: write these files beside the control stream. Without `out` or `write` nothing is written.
        overwrite: also replace files that another program wrote.
        progress: called after every iteration.
        settings: fields of `FitSettings` (method, seed, backend, ...).

    Returns:
        The result. A numerical failure is a status in it, not an exception.

    Raises:
        ModelError, DataError, SettingsError, OutputError: before anything is fitted.
    """
    chosen = make_settings(settings)
    prepared = prepare(source, data=data)
    files = open_files(prepared, out=out, overwrite=overwrite) if write or out is not None else None
    result = run_fit(prepared, chosen, files=files, progress=progress)
    if files is not None:
        files.finish(result)
    return result


def make_settings(options: dict[str, Any]) -> FitSettings:
    """Settings from names and values.

    Raises:
        SettingsError: an unknown name (the nearest known one is named) or an impossible value.
    """
    import difflib

    from nlmevae.estimation.settings import FitSettings

    known = [f.name for f in dataclasses.fields(FitSettings)]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known settings: {', '.join(known)}"
            raise SettingsError(f"there is no setting {name!r}", hint=hint)
    return FitSettings(**options)


def open_files(
    prepared: PreparedRun, *, out: str | os.PathLike[str] | None = None, overwrite: bool = False
) -> RunFiles:
    """The run's files, checked before anything is fitted.

    Raises:
        OutputError: they cannot be written, or a file that is not ours would be lost.
    """
    from nlmevae.writers.run_files import RunFiles

    model = prepared.model
    folder = RunFolder.beside(model.source.path or model.name, out)
    folder.prepare(overwrite=overwrite, inputs=[model.source.path, prepared.dataset.path])
    return RunFiles(folder, model, n_obs_total=prepared.table.n_obs_total)


def run_fit(
    prepared: PreparedRun,
    settings: FitSettings,
    *,
    files: RunFiles | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
) -> FitResult:
    """Estimate; iterations go to `files` as they come. The caller writes the result (`files.finish`)."""
    from nlmevae.estimation.fit import fit_model

    def report(event: ProgressEvent) -> None:
        if files is not None:
            files.add_iteration(event.row)
        if progress is not None:
            progress(event)

    try:
        return fit_model(prepared.model, prepared.dataset, prepared.table, settings, progress=report)
    except BaseException:
        if files is not None:
            files.close()
        raise
