"""A data column as a covariate: one value per subject, or the reason why it is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.roles import Rows
from nlmevae.errors import DataError, Location, UnsupportedError
from nlmevae.ir import Diagnostic

#: Negative numbers that data sets use for "missing", not for a measurement.
_USUAL_CODES = (-99.0, -999.0, -9999.0)
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariate:
    """One value per subject.

    Attributes:
        values: (N,) float64, as a program reads them: `missing_code` where missing.
        missing: (N,) bool.
        missing_code: None if nothing is missing.
        levels, counts: distinct values present, ascending, and the subjects that have each.
        mean: over the subjects that have a value.
        rows: (N,) first record of each subject in the Dataset.
        subjects: (N,) labels.
    """

    name: str
    values: np.ndarray
    missing: np.ndarray
    missing_code: float | None
    levels: np.ndarray
    counts: np.ndarray
    mean: float
    rows: np.ndarray
    subjects: tuple[str, ...]

    @property
    def median(self) -> float:
        """Over the subjects that have a value."""
        return float(np.median(self.values[~self.missing]))

    @property
    def positive(self) -> bool:
        return bool(self.levels[0] > 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why something cannot be searched: an error for what was asked by name, a warning for what came from "all".

    `row` is the record it shows at (index into the Dataset), None for the whole column.
    """

    error: type[DataError] | type[UnsupportedError]
    message: str
    hint: str
    row: int | None = None

    def exception(self, rows: Rows, column: int, asked: Location | None = None) -> DataError | UnsupportedError:
        """The error, at its record in the data file, else where it was asked for."""
        return self.error(self.message, hint=self.hint, location=asked if self.row is None else _at(rows, self, column))

    def warning(self, dataset: Dataset, subject: str) -> Diagnostic:
        """A warning that `subject`, ``FA1`` or ``the form power of GA``, is not searched."""
        at = None if self.row is None else Location(dataset.path, int(dataset.lines[self.row]))
        return Diagnostic(
            code="covariate-left-out",
            severity="warning",
            message=f"{subject} is not searched: {self.message}",
            hint=self.hint,
            location=at,
        )


def _at(rows: Rows, obstacle: Obstacle, column: int) -> Location:
    return rows.place(obstacle.row or 0, column)


def subject_values(dataset: Dataset, column: int, missing: float | None) -> Covariate | Obstacle:
    """The subjects' values of a column of the dataset.

    Args:
        column: index into `dataset.columns`.
        missing: the number that means missing, besides "." and blanks.

    Returns:
        The covariate; or the obstacle: it changes within a subject, is missing everywhere or in two ways, or
        has one value only.
    """
    name, values = dataset.columns[column], dataset.values[:, column]
    absent = dataset.missing[:, column]
    if missing is not None:
        absent = absent | (values == missing)
    start = dataset.subject_ptr[:-1]
    obstacle = _changing(dataset, name, values, absent)
    if obstacle is not None:
        return obstacle
    first, gone = values[start].copy(), absent[start]
    obstacle = _missing_obstacle(dataset, name, first, gone)
    if obstacle is not None:
        return obstacle
    present = first[~gone]
    levels, counts = np.unique(present, return_counts=True)
    if len(levels) == 1:
        message = f"{name} is {levels[0]:g} for every subject"
        return Obstacle(error=DataError, message=message, hint="a covariate needs at least two values; leave it out")
    return Covariate(
        name=name,
        values=first,
        missing=gone,
        missing_code=float(first[gone][0]) if gone.any() else None,
        levels=levels,
        counts=counts,
        mean=float(np.mean(present)),
        rows=start,
        subjects=dataset.subject_labels,
    )


