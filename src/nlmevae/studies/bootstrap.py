"""Nonparametric bootstrap: subjects drawn with replacement, every sample fitted from the estimates of the data.

control stream -> fit of the data -> samples 1, 2, ... on the workers -> ledger -> BootstrapResult -> tables
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmevae.errors import DataError, SettingsError
from nlmevae.pipeline import ModelSource, make_settings, prepare, with_stated_seed
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.bootstrap_result import BootstrapResult, summarise
from nlmevae.results.fit_record import FitRecord, StudyParameter, parameters_of_result, record_of_result
from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import RunFolder
from nlmevae.resumption import provenance_of
from nlmevae.studies.ledger import Ledger, open_ledger
from nlmevae.studies.original import given_fit, original_fit, require_estimation
from nlmevae.studies.pool import Workers
from nlmevae.studies.resampling import resampled_subjects, strata_of
from nlmevae.studies.run import Fits, Told, run_study
from nlmevae.studies.samples import WarmFits, digest_of_fit
from nlmevae.studies.work import Task
from nlmevae.writers.study_tables import write_bootstrap

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.trace import ProgressEvent

FEW_SAMPLES = 100  # below which the limits of 95 % intervals are hardly known


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapPlan:
    """A bootstrap whose folder is open. `strata` (N,) int."""

    run: PreparedRun
    settings: FitSettings
    n_samples: int
    stratify: str
    strata: np.ndarray
    covariance: bool
    ledger: Ledger
    fit: FitResult | None
    restart: bool
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.ledger.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapStudy:
    """What a worker needs of it."""

    warm: WarmFits
    strata: np.ndarray
    seed: int

    def fitter(self) -> Callable[[Task], FitRecord]:
        from nlmevae.estimation.subset import restricted

        fit, table = self.warm.fitter(), self.warm.table

        def sample(task: Task) -> FitRecord:
            drawn = resampled_subjects(self.strata, seed=self.seed, number=task.number)
            return fit(task, restricted(table, drawn), f"sample {task.number}")

        return sample


def bootstrap(
    source: ModelSource,
    *,
    samples: int = 200,
    stratify: str | None = None,
    fit: FitResult | str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    covariance: bool = False,
    workers: Workers | None = None,
    restart: bool = False,
    overwrite: bool = False,
    progress: Callable[[ProgressEvent], None] | None = None,
    told: Told | None = None,
    **settings: Any,
) -> BootstrapResult:
    """Bootstrap of a model; a study that was stopped goes on where it stood.

    Args:
        source: control stream, Monolix project or a model read earlier.
        samples: data sets drawn. More than in an earlier run of the same study: the others are added.
        stratify: data item, constant in every subject, within whose values subjects are drawn.
        fit: of the data, or its results.json; None: it is made first.
        out: folder; default: ``<run>_bootstrap`` beside the model.
        covariance: also compute standard errors of every sample.
        workers: who does the fits; None: one process per core.
        restart: forget what an earlier run of it finished.
        progress: told about the fit of the data. told: about every sample.
        settings: fields of `FitSettings`; `seed`: sample k depends on it and on k alone.

    Raises:
        ModelError, DataError, SettingsError, OutputError, MissingDependencyError: before samples are fitted.
        KeyboardInterrupt: interrupted before the data were fitted.
    """
    chosen = make_settings(settings)
    run = prepare(source, data=data)
    chosen = with_stated_seed(chosen, run.model, settings)
    workers = workers or Workers()
    workers.require()
    plan = plan_bootstrap(
        run, chosen, samples=samples, stratify=stratify, fit=fit, out=out, covariance=covariance, restart=restart,
        overwrite=overwrite,
    )  # fmt: skip
    original = fit_of_data(plan, progress)
    fits = fit_samples(plan, original, workers, told)
    result = bootstrap_result(plan, original, fits)
    write_bootstrap(plan.folder, result)
    return result


def plan_bootstrap(
    run: PreparedRun,
    settings: FitSettings,
    *,
    samples: int,
    stratify: str | None = None,
    fit: FitResult | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    covariance: bool = False,
    restart: bool = False,
    overwrite: bool = False,
) -> BootstrapPlan:
    """Everything that can be wrong is found here; the folder is open then.

    Raises:
        as `bootstrap` says.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise SettingsError(f"samples is {samples!r}", hint="give a whole number, 1 or more")
    require_estimation(run, settings)
    if run.table.n_subjects < 2:
        raise DataError("a bootstrap draws subjects, and there is only one", hint="use data of several subjects")
    strata = strata_of(run.dataset, stratify)
    given = None if fit is None else given_fit(run, fit)
    provenance = {
        "the kind of study": "bootstrap",
        **provenance_of(run, settings),
        "the item to stratify by": (stratify or "").upper(),
        "the fit of the data": "" if given is None else digest_of_fit(given),
        "standard errors": str(covariance),
    }
    beside = RunFolder.beside(run.model.source.path or run.model.name)
    folder = beside.folder / f"{beside.stem}_bootstrap" if out is None else Path(out)
    ledger, notes = open_ledger(folder, provenance, restart=restart, overwrite=overwrite)
    return BootstrapPlan(
        run=run, settings=settings, n_samples=samples, stratify=stratify or "", strata=strata, covariance=covariance,
        ledger=ledger, fit=given, restart=restart, notes=notes,
    )  # fmt: skip


