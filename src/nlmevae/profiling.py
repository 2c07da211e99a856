"""Profile likelihood intervals: control stream + data + fit -> run_profile -> ProfileResult -> file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.errors import DataError, SettingsError
from nlmevae.ir import Model
from nlmevae.pipeline import ModelSource, make_settings, prepare, run_fit, with_stated_seed
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.profile_result import ProfileResult
from nlmevae.results.run_folder import RunFolder

if TYPE_CHECKING:
    from nlmevae.estimation.profile_run import ProfileEvent
    from nlmevae.estimation.settings import FitSettings


def profile(
    source: ModelSource,
    parameters: Iterable[str],
    *,
    level: float = 0.95,
    estimates: str | os.PathLike[str] | FitResult | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    write: bool = False,
    overwrite: bool = False,
    progress: Callable[[ProfileEvent], None] | None = None,
    **settings: Any,
) -> ProfileResult:
    """Profile likelihood intervals of some parameters.

    Args:
        source, data, out, write, overwrite: as in `fit`; the file is ``<run>.profile.csv``.
        parameters: NONMEM names or labels, as ``THETA(1)``, ``OMEGA(1,1)``, ``CL``.
        level: of the intervals, between 0 and 1.
        estimates: a fit of the same model, or the ``results.json`` of one; without it the model is fitted first.
        progress: called after every constrained maximum.
        settings: fields of `FitSettings`.

    Raises:
        ModelError, DataError, SettingsError, OutputError: before anything is computed.
    """
    chosen = make_settings(settings)
    prepared = prepare(source, data=data)
    chosen = with_stated_seed(chosen, prepared.model, settings)
    names = profile_names(prepared.model, parameters)
    if not 0.0 < level < 1.0:
        raise SettingsError(f"level is {level!r}", hint="give a number between 0 and 1, as 0.95")
    path = None
    if write or out is not None:
        path = open_profile_file(prepared, out=out, overwrite=overwrite)
    fitted = fit_of(prepared, estimates) if estimates is not None else run_fit(prepared, chosen)
    result = run_profile(prepared, fitted, names, chosen, level=level, progress=progress)
    if path is not None:
        from nlmevae.writers.profile_csv import write_profile_csv

        write_profile_csv(path, result)
    return result


def profile_names(model: Model, parameters: Iterable[str]) -> tuple[str, ...]:
    """Canonical names of parameters that can be profiled.

    Raises:
        SettingsError: a name that is no parameter of the model, or one that is not estimated on its own.
    """
    import difflib

    from nlmevae.ir import estimated_names, parameter_names

    known, estimated = parameter_names(model), estimated_names(model)
    found = []
    for text in (parameters,) if isinstance(parameters, str) else parameters:
        name = known.get(text.upper().replace(" ", ""), known.get(text.upper()))
        if name is None:
            near = difflib.get_close_matches(text.upper(), known, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            raise SettingsError(f"{text} is no parameter of the model", hint=f"{guess}known: {', '.join(known)}")
        if name not in estimated:
            raise SettingsError(
                f"{text} is not estimated on its own: it is fixed, between two blocks, or repeats another (SAME)",
                hint=f"these can be profiled: {', '.join(sorted(estimated))}",
            )
        found.append(name)
    if not found:
        raise SettingsError("no parameter to profile", hint="name at least one, as THETA(1) or OMEGA(1,1)")
    return tuple(dict.fromkeys(found))


def open_profile_file(
    prepared: PreparedRun, *, out: str | os.PathLike[str] | None = None, overwrite: bool = False
) -> Path:
    """Where ``<run>.profile.csv`` goes, checked before anything is computed; OutputError if it cannot."""
    from nlmevae.results.run_folder import check_replaceable, make_folder

    folder = RunFolder.beside(prepared.model.source.path or prepared.model.name, out)
    make_folder(folder.folder)
    inputs = [prepared.model.source.path, prepared.dataset.path]
    check_replaceable([folder.profile_csv], overwrite=overwrite, inputs=inputs)
    return folder.profile_csv


def fit_of(prepared: PreparedRun, estimates: str | os.PathLike[str] | FitResult) -> FitResult:
    """A fit of this model and these data.

    Raises:
        DataError: it cannot be read, or is of another model or other data.
    """
    from nlmevae.writers.results_json import read_results_json

    result = estimates if isinstance(estimates, FitResult) else read_results_json(Path(estimates))
    model, table = prepared.model, prepared.table
    sizes = (len(result.thetas), len(result.omega), len(result.sigma), result.n_subjects, result.n_obs_total)
    wanted = (len(model.thetas), len(model.etas), len(model.epsilons), table.n_subjects, table.n_obs_total)
    labels = [e.label for e in result.estimates if e.kind == "theta"]
    if sizes != wanted or labels != [t.label for t in model.thetas]:
        raise DataError(
            f"the estimates are of {result.source_path}, which differs from this model or its data",
            hint="fit this model first, or leave the estimates out",
        )
    return result


def run_profile(
    prepared: PreparedRun,
    fitted: FitResult,
    names: tuple[str, ...],
    settings: FitSettings,
    *,
    level: float,
    progress: Callable[[ProfileEvent], None] | None = None,
) -> ProfileResult:
    """Profiles around the estimates of `fitted`. Ctrl-C keeps those that are finished."""
    from nlmevae.estimation.profile_run import profile_model

    return profile_model(prepared.model, prepared.table, fitted, names, settings, level=level, progress=progress)
