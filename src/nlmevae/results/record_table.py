"""One $TABLE, evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nlmevae.ir import TableRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTable:
    """Values (n_rows, n_columns) of the records that were asked for, in data order.

    Attributes:
        labels: column headings.
        missing: label -> why the column is NaN throughout.
        undefined: label -> number of records at which the code gives no value (NaN).
    """

    request: TableRequest
    labels: tuple[str, ...]
    values: np.ndarray
    missing: dict[str, str] = field(default_factory=dict)
    undefined: dict[str, int] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user has to know before using the file."""
        file = self.request.file or "the table"
        found = [f"{file}: {label} is NaN in every row: {why}" for label, why in self.missing.items()]
        found += [
            f"{file}: {label} has no value in {n} of {len(self.values)} rows (NaN): not assigned yet there, or not computable"
            for label, n in self.undefined.items()
        ]
        return tuple(found)
