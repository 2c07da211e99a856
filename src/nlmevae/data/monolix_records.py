"""Records of one period of a subject, as the engine takes them, in order of time.

Monolix carries the last value of a regressor forward, while a record of the engine holds from the record before it up
to itself. So before a record that changes what is held a record without effect repeats the old values at its time. At
equal times observations come before doses, and resets before both.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nlmevae.data.monolix_doses import TRANSIT, GivenDose
from nlmevae.data.monolix_lines import Lines
from nlmevae.data.monolix_periods import Period
from nlmevae.data.monolix_record import Record
from nlmevae.data.monolix_transit import TransitWatch
from nlmevae.errors import DataError, UnsupportedError
from nlmevae.ir import MonolixRows, RowColumn

_RESET, _LOOK, _GIVE = range(3)  # order at equal times


class PeriodRecords:
    """Makes the records of the periods of one subject one after the other; step functions go on from one to the next
    where the state does."""

    def __init__(self, rows: MonolixRows, lines: Lines) -> None:
        self.rows, self.lines = rows, lines
        self._step = dict.fromkeys(rows.steps, 0.0)
        self._transit = TransitWatch(rows, lines)

    def make(self, period: Period, doses: list[GivenDose], *, first: bool) -> list[Record]:
        """Records of `period`, each with what is held.

        Raises:
            DataError: a regressor has no value where it is first needed, or two at one time.
            UnsupportedError: records before the initial time, a reset at the time of an observation, step functions
                that are not defined.
        """
        lines, own = self.lines, period.lines
        if first or period.washout:
            self._step = dict.fromkeys(self.rows.steps, 0.0)
        self._transit.begin(period, first=first)
        values = _filled(self.rows, lines, own)
        of_line = dict(zip(own.tolist(), values, strict=True))
        records = [*self._of_lines(period, first), *self._of_doses(doses)]
        records.sort(key=lambda r: (r.time, r.rank))  # stable: equal ones keep the order of lines
        records = self._begun(records, period, first)
        self._check_resets(records)
        self._check_steps(records)
        return self._with_held(records, of_line)

    def _of_lines(self, period: Period, first: bool) -> list[Record]:
        lines, found = self.lines, []
        for place, k in enumerate(period.lines.tolist()):
            time = float(lines.time[k])
            if lines.reset[k] == 3 and not (place == 0 and (first or period.washout)):
                found.append(Record(time, _RESET, 3, k))
            if lines.observed[k] or not lines.dose[k]:
                found.append(Record(time, _LOOK, 0 if lines.observed[k] else 2, k))
        return found

    def _of_doses(self, doses: list[GivenDose]) -> list[Record]:
        return [
            Record(d.time, _GIVE, 2 if d.input <= TRANSIT else 1, d.line, d, added=d.origin != "line") for d in doses
        ]

    def _begun(self, records: list[Record], period: Period, first: bool) -> list[Record]:
        """From the first dose or observation on, or from the initial time of the model; with the washout's reset."""
        if not first and not period.washout:
            return records
        events = [r for r in records if r.dose is not None or self.lines.event[r.line]]
        if not events:
            return []
        start, stated = events[0].time, self.rows.initial_time
        records = [r for r in records if r.time >= start]
        beginning = replace(events[0], evid=3 if period.washout else 2, dose=None, added=True, rank=_RESET)
        if stated is None:
            return [beginning, *records] if period.washout else records
        if start < stated:
            raise self._problem(
                events[0], f"line {self.lines.line(events[0].line)} has a dose or observation at {start:g}, before the "
                f"initial time {stated:g} of the model", "set t_0 to the first time of the data, or earlier",
            )  # fmt: skip
        if period.washout or start > stated:
            records = [replace(beginning, time=stated), *records]
        return records

    def _check_resets(self, records: list[Record]) -> None:
        """A reset at the time of an observation, or of a dose on a line before it."""
        lines = self.lines
        resets = {r.time: r.line for r in records if r.evid == 3 and not r.added}
        for record in records:
            reset = resets.get(record.time, record.line)
            dosed_before = record.dose is not None and lines.row[record.line] < lines.row[reset]
            if reset != record.line and (record.evid == 0 or dosed_before):
                what = "dose" if dosed_before else "observation"
                raise self._problem(
                    record, f"the {what} on line {lines.line(record.line)} has the time of the reset on line "
                    f"{lines.line(reset)}: which comes first is not defined", "give them different times",
                )  # fmt: skip

    def _check_steps(self, records: list[Record]) -> None:
        """Two unlike doses at one time."""
        if self.rows.dose_amount is None and self.rows.dose_duration is None:
            return
        given: dict[float, GivenDose] = {}
        for record in records:
            dose = record.dose
            if dose is None:
                continue
            other = given.setdefault(dose.time, dose)
            if (other.amount, other.duration) != (dose.amount, dose.duration):
                raise self._problem(
                    record, f"doses on lines {self.lines.line(other.line)} and {self.lines.line(dose.line)} have one "
                    "time, and the model reads amtDose or inftDose, which cannot be both", "give them different times",
                )  # fmt: skip
            if dose.rate < 0 and not dose.duration and self.rows.dose_duration is not None:
                raise self._problem(
                    record,
                    f"line {self.lines.line(dose.line)} is a zero-order absorption, and the model reads inftDose",
                    "read the parameter Tk0 instead",
                )  # fmt: skip

    def _with_held(self, records: list[Record], of_line: dict[int, tuple[float, ...]]) -> list[Record]:
        found: list[Record] = []
        now: tuple[float, ...] = ()
        for record in records:
            if not record.added or (record.dose is not None and record.dose.origin == "steady") or not found:
                now = of_line[record.line]  # additional doses have a "." and keep what is held
            if record.dose is not None:
                self._step |= self._of_dose(record.dose)
            found.append(replace(record, held=(*now, *self._step.values())))
            self._transit.see(found[-1])
        return found

    def _of_dose(self, dose: GivenDose) -> dict[str, float]:
        """What the step functions become."""
        rows = self.rows
        last = {rows.dose_time: dose.time, rows.dose_amount: dose.amount, rows.dose_duration: dose.duration}
        for transit in rows.transit:
            if transit.administration == self.lines.administration[dose.line]:
                last |= {transit.time: dose.time, transit.amount: dose.amount}
        return {name: value for name, value in last.items() if name is not None}

    def _problem(self, record: Record, message: str, hint: str):
        at = self.lines.file.at(int(self.lines.row[record.line]))
        return UnsupportedError(message, hint=hint, location=at)


