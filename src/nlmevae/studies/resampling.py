"""Subjects of a bootstrap sample: drawn with replacement, within strata where there are some."""

from __future__ import annotations

import difflib

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.errors import DataError, SettingsError

#: Random numbers of samples are apart from those of fits and simulations of the same seed.
_STREAM = 21


def resampled_subjects(strata: np.ndarray, *, seed: int, number: int) -> np.ndarray:
    """(N,) positions of the subjects of sample `number`, which depends on (seed, number) only: from every stratum, in
    the order of their numbers, as many as it has.

    Args:
        strata: (N,) int, the stratum of every subject.
    """
    rng = np.random.default_rng([seed, _STREAM, number])
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    return np.concatenate([group[rng.integers(0, len(group), len(group))] for group in groups])


def strata_of(dataset: Dataset, item: str | None) -> np.ndarray:
    """(N,) int: subjects with the same value of the data item are in one stratum. None: all are in one.

    Raises:
        SettingsError: there is no such item.
        DataError: it changes within a subject.
    """
    if item is None:
        return np.zeros(dataset.n_subjects, dtype=int)
    known = {name.upper(): name for name in dataset.columns}
    if item.upper() not in known:
        near = difflib.get_close_matches(item.upper(), known, n=1)
        guess = f"did you mean {known[near[0]]}? " if near else ""
        raise SettingsError(
            f"there is no data item {item} to stratify by",
            hint=f"{guess}known: {', '.join(dataset.columns)} (dropped items are not read)",
        )
    values = dataset.column(known[item.upper()])
    starts = dataset.subject_ptr[:-1]
    own = np.repeat(values[starts], np.diff(dataset.subject_ptr))
    changing = np.flatnonzero((values != own) & ~(np.isnan(values) & np.isnan(own)))
    if len(changing):
        row = int(changing[0])
        subject = int(np.searchsorted(dataset.subject_ptr, row, side="right")) - 1
        raise DataError(
            f"{known[item.upper()]} changes within subject {dataset.subject_labels[subject]} ({dataset.path}, line "
            f"{dataset.lines[row]}): it does not tell its stratum",
            hint="stratify by an item that is constant in every subject",
        )
    return np.unique(values[starts], return_inverse=True)[1].reshape(-1)
