"""Bootstrap of a covariate search: how often is each effect chosen when the subjects are others?

control stream -> search of the data -> searches of samples 1, 2, ... on the workers -> ledger -> inclusion frequencies
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.data.search_space import Search
from nlmevae.errors import DataError, SettingsError
from nlmevae.ir import Model
from nlmevae.pipeline import PreparedSelection
from nlmevae.results.bootstrap_result import BootstrapResult, summarise
from nlmevae.results.fit_record import UNINFORMED, FitRecord, StudyParameter, study_parameters, values_of
from nlmevae.results.run_folder import RunFolder
from nlmevae.results.status import FitStatus
from nlmevae.resumption import Resumption, provenance_of, stages_of
from nlmevae.studies.ledger import Ledger, open_ledger
from nlmevae.studies.original import require_estimation
from nlmevae.studies.pool import Workers
from nlmevae.studies.resampling import resampled_subjects, strata_of
from nlmevae.studies.run import Fits, Told, run_study
from nlmevae.studies.work import Task

if TYPE_CHECKING:
    from nlmevae.data.events import EventTable
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.estimation.trace import ProgressEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionBootstrapPlan:
    """A study whose folder is open. `parameters`: of the model with all candidates."""

    prepared: PreparedSelection
    settings: FitSettings
    selection: SelectionSettings
    n_samples: int
    stratify: str
    strata: np.ndarray
    parameters: tuple[StudyParameter, ...]
    ledger: Ledger
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.ledger.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSamples:
    """What a worker needs of it. `values` (P,) and `chosen`: where the search of the data ended."""

    model: Model
    table: EventTable
    search: Search
    settings: FitSettings
    selection: SelectionSettings
    parameters: tuple[StudyParameter, ...]
    values: tuple[float, ...]
    chosen: tuple[str, ...]
    strata: np.ndarray
    seed: int

    def fitter(self) -> Callable[[Task], FitRecord]:
        from nlmevae.codegen.latent_form import latent_form
        from nlmevae.estimation.subset import restricted
        from nlmevae.estimation.warm_selection import warm_selection

        form, start = latent_form(self.model, self.table), _population(self.model, self.parameters, self.values)

        def sample(task: Task) -> FitRecord:
            drawn = resampled_subjects(self.strata, seed=self.seed, number=task.number)
            table, search = restricted(self.table, drawn), replace(self.search, columns=self.search.columns[drawn])
            found = warm_selection(self.model, form, table, search, start, self.chosen, self.settings, self.selection)
            status, message = found.status.name, found.message
            if found.constant:
                status = UNINFORMED
                message = f"All subjects of this sample have the same value of what {', '.join(found.constant)} needs."
            return FitRecord(
                number=task.number,
                name=f"sample {task.number}",
                status=status,
                message=message,
                minus_two_ll=found.minus_two_ll,
                n_subjects=table.n_subjects,
                n_known=table.n_known,
                values=values_of(self.parameters, found.estimates),
                chosen=found.chosen,
            )

        return sample


def _population(model: Model, parameters: tuple[StudyParameter, ...], values: tuple[float, ...]):
    """From values by name; what is not among them is 0."""
    from nlmevae.estimation.population import Population

    known = dict(zip((p.name for p in parameters), values, strict=True))
    thetas = [v for p, v in zip(parameters, values, strict=True) if not p.name.startswith(("OMEGA(", "SIGMA("))]

    def matrix(word: str, n: int) -> np.ndarray:
        pairs = [[(max(i, j) + 1, min(i, j) + 1) for j in range(n)] for i in range(n)]
        return np.array([[known.get(f"{word}({i},{j})", 0.0) for i, j in row] for row in pairs]).reshape(n, n)

    return Population(
        thetas=np.array(thetas), omega=matrix("OMEGA", len(model.etas)), sigma=matrix("SIGMA", len(model.epsilons))
    )


def plan_selection_bootstrap(
    prepared: PreparedSelection,
    settings: FitSettings,
    selection: SelectionSettings,
    *,
    samples: int,
    stratify: str | None = None,
    out: str | os.PathLike[str] | None = None,
    restart: bool = False,
    overwrite: bool = False,
) -> SelectionBootstrapPlan:
    """Everything that can be wrong is found here; the folder is open then.

    Raises:
        SettingsError, DataError, OutputError: as for a bootstrap without a search.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise SettingsError(f"samples is {samples!r}", hint="give a whole number, 1 or more")
    run = prepared.run
    require_estimation(run, settings)
    if run.table.n_subjects < 2:
        raise DataError("a bootstrap draws subjects, and there is only one", hint="use data of several subjects")
    strata = strata_of(run.dataset, stratify)
    provenance = {
        "the kind of study": "bootstrap of a covariate search",
        **provenance_of(run, settings, search=prepared.search, selection=selection),
        "the item to stratify by": (stratify or "").upper(),
    }
    parameters = _parameters(prepared)
    beside = RunFolder.beside(run.model.source.path or run.model.name)
    folder = beside.folder / f"{beside.stem}_bootstrap_select" if out is None else Path(out)
    ledger, notes = open_ledger(folder, provenance, restart=restart, overwrite=overwrite)
    return SelectionBootstrapPlan(
        prepared=prepared, settings=settings, selection=selection, n_samples=samples, stratify=stratify or "",
        strata=strata, parameters=parameters, ledger=ledger, notes=notes,
    )  # fmt: skip


