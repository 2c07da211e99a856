"""The lines of a PsN scm configuration file: sections, keys, values and where each of them stands.

    model=pheno.mod
    continuous_covariates=WGT,APGR
    ; a comment has a line of its own
    [test_relations]
    CL=WGT,\\
       APGR

A backslash at the end of a line continues it. What stands before the first section belongs to the section "".
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import Location, SettingsError

#: Sections whose values are NM-TRAN code, in which a semicolon begins a comment up to the end of its line.
CODE = "code"
_HEADER = re.compile(r"\[\s*(.+?)\s*\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmEntry:
    """``key=value`` of one section; `lines` the value as it stands in the file, one text per line, without the
    continuation marks and comments; `first` is the number of its first line."""

    section: str
    key: str
    lines: tuple[str, ...]
    path: str
    first: int
    raw: tuple[str, ...]

    @property
    def value(self) -> str:
        """In one line."""
        return " ".join(line for line in self.lines if line)

    def at(self, part: str = "") -> Location:
        """Where `part` stands as a word of its own, the key without one."""
        word = re.compile(rf"(?<![\w]){re.escape(part or self.key)}(?![\w])", re.IGNORECASE)
        for k, raw in enumerate(self.raw):
            found = word.search(raw, raw.find("=") + 1 if k == 0 and part else 0)
            if found:
                return Location(self.path, self.first + k, found.start() + 1, len(found[0]), _shown(raw))
        return Location(self.path, self.first, 1, 1, _shown(self.raw[0]))

    def words(self) -> tuple[str, ...]:
        """The parts of a list, upper case."""
        return tuple(word.upper() for word in re.split(r"[,\s]+", self.value) if word)


def scm_entries(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], tuple[ScmEntry, ...]]:
    """Names of the sections, and all entries in order.

    Raises:
        SettingsError: the file cannot be read, or a line is neither a section, a comment nor ``key=value``.
    """
    lines = _file_lines(path)
    sections: list[str] = []
    entries: list[ScmEntry] = []
    section, k = "", 0
    while k < len(lines):
        last = k
        while lines[last].rstrip().endswith("\\") and last + 1 < len(lines):
            last += 1
        raw = tuple(lines[k : last + 1])
        text = raw[0].strip()
        if text and text[0] not in "#;":
            header = _HEADER.match(text)
            if header:
                section = header[1].lower()
                sections.append(section)
            else:
                entries.append(_entry(str(path), section, k + 1, raw))
        k = last + 1
    return tuple(sections), _without_repeats(entries)


def _file_lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise SettingsError(f"the scm file {path} cannot be read: {error.strerror}", hint="correct the path") from None
    if "\0" in text:
        raise SettingsError(f"{path} is not text", hint="give the configuration file of PsN's scm")
    return re.split(r"\r\n|\r|\n", text)


def _entry(path: str, section: str, number: int, raw: tuple[str, ...]) -> ScmEntry:
    key, equals, _ = raw[0].partition("=")
    if not equals or not key.strip():
        raise SettingsError(
            "this line is neither a [section], a comment nor key=value",
            hint="begin comments with ;, and end every line of a longer value but the last with \\",
            location=Location(path, number, 1, max(1, len(raw[0].strip())), _shown(raw[0])),
        )
    bodies = [raw[0].partition("=")[2], *raw[1:]]
    lines = tuple(body.rstrip().rstrip("\\").partition(";")[0].strip() for body in bodies)
    return ScmEntry(section=section, key=key.strip(), lines=lines, path=path, first=number, raw=raw)


def _without_repeats(entries: list[ScmEntry]) -> tuple[ScmEntry, ...]:
    """A key that is repeated with the same value counts once.

    Raises:
        SettingsError: with another value; PsN takes the last one without a word.
    """
    found: dict[tuple[str, str], ScmEntry] = {}
    for entry in entries:
        before = found.setdefault((entry.section, entry.key.upper()), entry)
        if before.value != entry.value:
            raise SettingsError(
                f"{entry.key} is given twice, first in line {before.first}, with another value",
                hint="keep one of them",
                location=entry.at(),
            )
    return tuple(found.values())


def _shown(raw: str) -> str:
    return raw.replace("\t", " ").rstrip()
