"""Who does the fits of a study: this process, or the workers of a dask cluster."""

from __future__ import annotations

import contextlib
import enum
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nlmevae.errors import MissingDependencyError, SettingsError
from nlmevae.results.fit_record import FitRecord
from nlmevae.studies.work import Task, Work, do

if TYPE_CHECKING:
    from distributed import Client, Future

#: Status of a fit that no worker finished; it is not kept, a later run tries it again.
LOST = "LOST"
#: Attempts, each with as many deaths as dask allows, at a fit whose workers died while others waited there, too: it is
#: then done alone, so that no other one is blamed for its deaths, nor it for theirs.
ALONE = 2
FETCHED_AHEAD = 2  # fits per worker that the scheduler knows of: one runs, one waits
CONNECT_SECONDS, RECONNECT_SECONDS, RECONNECTIONS = 30, 60.0, 5
#: Workers on this machine leave Ctrl-C, which the terminal sends to all processes, to the one that was started.
_IGNORE_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
#: For workers on this machine: dask's watching of what they do, and its returning of every freed page to the system,
#: cost a tenth of their time each and are of no use here.
_LOCAL = {
    "distributed.scheduler.allowed-failures": 3,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**30,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """`n` processes on this machine (None: one per core, 0: this process), or the dask cluster at `scheduler` (an
    address) or of `scheduler_file`.

    Raises:
        SettingsError: more than one of them, or an impossible number.
    """

    n: int | None = None
    scheduler: str | None = None
    scheduler_file: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("n", "scheduler", "scheduler_file") if getattr(self, name) is not None]
        if len(given) > 1:
            raise SettingsError(
                "more than one of workers, scheduler and scheduler file is given",
                hint="say in one way who does the fits",
            )
        if self.n is not None and (isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 0):
            raise SettingsError(f"workers is {self.n!r}", hint="give a whole number; 0: no other process, no dask")

    @property
    def here(self) -> bool:
        return self.n == 0

    def require(self) -> None:
        """
        Raises:
            MissingDependencyError: dask is needed and not installed.
            SettingsError: there is no such scheduler file.
        """
        if self.here:
            return
        import importlib.util

        if any(importlib.util.find_spec(name) is None for name in ("dask", "distributed")):
            raise MissingDependencyError(
                "several processes need dask and distributed, which are not installed",
                hint="pip install 'nlmevae[dask]', or do the fits one after the other with --workers 0",
            )
        if self.scheduler_file is not None and not os.path.isfile(self.scheduler_file):
            raise SettingsError(
                f"there is no scheduler file {self.scheduler_file}",
                hint="dask scheduler --scheduler-file FILE writes it; wait until the scheduler runs",
            )


class Pool(Protocol):
    """Does tasks."""

    def run(self, tasks: Iterable[Task]) -> Iterator[FitRecord]:
        """The records as they are finished, in any order."""
        ...


@contextlib.contextmanager
def open_pool(workers: Workers, work: Work, n_tasks: int) -> Iterator[Pool]:
    """The workers, until the end of the block.

    Raises:
        SettingsError: there is no cluster at the address.
    """
    if workers.here:
        yield _ThisProcess(work)
        return
    with _client(workers, n_tasks) as client:
        yield _Cluster(client, work)


@dataclass(frozen=True, slots=True)
class _ThisProcess:
    work: Work

    def run(self, tasks: Iterable[Task]) -> Iterator[FitRecord]:
        return map(self.work.do, tasks)


@contextlib.contextmanager
def _client(workers: Workers, n_tasks: int) -> Iterator[Client]:
    import logging

    import dask
    from distributed import Client, LocalCluster

    for name in ("distributed", "asyncio", "tornado"):  # what they report is reported here in the user's words
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with contextlib.ExitStack() as stack, dask.config.set(_LOCAL):
        if workers.scheduler is None and workers.scheduler_file is None:
            n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            cluster = LocalCluster(
                n_workers=max(1, min(n_tasks, n if workers.n is None else workers.n)),
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                worker_dashboard_address=None,
                memory_limit=0,
                silence_logs=logging.CRITICAL + 1,
                preload=[_IGNORE_INTERRUPTS],
            )
            stack.callback(_quietly, cluster.close)
            client = Client(cluster)
        else:
            client = _connected(workers, Client)
        stack.callback(_quietly, client.close)
        yield client


