from __future__ import annotations

import math

import numpy as np
import pytest

from nlmevae.data.candidate_columns import candidate_values, level_name
from nlmevae.errors import DataError
from nlmevae.ir import CandidateColumn


def test_log_is_the_logarithm_of_the_ratio_to_the_centre():
    column = CandidateColumn(name="CL_WT", shape="log", centre=70.0)
    np.testing.assert_allclose(candidate_values(column, [70.0, 35.0, 140.0]), [0.0, -math.log(2), math.log(2)])


def test_linear_is_the_difference_to_the_centre():
    column = CandidateColumn(name="CL_WT", shape="linear", centre=1.5)
    np.testing.assert_array_equal(candidate_values(column, [1.5, -2.0, 0.0]), [0.0, -3.5, -1.5])


def test_an_indicator_is_one_at_its_level():
    column = CandidateColumn(name="CL_RACE_2", shape="indicator", level=2.0)
    np.testing.assert_array_equal(candidate_values(column, [[1, 2], [3, 2]]), [[0, 1], [0, 1]])


@pytest.mark.parametrize(
    "column",
    [
        CandidateColumn(name="a", shape="log", centre=3.0),
        CandidateColumn(name="b", shape="linear", centre=3.0),
        CandidateColumn(name="c", shape="indicator", level=5.0),
    ],
    ids=lambda c: c.shape,
)
@pytest.mark.parametrize("code", [-99.0, 0.0])
def test_a_missing_value_has_no_effect(column, code):
    x = candidate_values(column, np.array([code, 5.0, code]), code)
    assert x[0] == x[2] == 0.0
    assert x[1] != 0.0


def test_a_missing_indicator_level_is_no_effect_even_if_the_code_is_the_level():
    column = CandidateColumn(name="c", shape="indicator", level=0.0)
    np.testing.assert_array_equal(candidate_values(column, [0.0, 1.0], 0.0), [0.0, 0.0])


def test_the_logarithm_of_zero_is_refused():
    with pytest.raises(DataError, match="CL_WT needs the logarithm of 0"):
        candidate_values(CandidateColumn(name="CL_WT", shape="log", centre=1.0), [1.0, 0.0])


def test_levels_make_names():
    assert [level_name(v) for v in (2.0, 1.5, -1.0, 1e12)] == ["2", "1_5", "M1", "1e12"]
