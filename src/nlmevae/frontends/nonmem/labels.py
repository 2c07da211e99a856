"""Comments -> what to print for a parameter: ``; 1. CL (L/h)`` is CL, ``; IIV_V`` is IIV_V."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBERING = re.compile(
    r"^\s*(?:\d+\s*[.:)]\s*|(?:THETA|ETA|OMEGA|SIGMA)\s*\(?\d+(?:,\d+)?\)?\s*[.:=]\s*)", re.IGNORECASE
)
_LABEL = re.compile(r"[A-Za-z_][^;()\[\],:={}]*")
#: Longer comments are sentences.
LONGEST_LABEL = 24


def label_from_comment(comment: str) -> str | None:
    """The name a comment starts with, None if it starts with none or with a long sentence."""
    text = _NUMBERING.sub("", comment).strip().strip("[]")
    match = _LABEL.match(text)
    if match is None:
        return None
    label = " ".join(match.group().split())
    return label if len(label) <= LONGEST_LABEL else None


def unique_labels(labels: Sequence[str | None], names: Sequence[str]) -> tuple[str, ...]:
    """Labels where they are given and differ from all others, else the names."""
    given = [label or name for label, name in zip(labels, names, strict=True)]
    return tuple(label if given.count(label) == 1 else name for label, name in zip(given, names, strict=True))
