from itertools import combinations

import numpy as np
import pytest

from nlmevae.diagnostics.bins import bin_edges, bin_of
from nlmevae.errors import SettingsError


def sum_of_squares(x, edges):
    index = bin_of(x, edges)
    return sum(((x[index == b] - x[index == b].mean()) ** 2).sum() for b in np.unique(index))


@pytest.mark.parametrize("seed", range(4))
def test_natural_breaks_are_the_best_of_all_partitions(seed):
    """Against enumeration of every partition of the distinct values."""
    rng = np.random.default_rng(seed)
    x = rng.choice(rng.gamma(1.0, 5.0, 9), 40)
    values = np.unique(x)
    found = sum_of_squares(x, bin_edges(x, n_bins=3))
    middles = 0.5 * (values[1:] + values[:-1])
    best = min(sum_of_squares(x, np.array([values[0], *cut, values[-1]])) for cut in combinations(middles, 2))
    assert found == pytest.approx(best)


def test_natural_breaks_find_nominal_times():
    rng = np.random.default_rng(0)
    nominal = np.repeat([0.0, 1.0, 4.0, 24.0], 30)
    edges = bin_edges(nominal + rng.uniform(0, 0.2, 120), n_bins=4)
    assert np.array_equal(bin_of(nominal + 0.1, edges), np.repeat(range(4), 30))


def test_many_distinct_values_are_grouped_before_the_search():
    x = np.concatenate([np.random.default_rng(0).uniform(k, k + 0.5, 2000) for k in range(3)])
    edges = bin_edges(x, n_bins=3)
    assert np.bincount(bin_of(x, edges)) == pytest.approx([2000] * 3, abs=30)


def test_bins_of_equal_count_hold_equal_counts_and_keep_ties_together():
    assert list(np.bincount(bin_of(np.arange(12.0), bin_edges(np.arange(12.0), method="count", n_bins=4)))) == [3] * 4
    x = np.repeat([1.0, 2.0], [9, 1])
    assert len(bin_edges(x, method="count", n_bins=5)) <= 3


def test_every_value_is_in_a_bin_and_values_outside_are_not():
    x = np.random.default_rng(0).normal(size=50)
    edges = bin_edges(x)
    assert bin_of(x, edges).min() == 0
    assert bin_of(x, edges).max() == len(edges) - 2
    assert list(bin_of(np.array([-9.0, 9.0, np.nan]), edges)) == [-1, -1, -1]


def test_one_distinct_value_makes_one_bin():
    assert len(bin_edges(np.full(50, 3.0))) == 2
    assert list(bin_of(np.full(2, 3.0), bin_edges(np.full(50, 3.0)))) == [0, 0]


@pytest.mark.parametrize("options", [{"method": "none"}, {"n_bins": 0}, {"edges": [1.0]}, {"edges": [2.0, 1.0]}])
def test_impossible_bins_are_refused(options):
    with pytest.raises(SettingsError):
        bin_edges(np.arange(5.0), **options)
