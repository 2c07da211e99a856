"""What a running fit tells its caller, once per iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nlmevae.results.fit_result import TraceRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """One finished iteration.

    `iteration` counts from 1 within its part of the fit, `total` is the number planned, None where a
    stopping rule decides. `seconds` since that part began, `seconds_left` an estimate or None.
    """

    phase: str
    iteration: int
    total: int | None
    objective: float
    seconds: float
    seconds_left: float | None
    row: TraceRow

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
