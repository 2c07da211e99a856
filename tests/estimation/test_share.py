"""Who has which subjects: shares cover all, begin where array operations do, and draw what one process would draw."""

import numpy as np
import pytest

from nlmevae import processes
from nlmevae.estimation.share import FEWEST, USUAL, own_part, own_random
from nlmevae.processes import Group
from tests.helpers.linear_gaussian import random_intercept_and_slope


@pytest.fixture
def process(monkeypatch):
    """Be process number `rank` of `size`; nothing can be gathered."""

    def be(rank, size):
        group = Group(rank, size)
        monkeypatch.setattr(processes, "_group", group)
        return group

    return be


@pytest.mark.parametrize(
    ("n", "size", "unit"), [(128, 2, FEWEST), (300, 4, FEWEST), (2100, 4, USUAL), (1030, 2, USUAL)]
)
def test_shares_cover_all_subjects_in_order(process, n, size, unit):
    problem = random_intercept_and_slope(n_subjects=n)
    parts = []
    for rank in range(size):
        process(rank, size)
        parts.append(own_part(problem))
    starts = [part.share.own.start for part in parts]
    assert all(start % unit == 0 for start in starts)
    assert min(part.n_subjects for part in parts) >= min(unit, n - starts[-1])
    labels = [label for part in parts for label in part.table.subject_labels]
    assert labels == list(problem.table.subject_labels)
    assert all(part.whole is problem for part in parts)


@pytest.mark.parametrize(("n", "size"), [(100, 2), (300, 5)])
def test_too_few_subjects_are_not_shared(process, n, size):
    process(0, size)
    problem = random_intercept_and_slope(n_subjects=n)
    assert own_part(problem) is problem


def test_parts_that_only_one_process_knows_are_not_shared(process):
    problem = random_intercept_and_slope(n_subjects=256)
    group = process(0, 2)
    group.at_work = True
    assert own_part(problem) is problem


def test_own_random_numbers_are_those_of_one_process(process):
    problem = random_intercept_and_slope(n_subjects=256)
    whole = np.random.default_rng(1).random((256, 3))
    for rank in range(2):
        process(rank, 2)
        own, rng = own_part(problem), np.random.default_rng(1)
        found = own_random(own, rng).random((own.n_subjects, 3))
        np.testing.assert_array_equal(found, whole[own.share.own])
        assert rng.random() == np.random.default_rng(1).random(256 * 3 + 1)[-1]  # and as many are used up
        with pytest.raises(ValueError, match="own subjects"):
            own_random(own, rng).random((256, 3))


def test_alone_a_problem_is_its_own_part():
    problem = random_intercept_and_slope(n_subjects=128)
    assert own_part(problem) is problem
    rng = np.random.default_rng(1)
    assert own_random(problem, rng) is rng
    values = np.arange(128.0)
    assert problem.everyone(values, "anything") is values
