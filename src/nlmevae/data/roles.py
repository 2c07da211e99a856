"""What each column is for, and event types NM-TRAN infers when the file does not give them.

Rules: NONMEM Users Guide VI (PREDPP), chapter V; NM-TRAN help for EVID and MDV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.text import locate
from nlmevae.errors import DataError, Location, SemanticError
from nlmevae.ir import Column, Model

#: MDV 100 and 101 are 0 and 1 for everything but estimation, where the record does not count.
_MDV_VALUES = (0, 1, 100, 101)


@dataclass(frozen=True, slots=True)
class Rows:
    """The numbers on their way to a Dataset.

    Attributes:
        columns: the columns of `values`, in order.
        items: (n_columns,) position of each in the file.
        values, missing: (n_rows, n_columns).
        lines: (n_rows,) line numbers.
        placed: the file has these columns (and not others that they are made of).
    """

    path: str
    columns: tuple[Column, ...]
    items: tuple[int, ...]
    values: np.ndarray
    missing: np.ndarray
    lines: np.ndarray
    placed: bool = True

    def index(self, role: str) -> int | None:
        """Position of the column with this role; None if the file has none."""
        return next((k for k, c in enumerate(self.columns) if c.role == role), None)

    def of(self, role: str) -> np.ndarray:
        """(n_rows,) values of the column with this role, zeros if the file has none."""
        k = self.index(role)
        return np.zeros(len(self.values)) if k is None else self.values[:, k]

    def is_missing(self, role: str) -> np.ndarray:
        """(n_rows,) where that column is null; all True if the file has none."""
        k = self.index(role)
        return np.ones(len(self.values), dtype=bool) if k is None else self.missing[:, k]

    def at(self, row: int, role: str | None = None) -> Location:
        """Where a row, or its item of this role, stands in the file."""
        k = None if role is None else self.index(role)
        return self.place(row, k)

    def place(self, row: int, k: int | None) -> Location:
        """Where a row, or its item in column k, stands."""
        return locate(self.path, int(self.lines[row]), None if k is None or not self.placed else self.items[k])


def check_columns(model: Model) -> None:
    """Raises:
    SemanticError: $INPUT lacks an item the model needs, or has one role twice.
    """
    columns = model.data.columns
    at = (columns[0].at if columns else None) or model.data.at
    roles = [c.role for c in columns]
    needed = {"id": "ID", "dv": "DV"}
    if model.structural.compartments:
        needed["time"] = "TIME"
    for role, label in needed.items():
        if role not in roles:
            raise SemanticError(
                f"$INPUT has no {label} item",
                hint=f"name the column {label}, or give it the synonym, as in {label}=YOURNAME",
                location=at,
            )
    for column in columns:
        if column.role not in ("covariate", "derived", "inert", "drop") and roles.count(column.role) > 1:
            raise SemanticError(
                f"two $INPUT items are {column.role.upper()}", hint="DROP one of them", location=column.at or at
            )
        if column.role == "date" and "time" not in roles:
            raise SemanticError(
                f"{column.name} without TIME", hint="add a TIME item, or drop the dates", location=column.at or at
            )


def event_types(model: Model, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """(n_rows,) EVID and (n_rows,) MDV (0 or 1), given or inferred.

    With compartments, a missing EVID is 1 where AMT, RATE, ADDL, II or SS is not 0, else 2 where MDV
    is 1, else 0; a missing MDV is 1 where EVID is not 0.
    """
    if not model.structural.compartments:
        return _formula_types(rows)
    given = _whole_numbers(rows, "mdv", _MDV_VALUES)
    if rows.index("evid") is not None:
        evid = _whole_numbers(rows, "evid", (0, 1, 2, 3, 4))
    else:
        dose = np.any([rows.of(role) != 0 for role in ("amt", "rate", "addl", "ii", "ss")], axis=0)
        evid = np.where(dose, 1, np.where(given % 100 == 1, 2, 0))
    inferred = rows.is_missing("mdv")
    observed = ~inferred & (given % 100 == 0) & (evid != 0)
    if observed.any():
        row = int(np.argmax(observed))
        raise DataError(
            f"MDV is {given[row]} on a record with EVID {evid[row]}: a dose or reset holds no observation",
            hint="set MDV to 1 on records with EVID other than 0, or split the record in two",
            location=rows.at(row, "mdv"),
        )
    mdv = np.where(inferred, evid != 0, given != 0)
    return evid.astype(int), mdv.astype(int)


def _formula_types(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Without compartments NONMEM looks at MDV alone; EVID is an item like any other."""
    given = _whole_numbers(rows, "mdv", _MDV_VALUES)
    evid = rows.of("evid")
    other = (evid != 0) & rows.is_missing("mdv")
    if other.any():
        row = int(np.argmax(other))
        raise DataError(
            f"EVID is {evid[row]:g} but $PRED models look at MDV only: this record would count as an observation",
            hint="add an MDV column (1 where there is no observation), or drop the records with IGNORE=(EVID.NEN.0)",
            location=rows.at(row, "evid"),
        )
    return evid.astype(int), (given != 0).astype(int)


def _whole_numbers(rows: Rows, role: str, allowed: tuple[int, ...]) -> np.ndarray:
    values = rows.of(role)
    wrong = ~np.isin(values, allowed)
    if wrong.any():
        row = int(np.argmax(wrong))
        names = ", ".join(str(v) for v in allowed)
        raise DataError(
            f"{role.upper()} is {values[row]:g}; it must be one of {names}",
            hint=f"correct the {role.upper()} column",
            location=rows.at(row, role),
        )
    return values.astype(int)
