"""Public models through `nlmevae convert`: how many become exactly the same, by a rule, with a loss, or are refused.

    python -m tests.benchmarks.conversions PATH [PATH ...] [--to nonmem] [--out lines.jsonl] [--workers 2] > report.md

PATH is a file or a folder: control streams become projects, with ``--to nonmem`` projects become control streams. A
data file or model file that is not where it is named is looked for by its name below the folder; what has no data is
counted as such, because most conversions need them. Equal texts are taken once. Every conversion makes its proof; one
that fails it is the defect this looks for. Each runs in a process that is ended after --limit seconds.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks import control_streams, mlxtran_projects

#: In the order of the table: what is as it should be, what is refused, defects.
STATUSES = (
    "lossless", "by rule", "lossy", "refused", "not read", "data not read", "no data", "proof not made", "proof failed",
    "time", "crash", "traceback",
)  # fmt: skip


def examined(path: Path, folder: Path, *, to: str = "mlxtran", made_up: bool = False) -> dict[str, Any]:
    """The line of one model; never raises but for what ends a process. `made_up`: streams get data of our own."""
    line: dict[str, Any] = {"stream": str(path), "status": "not read"}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _examine(line, path, folder, Path(scratch), to, made_up=made_up)
        except Exception as error:
            _note_failure(line, error)
    return line


def _note_failure(line: dict[str, Any], error: Exception) -> None:
    from nlmevae.errors import DataError, NlmevaeError

    if isinstance(error, NlmevaeError):
        line["message"] = error.message
        if isinstance(error, DataError):
            line["status"] = "no data" if "data file not found" in error.message else "data not read"
    else:
        line["status"] = "traceback"
        line["message"] = traceback.format_exc(limit=-4)


def _examine(line: dict[str, Any], path: Path, folder: Path, scratch: Path, to: str, *, made_up: bool) -> None:
    from nlmevae.pipeline import read_model
    from nlmevae_translators.convert import convert
    from tests.helpers.made_up_data import made_up_data

    model_path = mlxtran_projects._with_model_file(path, folder, scratch, line) if to == "nonmem" else path
    model = read_model(model_path)
    data = control_streams.data_elsewhere(path, folder, model.data.path)
    if made_up and model.data.monolix is None:
        data = made_up_data(model, scratch / "made_up.csv")
    conversion = convert(model_path, to=to, data=data, allow_lossy=True)
    line |= classified(conversion)


def classified(conversion: Any) -> dict[str, Any]:
    """`status`, counts of entries, reasons of what is refused or lost, and what the proof found."""
    report = conversion.report
    kinds = Counter(entry.kind for entry in report.entries)
    line: dict[str, Any] = {"entries": dict(kinds)}
    for kind in ("refused", "lossy"):
        line[kind] = sorted({f"{_plain(e.construct)}: {_plain(e.reason)}" for e in report.of(kind)})
    line["unplaced"] = sorted({_plain(e.construct) for e in report.entries if e.source is None})
    if report.proof is not None:
        line["difference"], line["sentence"] = report.proof.largest, report.proof.sentence
    if report.failed:
        line["status"], line["message"] = "proof failed", report.proof.sentence
    elif report.of("refused"):
        line["status"] = "refused"
    elif report.proof is None or not report.proof.done:
        line["status"] = "proof not made"
    else:
        line["status"] = "lossy" if kinds["lossy"] else "by rule" if kinds["rule"] else "lossless"
    return line


def _plain(text: str) -> str:
    """Without what differs from model to model."""
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "n", text)


def report(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown."""
    yield f"{len(lines)} models\n\n| outcome | models |\n|---|---|"
    counts = Counter(line["status"] for line in lines)
    yield from (f"| {name} | {counts[name]} |" for name in STATUSES if counts[name])
    for kind in ("refused", "lossy"):
        reasons = Counter(reason for line in lines for reason in line.get(kind, ()))
        yield f"\n| {kind} | models |\n|---|---|"
        yield from (f"| {reason} | {count} |" for reason, count in reasons.most_common())
    for status in STATUSES[4:]:
        reasons = Counter(_plain(line.get("message", "")) for line in lines if line["status"] == status)
        if reasons:
            yield f"\n| {status} | models |\n|---|---|"
            yield from (f"| {reason} | {count} |" for reason, count in reasons.most_common())
    defects = [line for line in lines if line["status"] in ("proof failed", "time", "crash", "traceback")]
    yield "\n"
    yield from (f"* {line['status']} {line['stream']}: {line.get('message', '')}" for line in defects)


def models(paths: Iterable[Path], to: str) -> list[tuple[Path, Path]]:
    """(model, folder in which its files may be looked for)."""
    if to == "nonmem":
        return mlxtran_projects.projects(paths)
    return control_streams.chosen(control_streams.streams(paths), similar=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--to", choices=("mlxtran", "nonmem"), default="mlxtran")
    parser.add_argument("--made-up-data", action="store_true", help="three made-up subjects for every control stream")
    parser.add_argument("--out", type=Path, help="also one JSON line for each model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one model")
    arguments = parser.parse_args()
    examine = functools.partial(examined, to=arguments.to, made_up=arguments.made_up_data)
    lines = []
    out = arguments.out.open("w") if arguments.out else None
    tasks = models(arguments.paths, arguments.to)
    for line in control_streams.run_all(tasks, arguments.workers, arguments.limit, examine, control_streams.warm_up):
        lines.append(line)
        if out is not None:
            print(json.dumps(line), file=out, flush=True)
    if out is not None:
        out.close()
    print("\n".join(report(sorted(lines, key=lambda line: line["stream"]))))


if __name__ == "__main__":
    main()
