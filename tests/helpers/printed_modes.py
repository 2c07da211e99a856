"""A project's own structural model at the individual parameters a Monolix results folder prints.

[INDIVIDUAL] is replaced: every parameter P is a random effect alone, EXP(ETA) or ETA, so that the printed P_mode can
be put in as it is, one value per subject or per subject and occasion. Structure, data, doses and outcomes are the
project's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.comparison.monolix_folder import MonolixFolder, read_monolix_folder
from nlmevae.comparison.monolix_table import MonolixTable
from nlmevae.data.event_table import event_table
from nlmevae.data.events import EventTable
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.monolix.lower import lower_project
from nlmevae.frontends.monolix.project import InitialValue, ObservationDefinition, Project, Variability
from nlmevae.ir import Model

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """`prediction` (M,) on the scale of the data; `kind` (M,) position in <FIT>."""

    model: Model
    table: EventTable
    prediction: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of one outcome: the largest relative one (of values above a hundredth of the largest), where it is, and the
    share of values further apart than 1e-3. NaN, with `reason`, where the rows are not the same."""

    largest: float
    share: float = 0.0
    where: str = ""
    n: int = 0
    reason: str = ""


def keyed(table: MonolixTable) -> tuple[list[Key], list[str]]:
    """Of a table of individuals: the key of each row (id, then occasions) and the names of the parameters."""
    ends = ("_SAEM", "_mean", "_mode", "_sd", "_median", "_cond", "_pop")
    names = list(table.columns)
    first = next((k for k, name in enumerate(names) if name.endswith(ends)), len(names))
    keys = list(zip(*(table.texts(name) for name in names[:first]), strict=True))
    return keys, [name.removesuffix("_mode") for name in names if name.endswith("_mode")]


def printed(folder: MonolixFolder) -> dict[str, dict[Key, float]]:
    """Parameter -> its mode by (id, occasions)."""
    assert folder.individuals is not None
    keys, names = keyed(folder.individuals)
    assert names, "the folder has no modes"
    return {n: dict(zip(keys, folder.individuals.numbers(f"{n}_mode"), strict=True)) for n in names}


def stated_directly(project: Project, values: Mapping[str, Mapping[Key, float]]) -> Project:
    """Every parameter a random effect alone; censoring, which no prediction depends on, left out."""
    with_occasions = len(next(iter(next(iter(values.values()))))) > 1
    level = ("id", "occ") if with_occasions else ("id",)
    definitions, initial = [], []
    for definition in project.individual:
        positive = min(values[definition.name].values()) > 0.0
        name = f"at {definition.name}"
        definitions.append(
            replace(
                definition,
                distribution="lognormal" if positive else "normal",
                typical=1.0 if positive else 0.0,
                gaussian=False,
                lower=None,
                upper=None,
                terms=(),
                variability=(Variability(level=level, value=name),),
            )
        )
        initial.append(InitialValue(name=name, value=1.0))
    columns = tuple(c for c in project.data.columns if c.use not in ("censored", "limit"))
    return replace(
        project,
        individual=tuple(definitions),
        correlations=(),
        covariates=project.covariates,
        parameters=(*project.parameters, *initial),
        data=replace(project.data, columns=columns),
    )


def solved(project: Project, values: Mapping[str, Mapping[Key, float]], *, data: Path | None = None) -> Solved:
    """Predictions of the project with `values` as its individual parameters. Subjects without a value have 1 or 0."""
    direct = stated_directly(project, values)
    model = lower_project(direct)
    if data is not None:
        model = replace(model, data=replace(model.data, path=str(data.resolve())))
    table = event_table(model, read_dataset(model))
    form = latent_form(model, table)
    decoder = make_decoder(form, table)
    try:
        prediction = decoder.predict(_latents(direct, model, form, table, values)).prediction
    finally:
        decoder.close()
    kind = np.zeros(table.n_obs_total, dtype=int)
    if len(project.fit.models) > 1:
        kind = table.ob_data[:, table.record_names.index("YTYPE")].astype(int) - 1
    by_name = {o.name: o for o in project.observations}
    for k, name in enumerate(project.fit.models):
        prediction = np.where(kind == k, _natural(by_name[name], prediction), prediction)
    return Solved(model=model, table=table, prediction=prediction, kind=kind)


