"""Doses that arrive through transit compartments: what a subject may not have while one arrives.

The rate of such a dose (Savic et al. 2007) is written for one dose; it never ends. What Monolix makes of another one,
of a reset, or of parameters that change on the way, is not documented.
"""

from __future__ import annotations

from nlmevae.data.monolix_doses import GivenDose
from nlmevae.data.monolix_lines import Lines
from nlmevae.data.monolix_periods import Period
from nlmevae.data.monolix_record import Record
from nlmevae.errors import UnsupportedError
from nlmevae.ir import MonolixRows, TransitDose


class TransitWatch:
    """Sees the records of one subject in order."""

    def __init__(self, rows: MonolixRows, lines: Lines) -> None:
        self.lines, self.transit = lines, rows.transit
        self._place = {name: k for k, name in enumerate((*rows.regressor_items, *rows.steps))}
        self._arriving: dict[int, tuple[GivenDose, tuple[float, ...]]] = {}
        self._number = 1

    def begin(self, period: Period, *, first: bool) -> None:
        """A period of the subject begins. One that overlaps with that before it in time has doses of its own.

        Raises:
            UnsupportedError: a dose arrives, and the period goes on or is begun by event identifier 4.
        """
        if not first and self._arriving and (not period.washout or period.number != self._number):
            what = "an occasion begins" if not period.washout else "event identifier 4 resets the system"
            raise self._problem(int(period.lines[0]), what, next(iter(self._arriving)))
        self._number = period.number
        self._arriving = {}

    def see(self, record: Record) -> None:
        """A record with what is held after it.

        Raises:
            UnsupportedError: what the module says.
        """
        if not self.transit:
            return
        if record.evid == 3 and self._arriving:
            raise self._problem(record.line, "event identifier 3 resets the system", next(iter(self._arriving)))
        for transit in self.transit:
            self._see(record, transit)

    def _see(self, record: Record, transit: TransitDose) -> None:
        adm, dose = transit.administration, record.dose
        held = tuple(record.held[self._place[name]] for name in transit.constant)
        own = dose is not None and dose.input == 0 and self.lines.administration[dose.line] == adm
        if adm not in self._arriving:
            if own:
                self._arriving[adm] = (dose, held)
            return
        given, before = self._arriving[adm]
        if own and dose is not given:
            raise self._problem(record.line, "another dose of it is given", adm)
        changed = [name for name, a, b in zip(transit.constant, before, held, strict=True) if a != b]
        if changed:
            raise self._problem(record.line, f"{changed[0]} changes, which its parameters depend on", adm)

    def _problem(self, k: int, what: str, adm: int) -> UnsupportedError:
        lines, given = self.lines, self._arriving[adm][0]
        return UnsupportedError(
            f"{what} on line {lines.line(k)} while the dose on line {lines.line(given.line)} arrives through transit "
            "compartments: what Monolix makes of it is not certain",
            hint="write the transit compartments as equations (ddt_), which take any doses",
            location=lines.file.at(int(lines.row[k])),
        )
