"""What the user should know about legal but surprising records: notes and warnings, never errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nlmevae.data.numbers import parse_real
from nlmevae.data.roles import Rows
from nlmevae.data.text import locate, split_items
from nlmevae.errors import Location
from nlmevae.ir import DataSpec, Diagnostic, Model, names_read


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _warning(code: str, message: str, hint: str, at: Location | None) -> Diagnostic:
    return Diagnostic(code=code, severity="warning", message=message, hint=hint, location=at)


def _note(code: str, message: str, hint: str, at: Location | None) -> Diagnostic:
    return Diagnostic(code=code, severity="note", message=message, hint=hint, location=at)


@dataclass(slots=True)
class LineTally:
    """What was seen while the lines of a data file were read: numbers of blank ones, of the first and last record (0:
    none yet), the line before the first; most items of a record; records with fewer than $INPUT names: how many, the
    first one's line and items; the line of the first with more (0: none)."""

    blank: list[int] = field(default_factory=list)
    first_record: int = 0
    last_record: int = 0
    header: str = ""
    most_items: int = 0
    n_short: int = 0
    first_short: tuple[int, int] = (0, 0)
    first_surplus: int = 0

    def add_widths(self, lines: Sequence[int], items: Sequence[Sequence[str]], width: int) -> None:
        """Of records with these items, where $INPUT names `width`."""
        counts = [len(row) for row in items]
        self.most_items = max(self.most_items, *counts)
        short = [k for k, n in enumerate(counts) if n < width]
        if short and not self.n_short:
            self.first_short = lines[short[0]], counts[short[0]]
        self.n_short += len(short)
        if not self.first_surplus:
            surplus = (lines[k] for k, n in enumerate(counts) if n > width and any(items[k][width:]))
            self.first_surplus = next(surplus, 0)

    def notes(self, spec: DataSpec, path: str) -> list[Diagnostic]:
        """Blank lines before the last record, a header that disagrees with $INPUT, records of another width."""
        found = []
        inner = [n for n in self.blank if n < self.last_record]
        if inner:
            message = f"{_count(len(inner), 'blank line')} skipped, the first is line {inner[0]}"
            hint = "remove blank lines (NM-TRAN needs BLANKOK)"
            found.append(_note("blank-line", message, hint, locate(path, inner[0])))
        if self.first_record > 1 and self.header.strip():
            found += _about_header(spec, path, self.first_record - 1, split_items(self.header))
        return [*found, *self._about_widths(len(spec.file_columns), path)]

    def _about_widths(self, width: int, path: str) -> list[Diagnostic]:
        found = []
        if self.n_short:
            line, n = self.first_short
            message = (
                f"{_count(self.n_short, 'record')} with fewer items than the {width} of $INPUT "
                f"(line {line} has {n}); the rest is read as missing"
            )
            found.append(_warning("short-record", message, "complete the records", locate(path, line)))
        if self.first_surplus:
            message = f"the data file has more items per record than the {width} of $INPUT; the last ones are not read"
            at = locate(path, self.first_surplus, width)
            found.append(_note("surplus-items", message, "name all columns in $INPUT", at))
        return found


def _about_header(spec: DataSpec, path: str, line: int, items: list[str]) -> list[Diagnostic]:
    """A header column that $INPUT has at another position: columns are bound by position."""
    header = [item.strip("\"'#@ ").upper() for item in items]
    names = [c.name.upper() for c in spec.file_columns]
    for k, name in enumerate(names):
        if k < len(header) and name != header[k] and header[k] in names and spec.columns[k].role != "drop":
            message = f"item {k + 1} of $INPUT is {name}, but the header of the data file says {header[k]}"
            hint = "$INPUT names columns by position; put its items in the order of the file"
            return [_warning("header-order", message, hint, locate(path, line, k))]
    return []


