"""The data file as records of NM-TRAN, some thousand lines at a time: a file of millions of lines is never in memory
as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nlmevae.data import record_notes
from nlmevae.data.text import encoding_of, is_comment, line_blocks, split_items
from nlmevae.errors import DataError
from nlmevae.ir import DataSpec, Diagnostic


@dataclass(frozen=True, slots=True)
class Records:
    """Some records: line numbers (n,) from 1, and of every item of $INPUT in the file its texts (n of them)."""

    path: str
    lines: np.ndarray
    columns: tuple[Sequence[str], ...]

    def keep(self, kept: Sequence[bool]) -> Records:
        """Only the records marked True."""
        rows = np.flatnonzero(kept)
        if len(rows) == len(self.lines):
            return self
        chosen = rows.tolist()
        return Records(self.path, self.lines[rows], tuple([texts[k] for k in chosen] for texts in self.columns))


@dataclass(slots=True)
class RecordReader:
    """All records of a data file, `blocks` of them one after the other; `notes` on what was seen when all are read.

    A line with FIN alone ends the data (NM-TRAN's FINISH record); RECORDS=n counts what is read, also records that
    IGNORE and ACCEPT drop.
    """

    spec: DataSpec
    path: Path
    tally: record_notes.LineTally = field(init=False, default_factory=record_notes.LineTally)

    def blocks(self) -> Iterator[Records]:
        """
        Raises:
            DataError: no such file, no text, no record, or a column of $INPUT that the records do not have.
        """
        encoding = encoding_of(self.path, self.spec.path, self.spec.at)
        first, last_line, n_read = 1, "", 0
        for lines in line_blocks(self.path, encoding):
            numbers, kept, ended = self._chosen(lines, first, last_line)
            room = len(kept) if self.spec.records is None else self.spec.records - n_read
            numbers, kept = numbers[:room], kept[:room]
            if kept:
                self.tally.last_record = numbers[-1]
                n_read += len(kept)
                yield self._fitted(numbers, kept, first_block=n_read == len(kept))
            first, last_line = first + len(lines), lines[-1]
            if ended or n_read == self.spec.records:
                break
        if not n_read:
            what = "is empty" if len(self.tally.blank) == first - 1 else "has no record that IGNORE leaves"
            raise DataError(
                f"data file {self.path} {what}",
                hint="check the path and the IGNORE character of $DATA",
                location=self.spec.at,
            )

    def notes(self) -> list[Diagnostic]:
        return self.tally.notes(self.spec, str(self.path))

    def _chosen(self, lines: list[str], first: int, last_line: str) -> tuple[list[int], list[str], bool]:
        """Numbers and texts of the lines that are records; whether the data end among them."""
        numbers, kept, character = [], [], self.spec.ignore_character
        for number, line in enumerate(lines, first):
            bare = line.strip()
            if not bare:
                self.tally.blank.append(number)
            elif bare == "FIN" and self.spec.records is None:
                return numbers, kept, True
            elif not is_comment(line, character):
                if not kept and not self.tally.first_record:
                    self.tally.first_record = number
                    self.tally.header = lines[number - first - 1] if number > first else last_line
                numbers.append(number)
                kept.append(line)
        return numbers, kept, False

    def _fitted(self, numbers: list[int], lines: list[str], *, first_block: bool) -> Records:
        """Every record as long as $INPUT: short ones end in null items, surplus items are not read."""
        width = len(self.spec.file_columns)
        columns = _plain_columns(lines, width)
        if columns is None:
            items = [split_items(line) for line in lines]
            self.tally.add_widths(numbers, items, width)
            columns = tuple([row[k] if k < len(row) else "" for row in items] for k in range(width))
        else:
            self.tally.most_items = max(self.tally.most_items, width)
        if first_block:
            self._check_width(lines[0])
        return Records(str(self.path), np.array(numbers), columns)

    def _check_width(self, line: str) -> None:
        width, most = len(self.spec.file_columns), self.tally.most_items
        absent = next((c for c in self.spec.file_columns[most:] if c.role != "drop"), None)
        if absent is None:
            return
        hint = f"$INPUT names {width} items, the records of {self.path} have {most} at most"
        if most == 1 and ";" in line:
            hint += "; the file is separated by semicolons: save it with commas"
        raise DataError(
            f"column {absent.name} is missing from the data file", hint=hint, location=absent.at or self.spec.at
        )


def _plain_columns(lines: list[str], width: int) -> tuple[list[str], ...] | None:
    """Items of lines with commas alone, and as many in each as $INPUT has; None of others."""
    text = ",".join(lines)
    if " " in text or "\t" in text or not all(line.count(",") == width - 1 for line in lines):
        return None
    items = text.split(",")
    return tuple(items[k::width] for k in range(width))