def fit_of_data(plan: BootstrapPlan, progress: Callable[[ProgressEvent], None] | None = None) -> FitResult:
    """Given, kept or made; see `original_fit`."""
    if plan.fit is not None:
        return plan.fit
    stem = RunFolder.beside(plan.run.model.source.path or plan.run.model.name).stem
    path = plan.folder / f"{stem}.results.json"
    return original_fit(plan.run, plan.settings, path, restart=plan.restart, progress=progress)


def fit_samples(plan: BootstrapPlan, original: FitResult, workers: Workers, told: Told | None = None) -> Fits:
    """The samples that are not finished."""
    warm = WarmFits.of(plan.run, original, plan.settings, covariance=plan.covariance)
    study = BootstrapStudy(warm=warm, strata=plan.strata, seed=plan.settings.seed)
    tasks = [Task(0, number) for number in range(1, plan.n_samples + 1)]
    return run_study(study, tasks, plan.ledger, workers, told)


def bootstrap_result(plan: BootstrapPlan, original: FitResult, fits: Fits) -> BootstrapResult:
    """What the finished samples say. The acceleration of a correlation is not that of its covariance."""
    parameters = parameters_of_result(original)
    known = _accelerations(plan.run, original)
    known = {p.name: known[p.name] for p in parameters if p.name in known and p.scale != "correlation"}
    labels = plan.run.table.subject_labels
    drawn = [resampled_subjects(plan.strata, seed=plan.settings.seed, number=k) for k in range(1, plan.n_samples + 1)]
    return BootstrapResult(
        name=original.name,
        source_path=original.source_path,
        n_samples=plan.n_samples,
        seed=plan.settings.seed,
        stratify=plan.stratify,
        original=record_of_result(0, original, parameters, name="the data"),
        parameters=parameters,
        records=fits.records,
        subjects=tuple(tuple(labels[i] for i in subjects) for subjects in drawn),
        summaries=summarise(parameters, fits.records, known),
        inclusion={},
        warnings=_warnings(plan, original, fits, parameters),
        settings=plan.settings.as_dict(),
    )


def _accelerations(run: PreparedRun, fit: FitResult) -> dict[str, float]:
    from nlmevae.diagnostics.fitted import problem_at
    from nlmevae.estimation.influence import accelerations

    problem = problem_at(run.model, run.table, fit)
    try:
        return accelerations(problem, fit)
    finally:
        problem.decoder.close()


def _warnings(
    plan: BootstrapPlan, original: FitResult, fits: Fits, parameters: tuple[StudyParameter, ...]
) -> tuple[str, ...]:
    found = []
    if not original.status.completed:
        found.append(f"The fit of the data: {original.message}")
    failed = [r for r in fits.records if not r.usable]
    if failed:
        found.append(
            f"{len(failed)} of {len(fits.records)} samples are left out of means and percentiles: their fits failed "
            "(raw_results says how each ended)."
        )
    bound = sum(bool(r.at_bound) for r in fits.records if r.usable)
    if bound:
        found.append(f"{bound} samples have a parameter at its bound; they are not left out.")
    if fits.missing:
        found.append(f"{len(fits.missing)} of {plan.n_samples} samples are not fitted yet; the same command goes on.")
    if len(fits.records) - len(failed) < FEW_SAMPLES:
        found.append("With fewer than 100 samples the limits of 95 % intervals are hardly known.")
    smallest = np.bincount(plan.strata).min()
    if smallest == 1:
        found.append("A stratum has one subject only, which is in every sample once.")
    return tuple(found)
