"""One data item: its name and what it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location

Role = Literal[
    "id",
    "time",
    "date",
    "dv",
    "mdv",
    "evid",
    "amt",
    "rate",
    "ii",
    "addl",
    "ss",
    "cmt",
    "covariate",
    "derived",
    "inert",
    "drop",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One $INPUT item, by position. `name` is what programs read, `synonym` the other spelling. The role "derived" is
    that of an item that is no column of the file, see `DerivedItems`; "inert" that of a reserved item whose
    values must ask for nothing."""

    name: str
    role: Role
    synonym: str | None = None
    at: Location | None = field(default=None, compare=False, repr=False)
