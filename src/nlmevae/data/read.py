"""Read a data file by NM-TRAN's rules (NONMEM help for $DATA and $INPUT; Users Guide VI, chapter V)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlmevae.data import record_notes
from nlmevae.data.acting_items import check_acting_items
from nlmevae.data.dataset import Dataset
from nlmevae.data.dates import check_dates, date_numbers, date_parts, relative_times
from nlmevae.data.derived_items import with_derived
from nlmevae.data.filters import Filters
from nlmevae.data.monolix_rows import read_monolix_rows
from nlmevae.data.numbers import NULL_TEXTS, parse_clock, parse_real, to_numbers
from nlmevae.data.records import RecordReader, Records
from nlmevae.data.roles import Rows, check_columns, event_types
from nlmevae.data.text import locate
from nlmevae.errors import DataError
from nlmevae.ir import DataSpec, Diagnostic, Model

#: Larger numbers are codes or mistakes, never measurements; squared they still fit in float64.
LARGEST = 1e30


def read_dataset(model: Model, *, base: Path | None = None, design: bool = False) -> Dataset:
    """Records of the model's data file that IGNORE and ACCEPT leave, as numbers grouped by subject; of a Monolix
    project's file see `monolix_rows`.

    Args:
        base: folder that relative paths start from; the folder of the control stream if None.
        design: the data are to be simulated: observations need no value.

    Raises:
        DataError: the file is absent, has no records, or holds something NM-TRAN would reject or
            silently read as 0 (text in a used column, missing DV on an observation, time going back).
        SemanticError: $INPUT lacks ID, DV or TIME, or a filter names an unknown column.
    """
    if model.data.monolix is not None:
        folder = base if base is not None else Path(model.source.path).parent
        return read_monolix_rows(model, folder=folder, design=design)
    check_columns(model)
    spec = model.data
    path = _resolve(model, base)
    read = _read(spec, path)
    rows, ptr, labels, notes = read.rows, read.subject_ptr, read.subject_labels, read.notes
    check_dates(model, rows, read.date_parts, ptr)
    rows = relative_times(rows, ptr, clock=read.clock)
    evid, mdv = event_types(model, rows)
    if not design:
        _check_observed(rows, mdv)
    if model.structural.compartments:
        _check_times(rows, ptr, evid)
    check_acting_items(rows, ptr, mdv)
    notes = [*notes, *record_notes.notes(model, rows, ptr, labels, evid, mdv)]
    rows = with_derived(model, rows, ptr)
    dataset = Dataset(
        path=str(path),
        columns=tuple(c.name for c in rows.columns),
        values=rows.values,
        missing=rows.missing,
        lines=rows.lines,
        subject_ptr=ptr,
        subject_labels=labels,
        evid=evid,
        mdv=mdv,
        diagnostics=tuple(notes),
    )
    return dataset


def _resolve(model: Model, base: Path | None) -> Path:
    folder = base if base is not None else Path(model.source.path).parent
    return folder / Path(model.data.path.strip("'\"")).expanduser()


@dataclass(slots=True)
class _Read:
    """The records of a file as numbers. date_parts (n_rows,) components of their dates, (0,) without such a column;
    clock: whether a TIME has a colon."""

    rows: Rows
    subject_ptr: np.ndarray
    subject_labels: tuple[str, ...]
    date_parts: np.ndarray
    clock: bool
    notes: list[Diagnostic]


def _read(spec: DataSpec, path: Path) -> _Read:
    """The records that IGNORE and ACCEPT leave, as numbers.

    Raises:
        DataError: there are none, or an item is no number.
    """
    reader, filters, blocks = RecordReader(spec, path), Filters(spec, str(path)), []
    labels: list[str] = []
    for records in reader.blocks():
        kept = filters.apply(records)
        if len(kept.lines):
            blocks.append(_Block.of(spec, kept))
            labels += blocks[-1].new_labels(spec, kept, blocks[-2] if len(blocks) > 1 else None)
    if not blocks:
        raise DataError(
            f"IGNORE/ACCEPT of $DATA drop every record of {path}", hint="check the conditions", location=spec.at
        )
    used = _used(spec)
    rows = Rows(
        path=str(path),
        columns=tuple(spec.file_columns[k] for k in used),
        items=used,
        values=np.concatenate([b.values for b in blocks]),
        missing=np.concatenate([b.missing for b in blocks]),
        lines=np.concatenate([b.lines for b in blocks]),
    )
    starts = np.flatnonzero(np.diff(rows.of("id"), prepend=np.nan) != 0)
    return _Read(
        rows=rows,
        subject_ptr=np.append(starts, len(rows.values)),
        subject_labels=tuple(labels),
        date_parts=np.concatenate([b.date_parts for b in blocks]),
        clock=any(b.clock for b in blocks),
        notes=[*reader.notes(), *filters.notes()],
    )


def _used(spec: DataSpec) -> tuple[int, ...]:
    """Items of the file that are read."""
    return tuple(k for k, c in enumerate(spec.file_columns) if c.role != "drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Some records as numbers: values and missing (n, n_columns), line numbers (n,), components of their dates (n,) or
    (0,); whether a TIME has a colon."""

    values: np.ndarray
    missing: np.ndarray
    lines: np.ndarray
    date_parts: np.ndarray
    clock: bool

    @classmethod
    def of(cls, spec: DataSpec, records: Records) -> _Block:
        """Used columns as numbers.

        Raises:
            DataError: an item is no number, or is larger than `LARGEST`, or an ID is missing.
        """
        used = _used(spec)
        values = np.empty((len(records.lines), len(used)))
        missing = np.zeros(values.shape, dtype=bool)
        parts, clock = np.zeros(0, dtype=np.int8), False
        for j, k in enumerate(used):
            column, texts = spec.file_columns[k], records.columns[k]
            if column.role == "date":
                values[:, j] = date_numbers(spec, texts, k, records.path, records.lines)
                parts = date_parts(column.name, texts)
            else:
                parse = parse_clock if column.role in ("time", "ii") else parse_real
                values[:, j] = to_numbers(texts, spec.null_value, parse)
            clock = clock or (column.role == "time" and any(":" in text for text in texts))
            if any(null in texts for null in NULL_TEXTS):
                missing[:, j] = [text in NULL_TEXTS for text in texts]
        bad = ~(np.abs(values) <= LARGEST)
        if bad.any():
            row = int(np.argmax(bad.any(axis=1)))
            raise _bad_item(spec, records, row, used[int(np.argmax(bad[row]))])
        return cls(values=values, missing=missing, lines=records.lines, date_parts=parts, clock=clock)

    def new_labels(self, spec: DataSpec, records: Records, before: _Block | None) -> list[str]:
        """The ID, as written, of every subject that begins here.

        Raises:
            DataError: an ID is missing.
        """
        used = _used(spec)
        j = next(j for j, k in enumerate(used) if spec.file_columns[k].role == "id")
        if self.missing[:, j].any():
            line = int(self.lines[np.argmax(self.missing[:, j])])
            hint = "give every record an ID; remove rows that only hold separators"
            at = locate(records.path, line, used[j])
            raise DataError(f"ID is missing on line {line}", hint=hint, location=at)
        last = np.nan if before is None else before.values[-1, j]
        texts = records.columns[used[j]]
        return [texts[k] for k in np.flatnonzero(np.diff(self.values[:, j], prepend=last) != 0)]