def _parameters(prepared: PreparedSelection) -> tuple[StudyParameter, ...]:
    """With one THETA for each coefficient of every candidate."""
    from nlmevae.diagnostics.fitted import problem_at
    from nlmevae.estimation.assemble import estimates_of
    from nlmevae.estimation.search import effects_of

    run = prepared.run
    base = problem_at(run.model, run.table, None)
    try:
        problem = base.searching(effects_of(run.model, base, prepared.search))
        whole = problem.on_support(np.ones(problem.effects.n_units, dtype=bool))
        known = estimates_of(whole.model, whole.initial)
        if run.model.project is not None:  # variances do not go by the names of standard deviations
            known = tuple(replace(e, label=e.label if e.kind == "theta" else "") for e in known)
        return study_parameters(known)
    finally:
        base.decoder.close()


def search_of_data(plan: SelectionBootstrapPlan, progress: Callable[[ProgressEvent], None] | None = None) -> FitRecord:
    """Kept as fit 0, or made; a killed one goes on from its checkpoint.

    Raises:
        KeyboardInterrupt: it was interrupted. DataError: it failed.
    """
    from nlmevae.estimation.assemble import estimates_of
    from nlmevae.estimation.search import search_effects

    kept = plan.ledger.finished().get((0, 0))
    if kept is not None:
        return kept
    run, search = plan.prepared.run, plan.prepared.search
    path = plan.folder / "search.checkpoint"
    provenance = provenance_of(run, plan.settings, search=search, selection=plan.selection)
    resumption = Resumption(path, provenance, resume=path.exists())
    with stages_of(resumption) as stages:
        outcome = search_effects(
            run.model, run.table, search, plan.settings, plan.selection, progress=progress, stages=stages
        )
    estimation = outcome.estimation
    if estimation.status is FitStatus.INTERRUPTED:
        raise KeyboardInterrupt
    if estimation.status is FitStatus.NUMERICAL_FAILURE:
        raise DataError(
            f"the search of the data ended without estimates to start from: {estimation.message}",
            hint="make nlmevae select end first",
        )
    problem = estimation.problem
    estimates = estimates_of(problem.model, problem.initial, estimation.population)
    record = FitRecord(
        number=0,
        name="the data",
        status=estimation.status.name,
        message=estimation.message,
        minus_two_ll=estimation.trace[-1].objective if estimation.trace else float("nan"),
        n_subjects=run.table.n_subjects,
        n_known=run.table.n_known,
        values=values_of(plan.parameters, estimates),
        chosen=tuple(candidate.name for candidate, _ in outcome.selected),
    )
    plan.ledger.keep(record)
    path.unlink(missing_ok=True)
    return record


def search_samples(
    plan: SelectionBootstrapPlan, original: FitRecord, workers: Workers, told: Told | None = None
) -> Fits:
    """Those that are not finished."""
    run = plan.prepared.run
    study = SelectionSamples(
        model=replace(run.model, diagnostics=()),
        table=run.table,
        search=replace(plan.prepared.search, diagnostics=()),
        settings=plan.settings.one_of_several,
        selection=plan.selection,
        parameters=plan.parameters,
        values=original.values,
        chosen=original.chosen,
        strata=plan.strata,
        seed=plan.settings.seed,
    )
    tasks = [Task(0, number) for number in range(1, plan.n_samples + 1)]
    return run_study(study, tasks, plan.ledger, workers, told)


def selection_bootstrap_result(plan: SelectionBootstrapPlan, original: FitRecord, fits: Fits) -> BootstrapResult:
    """What the finished searches say."""
    run, candidates = plan.prepared.run, plan.prepared.search.space.candidates
    labels, seed = run.table.subject_labels, plan.settings.seed
    drawn = [resampled_subjects(plan.strata, seed=seed, number=k) for k in range(1, plan.n_samples + 1)]
    usable = [r for r in fits.records if r.usable]
    parameters = tuple(replace(p, value=v) for p, v in zip(plan.parameters, original.values, strict=True))
    inclusion = {c.name: sum(c.name in r.chosen for r in usable) / len(usable) for c in candidates} if usable else {}
    warnings = []
    if len(usable) < len(fits.records):
        warnings.append(
            f"{len(fits.records) - len(usable)} of {len(fits.records)} samples are left out: their searches failed "
            "(raw_results says how each ended)."
        )
    if fits.missing:
        warnings.append(f"{len(fits.missing)} of {plan.n_samples} samples are not done yet; the same command goes on.")
    return BootstrapResult(
        name=run.model.name,
        source_path=run.model.source.path or run.model.name,
        n_samples=plan.n_samples,
        seed=seed,
        stratify=plan.stratify,
        original=original,
        parameters=parameters,
        records=fits.records,
        subjects=tuple(tuple(labels[i] for i in subjects) for subjects in drawn),
        summaries=summarise(parameters, fits.records, {}),
        inclusion=inclusion,
        warnings=tuple(warnings),
        settings={**plan.settings.as_dict(), **plan.selection.as_dict()},
    )