def _changing(dataset: Dataset, name: str, values: np.ndarray, absent: np.ndarray) -> Obstacle | None:
    """A column whose value, as a program reads it, is not the same on all records of a subject."""
    changed = np.zeros(len(values), dtype=bool)
    changed[1:] = (values[1:] != values[:-1]) | (absent[1:] != absent[:-1])
    changed[dataset.subject_ptr[:-1]] = False
    if not changed.any():
        return None
    row = int(np.argmax(changed))
    subject = dataset.subject_labels[int(np.searchsorted(dataset.subject_ptr, row, side="right")) - 1]
    before, after = (("missing" if absent[k] else f"{values[k]:.6g}") for k in (row - 1, row))
    message = (
        f"time-varying covariates are not searched: {name} of subject {subject} is {before} on line "
        f"{dataset.lines[row - 1]} and {after} on line {dataset.lines[row]}"
    )
    hint = (
        f"repeat the value of {name} on every record of the subject: the model reads it on each"
        if absent[row] != absent[row - 1]
        else "add a column with one value per subject, such as the baseline, to the data file and to $INPUT"
    )
    return Obstacle(error=UnsupportedError, message=message, hint=hint, row=row)


def _missing_obstacle(dataset: Dataset, name: str, first: np.ndarray, gone: np.ndarray) -> Obstacle | None:
    """Missing for everybody, or a program cannot see where it is missing."""
    start = dataset.subject_ptr[:-1]
    if gone.all():
        return Obstacle(error=DataError, message=f"{name} is missing for every subject", hint="leave it out")
    code = first[gone][:1]
    other = gone & (first != code) if gone.any() else gone
    if other.any():
        row, again = int(start[int(np.argmax(gone))]), int(start[int(np.argmax(other))])
        message = (
            f"missing values of {name} are written in two ways: as {code[0]:g} on line {dataset.lines[row]} and "
            f"{first[int(np.argmax(other))]:g} on line {dataset.lines[again]} (a . counts as the null value of $DATA)"
        )
        hint = "write all missing values of the column in one way in the data file"
        return Obstacle(error=DataError, message=message, hint=hint, row=again)
    same = ~gone & (first == code) if gone.any() else gone
    if same.any():
        row, again = int(start[int(np.argmax(gone))]), int(start[int(np.argmax(same))])
        message = (
            f"{name} is missing on line {dataset.lines[row]}, which the model reads as {code[0]:g}, and "
            f"{code[0]:g} is also a value, on line {dataset.lines[again]}"
        )
        hint = f"write a number that is no value of {name}, such as -99, for missing and give missing=-99"
        return Obstacle(error=DataError, message=message, hint=hint, row=row)
    return None


def value_notes(dataset: Dataset, covariate: Covariate, *, categorical: bool) -> list[Diagnostic]:
    """Warnings: missing values and what is done about them, and values that look like a code for missing."""
    found = []
    gone = np.flatnonzero(covariate.missing)
    if len(gone):
        place = "in the reference category" if categorical else "at the centre"
        message = f"{covariate.name} is missing for {subjects_text(dataset, gone)}"
        hint = f"no effect of {covariate.name} there, as for a subject {place}; fill the values in if you know them"
        at = Location(dataset.path, int(dataset.lines[covariate.rows[gone[0]]]))
        found.append(_warning("missing-covariate-value", message, hint, at))
    for code in _USUAL_CODES:
        which = np.flatnonzero(~covariate.missing & (covariate.values == code))
        if len(which):
            message = f"{covariate.name} is {code:g} for {subjects_text(dataset, which)} and counts as measured"
            at = Location(dataset.path, int(dataset.lines[covariate.rows[which[0]]]))
            found.append(_warning("suspected-missing-code", message, f"if it is missing, give missing={code:g}", at))
    return found


def subjects_text(dataset: Dataset, which: np.ndarray) -> str:
    """``3 of 59 subjects (ID 4, 7, 9)``."""
    labels = ", ".join(dataset.subject_labels[int(k)] for k in which[:_MOST_SHOWN])
    more = ", ..." if len(which) > _MOST_SHOWN else ""
    return f"{len(which)} of {dataset.n_subjects} subjects (ID {labels}{more})"


def _warning(code: str, message: str, hint: str, at: Location | None) -> Diagnostic:
    return Diagnostic(code=code, severity="warning", message=message, hint=hint, location=at)
