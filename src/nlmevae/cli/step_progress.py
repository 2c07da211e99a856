"""Progress of work that has a known number of steps: a line every few seconds, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

#: Work that ends sooner shows nothing.
FIRST_LINE_AFTER, SECONDS_BETWEEN_LINES = 2.0, 5.0


class StepProgress:
    """Call it with (what is being done, done, total)."""

    def __init__(
        self, *, quiet: bool = False, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = None if quiet else (stream if stream is not None else sys.stderr)
        self._clock = clock
        self._what, self._start = "", clock()
        self._next = self._start + FIRST_LINE_AFTER

    def __call__(self, what: str, done: int, total: int) -> None:
        from nlmevae.cli.text_table import duration

        now = self._clock()
        if what != self._what:
            self._what, self._start = what, now
        if self._stream is None or now < self._next:
            return
        self._next = now + SECONDS_BETWEEN_LINES
        spent = now - self._start
        left = f", about {duration(spent / done * (total - done))} left" if 0 < done < total else ""
        print(f"{what} {done}/{total}, {duration(spent)}{left}", file=self._stream, flush=True)
