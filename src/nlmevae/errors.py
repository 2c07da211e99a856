"""Every exception nlmevae raises on purpose.

    NlmevaeError
    ├── ModelError            the model text cannot be used
    │   ├── ModelSyntaxError      the text is not legal in its language
    │   ├── UnsupportedError      legal, but not something this version can execute exactly
    │   └── SemanticError         legal text with no consistent meaning (undefined name, unused ETA, ...)
    ├── DataError             the data file cannot be used with this model
    ├── SettingsError         an option has an impossible value
    ├── OutputError           a result file cannot be written (exists, folder missing, ...)
    ├── ProcessError          a process of a fit by several has ended, or they do not find each other
    └── MissingDependencyError   an optional package is needed; the message has the install command

Bad input raises; a numerical failure does not: it is a status in the result
(`nlmevae.results.FitStatus`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a text file. Line and column count from 1; `snippet` is the line itself."""

    path: str
    line: int
    column: int = 1
    length: int = 1
    snippet: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class NlmevaeError(Exception):
    """What happened, where, why and what to do about it.

    Args:
        message: what is wrong, in one sentence, in the user's words.
        hint: what to do instead; never empty for an error a user can meet.
        location: where in the user's file, if it has a place.
    """

    def __init__(self, message: str, *, hint: str = "", location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location

    def __str__(self) -> str:
        parts = []
        if self.location is not None:
            parts.append(f"{self.location}: {self.message}")
            if self.location.snippet:
                caret = " " * (self.location.column - 1) + "^" * max(1, self.location.length)
                parts.append(f"  {self.location.snippet}")
                parts.append(f"  {caret}")
        else:
            parts.append(self.message)
        if self.hint:
            parts.append(f"  -> {self.hint}")
        return "\n".join(parts)


class ModelError(NlmevaeError):
    """The model text cannot be used."""


class ModelSyntaxError(ModelError):
    """The text is not legal in its language."""


class UnsupportedError(ModelError):
    """Legal, but not something this version can execute exactly."""


class SemanticError(ModelError):
    """Legal text with no consistent meaning."""


class DataError(NlmevaeError):
    """The data file cannot be used with this model."""


class SettingsError(NlmevaeError):
    """An option has an impossible value."""


class OutputError(NlmevaeError):
    """A result file cannot be written."""


class ProcessError(NlmevaeError):
    """A process of a fit by several has ended or does something else, or they do not find each other."""


class MissingDependencyError(NlmevaeError):
    """An optional package is needed; the message has the install command."""
