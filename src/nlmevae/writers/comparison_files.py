"""A comparison as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

from nlmevae.results.comparison_result import ComparisonResult
from nlmevae.results.run_folder import GENERATOR
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.results_json import plain

SCHEMA = 1


def write_comparison_csv(path: Path, comparison: ComparisonResult) -> None:
    """One line per quantity and program; OutputError if it cannot be written."""
    write_atomically(path, comparison_csv_text(comparison))


def write_comparison_json(path: Path, comparison: ComparisonResult) -> None:
    """Everything, as `ComparisonResult` has it; OutputError if it cannot be written."""
    write_atomically(path, comparison_json_text(comparison))


def comparison_json_text(comparison: ComparisonResult) -> str:
    document = {"generator": GENERATOR, "kind": "comparison", "schema": SCHEMA, **plain(comparison)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def comparison_csv_text(comparison: ComparisonResult) -> str:
    """Columns kind, name, tool, value, detail. Kinds: relation (value: its status; detail: the verdict), form,
    estimate, minus_two_ll and bicc (name: method, "at its estimates" where evaluated here; detail of -2LL: the
    difference from ours by the same method), reported (a criterion as the program states it), runs, seconds."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["kind", "name", "tool", "value", "detail"])
    names = comparison.names
    for r in comparison.relations:
        for k, name in enumerate(names):
            rows.writerow(["relation", r.name, name, r.status[k], r.verdict[k]])
            if r.forms[k]:
                rows.writerow(["form", r.name, name, r.forms[k], ""])
    for e in comparison.estimates:
        for name, value in zip(names, e.values, strict=True):
            if not math.isnan(value):
                rows.writerow(["estimate", e.name, name, repr(value), ""])
    for tool, name in zip(comparison.tools, names, strict=True):
        for v in tool.likelihoods:
            method = v.method + (" at its estimates" if v.by == "nlmevae" else "")
            difference = "" if math.isnan(v.difference) else repr(v.difference)
            rows.writerow(["minus_two_ll", method, name, repr(v.minus_two_ll), difference])
            if not math.isnan(v.bicc):
                rows.writerow(["bicc", method, name, repr(v.bicc), ""])
        for criterion, number in tool.result.criteria.items():
            rows.writerow(["reported", criterion, name, repr(number), ""])
        for kind, count in (("runs", tool.result.n_runs), ("seconds", tool.result.seconds)):
            if count is not None:
                rows.writerow([kind, "", name, repr(count), ""])
    return text.getvalue()
