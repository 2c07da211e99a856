"""Doses of a Monolix data file, one for each input they enter: additional and steady-state doses made explicit.

Rules (documentation of the columns that define doses, and of the translation from NONMEM): a steady state is `nbdoses`
doses before the dose, at its interval; nothing is taken out of the system, they are doses like others. A rate gives an
infusion of duration amount / rate into an input without absorption; a negative one is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.monolix_lines import Lines
from nlmevae.data.monolix_periods import Period
from nlmevae.errors import DataError, UnsupportedError
from nlmevae.ir import DoseRoute, Model, MonolixRows

#: Times closer than this (relative) are one: what is left of the rounding of TIME + k * II.
_SAME_TIME = 1e-9
#: Input of a dose that enters none.
TRANSIT = 0
#: RATE of a dose whose duration is the model's (data.doses).
_MODELLED_DURATION = -2.0


@dataclass(frozen=True, slots=True)
class GivenDose:
    """One dose into one input; input 0: through transit compartments, its record does nothing by itself;
    input -n: empties compartment n. `rate`: 0 a bolus, > 0 an infusion, -2 over the model's duration. `duration`: of
    the infusion the line asks for, 0 for a bolus. `line`: index into `Lines`. `origin`: of the line itself, or added.
    """

    time: float
    amount: float
    rate: float
    input: int
    duration: float
    line: int
    origin: str  # "line", "steady" or "additional"


def given_doses(
    model: Model, rows: MonolixRows, lines: Lines, period: Period, *, since: float | None, until: float | None
) -> list[GivenDose]:
    """Doses of a period.

    Args:
        since: the last time of the period before, where time and state go on from it; until: the first time of the
            next, where they go on into it.

    Raises:
        DataError: an administration enters no input, or an infusion one with absorption.
        UnsupportedError: infusions into an input with a fraction, added doses that reach a reset or another occasion.
    """
    found = []
    record_times = np.unique(lines.time[period.lines])
    for k in period.lines[lines.dose[period.lines]]:
        for time, origin in _times(lines, period, int(k), record_times, since, until):
            for route in _routes(rows, lines, int(k)):
                rate, duration = _rate(model, rows, lines, int(k), route)
                found.append(
                    GivenDose(time, float(lines.amount[k]), rate, route.input, duration, int(k), origin)
                )  # fmt: skip
            if lines.administration[k] in {t.administration for t in rows.transit}:
                _check_transit(lines, int(k))
                found.append(GivenDose(time, float(lines.amount[k]), 0.0, TRANSIT, 0.0, int(k), origin))
            for compartment in _emptied(rows, lines, int(k)):
                found.append(GivenDose(time, float(lines.amount[k]), 0.0, -compartment, 0.0, int(k), origin))
    _check_emptied(lines, found)
    return found


def _emptied(rows: MonolixRows, lines: Lines, k: int) -> list[int]:
    own = [e for e in rows.emptying if e.administration == lines.administration[k]]
    return sorted({number for e in own for number in e.compartments})


def _check_emptied(lines: Lines, doses: list[GivenDose]) -> None:
    """Nothing else happens to a compartment at the time it is emptied, and nothing runs on into it."""
    emptied = [d for d in doses if d.input < 0]
    for dose in emptied:
        other = next((d for d in doses if d.time == dose.time and d.line != dose.line), None)
        if other is not None:
            raise _problem(
                lines, dose.line, f"the doses on lines {lines.line(other.line)} and {lines.line(dose.line)} have one "
                "time, and one of them empties compartments: which comes first is not certain",
                "give them different times",
            )  # fmt: skip


def check_pending(model: Model, lines: Lines, doses: list[GivenDose]) -> None:
    """A compartment that is emptied gets no infusions or delayed doses: whether they go on is not certain.

    Raises:
        UnsupportedError: it gets them.
    """
    if all(d.input >= 0 for d in doses):
        return
    inputs = model.structural.dose_inputs
    slow = [d for d in doses if d.input > 0 and (d.rate != 0.0 or inputs[d.input - 1].lag is not None)]
    for dose in doses:
        before = next((d for d in slow if dose.input < 0 and inputs[d.input - 1].compartment == -dose.input), None)
        if before is not None:
            raise _problem(
                lines, dose.line, f"line {lines.line(dose.line)} empties a compartment that gets the infusion or "
                f"delayed dose on line {lines.line(before.line)}: whether that goes on is not certain",
                "give the dose as a bolus without lag, or begin a period by event identifier 3 or 4",
            )  # fmt: skip


def _check_transit(lines: Lines, k: int) -> None:
    if lines.rate[k] > 0 or lines.duration[k] > 0:
        raise _problem(
            lines, k, f"the dose on line {lines.line(k)} is an infusion, but its administration has an absorption",
            "leave the rate or duration out", DataError,
        )  # fmt: skip


def _times(
    lines: Lines, period: Period, k: int, record_times: np.ndarray, since: float | None, until: float | None
) -> list[tuple[float, str]]:
    time, interval = float(lines.time[k]), float(lines.interval[k])
    n_before = int(lines.steady[k])
    before = [(_snapped(time - j * interval, record_times), "steady") for j in range(n_before, 0, -1)]
    _check_reset(lines, period, k, bool(before))
    if before and since is not None and before[0][0] <= since:
        raise _problem(
            lines, k, f"the doses before the steady-state dose on line {lines.line(k)} reach into the occasion before "
            "it: not defined there", "give the doses as lines of their own",
        )  # fmt: skip
    after = []
    for j in range(1, int(lines.additional[k]) + 1):
        due = _snapped(time + j * interval, record_times)
        if until is not None and due >= until:
            raise _problem(
                lines, k, f"additional doses of line {lines.line(k)} reach the next occasion: not defined there",
                "give them as lines of their own",
            )  # fmt: skip
        if until is None and due > record_times[-1]:
            break  # no record sees it
        after.append((due, "additional"))
    return [*before, (time, "line"), *after]


def _snapped(due: float, record_times: np.ndarray) -> float:
    """The time of a line where only rounding keeps `due` apart from it."""
    near = float(record_times[int(np.argmin(np.abs(record_times - due)))])
    return near if abs(near - due) <= _SAME_TIME * max(1.0, abs(near)) else due


def _check_reset(lines: Lines, period: Period, k: int, steady: bool) -> None:
    """Additional doses after a later reset, and doses before one, are not defined."""
    place = int(np.flatnonzero(period.lines == k)[0])
    later = period.lines[place + 1 :]
    if lines.additional[k] > 0 and (lines.reset[later] == 3).any():
        reset = later[int(np.argmax(lines.reset[later] == 3))]
        last = lines.time[k] + lines.additional[k] * lines.interval[k]
        if last >= lines.time[reset]:
            raise _problem(
                lines, k, f"additional doses of line {lines.line(k)} go on after that reset, line {lines.line(reset)}; "
                "whether they are given is not defined", "give them as lines of their own",
            )  # fmt: skip
    if steady and (lines.reset[period.lines[: place + 1]] == 3).any():
        raise _problem(
            lines, k, f"the doses before the steady-state dose on line {lines.line(k)} would lie before a reset",
            "give the doses as lines of their own",
        )  # fmt: skip


def _routes(rows: MonolixRows, lines: Lines, k: int) -> list[DoseRoute]:
    own = [r for r in rows.routes if r.administration == lines.administration[k]]
    special = {d.administration for d in (*rows.transit, *rows.emptying)}
    if not own and lines.administration[k] not in special:
        known = sorted({r.administration for r in rows.routes} | special)
        raise _problem(
            lines, k, f"line {lines.line(k)} is a dose of administration {lines.administration[k]}, for which the "
            f"model has no macro (it has {', '.join(map(str, known)) or 'none'})",
            "correct the administration, or give the model an iv, absorption or depot with that adm", DataError,
        )  # fmt: skip
    return own


def _rate(model: Model, rows: MonolixRows, lines: Lines, k: int, route: DoseRoute) -> tuple[float, float]:
    """RATE of the record, and the duration of the infusion the line asks for."""
    duration = float(lines.duration[k])
    if lines.rate[k] > 0:
        duration = float(lines.amount[k] / lines.rate[k])
    if route.kind == "zero_order" and not duration:
        return _MODELLED_DURATION, 0.0
    if not duration:
        return 0.0, 0.0
    if route.kind != "direct":
        how = "an absorption" if route.kind == "absorption" else "a zero-order absorption"
        raise _problem(
            lines, k, f"the dose on line {lines.line(k)} is an infusion, but its administration has {how}",
            "leave the rate or duration out", DataError,
        )  # fmt: skip
    target = model.structural.dose_inputs[route.input - 1]
    if target.bioavailability is not None:  # the fraction acts on the rate, the duration stays
        if target.duration is not None and rows.dose_duration is not None:
            return _MODELLED_DURATION, duration
        raise _problem(
            lines, k, f"the dose on line {lines.line(k)} is an infusion into an input with a fraction p: not supported",
            "put the fraction into the amounts",
        )  # fmt: skip
    return float(lines.amount[k] / duration), duration


def _problem(lines: Lines, k: int, message: str, hint: str, kind: type = UnsupportedError):
    return kind(message, hint=hint, location=lines.file.at(int(lines.row[k])))