def _bad_item(spec: DataSpec, records: Records, row: int, item: int) -> DataError:
    text, line, name = records.columns[item][row], int(records.lines[row]), spec.file_columns[item].name
    at = locate(records.path, line, item)
    if parse_real(text) is not None:
        return DataError(
            f"{name} is {text} on line {line}: beyond {LARGEST:g} is no measurement",
            hint='write "." for missing values',
            location=at,
        )
    hint = 'correct it, or write "." if it is missing'
    if spec.file_columns[item].role == "covariate":
        hint += f"; if the model does not read the column, drop it with {name}=DROP in $INPUT"
    if row == 0 and text.strip('"')[:1].isalpha() and line == 1:
        hint = "if this line is a header, add IGNORE=@ to $DATA"
    elif text.upper().strip("+-") in ("NA", "NAN", "INF", "INFINITY", "NULL", "NONE", "MISSING"):
        hint = f'write "." for missing values, or drop these records with IGNORE=({name}.EQ.{text})'
    elif '"' in text or "'" in text:
        hint = "remove the quotation marks from the data file; if this line is a header, start it with a letter or @"
    elif ";" in text:
        hint = "separate items with commas, blanks or tabs, not semicolons"
    return DataError(f"'{text}' in column {name}, line {line}, is not a number", hint=hint, location=at)


def _check_observed(rows: Rows, mdv: np.ndarray) -> None:
    """An observation must have a value (NONMEM would use 0)."""
    absent = (mdv == 0) & rows.is_missing("dv")
    if absent.any():
        row = int(np.argmax(absent))
        raise DataError(
            f"DV is missing on line {rows.lines[row]}, which counts as an observation",
            hint="set MDV=1 on this record if nothing was observed (NONMEM would take the value 0)",
            location=rows.at(row, "dv"),
        )


def _check_times(rows: Rows, ptr: np.ndarray, evid: np.ndarray) -> None:
    """TIME is given and does not go back within a subject, except at a reset (EVID 3 and 4)."""
    null = rows.is_missing("time")
    if null.any():
        row = int(np.argmax(null))
        raise DataError(
            f"TIME is missing on line {rows.lines[row]}", hint="give every record a time", location=rows.at(row, "time")
        )
    time = rows.of("time")
    back = np.diff(time, prepend=time[0]) < 0
    back[ptr[:-1]] = False
    back &= ~np.isin(evid, (3, 4))
    if back.any():
        row = int(np.argmax(back))
        raise DataError(
            f"TIME goes back from {time[row - 1]:g} to {time[row]:g} on line {rows.lines[row]}",
            hint="sort each subject's records by time, give a new ID to a new subject, or mark a new period "
            "with EVID 3 or 4; clock times past midnight need elapsed hours",
            location=rows.at(row, "time"),
        )
