"""Dose records as administrations: one number for every way by which doses enter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from nlmevae.data.events import EventKind
from nlmevae.data.switches import compartment_numbers
from nlmevae.ir import DoseInput, Number, assignments
from nlmevae_translators.to_monolix.groups import OutcomeGroup
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.source_data import SourceData

Way = Literal["record", "duration", "rate", "share"]

#: Code of a given rate into an input with a fraction.
_SHARE = -3


@dataclass(frozen=True, slots=True)
class Administration:
    """`way`: at once or at the record's rate, over D_n (RATE = -2), at R_n (RATE = -1), or at the record's rate where a
    fraction F acts on the duration. `infusions`: some have a rate that the column RATE says. `items`: values of data
    items that its F, ALAG, D or R depend on."""

    number: int
    input: DoseInput
    way: Way
    infusions: bool
    items: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Doses:
    """Which administration each record is. `dividing`: number of an input -> data items that change within a subject,
    by whose values its doses are different administrations."""

    data: SourceData
    dividing: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def is_dose(self) -> np.ndarray:
        """(n_rows,)"""
        if not self.data.model.structural.compartments:
            return np.zeros(len(self.data.rows.values), dtype=bool)
        return np.isin(self.data.run.dataset.evid, (1, 4))

    @cached_property
    def is_reset(self) -> np.ndarray:
        """(n_rows,) a reset without a dose, which has a line of its own; with occasions none has (see `resets`)."""
        if not self.data.model.structural.compartments or self.data.occasion is not None:
            return np.zeros(len(self.data.rows.values), dtype=bool)
        return self.data.run.dataset.evid == 3

    @cached_property
    def _before_dose(self) -> np.ndarray:
        """(n_rows,) the next record is a dose of the subject at the same time."""
        same = (np.diff(self.data.subject) == 0) & (np.diff(self.data.time) == 0.0)
        return np.append(same & self.is_dose[1:], False)

    @cached_property
    def resets(self) -> np.ndarray:
        """(n_rows,) doses with a reset just before them: EVID 4; with occasions also EVID 3 at the time of a dose that
        follows."""
        evid = self.data.run.dataset.evid
        if self.data.occasion is None:
            return self.is_dose & (evid == 4)
        return self.is_dose & ((evid == 4) | np.append(False, ((evid == 3) & self._before_dose)[:-1]))

    @cached_property
    def opens(self) -> np.ndarray:
        """(n_rows,) steady-state doses that are the first dose or observation of an occasion that is not the first."""
        data = self.data
        found = np.zeros(len(self.is_dose), dtype=bool)
        if data.occasion is None:
            return found
        used = self.is_dose.copy()
        used[data.run.table.ob_row] = True
        begins = np.flatnonzero(data.first_of_occasion)
        for k in begins:
            own = (data.subject == data.subject[k]) & (data.occasion == data.occasion[k]) & used
            first = int(np.argmax(own))
            found[first] = own[first] and self.is_dose[first] and data.rows.of("ss")[first] == 1
        return found

    @cached_property
    def _codes(self) -> np.ndarray:
        """(n_rows, 3): input, code of the rate (0, -1, -2 or `_SHARE`), number of the values that divide its doses."""
        structural = self.data.model.structural
        cmt = compartment_numbers(structural, self.data.rows)
        rate = self.data.rows.of("rate")
        cmt = np.where(cmt == 0, structural.default_dose, cmt)
        shared = [i.number for i in structural.dose_inputs if self._has_fraction(i)]
        code = np.where((rate > 0.0) & np.isin(cmt, shared), _SHARE, np.minimum(rate, 0.0))
        return np.column_stack([cmt, code, self._places(cmt)]).astype(int)

    def _places(self, cmt: np.ndarray) -> np.ndarray:
        """(n_rows,) of the values of the items that divide the doses of an input, among those that it has."""
        found = np.zeros(len(cmt), dtype=int)
        for number, items in self.dividing.items():
            own = self.is_dose & (cmt == number)
            values = np.column_stack([self.data.values(item)[own] for item in items])
            found[own] = np.unique(values, axis=0, return_inverse=True)[1].ravel()
        return found

    def _has_fraction(self, entry: DoseInput) -> bool:
        values = [a.value for a in assignments(self.data.model.program.pk) if a.target == entry.bioavailability]
        return any(not (isinstance(v, Number) and v.value == 1.0) for v in values)

    @cached_property
    def is_share(self) -> np.ndarray:
        """(n_rows,) an infusion whose rate is a regressor."""
        return self.is_dose & (self._codes[:, 1] == _SHARE)

    @cached_property
    def keys(self) -> list[tuple[int, int, int]]:
        """Of the administrations in order: a row of `_codes`."""
        found = {(int(a), int(b), int(c)) for a, b, c in self._codes[self.is_dose]}
        return sorted(found, key=lambda k: (k[0], -k[1], k[2]))

    @cached_property
    def numbers(self) -> np.ndarray:
        """(n_rows,) number of the administration, 0 where no dose is."""
        found = np.zeros(len(self.is_dose), dtype=int)
        for k, key in enumerate(self.keys, 1):
            found[self.is_dose & np.all(self._codes == key, axis=1)] = k
        return found

    @cached_property
    def administrations(self) -> tuple[Administration, ...]:
        inputs = {i.number: i for i in self.data.model.structural.dose_inputs}
        rate = self.data.rows.of("rate")
        ways: dict[int, Way] = {0: "record", -2: "duration", -1: "rate", _SHARE: "share"}
        found = []
        for k, (number, code, _) in enumerate(self.keys, 1):
            own = self.numbers == k
            infusions = code == 0 and bool(np.any(rate[own] > 0.0))
            items = {item: float(self.data.values(item)[np.argmax(own)]) for item in self.dividing.get(number, ())}
            found.append(Administration(k, inputs[number], ways[code], infusions, items))
        return tuple(found)

    def _line(self, where: np.ndarray) -> int:
        """Of the data file, of the first record."""
        return int(self.data.run.dataset.lines[np.flatnonzero(where)[0]])

    @cached_property
    def emptied(self) -> np.ndarray:
        """(n_rows,) the compartment that a record turns off, 0: none. One that stays off is refused by `check`."""
        structural, evid = self.data.model.structural, self.data.run.dataset.evid
        if not structural.compartments:
            return np.zeros(len(evid), dtype=int)
        cmt = compartment_numbers(structural, self.data.rows)
        off = np.isin(evid, (0, 2)) & (cmt < 0)
        if structural.output is not None:
            off &= -cmt != structural.output.number
        return np.where(off, -cmt, 0)

    @cached_property
    def emptying(self) -> dict[int, int]:
        """Compartment -> number of the administration that empties it."""
        found = sorted({int(c) for c in self.emptied} - {0})
        return {c: len(self.keys) + k for k, c in enumerate(found, 1)}

    def check(self) -> None:
        """Raises:
        RefusedError: records that have no counterpart.
        """
        data, at = self.data, self.data.model.data.at
        if data.run.table.output or data.run.table.statuses:
            off = data.rows.of("cmt") < 0
            line = f" (line {self._line(off)})" if np.any(off) else ""
            reason = (
                f"compartments that stay off for a while{line}, and the output compartment, have no counterpart in "
                "Monolix. Leave out the records with a negative CMT, or write what they do into $DES"
            )
            raise RefusedError("CMT", reason, at)
        self._check_emptied()
        if data.occasion is not None:
            self._check_occasions()

    def _check_occasions(self) -> None:
        """What `plain_events` says by other records where there are no occasions.

        Raises:
            RefusedError: as `check`.
        """
        data, at = self.data, self.data.model.data.at
        rows, evid = data.rows, data.run.dataset.evid
        alone = (evid == 3) & ~self._before_dose & ~(data.first_of_occasion & data.restarts)
        if np.any(alone):
            reason = f"a reset without a dose (line {self._line(alone)}) has no certain meaning in Monolix; use EVID=4"
            raise RefusedError("EVID=3", reason, at)
        steady = rows.of("ss")
        if np.any(steady > 1):
            raise RefusedError("SS=2, SS=3", "Monolix has only steady states that begin anew", at)
        if np.any((steady == 1) & (rows.of("ii") == 0.0)):
            raise RefusedError("SS=1 with II=0", "Monolix has no steady state of a constant infusion", at)
        earlier = np.zeros(len(steady), dtype=bool)
        for k in np.flatnonzero(steady == 1):
            before = (data.subject == data.subject[k]) & (np.arange(len(steady)) < k)
            earlier[k] = bool(np.any(self.is_dose & before)) and not self.opens[k]
        if earlier.any():
            reason = "it cancels the doses before it; in Monolix they stay. Give the period its own ID"
            raise RefusedError("SS=1 after another dose", reason, at)

    def _check_emptied(self) -> None:
        rows, at = self.data.run.dataset, self.data.model.data.at
        seen = self.emptied[self.data.run.table.ob_row] > 0
        if seen.any():
            line = rows.lines[self.data.run.table.ob_row[np.argmax(seen)]]
            reason = f"line {line} observes a compartment and turns it off; give each a record of its own"
            raise RefusedError("CMT", reason, at)
        if self.emptying and any(a.way == "rate" for a in self.administrations):
            reason = "Monolix knows R by the amount of the last dose, and a record that empties a compartment is a dose"
            raise RefusedError("CMT < 0 and RATE = -1", reason, at)

    def observed_behind(self, groups: list[OutcomeGroup], read: frozenset[str]) -> list[int]:
        """Rows of the data with a value at the time of a bolus, behind it, in what the bolus enters.

        `read`: names that the prediction reads."""
        table, data = self.data.run.table, self.data
        inputs = {i.number: i for i in data.model.structural.dose_inputs}
        events = np.repeat(np.arange(table.n_subjects), np.diff(table.ev_ptr))
        bolus = table.ev_kind == EventKind.BOLUS
        empty = table.ev_kind == EventKind.EMPTY
        found: list[int] = []
        for group in groups:
            seen = {group.compartment} if "F" in read else set()
            seen |= {int(name[2:-1]) for name in read if name.startswith("A(")}
            into = [n for n, i in inputs.items() if i.compartment in seen and i.lag is None]
            chosen = np.flatnonzero((bolus & np.isin(table.ev_cmt, into)) | (empty & np.isin(table.ev_cmt, list(seen))))
            orders = {(events[e], table.ev_time[e]): table.ev_order[e] for e in chosen[::-1]}
            for k in group.rows:
                first = orders.get((table.ob_subject[k], table.ob_time[k]))
                if first is not None and first < table.ob_order[k]:
                    found.append(int(table.ob_row[k]))
        return found

    def check_observed(self, groups: list[OutcomeGroup], read: frozenset[str]) -> None:
        """Raises:
        RefusedError: there are such values.
        """
        for row in self.observed_behind(groups, read)[:1]:
            raise RefusedError(
                "observation at the time of a dose",
                f"line {self.data.run.dataset.lines[row]} is observed just after a bolus (or a compartment is emptied) "
                "at the same time; Monolix predicts it just before. Give the observation a later time",
                self.data.model.data.at,
            )
