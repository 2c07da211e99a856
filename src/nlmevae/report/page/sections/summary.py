"""1. What was fitted, how it ended, what to worry about, the likelihood, and how to repeat it."""

from __future__ import annotations

import math
import os

import numpy as np

from nlmevae.report.page.advice import STATUS, advice_for
from nlmevae.report.page.blocks import Block, Heading, Listing, Paragraph, Section, Table, Verdict, Warned, Warnings
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.numbers import cell, counted
from nlmevae.results.fit_result import FitResult
from nlmevae.results.number_text import duration
from nlmevae.results.summary_table import likelihood_rows

#: From here on this page warns on its own.
LARGE_RSE, LARGE_SHRINKAGE, LARGE_CONDITION, LARGE_MC_SE = 50.0, 30.0, 1000.0, 0.5

_SAME = "The same seed gives the same numbers on the same machine with the same versions."
_SELECTED = "This fits the selected model by itself; the search that led to it is not repeated."

_METHODS = {
    "vae+polish": "variational autoencoder, then Monte-Carlo EM and Newton steps on importance-sampling draws to the "
    "maximum of the likelihood (vae+polish)",
    "vae": "variational autoencoder (vae), the published algorithm",
}


def summary(contents: Contents) -> Section:
    fit = contents.fit
    sentence = fit.message or fit.status.sentence
    advice = STATUS.get(fit.status, "")
    blocks: list[Block] = [
        Verdict(text=f"{sentence} {advice}".strip(), good=fit.status.completed),
        *_warnings(contents),
        _facts(contents),
        _likelihoods(fit),
    ]
    if contents.run.command:
        blocks += [
            Heading(text="Reproduce"),
            Paragraph(text=_SAME if contents.selection is None else _SELECTED),
            Listing(text=contents.run.command, label="Command that fits the model again"),
        ]
    return Section(anchor="summary", title="Summary", blocks=tuple(blocks))


def _warnings(contents: Contents) -> list[Warnings]:
    fit = contents.fit
    of_result = dict.fromkeys((*fit.warnings, *(contents.selection.warnings if contents.selection is not None else ())))
    of_diagnostics = contents.diagnostics.warnings if contents.diagnostics is not None else ()
    groups = [
        ("Warnings of the run", [Warned(text=w, advice=advice_for(w)) for w in of_result]),
        ("Warnings of the diagnostics", [Warned(text=w, advice=advice_for(w)) for w in of_diagnostics]),
        ("Noticed in this report", [Warned(text=w, advice=advice_for(w)) for w in noticed(contents)]),
        ("Warnings about model and data", [_noted(n) for n in contents.run.notes if n.severity == "warning"]),
    ]
    found = [Warnings(title=title, items=tuple(items)) for title, items in groups if items]
    return found or [Warnings(title="No warnings", items=())]


def _noted(note) -> Warned:
    return Warned(text=f"{note.place}: {note.message}" if note.place else note.message, advice=note.hint)


def noticed(contents: Contents) -> list[str]:
    """Warnings that follow from the numbers of the result."""
    fit = contents.fit
    found = []
    if not math.isfinite(fit.minus_two_ll):
        found.append("No -2 log-likelihood by importance sampling: the run ended before it was computed.")
    value = fit.likelihood("is")
    if value is not None and value.mc_se > LARGE_MC_SE:
        found.append(f"The Monte-Carlo standard error of -2LL is {value.mc_se:.2f}: k-hat and more draws matter here.")
    vague = [
        e.label
        for e in fit.estimates
        if e.standard_error and e.kind == "theta" and abs(e.standard_error) > LARGE_RSE / 100 * abs(e.value)
    ]
    if vague:
        found.append(f"The relative standard error is above {LARGE_RSE:.0f} % for {', '.join(vague)}.")
    pulled = [
        label
        for label, s in zip(fit.eta_labels, fit.eta_shrinkage_sd, strict=True)
        if math.isfinite(s) and s > LARGE_SHRINKAGE
    ]
    if pulled:
        found.append(f"The shrinkage of random effects is above {LARGE_SHRINKAGE:.0f} % for {', '.join(pulled)}.")
    known = contents.uncertainty
    if known is not None and known.condition_number > LARGE_CONDITION:
        found.append(
            f"The condition number of the estimates is {known.condition_number:.0f}, above {LARGE_CONDITION:.0f}."
        )
    return found


def _facts(contents: Contents) -> Table:
    fit, run = contents.fit, contents.run
    n_empty = run.data.n_without_observations
    size = f"{counted(fit.n_subjects, 'subject')}" + (f" ({n_empty} without observations)" if n_empty else "")
    rows = [
        ("Problem", fit.problem),
        (
            "Project" if fit.source_format == "monolix" else "Control stream",
            os.path.basename(fit.source_path) or fit.name,
        ),
        ("Structure", run.structure),
        ("Residual error", "; ".join(run.errors)),
        ("Data", os.path.basename(fit.data_path)),
        ("Size", f"{size}, {counted(fit.n_obs_total, 'observation')}{_censored(contents)}"),
        ("Method", _METHODS.get(fit.method, fit.method)),
        ("Iterations", _iterations(contents)),
        ("Run time", _time(fit)),
        ("Seed", str(fit.seed)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in fit.versions.items())),
    ]
    return Table(caption="The run", header=("Item", "Value"), rows=tuple(row for row in rows if row[1]), texts=(1,))


def _iterations(contents: Contents) -> str:
    n = len(contents.fit.trace)
    if contents.selection is None:
        return str(n)
    return f"{len(contents.selection.trace.phase)} of the search, {n} of the selected model"


def _censored(contents: Contents) -> str:
    if contents.diagnostics is None:
        return ""
    n = int(np.count_nonzero(contents.diagnostics.observations.censored))
    share = 100.0 * n / max(contents.fit.n_obs_total, 1)
    return f", {n} beyond the limit of quantification ({share:.1f} %)" if n else ""


def _time(fit: FitResult) -> str:
    parts = {name: s for name, s in fit.seconds.items() if name != "total"}
    total = fit.seconds.get("total", sum(parts.values()))
    listed = ", ".join(f"{name} {duration(s)}" for name, s in parts.items() if s >= 0.05)
    return f"{duration(total)} ({listed})" if listed else duration(total)


def _likelihoods(fit: FitResult) -> Block:
    rows = likelihood_rows(fit)
    if not rows:
        return Paragraph(text="No likelihood was computed: the run ended before it.")
    return Table(
        caption="Likelihood and information criteria, each by its method. Lower is better; only values by the same "
        "method on the same data compare.",
        header=("Quantity", "Value", "Monte-Carlo SE"),
        rows=tuple(
            (row.label.replace("-2", "−2"), f"{row.value:.3f}".replace("-", "−"), cell(row.mc_se or None, 2))
            for row in rows
        ),
    )
