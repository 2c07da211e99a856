"""Periods of a subject in a Monolix data file: its occasions, and what follows a record with event identifier 4.

Rules (documentation of the columns that identify subject-occasions, and of events): lines of one ID need not be
together; time points of one occasion are in one block; where occasions overlap in time each begins from the initial
state (a washout), else time and state go on; event identifier 4 resets and begins a period.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.monolix_lines import Lines
from nlmevae.errors import DataError, UnsupportedError


@dataclass(frozen=True, slots=True)
class Period:
    """Attributes:
    subject: index. number: from 1 within the subject, of those that event identifier 4 begins.
    lines: indices into `Lines` in order of time; equal times keep the order of the file.
    washout: the state begins anew.
    """

    subject: int
    number: int
    lines: np.ndarray
    washout: bool


def periods(lines: Lines) -> list[Period]:
    """All periods, subject by subject, in order of time where the state goes on.

    Raises:
        DataError: an occasion is interrupted by another.
        UnsupportedError: what is documented does not say whether the state goes on.
    """
    found = []
    order = np.argsort(lines.subject, kind="stable")
    starts = np.searchsorted(lines.subject[order], np.arange(1, len(lines.labels)))
    for subject, own in enumerate(np.split(order, starts)):
        found += _of_subject(lines, subject, own)
    return found


def _of_subject(lines: Lines, subject: int, own: np.ndarray) -> list[Period]:
    begins = lines.reset[own] == 4
    begins[0] = False  # the state is the initial one already
    number = 1 + np.cumsum(begins)
    keys = [(int(n), *map(int, occasion)) for n, occasion in zip(number, lines.occasion[own], strict=True)]
    starts = [k for k in range(len(keys)) if k == 0 or keys[k] != keys[k - 1]]
    for k in starts:
        if keys[k] in keys[:k]:
            raise _problem(
                lines, own[k], f"line {lines.line(own[k])} goes back to an earlier occasion of ID "
                f"{lines.labels[subject]}", "put the lines of one occasion together", DataError,
            )  # fmt: skip
    blocks = [own[a:b] for a, b in zip(starts, [*starts[1:], len(own)], strict=True)]
    found: list[Period] = []
    for block, start in zip(blocks, starts, strict=True):
        ordered = _ordered(lines, block)
        washout = bool(found) and (keys[start][0] != found[-1].number or _overlap(lines, found[-1].lines, ordered))
        found.append(Period(subject, keys[start][0], ordered, washout))
    _check_alike(lines, found)
    return found


def _ordered(lines: Lines, block: np.ndarray) -> np.ndarray:
    time = lines.time[block]
    ordered = block[np.argsort(time, kind="stable")]
    moved = np.flatnonzero(ordered != block)
    resets = block[lines.reset[block] == 3]
    if len(moved) and len(resets):
        raise _problem(
            lines, resets[0],
            f"the lines of ID {lines.labels[lines.subject[block[0]]]} are not in order of time, and one of them (line "
            f"{lines.line(resets[0])}) is a reset: which lines come after it is not defined",
            "sort the lines by time, or use event identifier 4, which begins a period",
        )  # fmt: skip
    fours = ordered[lines.reset[ordered] == 4]
    if len(fours) and fours[0] != ordered[0]:
        raise _problem(
            lines, fours[0],
            f"the reset on line {lines.line(fours[0])} begins a period, but line {lines.line(ordered[0])} of that "
            "period has an earlier time", "sort the lines by time",
        )  # fmt: skip
    return ordered


def _overlap(lines: Lines, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two occasions overlap in time; where they touch the documentation does not say."""
    first, last = lines.time[before[-1]], lines.time[after[0]]
    if last > first:
        return False
    if last == first or lines.time[after[-1]] <= lines.time[before[0]]:
        how = "begins when the one before ends" if last == first else "lies before the one before it"
        raise _problem(
            lines, after[0], f"the occasion on line {lines.line(after[0])} {how}: whether amounts are carried over is "
            "not defined", "give occasions times that go on or overlap, or mark a new period by event identifier 4",
        )  # fmt: skip
    return True


def _check_alike(lines: Lines, found: list[Period]) -> None:
    """Overlapping and other occasions in one subject."""
    later = [p for p, before in zip(found[1:], found, strict=False) if p.number == before.number]
    if len({p.washout for p in later}) > 1:
        odd = next(p for p in later if p.washout != later[0].washout)
        raise _problem(
            lines, odd.lines[0],
            f"some occasions of ID {lines.labels[odd.subject]} overlap in time and others do not (line "
            f"{lines.line(odd.lines[0])}): whether amounts are carried over is not defined",
            "mark new periods by event identifier 4",
        )  # fmt: skip


def _problem(lines: Lines, k: int, message: str, hint: str, kind: type = UnsupportedError):
    return kind(message, hint=hint, location=lines.file.at(int(lines.row[k])))
