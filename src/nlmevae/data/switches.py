"""Which compartments are on, record by record: what INITIALOFF, doses, and records with CMT = n or -n say.

A compartment that is off holds nothing, and what flows into it is lost. Turning it off empties it. Rules: NONMEM help,
CMT, EVID, SS, $MODEL and OUTPUT FRACTION PARAMETER; Users Guide VI (PREDPP), chapter V.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from nlmevae.data.roles import Rows
from nlmevae.data.switch_checks import check_switch_records
from nlmevae.errors import DataError, UnsupportedError
from nlmevae.ir import Compartment, Model, StructuralModel, names_assigned, names_read, status_name
from nlmevae.ir.evaluate import run

#: Other numbers of the output compartment; 100 where the model has no compartment of that number.
_OUTPUT_NUMBERS = (100, 1000)
#: Random points at which equations are tried, and how far they spread (SD of the logarithm).
_POINTS, _SPREAD = 200, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Attributes:
    rows, compartments: (K,) the records that turn a compartment off, and which, in record order.
    status: item name -> (n_rows,) 1.0 where the compartment is on in the interval that ends with the record, of those
        whose equation depends on it.
    unfed: compartments that are off for a while and were found to get nothing but doses: it makes no difference.
    output: a record observes the output compartment, which is then one of the model's.
    """

    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    compartments: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    status: dict[str, np.ndarray] = field(default_factory=dict)
    unfed: tuple[int, ...] = ()
    output: bool = False


def compartment_numbers(structural: StructuralModel, rows: Rows) -> np.ndarray:
    """(n_rows,) CMT as whole numbers, with the output compartment's own number for 100 and 1000."""
    return output_numbered(structural, rows.of("cmt").astype(int))


def output_numbered(structural: StructuralModel, cmt: np.ndarray) -> np.ndarray:
    if structural.output is None:
        return cmt
    other = [k for k in _OUTPUT_NUMBERS if k > structural.output.number]
    return np.where(np.isin(np.abs(cmt), other), np.sign(cmt) * structural.output.number, cmt)


def switches(
    model: Model, rows: Rows, evid: np.ndarray, observed: np.ndarray, time: np.ndarray, ptr: np.ndarray
) -> Switches:
    """Args:
        observed: (n_rows,) bool, records that are observations of the likelihood.
        time: (n_rows,) never decreasing within a subject; ptr: (N + 1,) row range of each subject.

    Raises:
        DataError: a record turns a compartment off that NONMEM leaves on, or observes one that is off.
        UnsupportedError: what happens to drug on its way into a compartment that is off is not known.
    """
    structural = model.structural
    cmt = compartment_numbers(structural, rows)
    check_switch_records(structural, rows, evid, cmt)
    off = np.isin(evid, (0, 2)) & (cmt < 0)
    number = None if structural.output is None else structural.output.number
    output = bool(np.any(((evid == 0) & (np.abs(cmt) == number)) | (_asked(structural, rows) == number)))
    if not output:
        off &= np.abs(cmt) != number
    turned_off = set(np.abs(cmt[off]).tolist())
    changing = [c for c in structural.compartments if c.initially_off or c.number in turned_off]
    unfed = tuple(c.number for c in changing if not _fed(model, c))
    watched = [c for c in changing if c.number in turned_off or c.number not in unfed]
    watched += [structural.output] if output and structural.output else []
    if not watched:
        return Switches(unfed=unfed)
    walk = _Walk(structural, rows, evid, observed, cmt, time, tuple(watched))
    for first, end in itertools.pairwise(ptr):
        walk.subject(range(first, end))
    status = {
        status_name(c.number): walk.status[:, k]
        for k, c in enumerate(watched)
        if c.number not in unfed and not (walk.status[:, k] == 1.0).all()
    }
    return Switches(rows=np.flatnonzero(off), compartments=-cmt[off], status=status, unfed=unfed, output=output)


def _asked(structural: StructuralModel, rows: Rows) -> np.ndarray:
    """(n_rows,) PCMT, 0 if the file has none: the compartment that tables show on other records."""
    column = next((k for k, c in enumerate(rows.columns) if "PCMT" in (c.name, c.synonym)), None)
    asked = np.zeros(len(rows.values), dtype=int) if column is None else rows.values[:, column].astype(int)
    return output_numbered(structural, asked)


def _fed(model: Model, compartment: Compartment) -> bool:
    """Something other than doses flows into it. Equations are tried at random points, from which `unfed` follows;
    where more is known of them (codegen) it is verified."""
    number = compartment.number
    if compartment.initial:
        return True
    if model.structural.closed_form is not None:
        return any(to == number for _, to in model.structural.flows)
    rng = np.random.default_rng(number)
    names = sorted(names_read(model.program.des) - names_assigned(model.program.des))
    point = {name: np.exp(_SPREAD * rng.standard_normal(_POINTS)) for name in names} | {
        f"A({number})": np.zeros(_POINTS)
    }
    with np.errstate(all="ignore"):
        slope = run(model.program.des, point).get(f"DADT({number})", np.nan)
    return not bool(np.all(np.asarray(slope) == 0.0))


