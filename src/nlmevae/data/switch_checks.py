"""What records may say about compartments: which exist, which may be dosed, turned off, observed.

Rules: NONMEM help, CMT and $MODEL.
"""

from __future__ import annotations

import numpy as np

from nlmevae.data.roles import Rows
from nlmevae.errors import DataError, NlmevaeError, UnsupportedError
from nlmevae.ir import Compartment, StructuralModel


def check_switch_records(structural: StructuralModel, rows: Rows, evid: np.ndarray, cmt: np.ndarray) -> None:
    """Args:
        cmt: (n_rows,) `compartment_numbers`.

    Raises:
        DataError: a negative CMT that NONMEM does not take, a dose into a compartment that takes none.
        UnsupportedError: a compartment with infusions or lagged doses turned off.
    """
    compartments = {c.number: c for c in structural.compartments}
    if structural.output is not None:
        compartments[structural.output.number] = structural.output
    _stop(
        rows, np.isin(evid, (1, 4)) & (cmt < 0), cmt,
        "the dose on line {line} goes into compartment {number}", "give the number of a compartment, or 0",
    )  # fmt: skip
    dosed = np.where(cmt == 0, structural.default_dose, cmt)
    closed = [c.number for c in structural.compartments if not c.dosable]
    _stop(
        rows, np.isin(evid, (1, 4)) & np.isin(dosed, closed), dosed,
        "the dose on line {line} goes into compartment {number}, which has the option NODOSE",
        "correct CMT, or take NODOSE out of $MODEL",
    )  # fmt: skip
    off = np.isin(evid, (0, 2)) & (cmt < 0)
    _stop(
        rows, off & ~np.isin(-cmt, list(compartments)), cmt,
        "the model has no compartment to turn off (CMT = {number}, line {line})", "correct CMT",
    )  # fmt: skip
    fixed = [c.number for c in compartments.values() if not c.switchable]
    _stop(
        rows, off & np.isin(-cmt, fixed), cmt,
        "CMT = {number} on line {line}: this compartment may not be turned off", "correct CMT",
    )  # fmt: skip
    seen = [c.number for c in compartments.values() if c.output_type]
    _stop(
        rows, off & (evid == 0) & ~np.isin(-cmt, seen), cmt,
        "CMT = {number} on line {line}: an observation turns the output compartment off, or one with the options "
        "INITIALOFF NODOSE, no other",
        "observe it with a positive CMT and turn it off by a record of its own, with EVID 2",
    )  # fmt: skip
    infused = np.unique(dosed[np.isin(evid, (1, 4)) & (rows.of("rate") != 0)])
    _stop(
        rows, off & np.isin(-cmt, [*infused, *_lagged(structural.compartments)]), cmt,
        "CMT = {number} (line {line}) switches a compartment off that gets infusions or delayed doses",
        "leave it on, or give the doses as boluses without lag", UnsupportedError,
    )  # fmt: skip


def _lagged(compartments: tuple[Compartment, ...]) -> list[int]:
    return [c.number for c in compartments if c.lag]


def _stop(
    rows: Rows, wrong: np.ndarray, number: np.ndarray, message: str, hint: str, kind: type[NlmevaeError] = DataError
) -> None:
    """Raise `kind` for the first row that is `wrong`."""
    if wrong.any():
        row = int(np.argmax(wrong))
        text = message.format(number=number[row], line=rows.lines[row])
        raise kind(text, hint=hint, location=rows.at(row, "cmt"))
