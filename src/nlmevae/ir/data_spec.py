"""What the model text says about its data file ($INPUT, $DATA)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location
from nlmevae.ir.data_item import Column
from nlmevae.ir.monolix_rows import MonolixRows
from nlmevae.ir.program import Statement

FilterOperator = Literal["==", "!=", "<", "<=", ">", ">="]


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
class DerivedItems:
    """Data items computed from data items record after record, see `data.derived_items`.

    Attributes:
        statements: run at every record of a subject in order; what one does not assign keeps its value.
        variables: item -> the variable of the user's code whose value it is.
        kept: variables that keep a value from one record to the next and have none at a subject's first record.
        partial: items that may have no value on records that do not use them.
    """

    statements: tuple[Statement, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    partial: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Attributes:
    path: as written, relative to the model file.
    columns: in file order, then those that are derived.
    ignore_character: "@" (first non-blank is a letter or @), "#", any other single character; None if absent.
    ignore, accept: a row is dropped when any `ignore` holds, or when `accept` is given and none of it holds.
    null_value: what "." and blanks mean (NONMEM: 0).
    records: read at most this many records.
    derived: how the derived columns are computed; None if there are none.
    last20: years of two digits up to this are 20nn; None: NM-TRAN's default, 50.
    monolix: the file is read by Monolix's rules, see data.monolix_rows; `columns` are then its `items`.
    """

    path: str
    columns: tuple[Column, ...]
    ignore_character: str | None = None
    ignore: tuple[DataFilter, ...] = ()
    accept: tuple[DataFilter, ...] = ()
    null_value: float = 0.0
    records: int | None = None
    derived: DerivedItems | None = None
    last20: int | None = None
    monolix: MonolixRows | None = None
    at: Location | None = field(default=None, compare=False, repr=False)

    @property
    def file_columns(self) -> tuple[Column, ...]:
        """The columns of the file."""
        return tuple(c for c in self.columns if c.role != "derived")
