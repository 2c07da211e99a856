"""Dose records to explicit doses: infusions, additional doses, resets.

Rules: NONMEM Users Guide VI (PREDPP), chapter V (AMT, RATE, SS, II, ADDL, CMT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.events import EventKind
from nlmevae.data.roles import Rows
from nlmevae.errors import DataError, NlmevaeError, UnsupportedError
from nlmevae.ir import Model

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
    order: np.ndarray


def check_dose_records(model: Model, rows: Rows, evid: np.ndarray) -> None:
    """Raises:
    DataError: dose items that define no dose, or stand on a record that is none.
    UnsupportedError: steady state (SS), RATE -1 and -2, ADDL < 0, compartments switched off.
    """
    amt, rate, addl, ii, ss, cmt = (rows.of(role) for role in ("amt", "rate", "addl", "ii", "ss", "cmt"))
    dose = np.isin(evid, (1, 4))
    n = len(model.structural.compartments)
    for role in ("amt", "rate", "addl", "ii", "ss"):
        _stop(
            rows, role, ~dose & (rows.of(role) != 0), DataError,
            "{name} is {value:g} on line {line}, which is no dose record", "set EVID to 1, or {name} to 0",
        )  # fmt: skip
    _stop(
        rows, "ss", ss != 0, UnsupportedError,
        "steady-state doses (SS = {value:g}, line {line}) are not supported yet",
        "give the preceding doses as records, or as one dose with ADDL and II, so that steady state is reached",
    )  # fmt: skip
    _stop(
        rows, "rate", rate == -1, UnsupportedError,
        "RATE = -1 (modelled rate R, line {line}) is not supported yet", "give the infusion rate as RATE > 0",
    )  # fmt: skip
    _stop(
        rows, "rate", rate == -2, UnsupportedError,
        "RATE = -2 (modelled duration D, line {line}) is not supported yet", "give the infusion rate as RATE > 0",
    )  # fmt: skip
    _stop(rows, "rate", rate < 0, DataError, "RATE is {value:g} on line {line}", "use 0 for a bolus, else RATE > 0")
    _stop(rows, "amt", amt < 0, DataError, "AMT is {value:g} on line {line}", "a dose amount is positive")
    _stop(
        rows, "amt", dose & (amt == 0), DataError,
        "the dose record on line {line} has no amount",
        "give AMT > 0, or set EVID to 2 on records without a dose",
    )  # fmt: skip
    _stop(
        rows, "addl", addl < 0, UnsupportedError,
        "ADDL = {value:g} (line {line}) is not supported", "give the number of additional doses as ADDL >= 0",
    )  # fmt: skip
    _stop(rows, "addl", addl != np.floor(addl), DataError, "ADDL is {value:g} on line {line}", "ADDL counts doses")
    _stop(
        rows, "ii", (addl > 0) & (ii <= 0), DataError,
        "ADDL without a positive interval II on line {line}", "set II to the time between doses",
    )  # fmt: skip
    _stop(
        rows, "cmt", cmt < 0, UnsupportedError,
        "CMT = {value:g} (line {line}) switches a compartment off, which is not supported",
        "use a positive compartment number",
    )  # fmt: skip
    _stop(rows, "cmt", cmt != np.floor(cmt), DataError, "CMT is {value:g} on line {line}", "CMT is a whole number")
    known = "the model has {n} compartment" + ("s" if n != 1 else "")
    _stop(
        rows, "cmt", dose & (cmt > n), DataError,
        "dose into compartment {value:g} on line {line}, but " + known, "correct CMT", n=n,
    )  # fmt: skip
    _stop(
        rows, "cmt", (evid == 0) & (cmt == n + 1), UnsupportedError,
        "CMT = {value:g} (line {line}) observes the output compartment, which is not supported",
        "observe compartments 1 to {n}", n=n,
    )  # fmt: skip
    _stop(
        rows, "cmt", (evid == 0) & (cmt > n), DataError,
        "observation of compartment {value:g} on line {line}, but " + known, "correct CMT", n=n,
    )  # fmt: skip


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
    model: Model, rows: Rows, evid: np.ndarray, subject: np.ndarray, time: np.ndarray, order: np.ndarray
) -> Doses:
    """Every dose and reset as one event.

    Additional doses keep the order of their record, so at the time of a later record they come first.
    Those after the subject's last record are left out (no record sees them), and so are those at or
    after a later reset, which cancels them.

    Args:
        subject, time, order: (n_rows,); `time` never decreases within a subject.
    """
    resets = np.flatnonzero(np.isin(evid, (3, 4)))
    given = np.flatnonzero(np.isin(evid, (1, 4)))
    addl, ii = rows.of("addl")[given].astype(int), rows.of("ii")[given]
    copies = np.where(addl > 0, np.clip(_room(given, resets, subject, time, ii), 0, addl), 0).astype(int) + 1
    source = np.repeat(given, copies)
    number = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
    due = _at_records(time[source] + number * rows.of("ii")[source], number > 0, subject[source], subject, time)
    cmt = rows.of("cmt").astype(int)
    cmt = np.where(cmt == 0, model.structural.default_dose, cmt)
    rate = rows.of("rate")
    kind = np.where(rate > 0, EventKind.INFUSION, EventKind.BOLUS)
    late = np.where(evid == 4, 1, 0)  # the dose of EVID 4 follows its reset
    blank = np.zeros(len(resets))
    table = Doses(
        subject=np.concatenate([subject[resets], subject[source]]),
        time=np.concatenate([time[resets], due]),
        kind=np.concatenate([np.full(len(resets), EventKind.RESET), kind[source]]),
        cmt=np.concatenate([np.full(len(resets), model.structural.default_dose), cmt[source]]),
        amt=np.concatenate([blank, rows.of("amt")[source]]),
        rate=np.concatenate([blank, rate[source]]),
        order=np.concatenate([order[resets], (order + late)[source]]),
    )
    ranked = np.lexsort((table.order, table.time, table.subject))
    return Doses(**{name: getattr(table, name)[ranked] for name in Doses.__slots__})


def _room(given: np.ndarray, resets: np.ndarray, subject: np.ndarray, time: np.ndarray, ii: np.ndarray) -> np.ndarray:
    """(n_given,) how many intervals fit up to the subject's last record, or end before its next reset."""
    last = np.searchsorted(subject, subject[given], side="right") - 1
    interval = np.where(ii > 0, ii, 1.0)
    room = np.floor((time[last] - time[given]) / interval + _SAME_TIME)
    if len(resets):
        following = np.searchsorted(resets, given, side="right")
        row = resets[np.minimum(following, len(resets) - 1)]
        before = np.ceil((time[row] - time[given]) / interval - _SAME_TIME) - 1
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
