"""Candidates the data cannot tell apart, because their regressors are (almost) the same or depend on each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Beyond this correlation two regressors differ in less than 4 % of their variance.
LARGEST_CORRELATION = 0.98
#: Relative size of an eigenvalue of the correlation matrix that counts as zero.
_ZERO = 1e-10


def exchangeable_units(
    columns: np.ndarray, parameter: np.ndarray, unit: np.ndarray, regressor: np.ndarray
) -> list[tuple[int, ...]]:
    """Groups of units on one parameter that the data cannot tell apart.

    Two units are linked when a column of each correlates beyond `LARGEST_CORRELATION`, or when both take part
    in one exact linear relation (looked for where there are fewer columns than subjects: otherwise every
    column is a combination of others). A group is what links connect.

    Args:
        columns: (N, n_columns) x.
        parameter, unit: (n_columns,) as in `Search`.
        regressor: (n_columns,) number of the distinct x behind each column, so that equal work is done once.

    Returns:
        Ascending unit numbers, groups of two or more.
    """
    found: list[tuple[int, ...]] = []
    links_of: dict[tuple[int, ...], np.ndarray] = {}
    for k in np.unique(parameter):
        members = np.flatnonzero(parameter == k)
        key = tuple(regressor[members].tolist())
        if key not in links_of:
            links_of[key] = _links(columns[:, members])
        found += _connected(unit[members], links_of[key])
    return sorted(found)


def _links(columns: np.ndarray) -> np.ndarray:
    """(n_links, 2) pairs of columns that correlate, or share an exact linear relation."""
    n, p = columns.shape
    centred = columns - columns.mean(axis=0)
    size = np.sqrt(np.sum(centred**2, axis=0))
    scaled = centred / np.where(size > 0.0, size, 1.0)
    correlation = scaled.T @ scaled
    linked = np.abs(correlation) > LARGEST_CORRELATION
    if p < n:
        eigenvalues, vectors = np.linalg.eigh(correlation)
        null = vectors[:, eigenvalues < _ZERO * p]
        linked |= np.abs(null @ null.T) > 1e-6
    return np.argwhere(np.triu(linked, 1))


def _connected(units: np.ndarray, links: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Units that links between their columns connect."""
    group = {int(u): {int(u)} for u in units}
    for a, b in links:
        first, second = group[int(units[a])], group[int(units[b])]
        if first is not second:
            first |= second
            for member in second:
                group[member] = first
    distinct = {id(g): g for g in group.values()}
    return [tuple(sorted(g)) for g in distinct.values() if len(g) > 1]
