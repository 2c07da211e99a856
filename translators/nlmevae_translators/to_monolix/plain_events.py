"""Events that Monolix has no record for, as records that have the same effect.

SS=1, SS=3 after other records  a reset, n doses before the record's, then its own: all that was before is cancelled
SS=2                            n doses before the record's, which add up with what is there
SS=1 with AMT=0 and II=0        an infusion that lasts n times as long as the subject's data, up to the record
a reset at the time of a value  it comes later, and what follows, too

What is given before a record needs time in which nothing is observed. A state that does not depend on what was before
(SS=1, a reset) may come later than stated, with all that follows, unless the code reads the time. How near doses come
to a steady state is in the proof; equations that are not linear have another state under SS=2, which it finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.event_table import event_table
from nlmevae.ir import names_read, past_flags
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.source_data import SourceData

#: By how much a reset follows a value of its time.
_GAP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEdit:
    """What stands for one record.

    Attributes:
        line: of the data file.
        steady: its SS; 0: a reset.
        n_doses: given before it; `constant`: an infusion is.
        reset: all before is cancelled.
        later: by how much it and what follows come later.
    """

    line: int
    steady: int
    n_doses: int = 0
    reset: bool = True
    constant: bool = False
    later: float = 0.0


def with_plain_events(run: PreparedRun, *, n_doses: int) -> tuple[PreparedRun, tuple[EventEdit, ...]]:
    """The run with records that Monolix has, with `n_doses` for a steady state where there is room.

    Raises:
        RefusedError: something is observed while doses would be given.
    """
    if not run.model.structural.compartments:
        return run, ()
    edit = _Edit(SourceData(run))
    made = edit.made(n_doses)
    if not made:
        return run, ()
    dataset = edit.dataset()
    return replace(run, dataset=dataset, table=event_table(run.model, dataset)), made


class _Edit:
    """Rows of the new data set: what stands before each, what is changed in it, and its time."""

    def __init__(self, data: SourceData) -> None:
        self.data = data
        self.time = data.time.copy()
        self.evid, self.mdv = data.run.dataset.evid, data.run.dataset.mdv
        self.dropped: set[int] = set()
        self.before: dict[int, list[dict[str, float]]] = {}
        self.changes: dict[int, dict[str, float]] = {}

    def made(self, n_doses: int) -> tuple[EventEdit, ...]:
        steady, found = self.data.rows.of("ss"), []
        for k in np.flatnonzero(np.isin(self.evid, (3, 4)) | (steady > 0)):
            if steady[k] > 0 and np.isin(self.evid[k], (1, 4)):
                found += [self._steady(int(k), n_doses)] if self._is_hard(k) else []
            elif self._seen(k) >= self.time[k]:
                self._move(k, _GAP)
                found.append(EventEdit(line=self._line(k), steady=0, later=_GAP))
            else:  # doses at its time are cancelled before anything is seen of them
                own = np.arange(self._first(k), k)
                cancelled = own[np.isin(self.evid[own], (1, 4)) & (self.time[own] >= self.time[k])]
                self.dropped |= set(cancelled.tolist())
                if len(cancelled):
                    found.append(EventEdit(line=self._line(k), steady=0))
        return tuple(found)

    def _is_hard(self, k: int) -> bool:
        """The column SS of a project does not say it: there must be nothing before."""
        rows, own = self.data.rows, np.arange(self._first(k), k)
        earlier = np.isin(self.evid[own], (1, 3, 4)) | (self.mdv[own] == 0)
        return bool(rows.of("ss")[k] != 1 or rows.of("ii")[k] == 0.0 or self.evid[k] == 4 or earlier.any())

    # one record ------------------------------------------------------------------------------------------
    def _steady(self, k: int, n_doses: int) -> EventEdit:
        rows = self.data.rows
        steady, interval = int(rows.of("ss")[k]), rows.of("ii")[k]
        reset = steady != 2
        if rows.of("amt")[k] == 0.0:
            return self._constant(k, n_doses, steady)
        later, count = self._room(k, interval, n_doses, reset=reset)
        begin = self.time[k] - count * interval
        given = [
            {"time": self.time[k] - j * interval, "ss": 0.0, "addl": 0.0, "ii": 0.0, "evid": 1.0}
            for j in range(count, 0, -1)
        ]
        if reset:
            given.insert(0, _reset(begin))
            self._cancel(k, begin)
        self.before[k] = given
        self.changes[k] = {"ss": 0.0, "evid": 1.0, **({} if rows.of("addl")[k] > 0 else {"ii": 0.0})}
        return EventEdit(line=self._line(k), steady=steady, n_doses=count, reset=reset, later=later)

    def _constant(self, k: int, n_doses: int, steady: int) -> EventEdit:
        rate = self.data.rows.of("rate")[k]
        if rate <= 0.0:
            raise RefusedError(
                f"SS={steady} with AMT=0",
                f"line {self._line(k)}: a constant infusion at the rate R of the code has no amount that could be "
                "written",
                self.data.model.data.at,
            )
        own = self.time[self.data.subject == self.data.subject[k]]
        length = n_doses * max(1.0, float(own.max() - own.min()))
        reset = steady != 2
        later, count = self._room(k, length, 1, reset=reset)
        begin = self.time[k] - count * length
        infusion = {"time": begin, "amt": rate * length, "ss": 0.0, "evid": 1.0}
        self.before[k] = [*([_reset(begin)] if reset else []), infusion]
        self.changes[k] = {"ss": 0.0, "rate": 0.0, "evid": 2.0}
        if reset:
            self._cancel(k, begin)
        return EventEdit(line=self._line(k), steady=steady, reset=reset, constant=True, later=later)

    # time ------------------------------------------------------------------------------------------------
    def _room(self, k: int, interval: float, n_doses: int, *, reset: bool) -> tuple[float, int]:
        """By how much the record was moved, and how many intervals fit before it, up to `n_doses`."""
        free = (self.time[k] - self._seen(k)) / interval
        fits = n_doses if free > n_doses else max(0, math.ceil(free - 1e-9) - 1)
        if fits == n_doses:
            return 0.0, fits
        if reset and not self._reads_time:
            later = interval * math.ceil(n_doses + 0.5 - free)
            self._move(k, later)
            return later, n_doses
        if fits == 0:
            self._refuse(k, interval)
        return 0.0, fits

    @property
    def _reads_time(self) -> bool:
        program, model = self.data.model.program, self.data.model
        read = names_read(program.pk) | names_read(program.des) | names_read(program.error)
        clocks = {n for c in model.data.columns if c.role == "time" for n in (c.name, c.synonym) if n}
        return bool(read & {"T", *clocks}) or bool(past_flags(program))

    def _move(self, k: int, by: float) -> None:
        if self._reads_time:
            raise RefusedError(
                f"EVID={self.evid[k]}",
                f"line {self._line(k)}: a reset at the time of a value, which of the two comes first is not defined in "
                "Monolix, and the code reads the time; give the reset a later time",
                self.data.model.data.at,
            )
        end = int(self.data.run.dataset.subject_ptr[self.data.subject[k] + 1])
        self.time[k:end] += by

    def _seen(self, k: int) -> float:
        """The time of the last value before the record; -inf without one."""
        own = np.arange(self._first(k), k)
        seen = own[self.mdv[own] == 0]
        return float(self.time[seen[-1]]) if len(seen) else -math.inf

    def _first(self, k: int) -> int:
        return int(self.data.run.dataset.subject_ptr[self.data.subject[k]])

    def _line(self, k: int) -> int:
        return int(self.data.run.dataset.lines[k])

    def _refuse(self, k: int, interval: float) -> None:
        steady = int(self.data.rows.of("ss")[k])
        why = "the code reads the time" if steady != 2 else "it adds up with what is there"
        raise RefusedError(
            f"SS={steady}",
            f"line {self._line(k)}: Monolix has no steady state after other records; the doses that lead to it would "
            f"be given while something is observed, within one interval II = {interval:g}, and {why}. Give the doses "
            "as records",
            self.data.model.data.at,
        )

    def _cancel(self, k: int, begin: float) -> None:
        """Records from the reset on have no effect, and additional doses end before it."""
        rows = self.data.rows
        for j in range(self._first(k), k):
            if self.time[j] >= begin:
                self.dropped.add(j)
            elif np.isin(self.evid[j], (1, 4)) and rows.of("addl")[j] > 0:
                fits = math.ceil((begin - self.time[j]) / rows.of("ii")[j] - 1e-9) - 1
                change = self.changes.setdefault(j, {})
                change["addl"] = float(max(0, min(fits, change.get("addl", rows.of("addl")[j]))))

    # the rows --------------------------------------------------------------------------------------------
    def dataset(self) -> Dataset:
        """The data set with the new rows, those of a subject in order of time."""
        old = self.data.run.dataset
        listed: list[tuple[int, float, int, dict[str, float]]] = []
        for k in range(len(old.values)):
            if k in self.dropped:
                continue
            subject = int(self.data.subject[k])
            listed += [(subject, row["time"], k, {**row, "mdv": 1.0}) for row in self.before.get(k, ())]
            listed.append((subject, float(self.time[k]), k, {**self.changes.get(k, {}), "time": float(self.time[k])}))
        listed.sort(key=lambda item: item[:2])
        index = np.array([k for _, _, k, _ in listed])
        roles = {c.role: n for n, c in enumerate(self.data.rows.columns)}
        values, evid, mdv = old.values[index].copy(), old.evid[index].copy(), old.mdv[index].copy()
        for n, (_, _, _, change) in enumerate(listed):
            for role in change.keys() & roles.keys():
                values[n, roles[role]] = change[role]
            evid[n], mdv[n] = int(change.get("evid", evid[n])), int(change.get("mdv", mdv[n]))
        ptr = np.searchsorted(self.data.subject[index], np.arange(len(old.subject_ptr)))
        return replace(
            old, values=values, missing=old.missing[index], lines=old.lines[index], subject_ptr=ptr, evid=evid, mdv=mdv
        )


def _reset(time: float) -> dict[str, float]:
    none = dict.fromkeys(("amt", "rate", "ss", "addl", "ii"), 0.0)
    return {"time": time, "evid": 3.0, **none}
