"""Stochastic simulation and estimation: data simulated from a model, fitted with it and with alternatives.

model at true values -> data sets 1, 2, ... -> fits by every model on the workers -> ledger -> SseResult -> tables
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmevae.at_parameters import prepare_at
from nlmevae.errors import SettingsError
from nlmevae.ir import Diagnostic
from nlmevae.pipeline import ModelSource, make_settings, prepare, with_stated_seed
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_record import FitRecord, StudyParameter
from nlmevae.results.run_folder import RunFolder
from nlmevae.results.sse_result import SseModel, SseResult, compare_ofv, summarise_model
from nlmevae.resumption import provenance_of
from nlmevae.studies.ledger import Ledger, open_ledger
from nlmevae.studies.original import original_fit, require_estimation
from nlmevae.studies.pool import Workers
from nlmevae.studies.run import Fits, Told, run_study
from nlmevae.studies.samples import WarmFits
from nlmevae.studies.simulated_tables import (
    Simulator,
    not_simulated,
    require_same_design,
    require_simulation,
    with_values,
)
from nlmevae.studies.work import Task
from nlmevae.writers.study_tables import write_sse

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.trace import ProgressEvent

LEVELS = (0.05, 0.01, 0.001)  # of the chi-square tests in the tables
MOST_DF = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SsePlan:
    """A study whose folder is open. `runs`: the simulation model at the true values, then the alternatives; `origin`:
    where the true values are from."""

    runs: tuple[PreparedRun, ...]
    origin: str
    settings: FitSettings
    n_samples: int
    covariance: bool
    ledger: Ledger
    restart: bool
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.ledger.folder

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return tuple(d for run in self.runs for d in run.diagnostics)

    @property
    def simulator(self) -> Simulator:
        run, settings = self.runs[0], self.settings
        return Simulator(
            model=run.model, table=run.table, backend=settings.backend, rtol=settings.rtol, seed=settings.seed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SseStudy:
    """What a worker needs of it: the simulation, and where the fits of every model start."""

    simulator: Simulator
    models: tuple[WarmFits, ...]

    def fitter(self) -> Callable[[Task], FitRecord]:
        fits = [model.fitter() for model in self.models]

        def sample(task: Task) -> FitRecord:
            name = f"data set {task.number}" + (f", alternative {task.model}" if task.model else "")
            values = self.simulator.values(task.number)
            if not np.isfinite(values).all():
                return not_simulated(task, name)
            return fits[task.model](task, with_values(self.models[task.model].table, values), name)

        return sample


def sse(
    source: ModelSource,
    *,
    samples: int = 100,
    alternatives: Iterable[ModelSource] = (),
    params: Any = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    covariance: bool = True,
    workers: Workers | None = None,
    restart: bool = False,
    overwrite: bool = False,
    progress: Callable[[ProgressEvent], None] | None = None,
    told: Told | None = None,
    **settings: Any,
) -> SseResult:
    """Simulate from a model and estimate; a study that was stopped goes on where it stood.

    Args:
        source: the simulation model, which is also fitted.
        samples: data sets. More than in an earlier run of the same study: the others are added.
        alternatives: models of the same data file that are fitted to the same data sets.
        params: true values (`at_parameters.parameter_values`); None: the model's initial estimates.
        covariance: also compute standard errors, for the coverage of intervals.
        out, workers, restart, overwrite, progress, told, settings: as in `bootstrap`; the folder is ``<run>_sse``.

    Raises:
        ModelError, DataError, SettingsError, OutputError, MissingDependencyError: before data sets are fitted.
        KeyboardInterrupt: interrupted before there was a start for every model.
    """
    workers = workers or Workers()
    workers.require()
    chosen = make_settings(settings)
    at = prepare_at(source, params, data=data)
    chosen = with_stated_seed(chosen, at.run.model, settings)
    plan = plan_sse(
        at.run, chosen, samples=samples, alternatives=alternatives, origin=at.origin, data=data, out=out,
        covariance=covariance, restart=restart, overwrite=overwrite,
    )  # fmt: skip
    models = starts_of(plan, progress)
    result = sse_result(plan, models, fit_data_sets(plan, models, workers, told))
    write_sse(plan.folder, result)
    return result


def plan_sse(
    run: PreparedRun,
    settings: FitSettings,
    *,
    samples: int,
    alternatives: Iterable[ModelSource] = (),
    origin: str = "",
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    covariance: bool = True,
    restart: bool = False,
    overwrite: bool = False,
) -> SsePlan:
    """Everything that can be wrong is found here; the folder is open then.

    Raises:
        as `sse` says.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise SettingsError(f"samples is {samples!r}", hint="give a whole number, 1 or more")
    others = tuple(prepare(other, data=data) for other in alternatives)
    for each in (run, *others):
        require_estimation(each, settings)
        require_simulation(each)
    for other in others:
        require_same_design(run, other)
    provenance = {"the kind of study": "sse", **provenance_of(run, settings)}
    provenance["the true values"] = _text_of_values(run)
    provenance["standard errors"] = str(covariance)
    for k, other in enumerate(others, 1):
        provenance[f"alternative {k}"] = provenance_of(other, settings)["the model file"]
    beside = RunFolder.beside(run.model.source.path or run.model.name)
    folder = beside.folder / f"{beside.stem}_sse" if out is None else Path(out)
    ledger, notes = open_ledger(folder, provenance, restart=restart, overwrite=overwrite)
    return SsePlan(
        runs=(run, *others), origin=origin, settings=settings, n_samples=samples, covariance=covariance, ledger=ledger,
        restart=restart, notes=notes,
    )  # fmt: skip


