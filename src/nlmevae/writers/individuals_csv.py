"""`.individuals.csv`: one row per subject with everything known of it, at full precision; nothing where unknown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from nlmevae.results.fit_result import IndividualResults
from nlmevae.results.run_folder import SUBJECT_COLUMNS
from nlmevae.writers.atomic import write_atomically

_ROWS = 4096


def write_individuals_csv(path: Path, people: IndividualResults, more: Mapping[str, Iterable] | None = None) -> None:
    """Write the file whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, individuals_csv_text(people, more))


def individuals_csv_text(people: IndividualResults, more: Mapping[str, Iterable] | None = None) -> str:
    """ID, n_obs; ETA(k) mean, mode and SD; parameters (value at the mean of the ETAs, mode, mean and SD, median and
    95 % interval); -2LL, ESS, k-hat, Monte-Carlo error in SD; then the columns of `more`."""
    columns: dict[str, Iterable] = {"ID": people.labels, "n_obs": people.n_obs}
    for k in range(people.eta_mean.shape[1]):
        name = f"ETA({k + 1})"
        columns |= {f"{name}_MEAN": people.eta_mean[:, k], f"{name}_MODE": people.eta_mode[:, k]}
        columns[f"{name}_SD"] = people.eta_sd[:, k]
    for j, name in enumerate(people.psi_names):
        low, median, high = (people.quantiles(level)[:, j] for level in (0.025, 0.5, 0.975))
        columns |= {name: people.psi[:, j], f"{name}_MODE": people.psi_mode[:, j]}
        columns |= {f"{name}_MEAN": people.psi_mean[:, j], f"{name}_SD": people.psi_sd[:, j]}
        columns |= {f"{name}_P2.5": low, f"{name}_MEDIAN": median, f"{name}_P97.5": high}
    columns |= {"MINUS_TWO_LL": people.minus_two_ll, "ESS": people.ess, "KHAT": people.khat}
    columns["MC_ERROR"] = people.moment_error
    return csv_text({**columns, **(more or {})})


def csv_text(columns: Mapping[str, Iterable]) -> str:
    """Columns of equal length as comma-separated text; NaN is empty."""
    assert list(columns)[:2] == SUBJECT_COLUMNS.split(",")[:2]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    values = [v if isinstance(v, np.ndarray) else list(v) for v in columns.values()]
    for start in range(0, len(values[0]), _ROWS):  # so that not every number is an object at once
        part = slice(start, start + _ROWS)
        writer.writerows(zip(*(_cells(own[part]) for own in values), strict=True))

    return stream.getvalue()


def _cells(values: np.ndarray | list) -> list:
    """Of one column; numbers of which none is missing as they are, which csv writes as `_cell` does."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and not np.isnan(values).any():
        return values.tolist()
    return [_cell(v) for v in values]


def _cell(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return value
