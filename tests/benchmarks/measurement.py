"""What the benchmark suite measures: figures, each beside a reference that was run in turn with it.

Seconds are of the processor (user and system), so that the load of the machine does not matter to them. Both sides
alternate in one process and medians are compared, so that a change of the machine's speed meets both.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCALES = ("tiny", "quick", "full")
SLOW = 3.0  # seconds: of a reference that is not repeated
SHORTEST = 2e-3  # seconds: shorter calls are timed several at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing.

    `seconds` of one call; `reference` says what was run beside it ("" where there is nothing to run) and took
    `reference_seconds`. `at`: the size it was measured at, name -> value. `more`: other numbers about it.
    """

    name: str
    seconds: float
    reference: str = ""
    reference_seconds: float | None = None
    at: dict[str, float | str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times as long the reference takes."""
        if self.reference_seconds is None or not self.seconds > 0.0:
            return None
        return self.reference_seconds / self.seconds

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "at": self.at,
            "seconds": self.seconds,
            "reference": self.reference,
            "reference_seconds": self.reference_seconds,
            "ratio": self.ratio,
            **({"more": self.more} if self.more else {}),
        }


def beside(
    own: Callable[[], object],
    reference: Callable[[], object],
    *,
    budget: float = 1.0,
    rounds: tuple[int, int] = (3, 31),
) -> tuple[float, float]:
    """Median seconds of both, in turn, after one call of each; about `budget` seconds in all, within `rounds`. Of a
    slow reference the first call is enough."""
    calls, first = _calls(own), cpu_seconds(reference)
    if first > SLOW:
        return statistics.median(cpu_seconds(own, calls) for _ in range(rounds[0])), first
    mine, theirs, began = [], [], time.process_time()
    while len(mine) < rounds[0] or (len(mine) < rounds[1] and time.process_time() - began < budget):
        mine.append(cpu_seconds(own, calls))
        theirs.append(cpu_seconds(reference))
    return statistics.median(mine), statistics.median(theirs)


def median_seconds(work: Callable[[], object], *, budget: float = 0.5, rounds: tuple[int, int] = (3, 101)) -> float:
    """Of one call, after one that is not counted."""
    calls, found, began = _calls(work), [], time.process_time()
    while len(found) < rounds[0] or (len(found) < rounds[1] and time.process_time() - began < budget):
        found.append(cpu_seconds(work, calls))
    return statistics.median(found)


def cpu_seconds(work: Callable[[], object], calls: int = 1) -> float:
    """Processor seconds of one call, all threads of this process."""
    began = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - began) / calls


def _calls(work: Callable[[], object]) -> int:
    """How many calls make a time that can be measured; the first call of all is not counted."""
    work()
    return max(1, math.ceil(SHORTEST / max(cpu_seconds(work), 1e-9)))


def command_seconds(command: Sequence[str], **environment: str) -> tuple[float, float]:
    """Processor and wall seconds of a command run in the root of the repository.

    Raises:
        RuntimeError: it fails, with the end of what it printed.
    """
    before, began = children_seconds(), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=one_thread() | environment)
    wall = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:4])} ...: {(done.stderr or done.stdout)[-400:]}")
    return children_seconds() - before, wall


def children_seconds() -> float:
    """Processor seconds of all processes that this one started and that have ended, and of those they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def commands_beside(
    own: Sequence[str], reference: Sequence[str], *, rounds: int, **environment: str
) -> tuple[float, float, float]:
    """Median processor seconds of both commands, in turn, and median wall seconds of the first. Of several rounds the
    first, which may build caches, is not counted."""
    mine, theirs = [], []
    for _ in range(rounds + 1 if rounds > 1 else 1):
        mine.append(command_seconds(own, **environment))
        theirs.append(command_seconds(reference, **environment))
    counted = slice(1 if rounds > 1 else 0, None)
    cpu, wall = zip(*mine[counted], strict=True)
    return statistics.median(cpu), statistics.median(cpu for cpu, _ in theirs[counted]), statistics.median(wall)


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]


def nlmevae(*arguments: str) -> list[str]:
    """A command line of the program."""
    return python("-m", "nlmevae.cli", *arguments)


def one_thread() -> dict[str, str]:
    """The environment, with numerical libraries on one thread."""
    return os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def peak_memory_mb() -> float:
    """Of this process since it started. Where there is /proc from there: what getrusage tells a process on Linux is at
    least what its parent had when it started it."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def exponent(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """p of seconds = c size^p by least squares of the logarithms, and its standard error (NaN of two points); points
    are (size, seconds)."""
    x, y = zip(*((math.log(size), math.log(seconds)) for size, seconds in points), strict=True)
    slope, intercept = statistics.linear_regression(x, y)
    if len(points) < 3:
        return slope, math.nan
    left = sum((b - slope * a - intercept) ** 2 for a, b in zip(x, y, strict=True)) / (len(points) - 2)
    return slope, math.sqrt(left / sum((a - statistics.fmean(x)) ** 2 for a in x))