def _text_of_values(run: PreparedRun) -> str:
    from nlmevae.estimation.population import Population

    return repr(Population.initial(run.model).vector().tolist())


def starts_of(plan: SsePlan, progress: Callable[[ProgressEvent], None] | None = None) -> tuple[WarmFits, ...]:
    """The simulation model starts at the true values, an alternative where a whole fit of data set 1 ends.

    Raises:
        KeyboardInterrupt, DataError: as `original_fit` says.
    """
    found = [WarmFits.at_initial(plan.runs[0], plan.settings, covariance=plan.covariance)]
    for k, run in enumerate(plan.runs[1:], 1):
        first = replace(run, table=with_values(run.table, plan.simulator.values(1)))
        settings = replace(plan.settings, covariance="none")
        path = plan.folder / f"alternative-{k}.results.json"
        fit = original_fit(first, settings, path, restart=plan.restart, progress=progress)
        found.append(WarmFits.of(run, fit, plan.settings, covariance=plan.covariance))
    return tuple(found)


def fit_data_sets(plan: SsePlan, models: tuple[WarmFits, ...], workers: Workers, told: Told | None = None) -> Fits:
    """Those that are not finished."""
    study = SseStudy(simulator=plan.simulator, models=models)
    tasks = [Task(m, k) for m in range(len(models)) for k in range(1, plan.n_samples + 1)]
    return run_study(study, tasks, plan.ledger, workers, told)


def sse_result(plan: SsePlan, models: tuple[WarmFits, ...], fits: Fits) -> SseResult:
    """What the finished fits say."""
    true = models[0].parameters
    by_model = [tuple(r for r in fits.records if r.model == m) for m in range(len(models))]
    summaries = [
        s
        for m, model in enumerate(models)
        for s in summarise_model(m, model.parameters, _true_values(m, model.parameters, true), by_model[m])
    ]
    comparisons = []
    for m, model in enumerate(models[1:], 1):
        df = sum(p.estimated for p in model.parameters) - sum(p.estimated for p in true)
        limits = _limits(max(MOST_DF, abs(df)))
        comparisons.append(compare_ofv(m, by_model[0], by_model[m], df=df, limits=limits))
    return SseResult(
        n_samples=plan.n_samples,
        seed=plan.settings.seed,
        origin=plan.origin,
        models=tuple(
            SseModel(source_path=run.model.source.path or run.model.name, parameters=model.parameters)
            for run, model in zip(plan.runs, models, strict=True)
        ),
        records=fits.records,
        summaries=tuple(summaries),
        comparisons=tuple(comparisons),
        warnings=_warnings(plan, fits),
        settings=plan.settings.as_dict(),
    )


def _true_values(
    model: int, parameters: tuple[StudyParameter, ...], true: tuple[StudyParameter, ...]
) -> tuple[float, ...]:
    """Of an alternative only parameters with the user's own label can be told to be the same: THETA(3) may be anything
    there."""
    if model == 0:
        return tuple(p.value for p in true)
    kind = {p.label: (p.name.partition("(")[0], p.value) for p in true if p.label != p.name}
    values = []
    for p in parameters:
        found = kind.get(p.label)
        values.append(found[1] if found is not None and found[0] == p.name.partition("(")[0] else math.nan)
    return tuple(values)


def _limits(most: int) -> tuple[tuple[int, float, float], ...]:
    from scipy.special import chdtri

    return tuple((df, level, float(chdtri(df, level))) for df in range(1, most + 1) for level in LEVELS)


def _warnings(plan: SsePlan, fits: Fits) -> tuple[str, ...]:
    found = []
    failed = sum(not r.usable for r in fits.records)
    if failed:
        found.append(f"{failed} of {len(fits.records)} fits failed and are left out (raw_results says how each ended).")
    bound = sum(bool(r.at_bound) for r in fits.records if r.usable)
    if bound:
        found.append(f"{bound} fits have a parameter at its bound; they are not left out.")
    if fits.missing:
        total = plan.n_samples * len(plan.runs)
        found.append(f"{len(fits.missing)} of {total} fits are not done yet; the same command goes on.")
    return tuple(found)
