"""How long a bootstrap takes, and how much faster two workers are than one.

    python -m tests.benchmarks.many_fits [CONTROL_STREAM] [SAMPLES]

Prints seconds of the whole command with two workers, then the seconds of the samples alone (the fit of the data given,
the cluster included) with one and with two workers, and seconds of the processor per sample. A busy machine spoils the
first two; the load is printed.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(line: list[str], folder: Path) -> tuple[float, float]:
    """Seconds of the clock, and of the processor with all processes of the command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(line, cwd=folder, check=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def load() -> str:
    return Path("/proc/loadavg").read_text().split()[0] if Path("/proc/loadavg").exists() else "unknown"


def main() -> None:
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "fixtures/theophylline/run_wt.ctl").resolve()
    samples = sys.argv[2] if len(sys.argv) > 2 else "200"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "run"
        shutil.copytree(source.parent, folder)
        line = [sys.executable, "-m", "nlmevae.cli", "bootstrap", source.name, "--samples", samples, "--quiet"]
        print(f"load {load()}", flush=True)
        seconds, processor = timed([*line, "--workers", "2"], folder)
        print(f"{samples} samples of {source.name}, two workers, with the fit of the data: {seconds:.1f} s", flush=True)
        print(f"processor: {processor:.1f} s", flush=True)
        fit = folder / f"{source.stem}_bootstrap" / f"{source.stem}.results.json"
        clock = {}
        for n in (1, 2):
            out = ["--fit", str(fit), "--workers", str(n), "--out", f"with{n}"]
            clock[n], processor = timed([*line, *out], folder)
            print(f"load {load()}: workers {n}: {clock[n]:.1f} s, processor {processor:.1f} s", flush=True)
        print(f"two workers are {clock[1] / clock[2]:.2f} times as fast as one, start of the cluster included")


if __name__ == "__main__":
    main()
