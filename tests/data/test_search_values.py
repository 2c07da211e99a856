"""Data columns as covariates: one value per subject, or the reason why not."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.data.covariate_values import Covariate, Obstacle, subject_values
from nlmevae.errors import DataError, UnsupportedError
from tests.helpers.covariate_streams import covariate_run

WT = [50, 60, 70, 80]


def values(folder, column, missing=None):
    dataset = covariate_run(folder, {"WT": WT, "X": column}).dataset
    return subject_values(dataset, dataset.columns.index("X"), missing)


def test_one_value_per_subject(tmp_path):
    x = values(tmp_path, [3, 1, 1, 2])
    np.testing.assert_array_equal(x.values, [3, 1, 1, 2])
    np.testing.assert_array_equal(x.levels, [1, 2, 3])
    np.testing.assert_array_equal(x.counts, [2, 1, 1])
    assert (x.mean, x.median) == (1.75, 1.5)
    assert x.missing_code is None
    assert not x.missing.any()


@pytest.mark.parametrize("null", [".", ""])
def test_dots_and_blanks_are_missing_with_the_null_value_as_code(tmp_path, null):
    x = values(tmp_path, [3, null, 1, 2])
    np.testing.assert_array_equal(x.missing, [False, True, False, False])
    assert x.missing_code == 0.0
    assert x.mean == 2.0


def test_the_code_for_missing_is_missing(tmp_path):
    x = values(tmp_path, [3, -99, 1, -99], missing=-99.0)
    np.testing.assert_array_equal(x.missing, [False, True, False, True])
    assert x.missing_code == -99.0
    np.testing.assert_array_equal(x.levels, [1, 3])


def test_a_dot_whose_null_value_is_the_code_is_one_way_of_missing(tmp_path):
    assert values(tmp_path, [3, ".", 1, 0], missing=0.0).missing_code == 0.0


OBSTACLES = {
    "changes within a subject": (
        [1, (2, 3), 4, 5],
        None,
        UnsupportedError,
        "time-varying covariates are not searched: X of subject 2 is 2 on line 4 and 3 on line 5",
        "baseline",
        5,
    ),
    "missing on some records of a subject": (
        [1, 2, (4, "."), 5],
        None,
        UnsupportedError,
        "X of subject 3 is 4 on line 6 and missing on line 7",
        "repeat the value of X on every record",
        7,
    ),
    "the code on some records of a subject": (
        [1, 2, 4, (-99, 5)],
        -99.0,
        UnsupportedError,
        "X of subject 4 is missing on line 8 and 5 on line 9",
        "repeat the value of X on every record",
        9,
    ),
    "missing for everybody": (
        [".", ".", ".", "."],
        None,
        DataError,
        "X is missing for every subject",
        "leave it",
        None,
    ),
    "one value": ([5, 5, ".", 5], None, DataError, "X is 5 for every subject", "at least two values", None),
    "missing in two ways": (
        [1, ".", -99, 2],
        -99.0,
        DataError,
        "missing values of X are written in two ways: as 0 on line 4 and -99 on line 6",
        "in one way",
        6,
    ),
    "a value equal to what a dot is read as": (
        [1, ".", 0, 1],
        None,
        DataError,
        "X is missing on line 4, which the model reads as 0, and 0 is also a value, on line 6",
        "missing=-99",
        4,
    ),
}


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_is_no_covariate_says_why_and_what_to_do(tmp_path, case):
    column, missing, error, message, hint, line = OBSTACLES[case]
    found = values(tmp_path, column, missing)
    assert isinstance(found, Obstacle)
    assert found.error is error
    assert message in found.message
    assert hint in found.hint
    dataset = covariate_run(tmp_path, {"WT": WT, "X": column}).dataset
    assert (None if found.row is None else dataset.lines[found.row]) == line


def test_values_that_agree_within_every_subject_are_one_covariate(tmp_path):
    assert isinstance(values(tmp_path, [(1, 1), 2, (4.0, "4"), 5]), Covariate)
