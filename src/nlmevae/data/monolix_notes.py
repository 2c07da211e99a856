"""What the user should know about legal but surprising lines of a Monolix data file."""

from __future__ import annotations

import numpy as np

from nlmevae.data.monolix_lines import Lines
from nlmevae.data.monolix_record import Record
from nlmevae.ir import Diagnostic, Model, MonolixRows, names_read


def notes(
    model: Model, rows: MonolixRows, lines: Lines, blocks: list[list[Record]], empty: list[int]
) -> list[Diagnostic]:
    """Args:
    blocks: the records of each subject; empty: subjects left out.
    """
    return [
        *_left_out(lines, empty),
        *_unsorted(lines),
        *_together(model, lines, blocks),
        *_steady(lines, blocks),
        *_no_doses(model, lines),
    ]


def _left_out(lines: Lines, empty: list[int]) -> list[Diagnostic]:
    if not empty:
        return []
    names = ", ".join(lines.labels[s] for s in empty[:5]) + (", ..." if len(empty) > 5 else "")
    count = f"{len(empty)} subject{'s' if len(empty) > 1 else ''} without observations left out (ID {names})"
    return [
        Diagnostic(code="no-observations", severity="note", message=count, hint="they say nothing about parameters")
    ]


def _unsorted(lines: Lines) -> list[Diagnostic]:
    same = (np.diff(lines.subject) == 0) & (np.diff(lines.occasion, axis=0) == 0).all(axis=1) & (lines.reset[1:] != 4)
    back = np.flatnonzero(same & (np.diff(lines.time) < 0))
    if not len(back):
        return []
    k = int(back[0]) + 1
    message = f"line {lines.line(k)} has an earlier time than the line before it: lines are put in order of time"
    at = lines.file.at(int(lines.row[k]))
    return [Diagnostic(code="unsorted-lines", severity="note", message=message, hint="sort the file", location=at)]


def _together(model: Model, lines: Lines, blocks: list[list[Record]]) -> list[Diagnostic]:
    """Observations at the time of a dose that is in the observed amounts at once: the order matters."""
    inputs = model.structural.dose_inputs
    read = names_read(model.program.error)
    at_once_emptied = {-c.number for c in model.structural.compartments if f"A({c.number})" in read}
    at_once = {i.number for i in inputs if i.lag is None and f"A({i.compartment})" in read}
    at_once |= at_once_emptied
    found = []
    for block in blocks:
        given = {r.time for r in block if r.dose is not None and r.dose.rate == 0 and r.dose.input in at_once}
        found += [r for r in block if r.evid == 0 and r.time in given]
    if not found:
        return []
    message = (
        f"{len(found)} observation{'s' if len(found) > 1 else ''} at the time of a bolus or emptying, the first on "
        f"line {lines.line(found[0].line)}: the prediction is that just before the dose"
    )
    at = lines.file.at(int(lines.row[found[0].line]))
    hint = "if it was taken after the dose, give it a slightly later time"
    return [Diagnostic(code="observation-at-dose", severity="warning", message=message, hint=hint, location=at)]


def _steady(lines: Lines, blocks: list[list[Record]]) -> list[Diagnostic]:
    """Steady-state doses after others, which stay in the system."""
    for block in blocks:
        doses = [r.dose for r in block if r.dose is not None]
        for dose in doses:
            if dose.origin != "steady":
                continue
            when = lines.time[dose.line]
            before = [d for d in doses if d.line != dose.line and d.time < when and d.origin != "steady"]
            if before:
                message = (
                    f"the steady-state dose on line {lines.line(dose.line)} comes after that on line "
                    f"{lines.line(before[0].line)}: what was given before stays in the system"
                )
                at = lines.file.at(int(lines.row[dose.line]))
                hint = "begin a period by event identifier 4 if the system was empty"
                return [
                    Diagnostic(code="steady-after-doses", severity="warning", message=message, hint=hint, location=at)
                ]
    return []


def _no_doses(model: Model, lines: Lines) -> list[Diagnostic]:
    compartments = model.structural.compartments
    if not compartments and lines.dose.any():
        message = "the model has no compartments: doses of the data have no effect"
        return [Diagnostic(code="unused-doses", severity="note", message=message, hint="give it macros or equations")]
    if compartments and not lines.dose.any() and not any(c.initial for c in compartments):
        message = "no line is a dose and no compartment has an initial amount"
        return [Diagnostic(code="no-doses", severity="warning", message=message, hint="check the amount column")]
    return []
