"""What the model text says about its data file ($INPUT, $DATA)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location

Role = Literal["id", "time", "date", "dv", "mdv", "evid", "amt", "rate", "ii", "addl", "ss", "cmt", "covariate", "drop"]
FilterOperator = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One $INPUT item, by position. `name` is what programs read, `synonym` the other spelling."""

    name: str
    role: Role
    synonym: str | None = None
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFilter:
    """One condition of IGNORE=(...) or ACCEPT=(...). `numeric` compares as numbers (.EQN. and the
    like), else as text."""

    column: str
    operator: FilterOperator
    value: str
    numeric: bool
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Attributes:
    path: as written, relative to the model file.
    columns: in file order.
    ignore_character: "@" (first non-blank is a letter or @), "#", any other single character; None if absent.
    ignore, accept: a row is dropped when any `ignore` holds, or when `accept` is given and none of it holds.
    null_value: what "." and blanks mean (NONMEM: 0).
    records: read at most this many records.
    last20: years of two digits up to this are 20nn; None: NM-TRAN's default, 50.
    """

    path: str
    columns: tuple[Column, ...]
    ignore_character: str | None = None
    ignore: tuple[DataFilter, ...] = ()
    accept: tuple[DataFilter, ...] = ()
    null_value: float = 0.0
    records: int | None = None
    last20: int | None = None
    at: Location | None = field(default=None, compare=False, repr=False)
