"""A Monolix data file as a Dataset: every dose, observation and change of what is held is a record of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.monolix_covariates import covariate_values
from nlmevae.data.monolix_doses import TRANSIT, check_pending, given_doses
from nlmevae.data.monolix_file import read_monolix_file
from nlmevae.data.monolix_lines import Lines, read_lines_of
from nlmevae.data.monolix_notes import notes
from nlmevae.data.monolix_periods import Period, periods
from nlmevae.data.monolix_record import Record
from nlmevae.data.monolix_records import PeriodRecords
from nlmevae.errors import DataError, SemanticError
from nlmevae.ir import Diagnostic, Model, MonolixRows


@dataclass(frozen=True, slots=True)
class _Row:
    """A record with what holds at it: occasions, covariates, regressors and step functions, in the order of items."""

    record: Record
    held: tuple[float, ...]


def read_monolix_rows(model: Model, *, folder: Path, design: bool = False) -> Dataset:
    """The records of the model's data file, see `ir.MonolixRows`.

    Subjects without a fitted observation are left out, as in Monolix. `Dataset.lines` are lines of the file; records
    that are added have the line they come from, and are marked in `Dataset.added`.

    Args:
        folder: where relative paths start.
        design: the data are to be simulated: observations need no value.

    Raises:
        DataError: the file is absent, or a line makes no sense.
        SemanticError: [CONTENT] lacks a use, or names do not fit.
        UnsupportedError: what Monolix would do is not known, or is not executed.
    """
    rows = model.data.monolix
    _check_items(model, rows)
    file, file_notes = read_monolix_file(model.data, rows, folder)
    lines = read_lines_of(file, rows, design=design)
    found = periods(lines)
    covariates = covariate_values(lines, rows, found)
    blocks, kept, empty = [], [], []
    of_subject: dict[int, list[int]] = {}
    for p, period in enumerate(found):
        of_subject.setdefault(period.subject, []).append(p)
    for subject, own in of_subject.items():
        block = _subject_rows(model, rows, lines, [found[p] for p in own], covariates[own])
        if any(row.record.evid == 0 for row in block):
            blocks.append(block)
            kept.append(subject)
        else:
            empty.append(subject)
    if not blocks:
        raise DataError(f"{file.path} has no observation", hint="check the columns named in [CONTENT]")
    messages = [*file_notes, *lines.diagnostics, *notes(model, rows, lines, blocks_of(blocks), empty)]
    return _dataset(model, rows, lines, blocks, [lines.labels[s] for s in kept], messages)


def blocks_of(blocks: list[list[_Row]]) -> list[list[Record]]:
    return [[row.record for row in block] for block in blocks]


def _check_items(model: Model, rows: MonolixRows) -> None:
    names = [c.name for c in rows.items]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise SemanticError(f"two data items are called {repeated[0]}", hint="give one of the columns another name")
    if tuple(c.name for c in model.data.columns) != tuple(names):
        raise SemanticError(
            "the model's data items are not those of its data file", hint="use `MonolixRows.items` as its columns"
        )


def _subject_rows(
    model: Model, rows: MonolixRows, lines: Lines, own: list[Period], covariates: np.ndarray
) -> list[_Row]:
    """Records of a subject, those that repeat old values included."""
    maker, found = PeriodRecords(rows, lines), []
    compartments = bool(model.structural.compartments)
    for p, period in enumerate(own):
        after = own[p + 1] if p + 1 < len(own) else None
        until = float(lines.time[after.lines[0]]) if after is not None and not after.washout else None
        since = float(lines.time[own[p - 1].lines[-1]]) if p and not period.washout else None
        doses = given_doses(model, rows, lines, period, since=since, until=until) if compartments else []
        check_pending(model, lines, doses)
        occasion = tuple(
            float(value)
            for value, column in zip(lines.occasion[period.lines[0]], rows.of("occasion"), strict=True)
            if column.item
        )
        occasion += (float(period.number),) if rows.event_occasion else ()
        for record in maker.make(period, doses, first=not found):
            found.append(_Row(record, (*occasion, *covariates[p].tolist(), *record.held)))
    return _with_old_values(found)


def _with_old_values(block: list[_Row]) -> list[_Row]:
    """See monolix_records. Nothing is integrated up to a reset's record that goes back, or between equal times."""
    found: list[_Row] = []
    for row in block:
        if found and found[-1].held != row.held and row.record.time > found[-1].record.time and row.record.evid != 3:
            record = Record(row.record.time, 0, 2, row.record.line, added=True)
            found.append(_Row(record, found[-1].held))
        found.append(row)
    return found


def _dataset(
    model: Model, rows: MonolixRows, lines: Lines, blocks: list[list[_Row]], labels: list[str],
    messages: list[Diagnostic],
) -> Dataset:  # fmt: skip
    flat = [(i, row) for i, block in enumerate(blocks, 1) for row in block]
    names = tuple(c.name for c in rows.items)
    extra = "CENS" in names, "LIMIT" in names
    values = np.array([_values(lines, i, row, extra) for i, row in flat])
    evid = np.array([row.record.evid for _, row in flat])
    missing = np.zeros(values.shape, dtype=bool)
    missing[:, names.index("DV")] = evid != 0
    if "LIMIT" in names:
        missing[:, names.index("LIMIT")] = np.isnan(values[:, names.index("LIMIT")])
        values[:, names.index("LIMIT")] = np.nan_to_num(values[:, names.index("LIMIT")])
    sizes = [len(block) for block in blocks]
    return Dataset(
        path=lines.file.path,
        columns=names,
        values=values,
        missing=missing,
        lines=np.array([lines.line(row.record.line) for _, row in flat]),
        subject_ptr=np.concatenate([[0], np.cumsum(sizes)]),
        subject_labels=tuple(labels),
        evid=evid,
        mdv=(evid != 0).astype(int),
        diagnostics=tuple(messages),
        added=np.array([row.record.added for _, row in flat]),
        emptied=np.array([_emptied(row.record) for _, row in flat]) if rows.emptying else None,
    )


def _emptied(record: Record) -> int:
    return -record.dose.input if record.dose is not None and record.dose.input < 0 else 0


def _values(lines: Lines, number: int, row: _Row, extra: tuple[bool, bool]) -> list[float]:
    """In the order of `MonolixRows.items`; `extra`: whether CENS and LIMIT are among them."""
    record, k = row.record, row.record.line
    observed, dose = record.evid == 0, record.dose
    if dose is not None and dose.input <= TRANSIT:
        dose = None
    given = (dose.amount, dose.rate) if dose is not None else (0.0, 0.0)
    found = [number, record.time, lines.value[k] if observed else 0.0, *given, record.evid, int(not observed)]
    found.append(dose.input if dose is not None else 0)
    if extra[0]:
        found.append(lines.censoring[k] if observed else 0.0)
    if extra[1]:
        found.append(lines.limit[k] if observed else np.nan)
    found.append(lines.kind[k] if observed else 0)
    return [float(value) for value in (*found, *row.held)]
