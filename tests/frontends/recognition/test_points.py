"""Random points stay where the model has a meaning and reach what its code compares with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlmevae.frontends.recognition.dependencies import trace
from nlmevae.frontends.recognition.points import grid, sample_items, sample_theta, sample_thetas
from nlmevae.ir import PopulationParameter
from tests.helpers.code_models import make_model, statements


@pytest.mark.parametrize(
    ("lower", "init", "upper"),
    [
        (0.0, 2.0, math.inf), (0.0, 0.0, math.inf), (-math.inf, 0.0, math.inf), (0.749, 0.75, 0.751),
        (-5.0, -1.0, 0.0), (-math.inf, -3.0, 0.0), (0.0, 1.0, 1.0), (1.0, 1.0, 2.0), (0.0, 0.999, 1.0),
    ],
)  # fmt: skip
def test_thetas_are_drawn_strictly_inside_their_bounds(lower, init, upper):
    theta = PopulationParameter(name="THETA(1)", label="X", init=init, lower=lower, upper=upper)
    drawn = sample_theta(theta, 500, np.random.default_rng(0))
    assert np.all(drawn > lower)
    assert np.all(drawn < upper)
    assert len(np.unique(drawn)) == 500


def test_fixed_thetas_are_held_or_varied_as_asked():
    model = make_model(pk="CL=1\nV=1", thetas=((0, 2.0), (0, 0.0)), fixed_thetas=(1, 2))
    rng = np.random.default_rng(0)
    assert set(sample_thetas(model, 9, rng, fixed="held")["THETA(1)"]) == {2.0}
    some = sample_thetas(model, 9, rng, fixed="zeros_held")
    assert len(set(some["THETA(1)"])) == 9
    assert set(some["THETA(2)"]) == {0.0}
    assert len(set(sample_thetas(model, 9, rng, fixed="varied")["THETA(2)"])) == 9


def test_items_take_the_values_conditions_compare_with_and_their_neighbours():
    model = make_model(pk="CL=1\nIF (AGE.GE.65) CL=2\nIF (SEX.EQ.-99) CL=3\nV=1")
    items = sample_items(model, 400, np.random.default_rng(0))
    assert {64.0, 65.0, 66.0} <= set(items["AGE"])
    assert np.sum(items["SEX"] == -99.0) > 100


def test_observation_records_are_no_doses():
    items = sample_items(make_model(pk="CL=1\nV=1"), 50, np.random.default_rng(0), record="observation")
    assert set(items["AMT"]) == {0.0}


def test_a_grid_repeats_the_outer_points_and_tiles_the_inner():
    points = grid({"A": np.array([1.0, 2.0])}, {"B": np.array([5.0, 6.0, 7.0])})
    np.testing.assert_array_equal(points["A"], [1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(points["B"], [5, 6, 7, 5, 6, 7])


def test_dependencies_follow_values_and_conditions():
    found = trace(statements("X=A+1\nIF (S.EQ.1) THEN\nY=X\nELSE\nY=B\nENDIF\nZ=2"), {})
    assert found == {"X": {"A"}, "Y": {"A", "B", "S"}, "Z": frozenset()}


def test_a_cut_makes_the_parameter_an_input():
    code = statements("TV=T\nCL=TV*EXP(E)\nK=CL/V\nQ=E")
    found = trace(code, {}, {"CL": "E"})
    assert found["K"] == {"V"}
    assert found["Q"] == {"E"}
