"""Objectives of NONMEM runs against ours at NONMEM's final estimates: a list from a folder of runs.

    python tests/benchmarks/nonmem_objectives.py FOLDER [--all] > list.md

Every ``.ext`` below the folder with its control stream (``.mod`` or ``.ctl``) beside it is evaluated, one line for each
of its tables. A data file that is not where $DATA says is looked for by its name below the folder. Runs that do the
same (equal stream, table and data) are listed once. Without --all, what is not supported is counted by its reason.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nlmevae.at_parameters import prepare_at, run_likelihoods
from nlmevae.comparison.nonmem_ext import ExtTable, read_ext
from nlmevae.errors import NlmevaeError
from nlmevae.estimation.settings import FitSettings

#: Start of NONMEM's words for a method -> ours. Laplace without interaction is another function of the model.
METHODS = {
    "First Order Conditional Estimation with Interaction": "focei",
    "First Order Conditional Estimation": "foce",
    "Laplacian Conditional Estimation with Interaction": "laplace",
    "First Order": "fo",
    "Objective Function Evaluation by Importance": "is",
    "Importance Sampling": "is",
}


@dataclass(frozen=True)
class Line:
    """`ours` NaN and a `reason` where it could not be computed; `error` of our value."""

    run: str
    method: str
    theirs: float
    ours: float = float("nan")
    error: float = float("nan")
    reason: str = ""


def method_of(words: str) -> str:
    """Our name, "" if there is none."""
    if words.startswith("First Order with Interaction"):
        return ""
    return next((ours for start, ours in METHODS.items() if words.startswith(start)), "")


def lines(folder: Path) -> Iterator[Line]:
    seen: set[str] = set()
    for ext in sorted(folder.rglob("*.ext")):
        stream = next((p for p in (ext.with_suffix(".mod"), ext.with_suffix(".ctl")) if p.exists()), None)
        name = str(ext.relative_to(folder).with_suffix(""))
        if stream is None:
            yield Line(name, "", float("nan"), reason="no control stream beside it")
            continue
        try:
            tables = [t for t in read_ext(ext) if not t.is_design]
        except NlmevaeError as error:
            yield Line(name, "", float("nan"), reason=error.message)
            continue
        for table in tables:
            line, key = evaluated(folder, name, stream, table)
            if key not in seen:
                seen.add(key)
                yield line


def evaluated(folder: Path, name: str, stream: Path, table: ExtTable) -> tuple[Line, str]:
    """The line, and what tells whether another run is the same."""
    method, theirs = method_of(table.method), float("nan")
    data, digest = None, f"{name} {table.number}"
    try:
        given = table.final()
        theirs = given.objective
        if not method:
            return Line(name, table.method, theirs, reason="no method of ours"), digest
        if table.problem > 1:
            return Line(name, method, theirs, reason="of another $PROBLEM than the first"), digest
        if re.search(r"^\s*\$SIM", stream.read_text(errors="replace"), re.M | re.I):
            return Line(name, method, theirs, reason="of data that NONMEM simulated ($SIMULATION)"), digest
        data = missing_data(folder, stream)
        at = prepare_at(stream, given, data=data)
        content = stream.read_bytes() + Path(at.run.dataset.path).read_bytes() + repr(given.values).encode()
        digest = f"{method} {hashlib.sha256(content).hexdigest()}"
        result = run_likelihoods(at, method, FitSettings())
    except NlmevaeError as error:
        return Line(name, method or table.method, theirs, reason=error.message), digest
    value = result.values[0]
    return Line(name, method, theirs, result.ofv(method), value.mc_se or value.numerical_error), digest


def missing_data(folder: Path, stream: Path) -> Path | None:
    """A file of the same name elsewhere, the nearest one; None if $DATA is right."""
    found = re.search(r"^\s*\$DATA?\w*\s+[\"']?([^\s\"']+)", stream.read_text(errors="replace"), re.M | re.I)
    if found is None or (stream.parent / found[1]).is_file():
        return None
    others = sorted(
        folder.rglob(Path(found[1]).name), key=lambda p: (len(set(p.parents) ^ set(stream.parents)), str(p))
    )
    return others[0] if others else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="also list what is not supported")
    arguments = parser.parse_args()
    print("| run | method | NONMEM | ours | difference | error |\n|---|---|---|---|---|---|")
    reasons: Counter[str] = Counter()
    for line in lines(arguments.folder):
        if line.reason:
            reasons[re.sub(r"\d+", "n", line.reason)] += 1
            if arguments.all:
                print(f"| {line.run} | {line.method} | {line.theirs:.4f} | {line.reason} | | |", flush=True)
        else:
            difference = line.ours - line.theirs
            numbers = f"{line.theirs:.4f} | {line.ours:.4f} | {difference:+.4f} | {line.error:.1g}"
            print(f"| {line.run} | {line.method} | {numbers} |", flush=True)
    for reason, count in reasons.most_common():
        print(f"\n{count} not compared: {reason}")


if __name__ == "__main__":
    main()
