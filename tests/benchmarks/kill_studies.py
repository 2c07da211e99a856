"""Killed at random moments, do studies of many fits end with the same tables?

    python -m tests.benchmarks.kill_studies [--kills 6] [--seed 1]

A bootstrap, a simulation-estimation study with an alternative, and several models at once, each first left alone in
this process without dask. Then the same command is started anew with two workers and disturbed until it ends: at random
moments a worker, the command itself or both get SIGKILL, or the command gets Ctrl-C; killed commands are repeated. Then
once more on a cluster of separate processes, whose scheduler and workers are killed and started again at the same
address. In the end all tables must be those of the undisturbed run, byte for byte but for seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "fixtures" / "theophylline"
PORT = 28786


@dataclass(frozen=True)
class Run:
    """Arguments of `nlmevae` but for the workers; `tables` are compared."""

    name: str
    arguments: tuple[str, ...]
    tables: tuple[str, ...]


RUNS = (
    Run(
        "bootstrap",
        ("bootstrap", "run_wt.ctl", "--samples", "24", "--quiet"),
        tuple(
            f"run_wt_bootstrap/{name}"
            for name in ("bootstrap_results.csv", "raw_results_run_wt.csv", "included_individuals1.csv")
        ),
    ),
    Run(
        "sse",
        ("sse", "run_wt.ctl", "--samples", "10", "--alternative", "run_base.ctl", "--quiet"),
        tuple(
            f"run_wt_sse/{name}"
            for name in (
                "sse_results.csv",
                "sse_delta_ofv.csv",
                "raw_results_run_wt.csv",
                "raw_results_run_wt_alternative1.csv",
            )
        ),
    ),
    Run(
        "models",
        ("fit", "run_wt.ctl", "run_base.ctl", "--covariance", "none", "--quiet"),
        ("nlmevae_fits/raw_results.csv", "run_wt.phi", "run_base.phi"),
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    rng, failures = random.Random(options.seed), 0
    for run in RUNS:
        if options.only and run.name != options.only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "study"
            start = time.monotonic()
            fresh(place)
            subprocess.run(command(run, "--workers", "0"), cwd=place, check=True)
            seconds = time.monotonic() - start
            expected = tables(run, place)
            for how in ("own workers", "cluster"):
                fresh(place)
                disturb = disturbed if how == "own workers" else disturbed_cluster
                kills = disturb(run, place, rng, options.kills, seconds)
                found = tables(run, place)
                wrong = [name for name in expected if expected[name] != found.get(name)]
                failures += bool(wrong)
                verdict = f"DIFFERENT: {', '.join(wrong)}" if wrong else "the same tables"
                print(f"{run.name}, {how}: {', '.join(kills)}: {verdict}", flush=True)
    return 1 if failures else 0


def fresh(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(FIXTURES, place)


def command(run: Run, *workers: str) -> list[str]:
    return [sys.executable, "-m", "nlmevae.cli", *run.arguments, *workers]


def tables(run: Run, place: Path) -> dict[str, list]:
    """Without the columns of seconds."""
    found = {}
    for name in run.tables:
        path = place / name
        if not path.exists():
            continue
        if path.suffix != ".csv":
            found[name] = path.read_bytes()
            continue
        rows = list(csv.reader(path.read_text().splitlines()))
        seconds = {k for k, title in enumerate(rows[0]) if title == "model_run_time"}
        found[name] = [[cell for k, cell in enumerate(row) if k not in seconds] for row in rows]
    return found


def children(pid: int) -> list[int]:
    """Of a process, and theirs; not Python's own watcher of what processes share."""
    text = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    own = [int(line.split()[0]) for line in text.splitlines() if "resource_tracker" not in line]
    return own + [grandchild for child in own for grandchild in children(child)]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def disturbed(run: Run, place: Path, rng: random.Random, kills: int, seconds: float) -> list[str]:
    """Kill workers and the command, repeat the command until it ends by itself."""
    done: list[str] = []
    process = subprocess.Popen(command(run, "--workers", "2"), cwd=place, start_new_session=True)
    while True:
        if len(done) < kills:
            try:
                process.wait(timeout=rng.uniform(0.0, 1.2 * seconds))
            except subprocess.TimeoutExpired:
                what = rng.choice(["worker", "worker", "command", "Ctrl-C"])
                below = children(process.pid)
                if what == "worker" and below:
                    kill(rng.choice(below))
                elif what == "command":
                    kill(process.pid)
                elif what == "Ctrl-C":
                    os.killpg(process.pid, signal.SIGINT)
                done.append(what)
        else:
            process.wait()
        if process.poll() is None and done and done[-1] in ("command", "Ctrl-C"):
            process.wait()
        if process.poll() is not None:
            if process.returncode == 0:
                return done
            process = subprocess.Popen(command(run, "--workers", "2"), cwd=place, start_new_session=True)


def disturbed_cluster(run: Run, place: Path, rng: random.Random, kills: int, seconds: float) -> list[str]:
    """Kill the scheduler and workers of a cluster of separate processes; whatever is killed is started again."""
    address, done = f"tcp://127.0.0.1:{PORT}", []
    dask = [sys.executable, "-m"]
    scheduler_line = [*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(PORT)]
    worker_line = [*dask, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    scheduler_line.append("--no-dashboard")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    parts = {"scheduler": subprocess.Popen(scheduler_line, **quiet)}
    time.sleep(2.0)
    parts |= {name: subprocess.Popen(worker_line, **quiet) for name in ("worker 1", "worker 2")}
    line = command(run, "--scheduler", address)
    process = subprocess.Popen(line, cwd=place)
    try:
        while True:
            try:
                process.wait(timeout=rng.uniform(0.0, 1.2 * seconds) if len(done) < kills else None)
            except subprocess.TimeoutExpired:
                name = rng.choice([*parts, "command"])
                done.append(name)
                if name == "command":
                    kill(process.pid)
                    process.wait()
                else:
                    for pid in (*children(parts[name].pid), parts[name].pid):
                        kill(pid)
                    parts[name].wait()
                    parts[name] = subprocess.Popen(scheduler_line if name == "scheduler" else worker_line, **quiet)
                    if name == "scheduler":  # workers that lose it end
                        time.sleep(2.0)
                        for worker in ("worker 1", "worker 2"):
                            for pid in (*children(parts[worker].pid), parts[worker].pid):
                                kill(pid)
                            parts[worker].wait()
                            parts[worker] = subprocess.Popen(worker_line, **quiet)
            if process.poll() is not None:
                if process.returncode == 0:
                    return done
                process = subprocess.Popen(line, cwd=place)
    finally:
        for part in parts.values():
            for pid in (*children(part.pid), part.pid):
                kill(pid)
            part.wait()


if __name__ == "__main__":
    sys.exit(main())
