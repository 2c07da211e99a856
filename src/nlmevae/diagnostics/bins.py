"""Bins of the independent variable of a visual predictive check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.errors import SettingsError

METHODS = ("natural", "count")

#: At most so many bins by default, and about so many observations in each.
MOST_BINS, FEWEST_PER_BIN = 10, 10
#: Distinct values among which natural breaks are searched; more are first rounded to as many groups of equal count.
_MOST_VALUES = 400


def bin_edges(
    x: np.ndarray, *, method: str = "natural", n_bins: int | None = None, edges: Sequence[float] | None = None
) -> np.ndarray:
    """(B + 1,) increasing edges for x (n,), n > 0. Bin b holds edges[b] <= x < edges[b + 1], the last one also its
    upper edge.

    Args:
        method: "natural": breaks in the largest gaps, that is bins with the smallest sum of squares around their
            means (Fisher, J Am Stat Assoc 53, 1958; "Jenks"), which finds nominal times; "count": bins of equal
            count.
        n_bins: at most so many; None: up to 10, fewer where that leaves fewer than 10 observations in each.
        edges: given by the user, `method` and `n_bins` do not count.

    Raises:
        SettingsError: an unknown method, no bins, or edges that do not increase.
    """
    if edges is not None:
        return _given(np.asarray(edges, dtype=float))
    if method not in METHODS:
        raise SettingsError(f"there is no binning '{method}'", hint=f"use one of {', '.join(METHODS)}")
    if n_bins is not None and n_bins < 1:
        raise SettingsError(f"{n_bins} bins are asked for", hint="ask for 1 or more")
    values, counts = np.unique(x, return_counts=True)
    wanted = max(1, min(MOST_BINS, len(x) // FEWEST_PER_BIN)) if n_bins is None else n_bins
    wanted = min(wanted, len(values))
    breaks = _natural_breaks(values, counts, wanted) if method == "natural" else _equal_counts(values, counts, wanted)
    inner = [0.5 * (values[k - 1] + values[k]) for k in breaks]
    return np.array([values[0], *inner, values[-1]])


def bin_of(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n,) index of each value's bin, -1 outside all of them (and where x is NaN)."""
    index = np.searchsorted(edges, x, side="right") - 1
    index = np.where(x == edges[-1], len(edges) - 2, index)
    return np.where((x >= edges[0]) & (x <= edges[-1]), index, -1)


def _given(edges: np.ndarray) -> np.ndarray:
    if len(edges) < 2 or not np.all(np.diff(edges) > 0) or not np.all(np.isfinite(edges)):
        raise SettingsError(
            f"bin edges {', '.join(f'{e:g}' for e in edges)} do not increase",
            hint="give two or more increasing numbers",
        )
    return edges


def _equal_counts(values: np.ndarray, counts: np.ndarray, n_bins: int) -> list[int]:
    """First value of every bin but the first; equal values stay together, so there may be fewer bins."""
    before = np.cumsum(counts) - counts
    aims = counts.sum() * np.arange(1, n_bins) / n_bins
    breaks = {int(np.argmin(np.abs(before - aim))) for aim in aims}
    return sorted(breaks - {0})


def _natural_breaks(values: np.ndarray, counts: np.ndarray, n_bins: int) -> list[int]:
    """First value of every bin but the first of the optimal partition, by dynamic programming."""
    if len(values) > _MOST_VALUES:
        group = np.searchsorted(np.cumsum(counts), counts.sum() * np.arange(1, _MOST_VALUES) / _MOST_VALUES)
        starts = np.unique(np.concatenate([[0], group]))
        heads = values[starts]
        sizes = np.add.reduceat(counts, starts)
        return [int(starts[k]) for k in _natural_breaks(heads, sizes, n_bins)]
    within = _sums_of_squares(values, counts)
    n = len(values)
    best = within[0].copy()  # of values[:k + 1] in one bin
    choice = np.zeros((n_bins, n), dtype=int)
    for b in range(1, n_bins):
        # the last of b + 1 bins starts at value j: best[j - 1] + within[j, k]
        total = np.full((n, n), np.inf)
        total[1:] = best[:-1, None] + within[1:]
        choice[b] = total.argmin(axis=0)
        best = total.min(axis=0)
    breaks, last = [], n - 1
    for b in range(n_bins - 1, 0, -1):
        breaks.append(int(choice[b, last]))
        last = breaks[-1] - 1
    return sorted(breaks)


def _sums_of_squares(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(n, n): [j, k] sum of squares of values j..k around their mean, inf for k < j."""
    centred = values - np.average(values, weights=counts)
    weight, first, second = (np.concatenate([[0.0], np.cumsum(counts * centred**power)]) for power in (0, 1, 2))
    size, total, squares = (s[None, 1:] - s[:-1, None] for s in (weight, first, second))
    with np.errstate(divide="ignore", invalid="ignore"):
        result = squares - total**2 / size
    return np.where(np.tri(len(values), k=-1, dtype=bool), np.inf, np.maximum(result, 0.0))