class _Walk:
    """The records of one subject after another.

    `status` (n_rows, n_watched): where no time passes before a record its value is that of a neighbour, so that
    intervals without length are no changes.
    """

    def __init__(
        self,
        structural: StructuralModel,
        rows: Rows,
        evid: np.ndarray,
        observed: np.ndarray,
        cmt: np.ndarray,
        time: np.ndarray,
        watched: tuple[Compartment, ...],
    ) -> None:
        self.structural, self.rows, self.evid, self.cmt, self.time = structural, rows, evid, cmt, time
        self.observed, self.watched = observed, watched
        self.place = {c.number: k for k, c in enumerate(watched)}
        self.dosed = np.where(cmt == 0, structural.default_dose, cmt)
        self.steady = np.isin(evid, (1, 4)) & (rows.of("ss") > 0)
        self.addl, self.ii, self.ss = (rows.of(role) for role in ("addl", "ii", "ss"))
        self.initial = np.array([0.0 if c.initially_off else 1.0 for c in watched])
        self.status = np.ones((len(time), len(watched)))

    def subject(self, records: range) -> None:
        on = self.initial.copy()
        last_dose: dict[int, float] = {}  # compartment -> time of its last additional dose
        needed = np.full((len(records), len(self.watched)), np.nan)
        for k, row in enumerate(records):
            before = on.copy()
            self._apply(row, on, last_dose)
            if k and self.time[row] > self.time[row - 1]:
                needed[k] = before
            if self.steady[row]:
                self._check_steady_state(row, before, on, moved=not np.isnan(needed[k]).all())
                needed[k] = on
        self.status[records.start : records.stop] = _filled(needed, self.initial)

    def _apply(self, row: int, on: np.ndarray, last_dose: dict[int, float]) -> None:
        kind, number = self.evid[row], self.cmt[row]
        if kind in (3, 4):
            on[:] = self.initial
            last_dose.clear()
        if kind in (1, 4):
            self._dose(row, on, last_dose)
        elif kind == 2 and number > 0 and number in self.place:
            on[self.place[number]] = 1.0
        elif self.observed[row] and kind == 0 and abs(number) in self.place:
            self._check_observed(row, on[self.place[abs(number)]])
        if kind in (0, 2) and number < 0 and -number in self.place:
            if last_dose.get(-number, -np.inf) > self.time[row]:
                raise UnsupportedError(
                    f"compartment {-number} is turned off on line {self.rows.lines[row]} before its last additional "
                    "dose",
                    hint="give the doses that follow as records of their own, instead of ADDL",
                    location=self.rows.at(row, "cmt"),
                )
            on[self.place[-number]] = 0.0

    def _dose(self, row: int, on: np.ndarray, last_dose: dict[int, float]) -> None:
        number = int(self.dosed[row])
        if self.ss[row] in (1, 3):
            last_dose.clear()
        if self.addl[row] > 0:
            last = self.time[row] + self.addl[row] * self.ii[row]
            last_dose[number] = max(last, last_dose.get(number, -np.inf))
        if number not in self.place:
            return
        lag = self.structural.compartments[number - 1].lag
        if lag and not on[self.place[number]]:
            raise UnsupportedError(
                f"the dose on line {self.rows.lines[row]} turns compartment {number} on, and {lag} delays it: whether "
                "the compartment fills before is not known",
                hint=f"turn it on by a record with EVID 2 and CMT = {number} before the dose",
                location=self.rows.at(row, "cmt"),
            )
        on[self.place[number]] = 1.0

    def _check_observed(self, row: int, on: float) -> None:
        number = abs(int(self.cmt[row]))
        watched = self.watched[self.place[number]]
        if watched.output_type and not on:
            raise DataError(
                f"compartment {number} ({watched.name}) is observed on line {self.rows.lines[row]} while it is off: "
                "its amount is 0",
                hint=f"turn it on before by a record with EVID 2 and CMT = {number}, or drop the record with IGNORE",
                location=self.rows.at(row, "cmt"),
            )

    def _check_steady_state(self, row: int, before: np.ndarray, after: np.ndarray, *, moved: bool) -> None:
        output = self.structural.output
        if output is not None and output.number in self.place and after[self.place[output.number]]:
            raise UnsupportedError(
                f"the steady state on line {self.rows.lines[row]} comes while the output compartment is on: what it "
                "holds then is not defined",
                hint=f"turn it off before (EVID 2, CMT = -{output.number}) and on again after the dose",
                location=self.rows.at(row, "ss"),
            )
        if moved and (before != after).any():
            raise UnsupportedError(
                f"the steady-state dose on line {self.rows.lines[row]} turns a compartment on",
                hint=f"turn it on by a record with EVID 2 and CMT = {int(self.dosed[row])} of the same time before",
                location=self.rows.at(row, "ss"),
            )


def _filled(needed: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """(n, K): the value before where there is none, at the start the first one."""
    filled = needed.copy()
    for k in range(filled.shape[1]):
        known = np.flatnonzero(~np.isnan(filled[:, k]))
        if not len(known):
            filled[:, k] = initial[k]
            continue
        place = np.maximum(np.searchsorted(known, np.arange(len(filled)), side="right") - 1, 0)
        filled[:, k] = filled[known[place], k]
    return filled
