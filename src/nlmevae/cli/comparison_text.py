"""A comparison as text."""

from __future__ import annotations

import math
from textwrap import wrap

from nlmevae.cli.text_table import duration, short_number, text_table
from nlmevae.results.comparison_result import ComparedTool, ComparisonResult
from nlmevae.results.likelihood_names import LABELS

_MARKS = {"selected": "x", "left out": "-", "not searched": ".", "unknown": "?"}


def comparison_text(comparison: ComparisonResult) -> str:
    parts = [
        _relations(comparison),
        _likelihoods(comparison),
        _searches(comparison),
        _estimates(comparison),
        _notes(comparison),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _relations(comparison: ComparisonResult) -> list[str]:
    shown = [r for r in comparison.relations if "selected" in r.status]
    if not shown:
        return []
    rows = []
    for r in shown:
        cells = [
            _MARKS[s] + (f" {v}" if v in ("missed", "extra") else "") for s, v in zip(r.status, r.verdict, strict=True)
        ]
        rows.append([f"{r.parameter} ~ {r.covariate}", *cells])
    table = text_table(["Covariate effects", *comparison.names], rows, left=1 + len(comparison.names))
    return [*table, "x selected, - left out, . not searched, ? not told; missed and extra: against nlmevae"]


def _likelihoods(comparison: ComparisonResult) -> list[str]:
    rows = []
    for tool in comparison.tools:
        name = tool.result.tool
        for v in tool.likelihoods:
            method = LABELS.get(v.method, v.method) + (", at its estimates by nlmevae" if v.by == "nlmevae" else "")
            own = "" if v.by == "nlmevae" else _own(tool, v.method)
            rows.append([name, method, f"{v.minus_two_ll:.2f}", _signed(v.difference), _fixed(v.bicc), own])
            name = ""
        for v in tool.unclear:
            constant = "" if v.with_constant else ", without constant" if v.with_constant is False else ""
            rows.append([name, f"{v.value:.2f}, method {v.method or 'not told'}{constant}", "", "", "", _own(tool, "")])
            name = ""
    if not rows:
        return []
    header = ["", "Method", "-2LL", "difference", "BICc", "its own number"]
    table = text_table(header, rows, left=2)
    return [
        *table,
        "-2LL with the constant; differences are from nlmevae by the same method only",
        *wrap(comparison.convention, 110),
    ]


def _own(tool: ComparedTool, method: str) -> str:
    """The program's own criteria that belong to a method; NONMEM states its OBJ."""
    suffix = f" ({method})" if method == "lin" else ""
    wanted = [n + suffix for n in ("BICc", "BIC")] + ([] if suffix else ["OBJ", "OFV"])
    found = next((n for n in wanted if n in tool.result.criteria), None)
    if found is None or (method and method != "is" and found in ("BICc", "BIC")):
        return ""
    return f"{found} {tool.result.criteria[found]:.2f}"


def _searches(comparison: ComparisonResult) -> list[str]:
    rows = []
    for k, tool in enumerate(comparison.tools):
        r = tool.result
        rows.append(
            [
                r.tool,
                "?" if r.relations is None else str(len(r.relations)),
                "" if k == 0 or r.relations is None else str(tool.n_missed),
                "" if k == 0 or r.relations is None else str(tool.n_extra),
                "" if r.n_runs is None else str(r.n_runs),
                "" if r.seconds is None else duration(r.seconds),
            ]
        )
    return text_table(["", "effects", "missed", "extra", "runs", "time"], rows)


def _estimates(comparison: ComparisonResult) -> list[str]:
    shown = [e for e in comparison.estimates if not all(math.isnan(v) for v in e.values)]
    if not shown:
        return []
    rows = [[e.name, *("" if math.isnan(v) else short_number(v) for v in e.values)] for e in shown]
    return text_table(["Estimates", *comparison.names], rows)


def _notes(comparison: ComparisonResult) -> list[str]:
    return [f"{t.result.tool}: {note}" for t in comparison.tools for note in t.result.notes]


def _signed(value: float) -> str:
    return "" if math.isnan(value) else f"{value:+.2f}"


def _fixed(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
