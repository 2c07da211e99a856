"""The text `nlmevae check` prints of a Monolix project: in its names, as standard deviations and correlations."""

from __future__ import annotations

import math
import re

from nlmevae.cli.text_table import text_table
from nlmevae.ir import PopulationParameter
from nlmevae.model_summary import ModelSummary
from nlmevae.results.own_names import in_own_names

#: ``, a = a``, where a parameter has the name of its coefficient.
_ITSELF = re.compile(r", (\w+) = \1\b")
#: What an executable project has passed.
STATUS = "executable: parsed, its names resolved, its equations and data usable"


def project_blocks(summary: ModelSummary) -> list[list[str]]:
    """Population parameters, individual parameters, residual errors."""
    return [_population(summary), _individual(summary), _errors(summary)]


def _population(summary: ModelSummary) -> list[str]:
    rows = [(t.label, f"{t.init:g}", _range(t), _ROLES[t.role]) for t in summary.thetas if t.role != "residual_error"]
    effects = [e for e in summary.effects if e.name.startswith("ETA")]
    rows += [
        (
            summary.shown.get(f"OMEGA({e.name[4:-1]},{e.name[4:-1]})", e.label or e.name),
            f"{math.sqrt(e.variance):g}",
            "fixed" if e.fixed else "above 0",
            "standard deviation",
        )
        for e in effects
        if f"OMEGA({e.name[4:-1]},{e.name[4:-1]})" in summary.shown  # one per level of occasions
    ]
    rows += [
        (summary.shown.get(name, name), f"{value:.3g}", "fixed" if fixed else "-1 to 1", "correlation")
        for name, value, fixed in summary.correlations
    ]
    rows += [(t.label, f"{t.init:g}", _range(t), _ROLES[t.role]) for t in summary.thetas if t.role == "residual_error"]
    return text_table(("Parameter", "Initial", "Range", "Role"), rows, left=4) if rows else ["No population parameters"]


_ROLES = {
    "typical_value": "typical value",
    "covariate_effect": "covariate effect",
    "residual_error": "residual error",
    "structural": "fixed effect",
}


def _range(theta: PopulationParameter) -> str:
    if theta.fixed:
        return "fixed"
    low, high = math.isfinite(theta.lower), math.isfinite(theta.upper)
    if low and high:
        return f"{theta.lower:g} to {theta.upper:g}"
    return f"above {theta.lower:g}" if low else f"below {theta.upper:g}" if high else "any"


def _individual(summary: ModelSummary) -> list[str]:
    lines = ["Individual parameters with random effects"]
    for parameter in summary.parameters:
        lines.append(f"  {summary.shown.get(parameter.name, parameter.name)}: {parameter.distribution}")
        lines += [f"      {line}" for line in parameter.source]
    return lines if summary.parameters else ["No individual parameters with random effects"]


def _errors(summary: ModelSummary) -> list[str]:
    sentences = [in_own_names(sentence, summary.shown) for sentence in summary.errors]
    return ["Residual error", *(f"  {_ITSELF.sub('', sentence)}" for sentence in sentences)]
