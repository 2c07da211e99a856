"""When a ridge is followed, and with how many draws."""

import pytest

from nlmevae.estimation.ridge import ITERATIONS, MEMORY, PATIENCE, Ridge, batch_sizes


def test_batches_grow_as_far_as_memory_allows_and_there_are_none_with_half_the_draws_of_the_test():
    sizes = {n: batch_sizes(n, usual=256, test=1024) for n in (10, 189, 300, 700, 800, 2425)}
    assert sizes[10] == sizes[189] == [1024, 2048]
    assert sizes[300] == [1024, MEMORY // 300]
    assert sizes[700] == [MEMORY // 700]
    assert sizes[800] == sizes[2425] == []


@pytest.mark.parametrize(("gain", "expected"), [(0.0, 1 + 2 * PATIENCE), (1.0, ITERATIONS)])
def test_a_ridge_ends_when_no_size_lowers_the_likelihood_any_more(gain, expected):
    ridge = Ridge([1024, 2048])
    while not ridge.done:
        ridge.add(100.0 - gain * ridge.n_iterations)
    assert ridge.n_iterations == expected
