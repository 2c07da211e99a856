"""Several models fitted at once, each as `nlmevae fit` fits it, with all its files.

models -> one fit each on the workers, which write beside the models -> ledger -> BatchResult -> raw_results
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nlmevae.errors import NlmevaeError, SettingsError
from nlmevae.pipeline import fit as fit_and_write
from nlmevae.pipeline import make_settings, prepare
from nlmevae.results.fit_record import FitRecord, parameters_of_result, record_of_result
from nlmevae.results.run_folder import RunFolder
from nlmevae.resumption import provenance_of
from nlmevae.studies.ledger import Ledger, listed, open_ledger
from nlmevae.studies.pool import Workers
from nlmevae.studies.run import Fits, Told, run_study
from nlmevae.studies.work import Task
from nlmevae.writers.study_tables import write_batch

FOLDER = "nlmevae_fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchModel:
    """A model of the command: `number` tells its fit from others; `inputs` is a digest of its text, data and settings,
    "" if it cannot be read."""

    path: Path
    number: int
    inputs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStudy:
    """What a worker needs of it. The folders of the models have to be the same everywhere."""

    models: tuple[BatchModel, ...]
    options: dict[str, Any]
    settings: dict[str, Any]

    def fitter(self) -> Callable[[Task], FitRecord]:
        models = {model.number: model for model in self.models}

        def fit(task: Task) -> FitRecord:
            model = models[task.number]
            result = fit_and_write(
                model.path, write=True, resume=True, **self.options, **{"threads": 1, **self.settings}
            )
            parameters = parameters_of_result(result)
            record = record_of_result(task.number, result, parameters, name=str(model.path))
            return replace(record, labels=tuple(p.label for p in parameters), inputs=model.inputs)

        return fit


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """A batch whose folder is open."""

    study: BatchStudy
    ledger: Ledger
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.ledger.folder


def fit_all(
    sources: Iterable[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str] | None = None,
    workers: Workers | None = None,
    restart: bool = False,
    overwrite: bool = False,
    derive: Iterable[str] = (),
    told: Told | None = None,
    **settings: Any,
) -> tuple[FitRecord, ...]:
    """Fit several models, each as `fit(..., write=True)` does; those that an earlier run finished and that have not
    changed since are not fitted again. What is wrong with one model is its record.

    Args:
        out: folder for all result files; default: beside each model. The table of all fits goes to the folder
            ``nlmevae_fits`` in it, or in the current one.
        workers, restart, told: as in `bootstrap`. overwrite, derive, settings: as in `fit`.

    Returns:
        One record per model, in their order; without those that were not finished.

    Raises:
        SettingsError, OutputError, MissingDependencyError: before anything is fitted.
    """
    workers = workers or Workers()
    workers.require()
    plan = plan_batch(sources, settings, out=out, restart=restart, overwrite=overwrite, derive=derive)
    fits = run_batch(plan, workers, told)
    write_batch(plan.folder, batch_records(plan, fits))
    return batch_records(plan, fits)


def plan_batch(
    sources: Iterable[str | os.PathLike[str]],
    settings: dict[str, Any],
    *,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    restart: bool = False,
    overwrite: bool = False,
    derive: Iterable[str] = (),
    checkpoint_every: float = 30.0,
) -> BatchPlan:
    """
    Raises:
        SettingsError: impossible settings, a model twice, or two models whose files would have the same names.
        OutputError: the folder cannot be written to.
    """
    chosen = make_settings(settings)
    paths = [Path(source).resolve() for source in sources]
    _check_names(paths, out)
    options: dict[str, Any] = {
        "out": None if out is None else str(Path(out).resolve()),
        "data": None if data is None else str(Path(data).resolve()),
        "overwrite": overwrite,
        "derive": tuple(derive),
        "checkpoint_every": checkpoint_every,
    }
    models = tuple(BatchModel(path=p, number=_number(p), inputs=_inputs(p, options["data"], chosen)) for p in paths)
    provenance = {
        "the kind of study": "fits",
        "the settings": repr(sorted(asdict(chosen).items())),
        "the derived quantities": repr(options["derive"]),
    }
    folder = (Path.cwd() if out is None else Path(out)) / FOLDER
    ledger, notes = open_ledger(folder, provenance, restart=restart, overwrite=overwrite)
    _forget_changed(ledger, models, options["out"])
    return BatchPlan(study=BatchStudy(models=models, options=options, settings=settings), ledger=ledger, notes=notes)


def _check_names(paths: list[Path], out: str | os.PathLike[str] | None) -> None:
    places: dict[Path, Path] = {}
    for path in paths:
        place = RunFolder.beside(path, out).results_json.resolve()
        if place in places:
            other = places[place]
            twice = f"{path} is given twice" if other == path else f"{other} and {path} would write the same files"
            raise SettingsError(twice, hint="give every model once, and models of one name without --out")
        places[place] = path


def _number(path: Path) -> int:
    """The same whatever else is fitted with it."""
    return int(hashlib.sha256(str(path).encode()).hexdigest()[:12], 16)


def _inputs(path: Path, data: str | None, settings: Any) -> str:
    try:
        provenance = provenance_of(prepare(path, data=data), settings)
    except (NlmevaeError, OSError):
        return ""
    return hashlib.sha256(repr(sorted(provenance.items())).encode()).hexdigest()[:16]


def _forget_changed(ledger: Ledger, models: tuple[BatchModel, ...], out: str | None) -> None:
    """Finished fits of models that have changed since, or whose files are gone, and those that were refused."""
    finished = ledger.finished()
    for model in models:
        record = finished.get((0, model.number))
        kept = RunFolder.beside(model.path, out).results_json.exists()
        if record is not None and not (model.inputs and record.inputs == model.inputs and kept):
            ledger.path(model.number).unlink(missing_ok=True)


def run_batch(plan: BatchPlan, workers: Workers, told: Told | None = None) -> Fits:
    """The fits that are not finished."""
    return run_study(plan.study, [Task(0, m.number) for m in plan.study.models], plan.ledger, workers, told)


def batch_records(plan: BatchPlan, fits: Fits) -> tuple[FitRecord, ...]:
    """Of the finished fits, in the order of the models; every one is named."""
    known = {r.number: r for r in fits.records}
    found = []
    for model in plan.study.models:
        if model.number in known:
            found.append(replace(known[model.number], name=str(model.path)))
    return tuple(found)


def missing_names(plan: BatchPlan, fits: Fits) -> str:
    """The models whose fits were not finished."""
    names = {m.number: m.path.name for m in plan.study.models}
    return listed(names[task.number] for task in fits.missing)
