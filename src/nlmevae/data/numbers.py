"""Item texts to numbers: Fortran's real constants and clock times."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?", re.ASCII)
_CLOCK = re.compile(r"(\d+):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?", re.ASCII)
_PLAIN = re.compile(r"[0-9.+\-Ee]*", re.ASCII)  # no item of these is a clock time, NaN or infinity
NULL_TEXTS = frozenset(("", "."))


def parse_real(text: str) -> float | None:
    """Value of a Fortran real constant (1, -.5, 1.D0, 2e-3); None if the text is something else.

    NaN, Inf and the exponent without a letter (1+3) are something else.
    """
    if _REAL.fullmatch(text) is None:
        return None
    try:
        return float(text)
    except ValueError:
        return float(text.replace("D", "E").replace("d", "e"))


def parse_clock(text: str) -> float | None:
    """Hours of ``hh:mm`` or ``hh:mm:ss``; a number without a colon is hours already."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return parse_real(text)
    hours, minutes, seconds = int(match[1]), int(match[2]), float(match[3] or 0)
    return hours + minutes / 60 + seconds / 3600 if minutes < 60 and seconds < 60 else None


def to_numbers(texts: Sequence[str], null_value: float, parse: Callable[[str], float | None]) -> np.ndarray:
    """(n,) float64: null items get `null_value`, texts `parse` does not know NaN."""
    known = dict.fromkeys(NULL_TEXTS, null_value)
    distinct = set(texts) - NULL_TEXTS
    try:
        if _PLAIN.fullmatch("".join(distinct)) is None:
            raise ValueError
        known |= zip(distinct, map(float, distinct), strict=True)  # of such texts float knows those parse knows
    except ValueError:
        for text in distinct:
            value = parse(text)
            known[text] = float("nan") if value is None else value
    return np.array([known[text] for text in texts], dtype=float)