def notes(
    model: Model, rows: Rows, ptr: np.ndarray, labels: tuple[str, ...], evid: np.ndarray, mdv: np.ndarray
) -> list[Diagnostic]:
    """Notes on the records that were kept."""
    return [
        *_repeated_ids(rows, ptr, labels),
        *_without_observations(rows, ptr, labels, mdv),
        *_duplicates(rows, mdv),
        *_missing_covariates(model, rows),
        *_doses(model, rows, evid),
    ]


def _repeated_ids(rows: Rows, ptr: np.ndarray, labels: tuple[str, ...]) -> list[Diagnostic]:
    count = Counter(parse_real(label) for label in labels)
    again = [k for k, label in enumerate(labels) if count[parse_real(label)] > 1]
    if not again:
        return []
    first = labels[again[0]]
    row = next(int(ptr[k]) for k in again[1:] if parse_real(labels[k]) == parse_real(first))
    message = (
        f"ID {first} comes back on line {rows.lines[row]} after other subjects: "
        "it counts as a new subject, as in NONMEM"
    )
    return [_warning("repeated-id", message, "sort the file by ID if it is one subject", rows.at(row, "id"))]


def _without_observations(rows: Rows, ptr: np.ndarray, labels: tuple[str, ...], mdv: np.ndarray) -> list[Diagnostic]:
    empty = np.flatnonzero(np.add.reduceat(mdv == 0, ptr[:-1]) == 0)
    if not len(empty):
        return []
    names = ", ".join(labels[int(k)] for k in empty[:5]) + (", ..." if len(empty) > 5 else "")
    message = f"{_count(len(empty), 'subject')} without observations (ID {names})"
    hint = "they stay in the results but say nothing about the parameters"
    return [_note("no-observations", message, hint, rows.at(int(ptr[int(empty[0])]), "id"))]


def _duplicates(rows: Rows, mdv: np.ndarray) -> list[Diagnostic]:
    """Observation records equal to the record before in every column."""
    same = np.all(rows.values[1:] == rows.values[:-1], axis=1) & (mdv[1:] == 0) & (mdv[:-1] == 0)
    if not same.any():
        return []
    row = int(np.argmax(same)) + 1
    message = f"{_count(int(same.sum()), 'observation')} repeated exactly, the first on line {rows.lines[row]}"
    return [_warning("duplicate-record", message, "remove records entered twice", rows.at(row))]


def _missing_covariates(model: Model, rows: Rows) -> list[Diagnostic]:
    program = model.program
    read = names_read(program.pk) | names_read(program.des) | names_read(program.error)
    found = []
    for j, column in enumerate(rows.columns):
        if column.role != "covariate" or not ({column.name, column.synonym} & read) or not rows.missing[:, j].any():
            continue
        row = int(np.argmax(rows.missing[:, j]))
        message = (
            f"{column.name} is missing on {_count(int(rows.missing[:, j].sum()), 'record')}, "
            f"the first on line {rows.lines[row]}; it is read as {model.data.null_value:g}, as in NONMEM"
        )
        at = locate(rows.path, int(rows.lines[row]), rows.items[j])
        found.append(_warning("missing-covariate", message, "fill in the value the model should use", at))
    return found


def _doses(model: Model, rows: Rows, evid: np.ndarray) -> list[Diagnostic]:
    """No input at all, and an interval without additional doses."""
    compartments = model.structural.compartments
    if not compartments:
        return []
    found = []
    dose = np.isin(evid, (1, 4))
    if not dose.any() and not any(c.initial for c in compartments):
        hint = "check the AMT and EVID columns"
        found.append(_warning("no-doses", "no record is a dose and no compartment has an initial amount", hint, None))
    idle = dose & (rows.of("ii") > 0) & (rows.of("addl") == 0) & (rows.of("ss") == 0)
    if idle.any():
        row = int(np.argmax(idle))
        message = f"II is {rows.of('ii')[row]:g} on line {rows.lines[row]} but ADDL is 0: one dose is given"
        found.append(_warning("idle-interval", message, "set ADDL to the number of further doses", rows.at(row, "ii")))
    return found
