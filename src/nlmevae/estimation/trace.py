"""What a running fit tells its caller, once per iteration and while it computes what follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from nlmevae.results.fit_result import TraceRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """One finished iteration, or step of a part that has none (`row` None): likelihood, errors, encoder.

    `iteration` counts from 1 within its part of the fit, `total` is the number planned, None where a
    stopping rule decides. `objective` is NaN where a step has none. `seconds` since that part began, `seconds_left`
    an estimate or None.
    """

    phase: str
    iteration: int
    total: int | None
    objective: float
    seconds: float
    seconds_left: float | None
    row: TraceRow | None

    @classmethod
    def of_step(
        cls, phase: str, done: int, total: int, *, seconds: float, objective: float = float("nan")
    ) -> ProgressEvent:
        """Step `done` of `total`."""
        left = seconds / done * (total - done) if done else None
        return cls(
            phase=phase,
            iteration=done,
            total=total,
            objective=objective,
            seconds=seconds,
            seconds_left=left,
            row=None,
        )

    @classmethod
    def of(cls, row: TraceRow, *, total: int | None = None) -> ProgressEvent:
        """From a row of the trace, whose iterations count from 0."""
        done = row.iteration + 1
        left = None if total is None else row.seconds / done * max(total - done, 0)
        return cls(
            phase=row.phase,
            iteration=done,
            total=total,
            objective=row.objective,
            seconds=row.seconds,
            seconds_left=left,
            row=row,
        )

    @staticmethod
    def shifted(row: TraceRow, n_rows: int, seconds: float) -> TraceRow:
        """The row as part of a longer trace, after `n_rows` rows that took `seconds`."""
        return replace(row, iteration=row.iteration + n_rows, seconds=row.seconds + seconds)


Progress = Callable[[ProgressEvent], None]


def share_of(progress: Progress | None, phase: str) -> Callable[[float], None] | None:
    """What tells `progress` the share of a part that is done, in hundredths; share 0 begins (anew)."""
    if progress is None:
        return None
    began, told = time.perf_counter(), -1

    def report(share: float) -> None:
        nonlocal began, told
        if share == 0.0:
            began, told = time.perf_counter(), -1
        done = int(100 * share)
        if done > told:
            told = done
            progress(ProgressEvent.of_step(phase, done, 100, seconds=time.perf_counter() - began))

    return report


def tell_again(progress: Progress | None, rows: Iterable[TraceRow], *, total: int | None = None) -> None:
    """The iterations that an earlier process finished, to a caller who has not seen them."""
    if progress is not None:
        for row in rows:
            progress(ProgressEvent.of(row, total=total))
