"""What the model text asks for beyond the model: estimation steps, tables, covariance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationStep:
    """One $ESTIMATION record: its method as written and all options, in order."""

    method: str
    options: tuple[tuple[str, str | None], ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CovarianceRequest:
    """$COVARIANCE: `matrix` is R, S or "" (their sandwich); `unconditional`: also when the estimation did not
    converge; `omitted`: not at all."""

    matrix: Literal["", "R", "S"] = ""
    unconditional: bool = False
    omitted: bool = False
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRequest:
    """One $TABLE record."""

    file: str | None
    columns: tuple[str, ...]
    options: tuple[tuple[str, str | None], ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Something the user should know that does not stop the run."""

    code: str
    severity: Literal["note", "warning"]
    message: str
    hint: str = ""
    location: Location | None = None
