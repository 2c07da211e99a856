"""One fit or search in a process of its own, so that its memory is its own: `python -m tests.benchmarks.one_fit`.

    python -m tests.benchmarks.one_fit run.ctl '{"method": "vae"}'
    python -m tests.benchmarks.one_fit run.ctl '{}' --search '{"covariates": ["WT"]}'

Prints one JSON line: seconds by part, processor and wall seconds of the whole (start and imports not), peak memory.
Loading of compiled kernels belongs to it, as to every command.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.measurement import ROOT, one_thread, peak_memory_mb, python


def run(path: Path, settings: dict[str, Any], search: dict[str, Any] | None = None) -> dict[str, Any]:
    """In this process."""
    import nlmevae
    import nlmevae.estimation.search  # what `fit` and `select` load when they are called

    cpu, wall = time.process_time(), time.perf_counter()
    if search is None:
        fit = nlmevae.fit(path, **settings)
        seconds, support = fit.seconds, ()
    else:
        found = nlmevae.select(path, **search, **settings)
        fit, seconds, support = found.fit, found.seconds, found.support
    return {
        "seconds": time.process_time() - cpu,
        "wall_seconds": time.perf_counter() - wall,
        "peak_memory_mb": peak_memory_mb(),
        "parts": {name: round(s, 4) for name, s in seconds.items()},
        "status": fit.status.name,
        "minus_two_ll": fit.minus_two_ll,
        "support": list(support),
    }


def in_its_own_process(path: Path, settings: dict[str, Any], search: dict[str, Any] | None = None) -> dict[str, Any]:
    """As `run`.

    Raises:
        RuntimeError: it fails, with the end of what it printed.
    """
    command = python("-m", "tests.benchmarks.one_fit", str(path), json.dumps(settings))
    command += [] if search is None else ["--search", json.dumps(search)]
    done = subprocess.run(command, cwd=ROOT, env=one_thread(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-400:])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    _, stream, options, *rest = sys.argv
    print(json.dumps(run(Path(stream), json.loads(options), json.loads(rest[1]) if rest else None)))
