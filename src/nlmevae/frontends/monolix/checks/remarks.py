"""Words of notes and hints that several checks share."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from difflib import get_close_matches

from nlmevae.errors import Location
from nlmevae.ir import Diagnostic


def note(message: str, at: Location | None, *, hint: str = "") -> Diagnostic:
    """Something harmless that the user should know."""
    return Diagnostic(code="mlxtran", severity="note", message=message, hint=hint, location=at)


def nearest(name: str, known: Sequence[str], otherwise: str) -> str:
    """A hint: the known name that is nearest, first one that differs in case only."""
    close = [k for k in known if k.lower() == name.lower()] or get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def it_or_them(names: Sized) -> str:
    return "it" if len(names) == 1 else "them"
