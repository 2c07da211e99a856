"""From a control stream and parameter values to likelihoods: what is computed at given parameters, without a fit.

text -> prepare -> PreparedRun -> at the values of a file -> likelihood_report -> LikelihoodResult -> files
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.errors import DataError, SettingsError
from nlmevae.pipeline import ModelSource, make_settings, prepare
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.likelihood_result import LikelihoodResult
from nlmevae.results.parameter_values import ParameterValues

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.writers.likelihood_files import LikelihoodFiles

#: The exact value and what costs next to nothing beside it.
DEFAULT_METHODS = "is,laplace,focei,lin"

#: Of a results folder of Monolix.
_POPULATION_FILE = "populationParameters.txt"

#: Settings of a fit that matter where nothing is fitted.
_SETTINGS = ("seed", "backend", "device", "threads", "rtol", "n_starts", "final_draws")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunAt:
    """A run whose model has the given values as initial estimates; `origin` says where they are from, `objective` is
    what is stated there (NaN if nothing)."""

    run: PreparedRun
    origin: str
    objective: float = float("nan")


def likelihoods(
    source: ModelSource,
    *,
    params: Any = None,
    methods: str | Iterable[str] = DEFAULT_METHODS,
    seed: int = 1,
    draws: int | None = None,
    table: int | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[str, float], None] | None = None,
    **settings: Any,
) -> LikelihoodResult:
    """-2 log-likelihood of a model at given parameters by several methods; nothing is estimated.

    Args:
        source: control stream or a model read earlier.
        params: where the parameters are from (`parameter_values`); None: the initial estimates of the control stream.
        methods: some of is, gauss-hermite, laplace, focei, foce, fo, lin, or "all"; text may have commas.
        seed, draws: of importance sampling; draws per subject.
        table: TABLE NO. of an .ext (default: the last estimation).
        data: read this file instead of the one $DATA names.
        out: folder for ``<run>.likelihood.json`` and ``<run>.likelihood.csv``; created if missing.
        overwrite: also replace files that another program wrote.
        progress: called with the method and the share of it that is done.
        settings: backend, device, rtol, threads, n_starts as in `FitSettings`.

    Raises:
        ModelError, DataError, SettingsError, OutputError: before anything is computed.
    """
    chosen = evaluation_settings({**settings, "seed": seed, "final_draws": draws})
    at = prepare_at(source, params, table=table, data=data)
    files = None if out is None else open_files_at(at, out=out, overwrite=overwrite)
    result = run_likelihoods(at, methods, chosen, progress=progress)
    if files is not None:
        files.write(result)
    return result


def evaluation_settings(options: Mapping[str, Any]) -> FitSettings:
    """Settings from names and values.

    Raises:
        SettingsError: a name that does not matter here, or an impossible value.
    """
    for name in options:
        if name not in _SETTINGS:
            raise SettingsError(f"there is no setting {name!r} here", hint=f"known settings: {', '.join(_SETTINGS)}")
    return make_settings(dict(options))


def prepare_at(
    source: ModelSource,
    params: Any = None,
    *,
    table: int | None = None,
    data: str | os.PathLike[str] | None = None,
) -> RunAt:
    """Read the model, its data and the parameter values, and put them together.

    Raises:
        ModelError, DataError: as the readers say, or the values are not those of this model.
    """
    from nlmevae.results.model_at import model_at

    run = prepare(source, data=data)
    if params is None:
        return RunAt(run=run, origin=f"the initial estimates of {run.model.source.path or run.model.name}")
    given = parameter_values(params, table=table)
    return RunAt(
        run=dataclasses.replace(run, model=model_at(run.model, given)), origin=given.source, objective=given.objective
    )


def parameter_values(params: Any, *, table: int | None = None) -> ParameterValues:
    """Values from a NONMEM ``.ext``, a ``.results.json`` of ours, a CSV file of name,value (recognised by their
    content), a results folder of Monolix or its ``populationParameters.txt``, a `FitResult`, or a dictionary of names.

    Raises:
        DataError: the file cannot be read or has none.
        SettingsError: `params` is nothing of this, or a table is named of something that has none.
    """
    if isinstance(params, ParameterValues):
        return params
    if isinstance(params, FitResult):
        return _of_result(params, f"the fit of {params.source_path}")
    if isinstance(params, Mapping):
        return _of_mapping(params)
    if not isinstance(params, str | os.PathLike):
        raise SettingsError(
            f"params is a {type(params).__name__}", hint="give a file, a FitResult or a dictionary of names and values"
        )
    return _of_file(Path(params), table)


def _of_mapping(params: Mapping[str, Any]) -> ParameterValues:
    try:
        pairs = [(str(name), float(value)) for name, value in params.items()]
    except (TypeError, ValueError):
        raise SettingsError("a value in params is not a number", hint="give a number for every name") from None
    return ParameterValues.of(pairs, source="the given values")


def _of_result(result: FitResult, source: str) -> ParameterValues:
    return ParameterValues.of(((e.name, e.value) for e in result.estimates), source=source, objective=result.ofv_nonmem)


def _of_file(path: Path, table: int | None) -> ParameterValues:
    from nlmevae.comparison.nonmem_ext import final_estimates
    from nlmevae.comparison.value_table import read_value_table

    if path.is_dir():
        return _of_monolix_folder(path, table)
    if path.name == _POPULATION_FILE:
        return _of_monolix_folder(path.parent, table)
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            head = stream.read(400).lstrip("\ufeff \t\r\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path of the parameter file") from None
    if head.upper().startswith(("TABLE NO", "ITERATION")):
        return final_estimates(path, table=table)
    if table is not None:
        raise SettingsError(f"{path} is no .ext file, it has no tables", hint="leave the table out")
    if head.startswith("{"):
        from nlmevae.writers.results_json import read_results_json

        return _of_result(read_results_json(path), str(path))
    return read_value_table(path)


def _of_monolix_folder(folder: Path, table: int | None) -> ParameterValues:
    from nlmevae.comparison.monolix_folder import read_monolix_folder

    if table is not None:
        raise SettingsError(f"{folder} is no .ext file, it has no tables", hint="leave the table out")
    pairs = [(p.name, p.value) for p in read_monolix_folder(folder).parameters]
    return dataclasses.replace(ParameterValues.of(pairs, source=str(folder)), deviations=True)


def open_files_at(at: RunAt, *, out: str | os.PathLike[str], overwrite: bool = False) -> LikelihoodFiles:
    """The files in the folder `out`, checked before anything is computed.

    Raises:
        OutputError: they cannot be written, or a file that is not ours would be lost.
    """
    from nlmevae.writers.likelihood_files import LikelihoodFiles

    model = at.run.model
    files = LikelihoodFiles(folder=Path(out), stem=Path(model.source.path or model.name).stem)
    files.prepare(overwrite=overwrite, inputs=[model.source.path, at.run.dataset.path])
    return files


def run_likelihoods(
    at: RunAt,
    methods: str | Iterable[str],
    settings: FitSettings,
    *,
    progress: Callable[[str, float], None] | None = None,
) -> LikelihoodResult:
    """Compute; nothing is written."""
    from nlmevae.estimation.likelihood_report import likelihood_report

    return likelihood_report(
        at.run.model,
        at.run.dataset,
        at.run.table,
        methods=methods if isinstance(methods, str) else tuple(methods),
        settings=settings,
        parameters_from=at.origin,
        objective_there=at.objective,
        report=progress,
    )
