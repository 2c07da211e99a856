"""Control stream text -> ordered records, losing no byte.

`join()` gives back the text that was split. Files are decoded as UTF-8 with the surrogateescape rule,
so every byte sequence survives: write back with ``text.encode("utf-8", "surrogateescape")``.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from nlmevae.errors import Location, ModelSyntaxError

#: Full record names. An abbreviation of three letters or more means the first name here that starts with it.
RECORD_NAMES = (
    "PROBLEM", "INPUT", "DATA", "SUBROUTINES", "MODEL", "PK", "PRED", "DES", "ERROR", "THETA", "OMEGA", "SIGMA",
    "ESTIMATION", "ESTIMATE", "ESTM", "COVARIANCE", "TABLE", "ABBREVIATED", "SIMULATION", "SIMULATE", "SIZES", "PRIOR",
    "MSFI", "SCATTERPLOT", "NONPARAMETRIC", "DESIGN", "WARNINGS", "TOL", "INCLUDE", "INDEX", "INDXS", "INFN", "MIX",
    "AES", "AESINITIAL", "AES0", "LEVEL", "CONTR", "OMIT", "BIND", "CHAIN", "ANNEAL", "ETAS", "PHIS", "DEFAULT",
    "FORMAT", "THETAI", "THETAR", "THETAP", "THETAPV", "OMEGAP", "OMEGAPD", "SIGMAP", "SIGMAPD", "OLKJDF", "OVARF",
    "SLKJDF", "SVARF", "TTDF", "RCOV", "RCOVI", "STIELTJES", "SUPERPROBLEM", "FINEDATA", "OPTDESIGN",
)  # fmt: skip

#: Other spellings of one record.
_ALIASES = {
    "ESTIMATE": "ESTIMATION", "ESTM": "ESTIMATION", "SIMULATE": "SIMULATION", "SIML": "SIMULATION", "INDXS": "INDEX",
    "SUBS": "SUBROUTINES", "COVR": "COVARIANCE", "INPT": "INPUT", "OPTDESIGN": "DESIGN",
    "DEFAULTS": "DEFAULT",
}  # fmt: skip

_HEAD = re.compile(r"^\ufeff?[ \t]*\$([A-Za-z][A-Za-z0-9]*)", re.MULTILINE)
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` the text is that of the file `origin` from its offset `offset` on."""

    start: int
    origin: SourceText
    offset: int


@dataclass(frozen=True, slots=True)
class SourceText:
    """The whole file. `line_starts` are the offsets where lines begin; `segments`: where its parts stand, if other
    files are included in it."""

    path: str
    text: str
    line_starts: tuple[int, ...] = field(repr=False)
    segments: tuple[Segment, ...] = ()

    @property
    def included(self) -> tuple[str, ...]:
        """Paths of the files that are included."""
        return tuple(dict.fromkeys(s.origin.path for s in self.segments if s.origin.path != self.path))

    def location(self, offset: int, length: int = 1) -> Location:
        """The place of `offset` (from 0) in the file it comes from."""
        if self.segments:
            starts = [segment.start for segment in self.segments]
            segment = self.segments[max(0, bisect.bisect_right(starts, offset) - 1)]
            return segment.origin.location(segment.offset + offset - segment.start, length)
        line = bisect.bisect_right(self.line_starts, offset)
        start = self.line_starts[line - 1]
        end = self.line_starts[line] if line < len(self.line_starts) else len(self.text)
        snippet = printable(self.text[start:end].rstrip("\r\n")).replace("\t", " ")
        return Location(self.path, line, offset - start + 1, max(1, min(length, end - offset)), snippet)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: from its ``$`` to the next record's, comments and blank lines included.

    Attributes:
        name: full name in capitals without the ``$``.
        start, body, end: offsets in the source: of the record's first line, after its name, of its end.
    """

    name: str
    source: SourceText
    start: int
    body: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def head(self) -> Location:
        """Where the name is written."""
        offset = self.source.text.index("$", self.start)
        return self.source.location(offset, self.body - offset)


@dataclass(frozen=True, slots=True)
class ControlStream:
    """A split file: what comes before the first record, then the records in order."""

    source: SourceText
    preamble: str
    records: tuple[Record, ...]

    def join(self) -> str:
        """The text that was split."""
        return self.preamble + "".join(record.text for record in self.records)

    def named(self, *names: str) -> tuple[Record, ...]:
        """All records with one of these full names, in order."""
        return tuple(record for record in self.records if record.name in names)


def decode(content: bytes) -> str:
    """Text of a control stream; bytes that are not UTF-8 survive as lone surrogates."""
    return content.decode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """`text` for people: undecodable bytes are shown as Latin-1 characters."""
    return "".join(chr(ord(c) - 0xDC00) if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def read_source(path: str | Path) -> SourceText:
    """Read a control stream file without touching a byte of it."""
    return source_text(decode(Path(path).read_bytes()), str(path))


def source_text(text: str, path: str) -> SourceText:
    return SourceText(path, text, line_starts(text))


def line_starts(text: str) -> tuple[int, ...]:
    return (0, *(match.end() for match in _LINE_END.finditer(text)))


def split_records(source: SourceText) -> ControlStream:
    """Split at every line that starts with ``$NAME``.

    Raises:
        ModelSyntaxError: no record at all, or a name that is no record.
    """
    heads = list(_HEAD.finditer(source.text))
    if not heads:
        raise ModelSyntaxError(
            "no record found: this is not a NONMEM control stream",
            hint="give the path of a control stream; its first record is $PROBLEM",
            location=source.location(0),
        )
    ends = [head.start() for head in heads[1:]] + [len(source.text)]
    records = []
    for head, end in zip(heads, ends, strict=True):
        name = _full_name(head.group(1), source, head.start(1) - 1)
        records.append(Record(name, source, head.start(), head.end(), end))
    return ControlStream(source, source.text[: heads[0].start()], tuple(records))


def _full_name(written: str, source: SourceText, offset: int) -> str:
    upper = written.upper()
    if upper in RECORD_NAMES or upper in _ALIASES:
        return _ALIASES.get(upper, upper)
    if len(upper) >= 3:
        for name in RECORD_NAMES:
            if name.startswith(upper):
                return _ALIASES.get(name, name)
    close = get_close_matches(upper, RECORD_NAMES, n=1, cutoff=0.5)
    raise ModelSyntaxError(
        f"${written} is not a NONMEM record",
        hint=f"did you mean ${close[0]}?" if close else "check the spelling; three letters or more name a record",
        location=source.location(offset, len(written) + 1),
    )
