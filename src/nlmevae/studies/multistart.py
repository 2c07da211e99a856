"""Whole fits from many starts: does the maximum depend on where the search begins?

control stream -> starts 0 (its own), 1, 2, ... -> fits on the workers -> ledger -> MultistartResult -> tables
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmevae.errors import DataError, SettingsError
from nlmevae.ir import Model
from nlmevae.pipeline import ModelSource, make_settings, prepare, with_stated_seed
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_record import FitRecord, StudyParameter, record_of_result, study_parameters, values_of
from nlmevae.results.fit_result import Estimate, FitResult
from nlmevae.results.model_at import model_at
from nlmevae.results.multistart_result import MultistartResult
from nlmevae.results.parameter_values import ParameterValues
from nlmevae.results.run_folder import RunFolder
from nlmevae.resumption import Resumption, provenance_of
from nlmevae.studies.ledger import Ledger, open_ledger
from nlmevae.studies.original import require_estimation
from nlmevae.studies.pool import Workers
from nlmevae.studies.run import Fits, Told, run_study
from nlmevae.studies.work import Task
from nlmevae.writers.run_files import RunFiles
from nlmevae.writers.study_tables import write_multistart

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.trace import ProgressEvent

#: Random numbers of starts are apart from those of fits, simulations and samples of the same seed.
_STREAM = 22
USUAL_SPREAD = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MultistartPlan:
    """A study whose folder is open. `starts`: initial values of every start, as estimates."""

    run: PreparedRun
    settings: FitSettings
    spread: float
    starts: tuple[tuple[Estimate, ...], ...]
    ledger: Ledger
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.ledger.folder

    @property
    def parameters(self) -> tuple[StudyParameter, ...]:
        return study_parameters(self.starts[0], monolix=self.run.model.project is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MultistartStudy:
    """What a worker needs of it."""

    run: PreparedRun
    settings: FitSettings
    starts: tuple[tuple[Estimate, ...], ...]

    def fitter(self) -> Callable[[Task], FitRecord]:
        from nlmevae.pipeline import run_fit

        parameters = study_parameters(self.starts[0], monolix=self.run.model.project is not None)

        def fit(task: Task) -> FitRecord:
            result = run_fit(_begun_at(self.run, self.starts[task.number]), self.settings)
            return record_of_result(task.number, result, parameters, name=f"start {task.number}")

        return fit


def multistart(
    source: ModelSource,
    *,
    starts: int = 20,
    spread: float = USUAL_SPREAD,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    workers: Workers | None = None,
    restart: bool = False,
    overwrite: bool = False,
    told: Told | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
    **settings: Any,
) -> MultistartResult:
    """Fit a model from many starts; a study that was stopped goes on where it stood. The best fit is repeated and
    written like that of `fit`.

    Args:
        starts: how many; the first is the model's own.
        spread: factor by which typical values and standard deviations of the others differ at most.
        out: folder; default: ``<run>_multistart`` beside the model.
        workers, restart, overwrite, told, settings: as in `bootstrap`. progress: told about the last fit.

    Raises:
        ModelError, DataError, SettingsError, OutputError, MissingDependencyError: before anything is fitted.
    """
    workers = workers or Workers()
    workers.require()
    chosen = make_settings(settings)
    run = prepare(source, data=data)
    chosen = with_stated_seed(chosen, run.model, settings)
    plan = plan_multistart(run, chosen, starts=starts, spread=spread, out=out, restart=restart, overwrite=overwrite)
    result = multistart_result(plan, fit_starts(plan, workers, told))
    write_multistart(plan.folder, result)
    if len(result.records) == result.n_starts:
        best_fit(plan, result, progress)
    return result


def plan_multistart(
    run: PreparedRun,
    settings: FitSettings,
    *,
    starts: int,
    spread: float = USUAL_SPREAD,
    out: str | os.PathLike[str] | None = None,
    restart: bool = False,
    overwrite: bool = False,
) -> MultistartPlan:
    """Everything that can be wrong is found here; the folder is open then.

    Raises:
        as `multistart` says.
    """
    if isinstance(starts, bool) or not isinstance(starts, int) or starts < 1:
        raise SettingsError(f"starts is {starts!r}", hint="give a whole number, 1 or more")
    if isinstance(spread, bool) or not isinstance(spread, int | float) or not 1.0 < spread < math.inf:
        raise SettingsError(f"spread is {spread!r}", hint="give a number greater than 1")
    require_estimation(run, replace(settings, method="vae+polish"))
    provenance = {
        "the kind of study": "multistart",
        **provenance_of(run, settings),
        "the spread of the starts": repr(float(spread)),
    }
    beside = RunFolder.beside(run.model.source.path or run.model.name)
    folder = beside.folder / f"{beside.stem}_multistart" if out is None else Path(out)
    points = _starts(run, settings, starts, spread)
    ledger, notes = open_ledger(folder, provenance, restart=restart, overwrite=overwrite)
    return MultistartPlan(run=run, settings=settings, spread=spread, starts=points, ledger=ledger, notes=notes)


def _starts(run: PreparedRun, settings: FitSettings, n: int, spread: float) -> tuple[tuple[Estimate, ...], ...]:
    """Start k depends on (seed, k) alone."""
    from nlmevae.diagnostics.fitted import problem_at
    from nlmevae.estimation.assemble import estimates_of
    from nlmevae.estimation.start_points import scattered

    problem = problem_at(run.model, run.table, None)
    try:
        found = [problem.initial]
        for k in range(1, n):
            found.append(scattered(problem, np.random.default_rng([settings.seed, _STREAM, k]), spread=spread))
        return tuple(estimates_of(run.model, problem.initial, population) for population in found)
    finally:
        problem.decoder.close()


def _begun_at(run: PreparedRun, start: tuple[Estimate, ...]) -> PreparedRun:
    return replace(run, model=_model_at(run.model, start))


def _model_at(model: Model, start: tuple[Estimate, ...]) -> Model:
    if all(e.value == e.init for e in start):
        return model
    return model_at(model, ParameterValues.of(((e.name, e.value) for e in start), source="a scattered start"))


def fit_starts(plan: MultistartPlan, workers: Workers, told: Told | None = None) -> Fits:
    """Those that are not finished; standard errors are computed for the best one, at the end."""
    settings = replace(plan.settings.one_of_several, covariance="none", samples=0, save_encoder=False)
    study = MultistartStudy(run=plan.run, settings=settings, starts=plan.starts)
    return run_study(study, [Task(0, k) for k in range(len(plan.starts))], plan.ledger, workers, told)


def multistart_result(plan: MultistartPlan, fits: Fits) -> MultistartResult:
    """What the finished fits say."""
    failed = sum(not r.usable for r in fits.records)
    warnings = []
    if failed:
        warnings.append(f"{failed} of {len(fits.records)} fits failed (raw_results says how each ended).")
    if fits.missing:
        warnings.append(f"{len(fits.missing)} of {len(plan.starts)} fits are not done yet; the same command goes on.")
    return MultistartResult(
        name=plan.run.model.name,
        source_path=plan.run.model.source.path or plan.run.model.name,
        n_starts=len(plan.starts),
        seed=plan.settings.seed,
        spread=plan.spread,
        parameters=plan.parameters,
        starts=tuple(values_of(plan.parameters, start) for start in plan.starts),
        records=fits.records,
        warnings=tuple(warnings),
        settings=plan.settings.as_dict(),
    )


def best_fit(
    plan: MultistartPlan, result: MultistartResult, progress: Callable[[ProgressEvent], None] | None = None
) -> tuple[FitResult, tuple[Path, ...]]:
    """The best fit once more, with standard errors, and its files in the study's folder.

    Raises:
        DataError: no fit may be used. OutputError: a file cannot be written.
    """
    from nlmevae.pipeline import open_files, run_fit

    best = result.best
    if best is None:
        raise DataError("no fit of the study converged", hint="look at the sentences in raw_results")
    run = _begun_at(plan.run, plan.starts[best.number])
    files: RunFiles = open_files(run, out=plan.folder, overwrite=False)
    resumption = Resumption(files.folder.checkpoint, provenance_of(run, plan.settings), resume=False)
    fit = run_fit(run, plan.settings, files=files, progress=progress, resumption=resumption)
    paths = files.finish(fit)
    resumption.done(fit)
    return fit, paths
