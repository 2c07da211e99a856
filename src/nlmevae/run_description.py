"""What was fitted, in the words of its control stream: the part of a report that no result file holds."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path

import numpy as np

from nlmevae.data.times import observation_times
from nlmevae.estimation.settings import FitSettings
from nlmevae.model_summary import DoseGroup, distribution_words, dose_groups, error_sentence, structure_sentence
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.own_names import in_own_names
from nlmevae.results.run_description import DataDescription, Note, ParameterDescription, RunDescription


def describe(run: PreparedRun, fit: FitResult) -> RunDescription:
    """Model, data and command line of a fit."""
    model = run.model
    shown = {} if model.project is None else model.project.shown
    return RunDescription(
        control_stream=model.source.text,
        command=command(run, fit),
        structure=structure_sentence(model, str(fit.settings.get("backend", ""))),
        parameters=tuple(
            ParameterDescription(
                name=shown.get(p.name, p.name),
                distribution=distribution_words(p.transform),
                eta=shown.get(f"OMEGA({p.eta[4:-1]},{p.eta[4:-1]})", p.eta),
                reads=tuple(shown.get(name, name) for name in (*p.thetas, *p.covariates)),
            )
            for p in model.individual_parameters
        ),
        errors=tuple(
            in_own_names(error_sentence(o), shown) if shown else error_sentence(o) for o in model.observations
        ),
        notes=tuple(
            Note(
                severity=n.severity,
                message=n.message,
                place="" if n.location is None else _short_place(str(n.location)),
                hint=n.hint or "",
            )
            for n in run.diagnostics
        ),
        data=_data_description(run),
    )


def _short_place(place: str) -> str:
    """Without the folder."""
    path, *rest = place.rsplit(":", 2)
    return ":".join([os.path.basename(path), *rest])


def _data_description(run: PreparedRun) -> DataDescription:
    counts = np.diff(run.table.ob_ptr)
    seen = counts[counts > 0]
    spread = (float(seen.min()), float(np.median(seen)), float(seen.max())) if len(seen) else (0.0, 0.0, 0.0)
    return DataDescription(
        path=run.dataset.path,
        n_records=run.dataset.n_rows,
        n_without_observations=int((counts == 0).sum()),
        obs_per_subject=spread,
        doses=tuple(_dose_words(group) for group in dose_groups(run.model, run.table)),
        dose_times=_dose_times(run),
    )


def _dose_words(group: DoseGroup) -> str:
    def ends(low: float, high: float) -> str:
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"

    text = f"{group.n} × {group.kind} into compartment {group.compartment}, amount {ends(*group.amounts)}"
    return text if group.rates is None else f"{text}, rate {ends(*group.rates)}"


def _dose_times(run: PreparedRun) -> tuple[np.ndarray, ...]:
    """Times of each subject's doses; none where TIME starts again within the subject, because the table's times go on
    there and would not be those of the plot."""
    table = run.table
    shown = observation_times(run.model, run.dataset, table)
    times = []
    for i in range(table.n_subjects):
        events = slice(table.ev_ptr[i], table.ev_ptr[i + 1])
        own = slice(table.ob_ptr[i], table.ob_ptr[i + 1])
        doses = table.ev_time[events][table.ev_is_dose[events]]
        times.append(doses if np.array_equal(shown[own], table.ob_time[own]) else np.zeros(0))
    return tuple(times)


def command(run: PreparedRun, fit: FitResult) -> str:
    """The command line that repeats the fit."""
    words = ["nlmevae", "fit", fit.source_path or run.model.name, "--method", fit.method, "--seed", str(fit.seed)]
    stated = Path(run.model.source.path or ".").parent / run.model.data.path
    if os.path.abspath(stated) != os.path.abspath(fit.data_path):
        words += ["--data", fit.data_path]
    defaults = {f.name: f.default for f in dataclasses.fields(FitSettings)}
    for name, value in fit.settings.items():
        known = tuple(value) if isinstance(value, list) else value  # a list where it was read from JSON
        # threads: as many as that machine had, and no digit depends on them
        if name in ("method", "seed", "backend", "threads") or name not in defaults or known == defaults[name]:
            continue
        words += ["--set", f"{name}={','.join(known) if isinstance(known, tuple) else known}"]
    return shlex.join(words)
