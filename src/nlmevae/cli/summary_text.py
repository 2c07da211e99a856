"""The text `nlmevae check` prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from nlmevae.cli.project_text import STATUS, project_blocks
from nlmevae.cli.text_table import text_table
from nlmevae.ir import Diagnostic, PopulationParameter
from nlmevae.model_summary import DoseGroup, EffectSummary, ModelSummary, ParameterSummary


def summary_text(summary: ModelSummary) -> str:
    """Everything that was understood, one block per subject matter."""
    own = _stream_blocks(summary) if summary.project is None else project_blocks(summary)
    blocks = [_head(summary), *own, list(diagnostic_lines(summary.diagnostics)) or ["No remarks."]]
    return "\n\n".join("\n".join(block) for block in blocks)


def _stream_blocks(summary: ModelSummary) -> list[list[str]]:
    return [
        _thetas(summary.thetas),
        _parameters(summary.parameters),
        _effects(summary.effects),
        ["Residual error", *(f"  {sentence}" for sentence in summary.errors)],
    ]


def _head(summary: ModelSummary) -> list[str]:
    per_subject = " to ".join(str(n) for n in sorted(set(summary.obs_per_subject)))
    lines = [
        ("Model", summary.path),
        ("Status", "" if summary.project is None else STATUS),
        ("Problem", summary.problem),
        ("Structure", summary.structure),
        ("Compartments", ", ".join(f"{k} {name}" for k, name in enumerate(summary.compartments, 1)) or "none"),
        ("Back end", summary.backend),
        ("Estimation", _estimation(summary)),
        ("Data", summary.data_path),
        ("Subjects", str(summary.n_subjects)),
        ("Observations", f"{summary.n_obs_total} ({per_subject} per subject) in {summary.n_records} records"),
        *(("Doses", _dose_text(group)) for group in summary.doses),
    ]
    if not summary.doses:
        lines.append(("Doses", "none"))
    if summary.n_resets:
        lines.append(("Resets", str(summary.n_resets)))
    return [f"{name:<13} {value}" for name, value in lines if value]


def _estimation(summary: ModelSummary) -> str:
    if not summary.estimation:
        return ""
    if summary.project is not None:
        return _estimation_of_project(summary)
    does = "evaluates at the initial estimates, as it asks" if summary.evaluates_only else "fits by its own method"
    return f"METHOD={', METHOD='.join(summary.estimation)} in the file; nlmevae {does}"


def _estimation_of_project(summary: ModelSummary) -> str:
    if summary.evaluates_only:
        return "none, as the project asks: everything is computed at the initial values"
    return "nlmevae fits by its own method in place of SAEM"


def _dose_text(group: DoseGroup) -> str:
    text = f"{group.n} x {group.kind} into compartment {group.compartment}, amount {_range(group.amounts)}"
    return text if group.rates is None else f"{text}, rate {_range(group.rates)}"


def _range(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _thetas(thetas: tuple[PopulationParameter, ...]) -> list[str]:
    if not thetas:
        return ["No THETAs"]
    rows = [
        (t.name, t.label if t.label != t.name else "", f"{t.init:g}", _bounds(t), t.role.replace("_", " "))
        for t in thetas
    ]
    return text_table(("THETA", "Label", "Initial", "Bounds", "Role"), rows, left=2)


def _bounds(theta: PopulationParameter) -> str:
    if theta.fixed:
        return "fixed"
    if math.isinf(theta.lower) and math.isinf(theta.upper):
        return "none"
    return f"({theta.lower:g}, {theta.upper:g})"


def _parameters(parameters: tuple[ParameterSummary, ...]) -> list[str]:
    lines = ["Individual parameters"]
    for parameter in parameters:
        reads = [", ".join(parameter.thetas), ", ".join(parameter.covariates)]
        mean = " and ".join(text for text in reads if text)
        lines.append(f"  {parameter.name}: {parameter.distribution}, {parameter.eta}, mean from {mean or 'constants'}")
        lines += [f"      {line}" for line in parameter.source]
    return lines if parameters else ["No individual parameters"]


def _effects(effects: tuple[EffectSummary, ...]) -> list[str]:
    if not effects:
        return ["No random effects"]
    rows = [(e.name, e.label if e.label != e.name else "", f"{e.variance:g}", _effect_remark(e)) for e in effects]
    return text_table(("Random effect", "Label", "Variance", "Remark"), rows, left=2)


def _effect_remark(effect: EffectSummary) -> str:
    correlated = f"correlated with {', '.join(effect.correlated_with)}" if effect.correlated_with else ""
    return ", ".join(part for part in ("fixed" if effect.fixed else "", correlated) if part)


def diagnostic_lines(diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """``warning: file:line:column: message`` and what to do about it."""
    for note in diagnostics:
        place = f"{note.location}: " if note.location is not None else ""
        yield f"{note.severity}: {place}{note.message} [{note.code}]"
        if note.hint:
            yield f"  -> {note.hint}"
