"""The records of a project as a NONMEM data set.

The engine reads a Monolix data file into records of its own, by the same rule as NONMEM: what a record holds applies
from the record before it up to its own time. They are written as they are: implied doses as dose records, changes of
regressors as records with EVID 2 that still hold the old values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.value_scales import scale_rows, to_scale
from nlmevae.ir import Model
from nlmevae_translators.to_nonmem.category_codes import Labels, label_values
from nlmevae_translators.to_nonmem.dose_ways import WAY, way_columns

#: Values of CENS in the stream: a known value, one below DV, one between LIMIT and DV, one above DV.
KNOWN, BELOW, BETWEEN, ABOVE = 0.0, 1.0, 2.0, -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Columns by NONMEM's names.

    Attributes:
        items: (item of the model, "" where it is none; name in $INPUT), in file order.
        values: (n, len(items)); NaN is written as ".".
        ids: label of every subject -> its number, empty where labels are whole numbers.
        censored: kind of observation (from 1) -> values of CENS other than `KNOWN` that its records have.
    """

    items: tuple[tuple[str, str], ...]
    values: np.ndarray
    ids: Mapping[str, int]
    censored: Mapping[int, tuple[float, ...]]

    @property
    def text(self) -> str:
        header = ",".join(name for _, name in self.items)
        rows = (",".join(_item(v) for v in row) for row in self.values.tolist())
        return "\n".join([header, *rows]) + "\n"

    @property
    def id_text(self) -> str:
        return "\n".join(["ID,LABEL", *(f'{n},"{label}"' for label, n in self.ids.items())]) + "\n"


def _item(value: float) -> str:
    if value != value:
        return "."
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def data_set(model: Model, dataset: Dataset, names: Mapping[str, str], read: frozenset[str], labels: Labels) -> DataSet:
    """The data set of the stream.

    Args:
        names: item -> name in $INPUT.
        read: items that the code reads.
        labels: item -> numbers that its values 0, 1, ... stand for.
    """
    columns = {name: dataset.values[:, k].copy() for k, name in enumerate(dataset.columns)}
    observed, kind = dataset.mdv == 0, columns["YTYPE"].astype(int)
    columns |= {name: label_values(columns[name], labels[name]) for name in labels if name in columns}
    ids = _ids(dataset.subject_labels)
    numbers = [ids.get(label) or int(label) for label in dataset.subject_labels]
    columns["ID"] = np.repeat(np.array(numbers, dtype=float), np.diff(dataset.subject_ptr))
    columns |= _values(model, dataset, columns, observed, kind)
    censoring = columns.get("CENS", np.zeros(len(kind)))
    censored = {int(k): _kinds(censoring[observed & (kind == k)]) for k in np.unique(kind[observed])}
    if model.structural.compartments:
        columns |= way_columns(model, columns)
    kept = _kept(model, columns, read, censored, several=len(model.epsilons) > 1)
    table = np.column_stack([columns[item] for item in kept])
    if not model.structural.compartments:
        table = table[observed]  # a formula has no state that other records could change
    else:
        if dataset.emptied is not None:
            table = _with_switches(table, kept, dataset.emptied)
        table = _with_resets_of_doses(table, kept)
    items = tuple((item, names.get(item, item)) for item in kept)
    return DataSet(items=items, values=table, ids=ids, censored=censored)


def _ids(labels: Sequence[str]) -> dict[str, int]:
    """Numbers for labels that are no plain positive numbers, or too long to be printed in tables."""
    if all(_is_plain(label) for label in labels):
        return {}
    return {label: number for number, label in enumerate(labels, 1)}


def _is_plain(label: str) -> bool:
    return label.isascii() and label.isdigit() and str(int(label)) == label and label != "0" and len(label) < 8


def _values(
    model: Model, dataset: Dataset, columns: Mapping[str, np.ndarray], observed: np.ndarray, kind: np.ndarray
) -> dict[str, np.ndarray]:
    """DV, CENS and LIMIT on the scales of the outcomes, by the values of CENS above."""
    value, n = columns["DV"], len(kind)
    cens = columns.get("CENS", np.zeros(n))
    has_limit = np.zeros(n, dtype=bool)
    limit = np.full(n, np.nan)
    if "LIMIT" in columns:
        has_limit = ~dataset.missing[:, dataset.columns.index("LIMIT")]
        limit = np.where(has_limit, columns["LIMIT"], np.nan)
    scales = model.data.monolix.scales if model.data.monolix is not None else ()
    if scales:
        rows = scale_rows(scales, np.maximum(kind, 1) - 1)
        value, limit = to_scale(rows, value), to_scale(rows, limit)
    has_limit &= np.isfinite(limit)  # below no limit is below everything
    code = np.where(observed & (cens != 0.0), np.where(has_limit, BETWEEN, cens), KNOWN)
    swapped = (code == BETWEEN) & (cens == -1.0)
    low, high = np.where(swapped, value, limit), np.where(swapped, limit, value)
    found = {"DV": np.where(observed, np.where(code == BETWEEN, high, value), np.nan)}
    if "CENS" in columns:
        found["CENS"] = code
        found["LIMIT"] = np.where(code == BETWEEN, low, np.nan)
    return found


def _with_resets_of_doses(table: np.ndarray, items: Sequence[str]) -> np.ndarray:
    """A reset and the dose at its time are one record, with EVID 4."""
    subject, time, event = (list(items).index(name) for name in ("ID", "TIME", "EVID"))
    kept = np.ones(len(table), dtype=bool)
    for k in range(len(table) - 1):
        row, following = table[k], table[k + 1]
        same = row[subject] == following[subject] and row[time] == following[time]
        if same and row[event] == 3.0 and following[event] == 1.0:
            following[event], kept[k] = 4.0, False
    return table[kept]


def _with_switches(table: np.ndarray, items: Sequence[str], emptied: np.ndarray) -> np.ndarray:
    """A compartment that is emptied is turned off (CMT < 0), by which its amount becomes 0, and at once on again."""
    cmt = list(items).index("CMT")
    rows = []
    for row, number in zip(table, emptied, strict=True):
        for value in (-number, number) if number else ():
            rows.append(row.copy())
            rows[-1][cmt] = value
        if not number:
            rows.append(row)
    return np.array(rows)


def _kinds(censoring: np.ndarray) -> tuple[float, ...]:
    return tuple(float(c) for c in np.unique(censoring) if c != KNOWN)


def _kept(
    model: Model, columns: Mapping[str, np.ndarray], read: frozenset[str], censored: Mapping[int, Sequence[float]],
    *, several: bool,
) -> list[str]:  # fmt: skip
    codes = {c for found in censored.values() for c in found}
    kept = ["ID", "TIME", "DV"]
    if model.structural.compartments:
        kept += ["AMT", *(["RATE"] if columns["RATE"].any() else []), "EVID", "MDV", "CMT"]
    else:
        kept += ["MDV"]
    kept += (["CENS"] if codes else []) + (["LIMIT"] if BETWEEN in codes else [])
    kept += ["YTYPE"] if several else []
    kept += [WAY] if WAY in columns else []
    return [*kept, *(name for name in columns if name in read and name not in kept)]
