"""The data file as text: its lines, the items of a line, and where an item stands.

NM-TRAN's free format (NONMEM help, $DATA): items are separated by commas, tabs or blanks; blanks beside
a comma or tab belong to it; nothing between two commas or tabs, or a single ".", is a null item.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from nlmevae.errors import DataError, Location

_DELIMITER = re.compile(r" *[,\t] *| +")
_BLOCK_BYTES, BLOCK_LINES = 1 << 20, 1 << 15


def read_lines(path: Path, written: str, at: Location | None) -> list[str]:
    """Lines of the file without their ends and without a byte order mark; arguments and errors as of `encoding_of`."""
    return [line for block in line_blocks(path, encoding_of(path, written, at)) for line in block]


def encoding_of(path: Path, written: str, at: Location | None) -> str:
    """How the file's text is written: UTF-8 (with or without a byte order mark), else Latin-1.

    Args:
        written: the name in $DATA, for messages.
        at: where $DATA is.

    Raises:
        DataError: no such file, a folder, unreadable, or not text.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a data file", hint="name the file in $DATA", location=at)
    decoder, encoding = codecs.getincrementaldecoder("utf-8")(), "utf-8-sig"
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                if b"\x00" in block:
                    hint = "save it as plain text (CSV) in UTF-8, without UTF-16 or spreadsheet formats"
                    raise DataError(f"{path} is not plain text", hint=hint, location=Location(str(path), 1))
                encoding = encoding if encoding == "latin-1" else _tried(decoder, block, final=False)
        return encoding if encoding == "latin-1" else _tried(decoder, b"", final=True)
    except FileNotFoundError:
        hint = f"$DATA names {written}, looked up relative to the control stream's folder; correct the path"
        raise DataError(f"data file not found: {path}", hint=hint, location=at) from None
    except OSError as error:
        raise DataError(
            f"data file {path} cannot be read: {error.strerror}", hint="check its permissions", location=at
        ) from None


def _tried(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool) -> str:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def line_blocks(path: Path, encoding: str) -> Iterator[list[str]]:
    """The lines without their ends (\\n, \\r\\n or \\r), some thousand at a time."""
    with path.open(encoding=encoding) as file:
        while block := [line.removesuffix("\n") for line in islice(file, BLOCK_LINES)]:
            yield block


def is_comment(line: str, character: str | None) -> bool:
    """Whether IGNORE=character drops the line.

    "@" drops lines whose first non-blank is a letter or @, and those that start with # (of which NM-TRAN could make no
    number either); any other character counts in column 1 only. Without IGNORE the character is "#".
    """
    if character == "@":
        first = line.lstrip(" \t")[:1]
        return first in ("@", "#") or (first.isalpha() and first.isascii())
    return line.startswith(character or "#")


def split_items(line: str) -> list[str]:
    """Items of one line; "" for nothing between two commas.

    >>> split_items(" 1, 2,,.  5")
    ['1', '2', '', '.', '5']
    """
    text = line.strip(" ")
    if " " not in text and "\t" not in text:
        return text.split(",")
    return _DELIMITER.split(text)


def locate(path: str, line: int, item: int | None = None) -> Location:
    """The place of an item (from 0; None for the whole line) of a line (from 1), with the line as snippet."""
    try:
        with Path(path).open(encoding=encoding_of(Path(path), path, None)) as file:
            text = next(islice(file, line - 1, None), None)
    except (DataError, OSError):
        text = None
    if text is None:
        return Location(path, line)
    text = text.removesuffix("\n")
    snippet = text.replace("\t", " ").rstrip()
    if item is None:
        return Location(path, line, 1, 1, snippet)
    start = len(text) - len(text.lstrip(" "))
    spans, begin = [], start
    for delimiter in _DELIMITER.finditer(text.strip(" ")):
        spans.append((begin, start + delimiter.start()))
        begin = start + delimiter.end()
    spans.append((begin, len(text.rstrip())))
    first, last = spans[item] if item < len(spans) else (len(snippet), len(snippet) + 1)
    return Location(path, line, first + 1, max(1, last - first), snippet)