def _filled(rows: MonolixRows, lines: Lines, own: np.ndarray) -> list[tuple[float, ...]]:
    """Regressors of each line of a period in order of time: the last value given, at its own time already."""
    columns = [c for c in rows.of("regressor") if c.item]
    if not columns:
        return [()] * len(own)
    time, event = lines.time[own].tolist(), lines.event[own].tolist()
    filled = []
    for j, column in enumerate(columns):
        values, last, i = lines.regressors[own, j].tolist(), math.nan, 0
        while i < len(own):
            end = i
            while end < len(own) and time[end] == time[i]:
                end += 1
            given = sorted({v for v in values[i:end] if v == v})
            if len(given) > 1:
                raise _regressor_problem(
                    lines, int(own[end - 1]), column, f"has the values {', '.join(f'{v:g}' for v in given)} at the "
                    f"time {time[i]:g}", "give it one value at each time",
                )  # fmt: skip
            last = given[0] if given else last
            if last != last and any(event[i:end]):
                raise _regressor_problem(
                    lines, int(own[i + event[i:end].index(True)]), column,
                    "has no value at the first dose or observation", "give it there; it is carried forward",
                )  # fmt: skip
            values[i:end] = [last] * (end - i)
            i = end
        filled.append(values)
    return list(zip(*filled, strict=True))


def _regressor_problem(lines: Lines, k: int, column: RowColumn, what: str, hint: str) -> DataError:
    return DataError(
        f"the regressor {column.name} {what} of ID {lines.labels[lines.subject[k]]} (line {lines.line(k)})",
        hint=hint,
        location=lines.file.at(int(lines.row[k]), column.name),
    )
