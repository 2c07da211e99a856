"""How many cores a run may use, and work on parts of the data shared among so many threads.

Compiled kernels and array operations release Python's lock, so threads suffice. The parts are the same however many
threads there are, every part writes results of its own, and sums over parts are taken in the order of the parts: the
number of threads changes no digit.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Cores that a scheduler gave to this job, or that a user wants numerical libraries to take at most.
LIMITS = ("SLURM_CPUS_PER_TASK", "PBS_NUM_PPN", "NSLOTS", "LSB_DJOB_NUMPROC", "OMP_THREAD_LIMIT")
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # version 2
OLD_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")

#: Of the thread that is running: its `pool`, those it shares work with; `apart`, whether it is in one of the parts.
_here = threading.local()


def usable_cores() -> int:
    """Cores this process may use: its affinity, the quota of its container, what the scheduler gave; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        found = [len(os.sched_getaffinity(0))]
    else:  # macOS, Windows
        found = [os.cpu_count() or 1]
    found += [int(os.environ[name]) for name in LIMITS if os.environ.get(name, "").isdigit()]
    quota = container_cores()
    if quota is not None:
        found.append(math.ceil(quota))
    return max(1, min(found))


def container_cores() -> float | None:
    """Cores worth of time that the control group of a container may take; None: no limit, or not Linux."""
    try:
        if QUOTA.exists():
            limit, period = QUOTA.read_text().split()
        else:
            limit, period = (path.read_text().strip() for path in OLD_QUOTA)
        if limit == "max" or float(limit) <= 0.0:
            return None
        return float(limit) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


@contextlib.contextmanager
def shared_by(threads: int) -> Iterator[None]:
    """Inside, `each` works with this many threads. Within another such block that one's number holds."""
    if threads < 2 or getattr(_here, "pool", None) is not None or inside():
        yield
        return
    pool = _here.pool = ThreadPoolExecutor(threads)
    try:
        yield
    finally:
        _here.pool = None
        pool.shutdown(wait=True, cancel_futures=True)


def each(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`work` of every item, in order. Of what `work` itself shares, each thread does its own part alone."""
    items = list(items)
    if len(items) < 2:
        return [work(item) for item in items]

    def apart(item: Item) -> Result:
        before, _here.apart = inside(), True
        try:
            return work(item)
        finally:
            _here.apart = before

    pool = getattr(_here, "pool", None)
    if pool is None or inside():
        return [apart(item) for item in items]
    return list(pool.map(apart, items))


def parts(n: int, size: int) -> list[slice]:
    """0 to n in parts of `size`, the last one smaller."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def inside() -> bool:
    """Whether this is one of several parts of shared work, which know nothing of each other: whoever learns from one
    part what another could use must not do so here, or numbers would depend on which is finished first."""
    return getattr(_here, "apart", False)