def _latents(project: Project, model: Model, form, table: EventTable, values) -> np.ndarray:
    """(N, n_latents). A block of the model repeats once per occasion, in the order of occasions."""
    owner: dict[str, tuple[str, int]] = {}
    count: dict[str, int] = {}
    for block in model.omega:
        for eta, label in zip(block.names, block.labels or (), strict=True):
            owner[eta] = (label.removeprefix("at "), count.get(label, 0))
            count[label] = count.get(label, 0) + 1
    occasions = sorted({key[1:] for key in next(iter(values.values()))}, key=lambda k: [float(v) for v in k])
    positive = {d.name: d.distribution == "lognormal" for d in project.individual}
    x = np.zeros((table.n_subjects, len(form.latents)))
    for j, latent in enumerate(form.latents):
        name, k = owner[latent.eta]
        for i, label in enumerate(table.subject_labels):
            value = values[name].get((label, *occasions[k]))
            if value is not None:
                x[i, j] = np.log(value) if positive[name] else value
    return x


def _natural(outcome: ObservationDefinition, prediction: np.ndarray) -> np.ndarray:
    if outcome.distribution == "lognormal":
        return np.exp(prediction)
    if outcome.distribution == "logitnormal":
        low, high = outcome.lower or 0.0, 1.0 if outcome.upper is None else outcome.upper
        return low + (high - low) / (1.0 + np.exp(-prediction))
    return prediction


def differences(project: Project, folder: MonolixFolder | Path, *, data: Path | None = None) -> dict[str, Difference]:
    """Of every fitted outcome with a file of predictions: ours at the printed modes against `indivPred_mode`."""
    folder = folder if isinstance(folder, MonolixFolder) else read_monolix_folder(folder)
    found = solved(project, printed(folder), data=data)
    labels = np.array([found.table.subject_labels[i] for i in found.table.ob_subject])
    answer = {}
    for k, name in enumerate(project.fit.models):
        theirs = _table(folder, project, k)
        if theirs is None or "indivPred_mode" not in theirs.columns:
            answer[name] = Difference(largest=np.nan, reason="no indivPred_mode")
            continue
        chosen = found.kind == k
        answer[name] = _compared(
            labels[chosen], found.table.ob_time[chosen], found.prediction[chosen], theirs, found.table.n_subjects
        )
    return answer


def _table(folder: MonolixFolder, project: Project, k: int) -> MonolixTable | None:
    """By what <FIT> calls the data, by the outcome, or the only one."""
    for name in (project.fit.data[k] if k < len(project.fit.data) else "", project.fit.models[k]):
        if name in folder.predictions:
            return folder.predictions[name]
    if len(project.fit.models) == 1 and len(folder.predictions) == 1:
        return next(iter(folder.predictions.values()))
    return None


def _compared(labels, time, ours, table: MonolixTable, n_subjects: int) -> Difference:
    ids, theirs = table.texts("id"), np.array(table.numbers("indivPred_mode"))
    if len(ids) != len(labels):
        return Difference(largest=np.nan, n=len(ids), reason=f"{len(labels)} observations, Monolix has {len(ids)}")
    if list(ids) != list(labels):
        # Monolix may write subjects in another order; rows of one subject keep theirs
        order = np.concatenate([np.flatnonzero(labels == label) for label in dict.fromkeys(ids)])
        if [labels[j] for j in order] != list(ids):
            return Difference(largest=np.nan, n=len(ids), reason="other subjects")
        labels, time, ours = labels[order], time[order], ours[order]
    if "time" in table.columns:
        apart = ~np.isclose(time, table.numbers("time"), rtol=1e-4, atol=1e-6)
        if apart.any():
            j = int(np.argmax(apart))
            return Difference(largest=np.nan, n=len(ids), reason=f"other times: {labels[j]} {time[j]:g}")
    size = np.maximum(np.abs(theirs), 1e-2 * np.nanmax(np.abs(theirs)))
    relative = np.where(np.isfinite(theirs) & (size > 0.0), np.abs(ours - theirs) / np.maximum(size, 1e-300), 0.0)
    relative = np.where(np.isfinite(theirs) & ~np.isfinite(ours), np.inf, relative)
    j = int(np.argmax(relative))
    return Difference(
        largest=float(relative[j]),
        share=float(np.mean(relative > 1e-3)),
        where=f"{labels[j]} at {time[j]:g}: {ours[j]:.6g}, Monolix {theirs[j]:.6g}",
        n=len(ids),
    )
