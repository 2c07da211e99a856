"""The benchmark suite: what everything costs, each figure beside a reference that ran with it.

    python -m tests.benchmarks [--quick] [--large] [--only SECTION ...] [--out FOLDER]
    python -m tests.benchmarks.page [FOLDER]

Sections run in processes of their own, one after the other: one that fails or takes too long is a line of the table,
and the others go on. Results are in FOLDER/benchmarks.json (default: docs/benchmarks); with --only the other sections
keep what they have there. The second command turns that file into the tables and plots of docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import machine, versions
from tests.benchmarks.measurement import ROOT, SCALES, children_seconds, one_thread, python
from tests.benchmarks.sections import SECTIONS

FILE = "benchmarks.json"
FOLDER = ROOT / "docs" / "benchmarks"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 if a section failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: minutes, not half an hour")
    parser.add_argument("--large", action="store_true", help="populations of 100,000 too: more than half an hour of it")
    parser.add_argument("--scale", choices=SCALES, help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER")
    options = parser.parse_args(arguments)
    scale = options.scale or ("quick" if options.quick else "full")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / FILE
    known = json.loads(path.read_text(encoding="utf-8")) if options.only and path.exists() else {"sections": {}}
    found = {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "sections": known["sections"],
    }
    for name in options.only or SECTIONS:
        found["sections"][name] = run_section(name, "large" if options.large and name == "populations" else scale)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(_line(name, found["sections"][name]), flush=True)
    return 0 if all(s["status"] == "ok" for s in found["sections"].values()) else 1


def run_section(name: str, scale: str) -> dict[str, Any]:
    """Its figures, and whether it came to its end: "ok", "failed" or "timeout"."""
    section = SECTIONS[name]
    head = {"title": section.title, "scale": scale}
    began, used = time.perf_counter(), children_seconds()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.jsonl"
        status, message = _ended(python("-m", "tests.benchmarks.section", name, scale, str(out)), section.limit[scale])
        lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    return head | {
        "status": status,
        "message": message,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(children_seconds() - used, 1),
        "figures": [json.loads(line) for line in lines if line.endswith("}")],
    }


def _ended(command: list[str], limit: float) -> tuple[str, str]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=one_thread(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        _, error = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _kill(process)
        return "timeout", f"stopped after {limit:.0f} s"
    if process.returncode != 0:
        last = [line for line in (error or "").splitlines() if line.strip()]
        return "failed", last[-1][:300] if last else f"exit code {process.returncode}"
    return "ok", ""


def _kill(process: subprocess.Popen) -> None:
    """With the processes it started."""
    import os
    import signal

    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.communicate()


def _line(name: str, found: dict[str, Any]) -> str:
    taken = f"{found['seconds']:7.1f} s ({found['cpu_seconds']:.1f} of processor)"
    return f"{name:12} {found['status']:8} {len(found['figures']):3} figures {taken}  {found['message']}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
