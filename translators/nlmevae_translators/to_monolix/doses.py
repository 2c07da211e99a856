"""Dose records as administrations: one number for every way by which doses enter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from nlmevae.data.events import EventKind
from nlmevae.data.switches import compartment_numbers
from nlmevae.ir import DoseInput
from nlmevae_translators.to_monolix.groups import OutcomeGroup
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.source_data import SourceData

Way = Literal["record", "duration", "rate"]


@dataclass(frozen=True, slots=True)
class Administration:
    """`way`: at once or at the record's rate, over D_n (RATE = -2), at R_n (RATE = -1). `infusions`: some have a
    rate."""

    number: int
    input: DoseInput
    way: Way
    infusions: bool


@dataclass(frozen=True)
class Doses:
    """Which administration each record is."""

    data: SourceData

    @cached_property
    def is_dose(self) -> np.ndarray:
        """(n_rows,)"""
        if not self.data.model.structural.compartments:
            return np.zeros(len(self.data.rows.values), dtype=bool)
        return np.isin(self.data.run.dataset.evid, (1, 4))

    @cached_property
    def _codes(self) -> np.ndarray:
        """(n_rows,) twice: input and code of the rate: 0, -1 or -2."""
        structural = self.data.model.structural
        cmt = compartment_numbers(structural, self.data.rows)
        rate = self.data.rows.of("rate")
        return np.column_stack([np.where(cmt == 0, structural.default_dose, cmt), np.minimum(rate, 0.0)]).astype(int)

    @cached_property
    def keys(self) -> list[tuple[int, int]]:
        """Of the administrations in order: input and code of the rate."""
        return sorted({(int(a), int(b)) for a, b in self._codes[self.is_dose]}, key=lambda k: (k[0], -k[1]))

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
        ways: dict[int, Way] = {0: "record", -2: "duration", -1: "rate"}
        return tuple(
            Administration(k, inputs[number], ways[code], bool(np.any(rate[self.numbers == k] > 0.0)))
            for k, (number, code) in enumerate(self.keys, 1)
        )

    def check(self) -> None:
        """Raises:
        RefusedError: records that have no counterpart.
        """
        data, at = self.data, self.data.model.data.at
        rows, evid = data.rows, data.run.dataset.evid
        if np.any(evid == 3):
            raise RefusedError("EVID=3", "a reset without a dose has no certain meaning in Monolix; use EVID=4", at)
        if data.run.table.output or data.run.table.statuses:
            what = "compartments turned on and off, and the output compartment, have no counterpart"
            raise RefusedError("CMT", what, at)
        steady = rows.of("ss")
        if np.any(steady > 1):
            raise RefusedError("SS=2, SS=3", "Monolix has only steady states that begin anew", at)
        if np.any((steady == 1) & (rows.of("ii") == 0.0)):
            raise RefusedError("SS=1 with II=0", "Monolix has no steady state of a constant infusion", at)
        earlier = np.zeros(len(steady), dtype=bool)
        for k in np.flatnonzero(steady == 1):
            before = (data.subject == data.subject[k]) & (np.arange(len(steady)) < k)
            earlier[k] = bool(np.any(self.is_dose & before))
        if earlier.any():
            reason = "it cancels the doses before it; in Monolix they stay. Give the period its own ID"
            raise RefusedError("SS=1 after another dose", reason, at)

    def check_observed(self, groups: list[OutcomeGroup], read: frozenset[str]) -> None:
        """`read`: names that the prediction reads.

        Raises:
            RefusedError: a value is observed at the time of a bolus, behind it, in what the bolus enters.
        """
        table, data = self.data.run.table, self.data
        inputs = {i.number: i for i in data.model.structural.dose_inputs}
        events = np.repeat(np.arange(table.n_subjects), np.diff(table.ev_ptr))
        bolus = table.ev_kind == EventKind.BOLUS
        for group in groups:
            seen = {group.compartment} if "F" in read else set()
            seen |= {int(name[2:-1]) for name in read if name.startswith("A(")}
            into = [n for n, i in inputs.items() if i.compartment in seen and i.lag is None]
            chosen = np.flatnonzero(bolus & np.isin(table.ev_cmt, into))
            orders = {(events[e], table.ev_time[e]): table.ev_order[e] for e in chosen[::-1]}
            for k in group.rows:
                first = orders.get((table.ob_subject[k], table.ob_time[k]))
                if first is not None and first < table.ob_order[k]:
                    line = data.run.dataset.lines[table.ob_row[k]]
                    raise RefusedError(
                        "observation at the time of a dose",
                        f"line {line} is observed just after a bolus at the same time; Monolix predicts it just before "
                        "the bolus. Give the observation a later time",
                        data.model.data.at,
                    )