def _connected(workers: Workers, client: type[Client]) -> Client:
    try:
        if workers.scheduler_file is not None:
            return client(scheduler_file=workers.scheduler_file, timeout=CONNECT_SECONDS)
        return client(workers.scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError(
            f"there is no dask scheduler at {workers.scheduler or workers.scheduler_file} ({error})",
            hint="start one with: dask scheduler, and workers with: dask worker ADDRESS --nthreads 1",
        ) from error


def _quietly(close: Any) -> None:
    """The fits are on disk; what a cluster says when it ends is of no use."""
    with contextlib.suppress(Exception):
        close(timeout=5)


class _Loss(enum.Enum):
    """Why a fit has no record: its workers died, or the scheduler (with what it knew) is gone."""

    DEATH = enum.auto()
    SCHEDULER = enum.auto()


@dataclass(slots=True)
class _Cluster:
    """Gives fits to a dask cluster, a few at a time."""

    client: Client
    work: Work
    _n_workers: int = 2
    _look_again: float = 0.0

    def run(self, tasks: Iterable[Task]) -> Iterator[FitRecord]:
        """
        Raises:
            SettingsError: the workers cannot run nlmevae, or the scheduler is gone for good.
        """
        left, suspects = list(tasks), []
        for _ in range(RECONNECTIONS):
            again: list[Task] = []
            for task, record in self._pass(left, together=True):
                if isinstance(record, FitRecord):
                    yield record
                else:
                    (suspects if record is _Loss.DEATH else again).append(task)
            left = again
            if not left:
                break
            self._wait_for_scheduler(len(left) + len(suspects))
        yield from map(_lost, left)
        for task in suspects:
            yield self._alone(task)

    def _alone(self, task: Task) -> FitRecord:
        """A fit whose workers died."""
        for _ in range(ALONE):
            for _, record in self._pass([task], together=False):
                if isinstance(record, FitRecord):
                    return record
                if record is _Loss.SCHEDULER:
                    self._wait_for_scheduler(1)
        return _lost(task)

    def _pass(self, tasks: list[Task], *, together: bool) -> Iterator[tuple[Task, FitRecord | _Loss]]:
        """Every task once, several at a time if `together`."""
        from distributed import as_completed

        waiting, running = iter(tasks), {}
        shared = self.client.submit(Work, *self.work.__reduce__()[1], pure=False)

        def submit() -> Iterator[Future]:
            while len(running) < (self._window() if together else 1):
                task = next(waiting, None)
                if task is None:
                    return
                key = f"fit-{task.model}-{task.number}-{uuid.uuid4().hex}"
                future = self.client.submit(do, shared, task, key=key, pure=False)
                running[future.key] = task
                yield future

        completed = as_completed(list(submit()), raise_errors=False)
        try:
            for future in completed:
                yield running.pop(future.key), self._record(future)
                future.release()
                completed.update(list(submit()))
        finally:
            shared.release()

    def _window(self) -> int:
        """Fits that the scheduler is to know of; workers come and go, so they are counted every second."""
        now = time.monotonic()
        if now >= self._look_again:
            self._look_again = now + 1.0
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # the scheduler is away: as before
                self._n_workers = max(2, len(self.client.nthreads()))
        return FETCHED_AHEAD * self._n_workers

    def _record(self, future: Future) -> FitRecord | _Loss:
        from distributed.scheduler import KilledWorker

        error = None
        try:
            if future.status == "finished":
                return future.result()
            if future.status not in ("cancelled", "lost"):
                error = future.exception()
        except (OSError, CancelledError):  # lost between its end and its way here
            return _Loss.SCHEDULER
        if error is None:
            return _Loss.SCHEDULER
        if isinstance(error, KilledWorker | MemoryError | OSError | KeyboardInterrupt):
            return _Loss.DEATH
        if isinstance(error, SettingsError):
            raise error
        raise SettingsError(
            f"the workers cannot run nlmevae ({type(error).__name__}: {error})",
            hint="install the same version of nlmevae, Python and dask on the workers",
        )

    def _wait_for_scheduler(self, n_left: int) -> None:
        end = time.monotonic() + RECONNECT_SECONDS
        while self.client.status != "running":
            if self.client.status == "closed" or time.monotonic() > end:
                raise SettingsError(
                    f"the dask scheduler is gone; {n_left} fits are left",
                    hint="what was finished is kept: start a cluster again and repeat the command",
                )
            time.sleep(0.1)


def _lost(task: Task) -> FitRecord:
    sentence = "No worker finished this fit: those that tried died or had too little memory."
    return FitRecord(number=task.number, model=task.model, status=LOST, message=sentence)
