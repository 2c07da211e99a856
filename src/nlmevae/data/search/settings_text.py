"""A TOML settings file: its values, and where in the text each of them stands."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from nlmevae.errors import Location, SettingsError

_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


class SettingsText:
    """Values by key, and the place of every key and value (tomllib keeps no places).

    Args:
        path: of the file.

    Raises:
        SettingsError: no such file, not text, or not TOML, with line and column.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise SettingsError(
                f"the settings file {path} cannot be read: {error.strerror}", hint="correct the path"
            ) from None
        except UnicodeDecodeError:
            raise SettingsError(
                f"the settings file {path} is not text in UTF-8", hint="save it as plain text"
            ) from None
        self.lines = text.split("\n")
        try:
            self.values: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise self._no_toml(str(error)) from None

    def _no_toml(self, message: str) -> SettingsError:
        place = _PLACE.search(message)
        last = len(self.lines) - 1
        while last > 0 and not self.lines[last].strip():
            last -= 1
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (last + 1, len(self.lines[last]) + 1)
        what = _PLACE.sub("", message)
        return SettingsError(
            f"the settings file is not valid TOML: {what[:1].lower()}{what[1:]}",
            hint='write key = value, texts in quotation marks and lists in brackets: covariates = ["WT", "AGE"]',
            location=self._location(line - 1, column - 1, 1),
        )

    def where(self, key: str, part: str | None = None) -> Location | None:
        """The place of `part` in the value of `key`, of the key itself without `part` or where it is not found."""
        found = self._key(key)
        if found is None:
            return None
        line, column = found
        for beside in (r"\w.~:=", r"\w."):  # CL in ["CL~WT", "CL"] is the second one
            pattern = re.compile(rf"(?<![{beside}]){re.escape(part or '')}(?![{beside}])", re.IGNORECASE)
            for k in range(line, self._end(line)) if part else ():
                match = pattern.search(self._code(k), column + len(key) if k == line else 0)
                if match is not None:
                    return self._location(k, match.start(), len(part or ""))
        return self._location(line, column, len(key))

    def _key(self, key: str) -> tuple[int, int] | None:
        """Line and column, from 0, of ``key = `` or ``[key]``."""
        pattern = re.compile(rf"""^\s*\[?\s*["']?(?P<key>{re.escape(key)})["']?\s*[=.\]]""")
        for k, line in enumerate(self.lines):
            match = pattern.match(line)
            if match is not None:
                return k, match.start("key")
        return None

    def _end(self, line: int) -> int:
        """The first line after `line` that starts another key, or another table if `line` starts one."""
        table = self.lines[line].lstrip().startswith("[")
        other = re.compile(r"^\s*\[\s*[A-Za-z_]" if table else r"^\s*[A-Za-z_][\w-]*\s*[=.]|^\s*\[\s*[A-Za-z_]")
        return next((k for k in range(line + 1, len(self.lines)) if other.match(self.lines[k])), len(self.lines))

    def _code(self, line: int) -> str:
        """The line without its comment."""
        return re.sub(r"""(?P<text>"[^"]*"|'[^']*')|#.*""", lambda m: m["text"] or "", self.lines[line])

    def _location(self, line: int, column: int, length: int) -> Location:
        snippet = self.lines[line].replace("\t", " ").rstrip() if line < len(self.lines) else ""
        return Location(self.path, line + 1, column + 1, length, snippet)
