"""Progress of many fits: how many are finished, how many failed, time left; a line every few seconds, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from nlmevae.results.fit_record import FitRecord

FIRST_LINE_AFTER, SECONDS_BETWEEN_LINES = 2.0, 5.0


class StudyProgress:
    """Call it with (the fit that was finished or None, finished, total)."""

    def __init__(
        self,
        what: str,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._stream = None if quiet else (stream if stream is not None else sys.stderr)
        self._clock, self._start, self._next = clock, clock(), clock() + FIRST_LINE_AFTER
        self._first, self._failed = 0, 0

    def __call__(self, record: FitRecord | None, done: int, total: int) -> None:
        now = self._clock()
        if record is None:
            self._start, self._first = now, done
            if done and self._stream is not None:
                print(f"{self._what}: {done} of {total} are finished already", file=self._stream, flush=True)
            return
        self._failed += not record.usable
        if self._stream is None or (now < self._next and done < total):
            return
        self._next = now + SECONDS_BETWEEN_LINES
        print(self._line(now, done, total), file=self._stream, flush=True)

    def _line(self, now: float, done: int, total: int) -> str:
        from nlmevae.cli.text_table import duration

        spent, fresh = now - self._start, done - self._first
        left = f", about {duration(spent / fresh * (total - done))} left" if fresh > 0 and done < total else ""
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._what} {done}/{total}{failed}, {duration(spent)}{left}"
