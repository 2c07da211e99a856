"""Read a data file by NM-TRAN's rules (NONMEM help for $DATA and $INPUT; Users Guide VI, chapter V)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nlmevae.data import record_notes
from nlmevae.data.acting_items import check_acting_items
from nlmevae.data.dataset import Dataset
from nlmevae.data.dates import check_dates, date_numbers, relative_times
from nlmevae.data.derived_items import with_derived
from nlmevae.data.filters import Records, apply_filters
from nlmevae.data.monolix_rows import read_monolix_rows
from nlmevae.data.numbers import NULL_TEXTS, parse_clock, parse_real, to_numbers
from nlmevae.data.roles import Rows, check_columns, event_types
from nlmevae.data.text import is_comment, locate, read_lines, split_items
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
    lines = read_lines(path, spec.path, spec.at)
    records, notes = _split(spec, path, lines)
    if spec.records is not None:  # RECORDS=n counts what is read, also records that IGNORE and ACCEPT drop
        records = Records(records.path, records.lines[: spec.records], records.items[: spec.records])
    records, width_notes = _fit_width(spec, records)
    records, filter_notes = apply_filters(spec, records)
    if not records.lines:
        raise DataError(
            f"IGNORE/ACCEPT of $DATA drop every record of {path}", hint="check the conditions", location=spec.at
        )
    rows = _numbers(spec, records)
    ptr, labels = _subjects(rows, records)
    check_dates(model, rows, records.items, ptr)
    rows = relative_times(rows, records.items, ptr)
    evid, mdv = event_types(model, rows)
    if not design:
        _check_observed(rows, mdv)
    if model.structural.compartments:
        _check_times(rows, ptr, evid)
    check_acting_items(rows, ptr, mdv)
    notes = [*notes, *width_notes, *filter_notes, *record_notes.notes(model, rows, ptr, labels, evid, mdv)]
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


def _split(spec: DataSpec, path: Path, lines: list[str]) -> tuple[Records, list[Diagnostic]]:
    """Lines that are records, split into items; a line with FIN alone ends the data (NM-TRAN's FINISH record)."""
    numbers, items, blank = [], [], []
    for number, line in enumerate(lines, 1):
        if line.strip() == "FIN" and spec.records is None:
            break
        if not line.strip():
            blank.append(number)
        elif not is_comment(line, spec.ignore_character):
            numbers.append(number)
            items.append(split_items(line))
    if not numbers:
        what = "is empty" if len(blank) == len(lines) else "has no record that IGNORE leaves"
        raise DataError(
            f"data file {path} {what}", hint="check the path and the IGNORE character of $DATA", location=spec.at
        )
    return Records(str(path), numbers, items), record_notes.about_lines(spec, str(path), lines, blank, numbers)


def _fit_width(spec: DataSpec, records: Records) -> tuple[Records, list[Diagnostic]]:
    """Every record as long as $INPUT: short ones end in null items, surplus items are not read."""
    width = len(spec.file_columns)
    counts = [len(row) for row in records.items]
    absent = next((c for c in spec.file_columns[max(counts) :] if c.role != "drop"), None)
    if absent is not None:
        hint = f"$INPUT names {width} items, the records of {records.path} have {max(counts)} at most"
        if max(counts) == 1 and ";" in records.items[0][0]:
            hint += "; the file is separated by semicolons: save it with commas"
        raise DataError(f"column {absent.name} is missing from the data file", hint=hint, location=absent.at or spec.at)
    fitted = [row[:width] + [""] * (width - len(row)) for row in records.items]
    return Records(records.path, records.lines, fitted), record_notes.about_widths(spec, records, counts)


def _numbers(spec: DataSpec, records: Records) -> Rows:
    """Used columns as numbers.

    Raises:
        DataError: an item is no number, or is larger than `LARGEST`.
    """
    used = tuple(k for k, c in enumerate(spec.file_columns) if c.role != "drop")
    texts = list(zip(*records.items, strict=True))
    values = np.empty((len(records.lines), len(used)))
    missing = np.empty(values.shape, dtype=bool)
    for j, k in enumerate(used):
        if spec.file_columns[k].role == "date":
            values[:, j] = date_numbers(spec, texts[k], k, records.path, records.lines)
        else:
            parse = parse_clock if spec.file_columns[k].role in ("time", "ii") else parse_real
            values[:, j] = to_numbers(texts[k], spec.null_value, parse)
        missing[:, j] = [text in NULL_TEXTS for text in texts[k]]
    bad = ~(np.abs(values) <= LARGEST)
    if bad.any():
        row = int(np.argmax(bad.any(axis=1)))
        raise _bad_item(spec, records, row, used[int(np.argmax(bad[row]))])
    return Rows(
        path=records.path,
        columns=tuple(spec.file_columns[k] for k in used),
        items=used,
        values=values,
        missing=missing,
        lines=np.array(records.lines),
    )


def _bad_item(spec: DataSpec, records: Records, row: int, item: int) -> DataError:
    text, line, name = records.items[row][item], records.lines[row], spec.file_columns[item].name
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


def _subjects(rows: Rows, records: Records) -> tuple[np.ndarray, tuple[str, ...]]:
    """Blocks of records with one ID: (n_subjects + 1,) row ranges, and the ID as written."""
    null = rows.is_missing("id")
    if null.any():
        row = int(np.argmax(null))
        hint = "give every record an ID; remove rows that only hold separators"
        raise DataError(f"ID is missing on line {rows.lines[row]}", hint=hint, location=rows.at(row, "id"))
    ids = rows.of("id")
    starts = np.flatnonzero(np.diff(ids, prepend=np.nan) != 0)
    item = rows.items[rows.index("id")]
    return np.append(starts, len(ids)), tuple(records.items[int(k)][item] for k in starts)


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
