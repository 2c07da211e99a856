"""Values of population parameters by name, as some file or caller gives them; not yet matched to a model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nlmevae.errors import DataError

_THETA = re.compile(r"THETA\(?(\d+)\)?$", re.IGNORECASE)
_MATRIX = re.compile(r"(OMEGA|SIGMA)\((\d+),(\d+)\)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterValues:
    """`values`: canonical name (THETA(1), OMEGA(2,1), SIGMA(1,1)) or label -> number; OMEGA and SIGMA are
    (co)variances. `source` says where they are from ("run1.ext, table 1: ..."). `objective`: what the source says its
    objective is there, NaN if nothing. `deviations`: they are from a Monolix folder, and the labels of variances are
    names of standard deviations."""

    source: str
    values: dict[str, float]
    objective: float = float("nan")
    deviations: bool = False

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, float]], *, source: str, objective: float = float("nan")) -> ParameterValues:
        """From names in any of NONMEM's spellings.

        Raises:
            DataError: a name is given twice.
        """
        values: dict[str, float] = {}
        for name, value in pairs:
            key = canonical_name(name)
            if key in values:
                raise DataError(f"{source} gives {key} twice", hint="give every parameter once")
            values[key] = value
        return cls(source=source, values=values, objective=objective)


def canonical_name(name: str) -> str:
    """``THETA1``, ``theta(1)`` -> ``THETA(1)``; ``OMEGA(1,2)`` -> ``OMEGA(2,1)``; anything else (a label) as it is."""
    name = name.strip()
    close = name.replace(" ", "")
    if match := _THETA.match(close):
        return f"THETA({int(match[1])})"
    if match := _MATRIX.match(close):
        row, column = sorted((int(match[2]), int(match[3])), reverse=True)
        return f"{match[1].upper()}({row},{column})"
    return name
