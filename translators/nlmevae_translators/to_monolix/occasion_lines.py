"""Lines of the data file where there are occasions.

NONMEM's parameters of a record hold from the record before it up to itself, Monolix's from the first line of an
occasion on. An occasion therefore begins at the last record of the one before it: a line without dose and observation
stands there. Two occasions at one time are not defined in Monolix; what comes second is later by next to nothing.

A steady state that begins an occasion takes what was before out of the system: its doses are lines that reach back
beyond the occasion before, by which Monolix empties the compartments. So are additional doses that reach the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nlmevae_translators.to_monolix.doses import Doses
from nlmevae_translators.to_monolix.occasions import Occasions
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.source_data import SourceData

#: Of the time up to the next record, and of the time itself where that has no more digits.
_SHARE, _DIGITS = 1e-9, 1e-12


@dataclass(frozen=True, slots=True)
class _Line:
    """`row`: record of its dose or observation; `held`: record whose occasion, covariates and regressors it has."""

    row: int
    held: int
    time: float
    kind: Literal["record", "begins", "added"] = "record"


@dataclass(frozen=True, slots=True)
class DataLines:
    """Attributes:
    rows, held, time: (n_lines,) as in `_Line`.
    begins: (n_lines,) bool: a line that only begins an occasion.
    added: (n_lines,) bool: a dose of its record at another time.
    spelled: records whose additional or steady-state doses are lines.
    moved: number of lines whose time is later than that of their record.
    """

    rows: np.ndarray
    held: np.ndarray
    time: np.ndarray
    begins: np.ndarray
    added: np.ndarray
    spelled: frozenset[int] = frozenset()
    moved: int = 0


def times_restart(data: SourceData, occasions: Occasions) -> bool:
    """Every occasion begins with a reset and overlaps the one before it in time, by which Monolix knows that
    amounts are not carried over; and there is no other reset. A formula needs no resets."""
    if data.rows.index("time") is None:
        return False
    time, reset = data.rows.of("time"), np.isin(data.run.dataset.evid, (3, 4))
    first = np.append(True, np.diff(data.subject) != 0)
    begins = ~first & np.append(False, np.diff(occasions.values) != 0.0)
    if data.model.structural.compartments and not np.array_equal(reset & ~first, begins):
        return False
    starts = np.flatnonzero(first | begins)
    ends = np.append(starts[1:], len(time)) - 1
    overlaps = (time[starts[1:]] < time[ends[:-1]]) & (time[ends[1:]] > time[starts[:-1]])
    return bool(begins.any() and np.all(overlaps[~first[starts[1:]]]))


def check_order(data: SourceData) -> None:
    """
    Raises:
        RefusedError: times go back at some occasions, but not all overlap; only a formula's may (those of compartments
            go on at a reset).
    """
    if data.restarts:
        return
    time = np.asarray(data.time, dtype=float)
    back = np.flatnonzero(data.first_of_occasion & np.append(False, np.diff(time) < 0.0))
    if len(back):
        raise RefusedError(
            "occasions",
            f"the occasion on line {data.run.dataset.lines[back[0]]} begins before the end of the one before it; in "
            "Monolix occasions follow one another, or all of them overlap. Let TIME go on over the occasions",
        )


def data_lines(data: SourceData, doses: Doses, kept: np.ndarray, *, n_doses: int) -> DataLines:
    """Of the records `kept`, in order."""
    time = np.array(data.time, dtype=float)
    lines = [_Line(int(k), int(k), float(time[k])) for k in kept]
    spelled: set[int] = set()
    moved = 0
    if data.occasion is not None and not data.restarts:
        added = [line for k in kept if doses.is_dose[k] for line in _added(data, doses, int(k), n_doses)]
        spelled = {line.row for line in added}
        block = np.cumsum(data.first_of_occasion | np.append(True, np.diff(data.subject) != 0))
        lines = sorted([*added, *lines], key=lambda line: (block[line.held], line.time))
        lines, moved = _with_beginnings(data, doses, lines)
    return DataLines(
        rows=np.array([line.row for line in lines], dtype=int),
        held=np.array([line.held for line in lines], dtype=int),
        time=np.array([line.time for line in lines]),
        begins=np.array([line.kind == "begins" for line in lines], dtype=bool),
        added=np.array([line.kind == "added" for line in lines], dtype=bool),
        spelled=frozenset(spelled),
        moved=moved,
    )


def _added(data: SourceData, doses: Doses, k: int, n_doses: int) -> Iterator[_Line]:
    """Doses of record `k` before and after it, as far as they have to be lines."""
    rows, time = data.rows, data.time
    interval, start = float(rows.of("ii")[k]), float(time[k])
    if doses.opens[k]:
        yield from (_Line(k, k, start - j * interval, "added") for j in range(n_doses, 0, -1))
    n = int(rows.of("addl")[k])
    later = np.flatnonzero((data.subject == data.subject[k]) & (np.arange(len(time)) > k))
    same = later[data.occasion[later] == data.occasion[k]]
    end = float(time[same[-1]]) if len(same) else start
    stays = len(same) == len(later) or start + n * interval < end
    if n <= 0 or (stays and not doses.opens[k]):
        return
    resets = later[doses.resets[later] | (data.run.dataset.evid[later] == 3) | doses.opens[later]]
    for due in (start + j * interval for j in range(1, n + 1)):
        covering = later[time[later] >= due]
        if len(covering) and not (len(resets) and due >= time[resets[0]]):
            yield _Line(k, int(covering[0]), due, "added")


def _with_beginnings(data: SourceData, doses: Doses, lines: Sequence[_Line]) -> tuple[list[_Line], int]:
    """With the lines that begin occasions, and how many lines are later because occasions touch."""
    found: list[_Line] = []
    moved = 0
    late: tuple[float, float] | None = None  # the time at which an occasion touches the one before, and a later one
    for line in lines:
        before = found[-1] if found else None
        if before is not None and data.subject[before.held] != data.subject[line.held]:
            late = None
        if before is not None and _new_occasion(data, before.held, line.held):
            late = None
            start = float(data.time[_last_record(data, line.held)])
            step = _step(data, line.held, start)
            if line.time == before.time:
                late = line.time, line.time + step
            elif start < line.time and line.time > before.time and _state_goes_on(data, doses, line.held):
                begin = start if start > before.time else before.time + step
                found.append(_Line(line.row, line.held, begin, "begins"))
        if late is not None and line.time == late[0]:
            line = replace(line, time=late[1])
            moved += 1
        found.append(line)
    return found, moved


def _new_occasion(data: SourceData, before: int, k: int) -> bool:
    return bool(data.subject[before] == data.subject[k] and data.occasion[before] != data.occasion[k])


def _last_record(data: SourceData, k: int) -> int:
    """The last record of the occasion before that of record `k`, used or not."""
    row = k
    while data.occasion[row] == data.occasion[k]:
        row -= 1
    return row


def _step(data: SourceData, k: int, start: float) -> float:
    """Next to nothing, measured by the time up to the next record that is later than `start`."""
    later = data.time[(data.subject == data.subject[k]) & (data.time > start)]
    gap = float(later.min() - start) if len(later) else 1.0
    return max(_SHARE * gap, _DIGITS * abs(start))


def _state_goes_on(data: SourceData, doses: Doses, k: int) -> bool:
    """Amounts are carried into the occasion that begins at record `k`."""
    begins_anew = doses.opens[k] or data.run.dataset.evid[k] in (3, 4)
    return bool(data.model.structural.compartments) and not begins_anew
