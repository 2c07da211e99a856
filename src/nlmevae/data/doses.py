"""Dose records to explicit doses: infusions, additional doses, resets, steady states.

Rules: NONMEM Users Guide VI (PREDPP), chapter V (AMT, RATE, SS, II, ADDL, CMT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.events import EventKind
from nlmevae.data.roles import Rows
from nlmevae.data.switches import Switches, compartment_numbers
from nlmevae.errors import DataError, NlmevaeError, UnsupportedError
from nlmevae.ir import Model, names_read, past_flags

#: Two times closer than this (relative) are one: what is left of the rounding of TIME + k * II.
_SAME_TIME = 1e-9


@dataclass(frozen=True, slots=True)
class Doses:
    """(E,) arrays, sorted by subject, time and order."""

    subject: np.ndarray
    time: np.ndarray
    kind: np.ndarray
    cmt: np.ndarray
    amt: np.ndarray
    rate: np.ndarray
    ii: np.ndarray
    order: np.ndarray


def check_dose_records(model: Model, rows: Rows, evid: np.ndarray) -> None:
    """Raises:
    DataError: dose items that define no dose, or stand on a record that is none.
    UnsupportedError: ADDL < 0, steady state of equations that read the time.
    """
    dose = np.isin(evid, (1, 4))
    for role in ("amt", "rate", "addl", "ii", "ss"):
        _stop(
            rows, role, ~dose & (rows.of(role) != 0), DataError,
            "{name} is {value:g} on line {line}, which is no dose record", "set EVID to 1, or {name} to 0",
        )  # fmt: skip
    _check_steady_states(model, rows)
    _check_amounts(model, rows, dose)
    _check_compartments(model, rows, evid, dose)


def _check_amounts(model: Model, rows: Rows, dose: np.ndarray) -> None:
    amt, rate, addl, ii, ss = (rows.of(role) for role in ("amt", "rate", "addl", "ii", "ss"))
    _stop(
        rows, "rate", (rate < 0) & ~np.isin(rate, (-1, -2)), DataError,
        "RATE is {value:g} on line {line}",
        "use 0 for a bolus, RATE > 0 for an infusion, -1 or -2 where $PK gives its rate R or duration D",
    )  # fmt: skip
    into = _dosed(model, rows)
    for value, field, letter in ((-1, "rate", "R"), (-2, "duration", "D")):
        without = [i.number for i in model.structural.dose_inputs if getattr(i, field) is None]
        wrong = dose & (rate == value) & np.isin(into, without)
        number = into[int(np.argmax(wrong))]
        _stop(
            rows, "rate", wrong, DataError,
            "RATE is {value:g} on line {line}, and $PK does not assign " + f"{letter}{number}",
            f"assign {letter}{number} in $PK, or give the rate in the data",
        )  # fmt: skip
    _stop(rows, "amt", amt < 0, DataError, "AMT is {value:g} on line {line}", "a dose amount is positive")
    _stop(
        rows, "amt", dose & (amt == 0) & (ss == 0), DataError,
        "the dose record on line {line} has no amount",
        "give AMT > 0, or set EVID to 2 on records without a dose",
    )  # fmt: skip
    _stop(
        rows, "addl", addl < 0, UnsupportedError,
        "ADDL = {value:g} (line {line}) is not supported", "give the number of additional doses as ADDL >= 0",
    )  # fmt: skip
    _stop(rows, "addl", addl != np.floor(addl), DataError, "ADDL is {value:g} on line {line}", "ADDL counts doses")
    _stop(
        rows, "addl", (addl > 0) & (ii <= 0), DataError,
        "ADDL without a positive interval II on line {line}", "set II to the time between doses",
    )  # fmt: skip
    _stop(rows, "ii", ii < 0, DataError, "II is {value:g} on line {line}", "II is the time between doses")


def _check_steady_states(model: Model, rows: Rows) -> None:
    """What a record with SS must say (NONMEM help, SS dose event record)."""
    amt, rate, addl, ii, ss = (rows.of(role) for role in ("amt", "rate", "addl", "ii", "ss"))
    _stop(
        rows, "ss", ~np.isin(ss, (0, 1, 2, 3)), DataError,
        "SS is {value:g} on line {line}", "SS is 0, 1, 2 or 3",
    )  # fmt: skip
    steady = ss > 0
    _stop(
        rows, "ss", steady & ("T" in names_read(model.program.des)), UnsupportedError,
        "SS = {value:g} (line {line}) with equations that depend on the time T: they have no steady state",
        "take T out of $DES, or give the preceding doses as records",
    )  # fmt: skip
    _stop(
        rows, "ss", steady & bool(past_flags(model.program)), UnsupportedError,
        "SS = {value:g} (line {line}) is not supported with model event times (MPAST)",
        "give the preceding doses as records: NONMEM's steady state leaves model times out",
    )  # fmt: skip
    _stop(
        rows, "ii", steady & (amt > 0) & (ii <= 0), DataError,
        "the steady-state dose on line {line} has no interval II", "set II to the time between doses",
    )  # fmt: skip
    _stop(
        rows, "ii", steady & (amt == 0) & (ii != 0), DataError,
        "the steady-state record on line {line} has an interval II and no amount",
        "give AMT > 0; the steady state of a constant infusion has AMT 0 and II 0",
    )  # fmt: skip
    _stop(
        rows, "rate", steady & (amt == 0) & (rate == -2), DataError,
        "a constant infusion (AMT = 0, line {line}) has no duration to model", "use RATE > 0 or RATE = -1",
    )  # fmt: skip
    _stop(
        rows, "addl", steady & (amt == 0) & (addl != 0), DataError,
        "a constant infusion (AMT = 0, line {line}) has no additional doses", "set ADDL to 0",
    )  # fmt: skip


def _check_compartments(model: Model, rows: Rows, evid: np.ndarray, dose: np.ndarray) -> None:
    _stop(
        rows, "cmt", rows.of("cmt") != np.floor(rows.of("cmt")), DataError,
        "CMT is {value:g} on line {line}", "CMT is a whole number",
    )  # fmt: skip
    cmt, n = compartment_numbers(model.structural, rows), len(model.structural.compartments)
    inputs = model.structural.dose_inputs
    known = "the model has {n} compartment" + ("s" if n != 1 else "")
    _stop(
        rows, "cmt", dose & (cmt > len(inputs)), DataError,
        "dose into compartment {value:g} on line {line}, but " + known, "correct CMT", n=n,
    )  # fmt: skip
    observable = n if model.structural.output is None else model.structural.output.number
    _stop(
        rows, "cmt", (evid == 0) & (cmt > observable), DataError,
        "observation of compartment {value:g} on line {line}, but " + known, "correct CMT", n=n,
    )  # fmt: skip


def _dosed(model: Model, rows: Rows) -> np.ndarray:
    """(n_rows,) input a dose of the record goes into, see ir.DoseInput."""
    cmt = compartment_numbers(model.structural, rows)
    return np.where(cmt == 0, model.structural.default_dose, cmt)


def _stop(
    rows: Rows, role: str, wrong: np.ndarray, kind: type[NlmevaeError], message: str, hint: str, **values
) -> None:
    """Raise `kind` for the first row that is `wrong`."""
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    values |= {"name": role.upper(), "value": rows.of(role)[row], "line": rows.lines[row]}
    at = rows.at(row, role if rows.index(role) is not None else None)
    raise kind(message.format(**values), hint=hint.format(**values), location=at)


def explicit_doses(
    model: Model,
    rows: Rows,
    evid: np.ndarray,
    subject: np.ndarray,
    time: np.ndarray,
    order: np.ndarray,
    turned_off: Switches,
) -> Doses:
    """Every dose, reset and steady state as one event.

    Additional doses keep the order of their record, so at the time of a later record they come first.
    Those after the subject's last record are left out (no record sees them), and so are those after a later reset or
    steady state (SS 1 and 3), which cancels them; one at its very time comes before it.

    Args:
        subject, time, order: (n_rows,); `time` never decreases within a subject.
        turned_off: the records that turn compartments off; an observation does so after it is made.
    """
    amt, rate, ss = rows.of("amt"), rows.of("rate"), rows.of("ss")
    dose = np.isin(evid, (1, 4))
    order = order + (evid == 4)  # the dose of EVID 4 follows its reset
    off = turned_off.rows
    resets, steady = np.flatnonzero(np.isin(evid, (3, 4))), np.flatnonzero(dose & (ss > 0))
    given = np.flatnonzero(dose & (amt > 0))
    addl, ii = rows.of("addl")[given].astype(int), rows.of("ii")[given]
    cancels = np.flatnonzero(np.isin(evid, (3, 4)) | (dose & np.isin(ss, (1, 3))))
    copies = np.where(addl > 0, np.clip(_room(given, cancels, subject, time, ii), 0, addl), 0).astype(int) + 1
    source = np.repeat(given, copies)
    number = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
    due = _at_records(time[source] + number * rows.of("ii")[source], number > 0, subject[source], subject, time)
    cmt = _dosed(model, rows)
    kind = np.select(
        [rate > 0, rate == -1, rate == -2],
        [EventKind.INFUSION, EventKind.INFUSION_RATE, EventKind.INFUSION_DURATION],
        EventKind.BOLUS,
    )
    steady_kind = np.where(ss[steady] == 2, EventKind.STEADY_STATE_ADD, EventKind.STEADY_STATE)
    blank = np.zeros(len(resets) + len(off))
    table = Doses(  # a steady state comes before the dose of its record: the sort below keeps their order
        subject=np.concatenate([subject[resets], subject[off], subject[steady], subject[source]]),
        time=np.concatenate([time[resets], time[off], time[steady], due]),
        kind=np.concatenate(
            [np.full(len(resets), EventKind.RESET), np.full(len(off), EventKind.EMPTY), steady_kind, kind[source]]
        ),
        cmt=np.concatenate(
            [np.full(len(resets), model.structural.default_dose), turned_off.compartments, cmt[steady], cmt[source]]
        ),
        amt=np.concatenate([blank, amt[steady], amt[source]]),
        rate=np.concatenate([blank, rate[steady], rate[source]]),
        ii=np.concatenate([blank, rows.of("ii")[steady], np.zeros(len(source))]),
        order=np.concatenate(
            [order[resets] - (evid[resets] == 4), order[off] + (evid[off] == 0), order[steady], order[source]]
        ),
    )
    ranked = np.lexsort((table.order, table.time, table.subject))
    return Doses(**{name: getattr(table, name)[ranked] for name in Doses.__slots__})


def with_emptied(doses: Doses, emptied: np.ndarray, subject: np.ndarray, time: np.ndarray, order: np.ndarray) -> Doses:
    """`doses` and the compartments that records empty: `emptied` (n_rows,) their numbers, 0 for none."""
    rows = np.flatnonzero(emptied)
    nothing = np.zeros(len(rows))
    more = Doses(
        subject=subject[rows], time=time[rows], kind=np.full(len(rows), EventKind.EMPTY), cmt=emptied[rows],
        amt=nothing, rate=nothing, ii=nothing, order=order[rows],
    )  # fmt: skip
    table = {name: np.concatenate([getattr(doses, name), getattr(more, name)]) for name in Doses.__slots__}
    ranked = np.lexsort((table["order"], table["time"], table["subject"]))
    return Doses(**{name: values[ranked] for name, values in table.items()})


def _room(given: np.ndarray, resets: np.ndarray, subject: np.ndarray, time: np.ndarray, ii: np.ndarray) -> np.ndarray:
    """(n_given,) how many intervals fit up to the subject's last record or its next reset; `resets` are
    the rows of all records that cancel what is still to come."""
    last = np.searchsorted(subject, subject[given], side="right") - 1
    interval = np.where(ii > 0, ii, 1.0)
    room = np.floor((time[last] - time[given]) / interval + _SAME_TIME)
    if len(resets):
        following = np.searchsorted(resets, given, side="right")
        row = resets[np.minimum(following, len(resets) - 1)]
        before = np.floor((time[row] - time[given]) / interval + _SAME_TIME)
        cancelled = (following < len(resets)) & (subject[row] == subject[given])
        room = np.where(cancelled, np.minimum(room, before), room)
    return room


def _at_records(
    due: np.ndarray, additional: np.ndarray, owner: np.ndarray, subject: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Times of additional doses, exactly a record's time where only rounding of k * II keeps them apart."""
    due = due.copy()
    for i in np.unique(owner[additional]):
        record = time[np.searchsorted(subject, i) : np.searchsorted(subject, i, side="right")]
        mine = np.flatnonzero(additional & (owner == i))
        right = np.minimum(np.searchsorted(record, due[mine]), len(record) - 1)
        for near in (record[right], record[np.maximum(right - 1, 0)]):
            same = np.abs(near - due[mine]) <= _SAME_TIME * np.maximum(1.0, np.abs(near))
            due[mine[same]] = near[same]
    return due
