"""The text `nlmevae likelihood` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from nlmevae.cli.text_table import duration, text_table
from nlmevae.results.likelihood_names import EXACT, LABELS
from nlmevae.results.likelihood_result import LikelihoodResult


def likelihood_text(result: LikelihoodResult, *, paths: Sequence[Path] = ()) -> str:
    """Where the parameters are from, one line per method, files. Warnings are not here: they go to stderr."""
    blocks = [_head(result), _table(result), _notes(result), [f"Wrote {path}" for path in paths]]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(result: LikelihoodResult) -> list[str]:
    title = f"{result.source_path}: {result.problem}" if result.problem else result.source_path
    unknown = math.isnan(result.objective_there) or _of_project(result)
    there = "" if unknown else f", which states an objective of {result.objective_there:.4f}"
    return [
        title,
        f"{result.n_subjects} subjects, {result.n_obs_total} observations",
        f"Parameters: {result.parameters_from}{there}",
    ]


def _table(result: LikelihoodResult) -> list[str]:
    ofv = () if _of_project(result) else ("OFV",)
    header = ("Method", "", "-2LL", *ofv, "Error", "AIC", "BIC", "BICc", "Time")
    rows = []
    for value, subject in zip(result.values, result.subjects, strict=True):
        error = f"{value.mc_se:.3f} (SE)" if value.mc_se else f"{value.numerical_error:.1g}"
        numbers = (value.minus_two_ll, *(result.ofv(value.method) for _ in ofv))
        criteria = (value.aic, value.bic, value.bicc)
        rows.append((
            value.method, LABELS[value.method], *(f"{x:.4f}" for x in numbers), error,
            *(f"{x:.2f}" for x in criteria), duration(subject.seconds),
        ))  # fmt: skip
    return text_table(header, rows, left=2)


def _of_project(result: LikelihoodResult) -> bool:
    """Of a Monolix project, where OFV is another name of -2LL."""
    return result.source_path.lower().endswith(".mlxtran")


def _notes(result: LikelihoodResult) -> list[str]:
    """What the columns mean; it is too easily forgotten."""
    constant = f"-2LL has the constant n*ln(2*pi) = {result.constant:.4f}"
    notes = [
        f"{constant}, as Monolix's OFV."
        if _of_project(result)
        else f"{constant}; OFV, the scale of NONMEM's OBJ, has not.",
        "Error: Monte-Carlo standard error (SE), or size of the numerical error.",
    ]
    if any(v.method not in EXACT for v in result.values):
        notes.append("What an approximation misses of the exact value (is, gauss-hermite) is not in its error.")
    return notes
