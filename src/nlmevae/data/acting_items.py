"""Reserved data items that are not executed: legal where their values ask for nothing.

NONMEM help: L2 (records with one value share their EPS), CALL (calls of $PK and $ERROR, which are made at every record
anyway), RPT_ (repetition of records), CONT (continuation records), XVIDn (further values of an observation).
"""

from __future__ import annotations

import numpy as np

from nlmevae.data.roles import Rows
from nlmevae.errors import UnsupportedError

#: Item -> largest value that has no effect, and what the others would do.
_SILENT = {
    "CALL": (3, "asks for a call that is not made"),
    "RPT_": (0, "asks for repetition of records"),
    "CONT": (0, "says that the record goes on in the next"),
}
_XVID = (0, "gives a further value of the observation")


def check_acting_items(rows: Rows, ptr: np.ndarray, mdv: np.ndarray) -> None:
    """Raises UnsupportedError at the first record where such an item acts."""
    for k, column in enumerate(rows.columns):
        if column.role != "inert":
            continue
        if column.name == "L2":
            _check_level_two(rows, k, ptr, mdv)
            continue
        largest, what = _SILENT.get(column.name, _XVID)
        values = rows.values[:, k]
        wrong = (values < 0) | (values > largest)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UnsupportedError(
                f"{column.name} is {values[row]:g} on line {rows.lines[row]}: it {what}, which is not supported",
                hint=f"drop the column, if that is not meant: {column.name}=DROP in $INPUT",
                location=rows.at(row),
            )


def _check_level_two(rows: Rows, k: int, ptr: np.ndarray, mdv: np.ndarray) -> None:
    """Two observations in a row with one L2 have their residual errors in common."""
    observed = np.flatnonzero(mdv == 0)
    subject = np.searchsorted(ptr, observed, side="right")
    together = (np.diff(rows.values[observed, k]) == 0) & (np.diff(subject) == 0)
    if together.any():
        row = int(observed[int(np.argmax(together)) + 1])
        raise UnsupportedError(
            f"L2 is {rows.values[row, k]:g} on line {rows.lines[row]} and on the observation before: the two share "
            "residual errors, which is not supported",
            hint="drop the column with L2=DROP: observations are then independent given the random effects, and a "
            "$SIGMA BLOCK across endpoints has no effect",
            location=rows.at(row),
        )
