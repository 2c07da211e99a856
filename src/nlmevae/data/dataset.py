"""The data file after NM-TRAN's rules: numeric rows grouped by subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.ir.request import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Rows kept after IGNORE/ACCEPT, in file order.

    Attributes:
        path: the file read.
        columns: names of the value columns (dropped ones left out), the spelling of $INPUT.
        values: (n_rows, n_columns) float64; null items hold the null value.
        missing: (n_rows, n_columns) bool, True where the file had "." or a blank.
        lines: (n_rows,) line number in the file, from 1.
        subject_ptr: (n_subjects + 1,) row ranges; a subject is a contiguous block of one ID.
        subject_labels: the ID text of each subject.
        evid, mdv: (n_rows,) int, given or inferred.
        diagnostics: what the user should know about the records.
        added: (n_rows,) bool, records that are no lines of the file (see monolix_rows); None: there are none.
        emptied: (n_rows,) number of the compartment whose amount becomes 0 at the record, 0 for none; None: nowhere.
    """

    path: str
    columns: tuple[str, ...]
    values: np.ndarray
    missing: np.ndarray
    lines: np.ndarray
    subject_ptr: np.ndarray
    subject_labels: tuple[str, ...]
    evid: np.ndarray
    mdv: np.ndarray
    diagnostics: tuple[Diagnostic, ...] = ()
    added: np.ndarray | None = None
    emptied: np.ndarray | None = None

    @property
    def n_subjects(self) -> int:
        return len(self.subject_labels)

    @property
    def n_rows(self) -> int:
        return len(self.values)

    def column(self, name: str) -> np.ndarray:
        """(n_rows,) values of one column; KeyError if absent."""
        try:
            return self.values[:, self.columns.index(name)]
        except ValueError:
            raise KeyError(name) from None
