"""What a running fit shows: phase, iteration, objective, time left.

On a terminal one live line per phase (rich); elsewhere a plain line every few seconds. Everything goes to
stderr, so that stdout holds only the result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from nlmevae.cli.text_table import duration

if TYPE_CHECKING:
    from nlmevae.estimation.trace import ProgressEvent
    from nlmevae.pipeline import PreparedSelection
    from nlmevae.prepared_run import PreparedRun

#: A fit that ends sooner shows nothing.
FIRST_LINE_AFTER = 2.0
SECONDS_BETWEEN_LINES = 5.0
#: The first iterations include one-time work; a time left computed from them would frighten.
ITERATIONS_BEFORE_ESTIMATE = 5


class ProgressDisplay(Protocol):
    """A context manager that is told every event."""

    def __enter__(self) -> ProgressDisplay: ...

    def __exit__(self, *exception: object) -> None: ...

    def update(self, event: ProgressEvent) -> None: ...


def make_progress(
    prepared: PreparedRun | PreparedSelection, *, quiet: bool, what: str = "fitting", stream: TextIO | None = None
) -> ProgressDisplay:
    """The display that suits `stream` (stderr); `what` is being done."""
    stream = stream if stream is not None else sys.stderr
    if quiet:
        return SilentProgress()
    if stream.isatty():
        return LiveProgress(stream)
    table = prepared.table
    size = f"{table.n_subjects} subjects, {table.n_obs_total} observations"
    title = f"{what} {prepared.model.source.path}: {size} (the model is compiled first)"
    return PlainProgress(stream, title=title)


class SilentProgress:
    """Shows nothing."""

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, event: ProgressEvent) -> None:
        pass


class PlainProgress:
    """A line every few seconds, and one whenever a phase begins after the first seconds."""

    def __init__(self, stream: TextIO, *, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._title = title
        self._clock = clock
        self._next = clock() + FIRST_LINE_AFTER

    def __enter__(self) -> PlainProgress:
        print(self._title, file=self._stream, flush=True)
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, event: ProgressEvent) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + SECONDS_BETWEEN_LINES
        print(progress_line(event), file=self._stream, flush=True)


class LiveProgress:
    """One updating line per phase, with a bar where the number of iterations is known."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[facts]}"),
            console=Console(file=stream),
        )
        self._last: ProgressEvent | None = None
        self._task: Any = None

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        self._task = self._bars.add_task("starting", total=None, facts="compiling the model")
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def update(self, event: ProgressEvent) -> None:
        if self._last is None or event.phase != self._last.phase:
            self._begin(event)
        self._last = event
        self._bars.update(self._task, completed=event.iteration, total=event.total, facts=facts(event))

    def _begin(self, event: ProgressEvent) -> None:
        if self._last is None:
            self._bars.remove_task(self._task)
        else:  # fill the bar of the finished phase
            self._bars.update(self._task, total=self._last.iteration, facts=facts(self._last, finished=True))
        self._task = self._bars.add_task(event.phase, total=event.total, facts="")


def progress_line(event: ProgressEvent) -> str:
    """``vae        12/60   -2ELBO 371.20   3.2 s, about 8 s left``"""
    return f"{event.phase:<10} {facts(event)}"


def facts(event: ProgressEvent, *, finished: bool = False) -> str:
    """Iteration, objective by its name, effects in the model where they are searched, time since the phase began
    and, unless finished, time left in it."""
    finished = finished or event.iteration == event.total
    count = f"{event.iteration}/{event.total}" if event.total is not None else f"{event.iteration}"
    objective = ""
    if event.objective == event.objective:
        name = {"burn-in": "-2ELBO", "vae": "-2ELBO", "encoder": "loss"}.get(event.phase, "-2LL")
        objective = f"   {name} {event.objective:.2f}"
    left = ", until it stops improving" if event.total is None and not finished else ""
    if not finished and event.seconds_left is not None and event.iteration >= ITERATIONS_BEFORE_ESTIMATE:
        left = f", about {duration(event.seconds_left)} left"
    support = None if event.row is None else event.row.support
    effects = "" if support is None else f"   {int(support.sum())} of {len(support)} effects"
    return f"{count:>7}{objective}{effects}   {duration(event.seconds)}{left}"
