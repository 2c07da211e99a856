"""What happens to one row of the torchode back end, in order of time: numbers only, no tensors.

torchode has no events, so a row's time is cut at doses, ends of infusions, resets, steady states, model times and
changes of covariates. Where the cuts are depends on the parameters (lags, model times); which numbers of the parameters
they are does not have to be known here: every cut names its time and its value by place, and `schedule_torch` puts in
the tensors, through which derivatives flow.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventKind, EventTable

#: Of a row's timelines that are kept for the next call; those that depend on parameters would pile up.
_MOST_KEPT = 20_000

Kind = Literal["bolus", "rate", "reset", "set", "add", "empty", "switch", "piece"]


class Clock(enum.IntEnum):
    """Where the time of a change is: at the place of an event in the row (ARRIVAL: its time and lag, END: of its
    infusion), of a model time (SWITCH), of a steady state (STEADY: the record's time and the end of the last of its
    infusions), or nowhere (FIXED): it is a number of the data."""

    FIXED = 0
    ARRIVAL = 1
    END = 2
    SWITCH = 3
    STEADY = 4


@dataclass(frozen=True, slots=True)
class Moment:
    """`when` is its number; of FIXED ones and of STEADY ones (`offset` intervals later) the part that is data."""

    clock: Clock
    place: int
    when: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """A jump of the state or of the infusion rates. `given`: of the record that caused it, in order; `place` of its
    value: of an event in the row, of a steady state in the row if `steady`, or the number of a model time."""

    moment: Moment
    order: float
    kind: Kind
    given: float
    compartment: int = 0
    place: int = 0
    sign: float = 1.0
    steady: bool = False

    @property
    def when(self) -> float:
        return self.moment.when


@dataclass(frozen=True, slots=True)
class Given:
    """Numbers of one row that depend on its parameters: arrivals and ends of infusions (one per event), model times,
    and of steady states (event, infusions that run, end of the one that ends first after the record)."""

    arrivals: tuple[float, ...]
    ends: tuple[float, ...]
    switches: tuple[float, ...]
    steady: tuple[tuple[int, int, float], ...]

    @property
    def known(self) -> bool:
        """No time is NaN."""
        return not np.isnan([*self.arrivals, *self.ends, *self.switches, *(end for _, _, end in self.steady)]).any()


@dataclass(slots=True)
class Segment:
    """Up to `stop`, where `change` happens; observations on the way as (number in the subject, time)."""

    stop: Moment
    change: Change | None = None
    observations: list[tuple[int, float]] = field(default_factory=list)


class Timelines:
    """Of the rows of one decoder."""

    def __init__(self, form: LatentForm, table: EventTable) -> None:
        self.form, self.table = form, table
        self._kept: dict[tuple[int, Given], list[Segment]] = {}

    def of(self, subject: int, given: Given) -> list[Segment]:
        """The row's time in pieces, up to its last observation. Rows of a subject with the same numbers share theirs;
        nobody changes them."""
        key = (subject, given)
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._segments(subject, given)
        return self._kept[key]

    def _segments(self, subject: int, given: Given) -> list[Segment]:
        table, first = self.table, int(self.table.ob_ptr[subject])
        observations = range(first, int(table.ob_ptr[subject + 1]))
        if not observations:
            return []
        start, last = float(table.start_time[subject]), max(float(table.ob_time[o]) for o in observations)
        changes = [*_switches(given, start, last), *self._new_pieces(subject)]
        for place, e in enumerate(range(*table.ev_ptr[subject : subject + 2])):
            changes += self._changes(e, place, given)
        changes.sort(key=lambda c: (c.when, c.order))
        changes = _without_cancelled(changes)
        segments = [Segment(stop=c.moment, change=c) for c in changes]
        closing = changes[-1].when if changes else start
        if last > closing or not changes:
            segments.append(Segment(stop=Moment(Clock.FIXED, 0, max(last, closing))))
        else:
            segments.append(Segment(stop=changes[-1].moment))
        keys = [(c.when, c.order) for c in changes]
        for o in observations:
            key = (float(table.ob_time[o]), float(table.ob_order[o]))
            segments[sum(k < key for k in keys)].observations.append((o - first, key[0]))
        while not segments[-1].observations:
            segments.pop()
        return segments

    def _new_pieces(self, subject: int) -> list[Change]:
        """Covariates change after the last record of their row."""
        ends = range(self.table.cov_ptr[subject], self.table.cov_ptr[subject + 1] - 1)
        times, orders = self.table.cov_time[ends].tolist(), (self.table.cov_order[ends] + 0.5).tolist()
        return [
            Change(Moment(Clock.FIXED, 0, time), order, "piece", np.inf)
            for time, order in zip(times, orders, strict=True)
        ]

    def _changes(self, e: int, place: int, given: Given) -> list[Change]:
        table = self.table
        kind, order = EventKind(int(table.ev_kind[e])), float(table.ev_order[e])
        nominal = Moment(Clock.FIXED, 0, float(table.ev_time[e]))
        if kind is EventKind.RESET:
            return [Change(nominal, order, "reset", order)]
        number = int(table.ev_cmt[e])
        if kind is EventKind.EMPTY:
            return [Change(nominal, order, "empty", order, number - 1)]
        state = self.form.dosing[number - 1].compartment - 1
        if table.ev_is_steady[e]:
            return self._steady_changes(e, nominal, state, given)
        arrival = Moment(Clock.ARRIVAL, place, given.arrivals[place])
        if kind is EventKind.BOLUS:
            return [Change(arrival, order, "bolus", order, state, place)]
        end = Moment(Clock.END, place, given.ends[place])
        return [
            Change(arrival, order, "rate", order, state, place),
            Change(end, order, "rate", order, state, place, sign=-1.0),
        ]

    def _steady_changes(self, e: int, nominal: Moment, state: int, given: Given) -> list[Change]:
        """The amounts, and infusions of earlier doses that go on."""
        table, order = self.table, float(self.table.ev_order[e])
        place = [event for event, _, _ in given.steady].index(e)
        _, running, first_end = given.steady[place]
        adds = table.ev_kind[e] == EventKind.STEADY_STATE_ADD
        changes = [Change(nominal, order, "add" if adds else "set", order, place=place, steady=True)]
        for k in range(running):
            offset = nominal.when + k * float(table.ev_ii[e])
            end = Moment(Clock.STEADY, place, first_end + offset, offset)
            changes.append(Change(nominal, order, "rate", order, state, place, steady=True))
            changes.append(Change(end, order, "rate", order, state, place, sign=-1.0, steady=True))
        return changes


def _switches(given: Given, start: float, end: float) -> list[Change]:
    """Model times after the first record up to the last observation; they come before all records of their time, and
    nothing cancels them."""
    return [
        Change(Moment(Clock.SWITCH, i, time), -1.0, "switch", np.inf, place=i)
        for i, time in enumerate(given.switches)
        if start < time <= end
    ]


def _without_cancelled(changes: list[Change]) -> list[Change]:
    """A reset, or a steady state that is set, cancels what was given before it and has not happened yet (lagged doses,
    running infusions)."""
    kept: list[Change] = []
    for position, change in enumerate(changes):
        resets = [c for c in changes[:position] if c.kind in ("reset", "set")]
        if change.kind == "reset" or not any(change.given < reset.given for reset in resets):
            kept.append(change)
    return kept


def pieces_before(table: EventTable, ptr: np.ndarray, time: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(n,) how often covariates have changed before each record, in its subject; `ptr` (N + 1,) its ranges."""
    found = np.zeros(len(time), dtype=np.int64)
    for i in range(table.n_subjects):
        own, ends = slice(*ptr[i : i + 2]), slice(table.cov_ptr[i], table.cov_ptr[i + 1] - 1)
        earlier = table.cov_time[ends] < time[own, None]
        earlier |= (table.cov_time[ends] == time[own, None]) & (table.cov_order[ends] < order[own, None])
        found[own] = earlier.sum(axis=1)
    return found
