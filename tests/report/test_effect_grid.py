"""Candidates find their row, column and competitor."""

import dataclasses
import math

import pytest

from nlmevae.report.effect_grid import column_of, decisive, effect_grid, most_telling_columns
from nlmevae.report.selection_path import criterion_penalty, intervals, longest_staying, penalty_range
from nlmevae.report.support_matrix import cell_class, two_digits
from nlmevae.results.selection_result import PathStep
from tests.helpers.selection_results import NAN, effect, make_large_selection, make_selection

POWER = effect("CL", "WT", name="CL~WT:power", margin=3.0)
EXPONENTIAL = effect("CL", "WT", name="CL~WT:exponential", margin=1.5)
HEAVY = effect("CL", "RACE", name="CL~RACE=2", beta=0.1)


def test_forms_share_a_column_and_categories_chosen_alone_have_their_own():
    assert [column_of(e) for e in (POWER, EXPONENTIAL, HEAVY)] == ["WT", "WT", "RACE=2"]
    grid = effect_grid(make_selection(effects=(POWER, EXPONENTIAL, HEAVY), parameters=("V", "CL")))
    assert (grid.parameters, grid.columns) == (("CL",), ("WT", "RACE=2"))
    assert grid.cells["CL", "WT"] == (POWER, EXPONENTIAL)


def test_of_competing_forms_the_selected_or_the_nearest_is_shown():
    assert decisive((POWER, EXPONENTIAL)) is EXPONENTIAL
    chosen = effect("CL", "WT", beta=0.5, margin=9.0)
    assert decisive((EXPONENTIAL, chosen)) is chosen


def test_when_columns_must_go_those_with_selected_effects_stay():
    result = make_large_selection(6, 100, 9)
    grid = effect_grid(result)
    shown = most_telling_columns(grid, 20)
    assert len(shown) == 20
    assert {e.covariate for e in result.effects if e.selected} <= set(shown)
    assert [c for c in grid.columns if c in shown] == list(shown)


def test_the_colour_of_a_cell_says_decision_and_margin():
    meanings = [cell_class(effect("CL", "WT", beta=1.0, margin=m))[1] for m in (1.99, 2.0, 9.9, 50.0, NAN)]
    assert meanings == [
        "selected, borderline (margin under 2)", "selected, margin 2 to 6", "selected, margin 6 to 10",
        "selected, margin over 10", "selected",
    ]  # fmt: skip
    assert cell_class(effect("CL", "WT", margin=0.5))[1] == "not selected, but borderline (margin under 2)"
    assert cell_class(effect("CL", "WT", margin=NAN))[1] == "not selected"
    assert cell_class(effect("CL", "WT", beta=1.0, forced=True, margin=NAN))[1] == "forced into the model"


def test_estimates_have_two_digits():
    assert [two_digits(v) for v in (0.3, -1.234, 12.0, 349.6, 0.00123)] == ["0.30", "−1.2", "12", "350", "0.0012"]


def step(low, high, *support):
    return PathStep(low=low, high=high, support=support, minus_two_ll=0.0, beta={})


PATH = (step(0.0, 1.0, "a", "b"), step(1.0, 3.0, "a"), step(3.0, 5.0, "b"), step(5.0, math.inf))


def test_an_effect_that_comes_back_has_two_bars_and_neighbours_are_one():
    assert intervals(PATH, "a", (0.1, 10.0)) == [(0.1, 2.9)]
    assert intervals(PATH, "b", (0.1, 10.0)) == [(0.1, 0.9), (3.0, 2.0)]
    assert intervals(PATH, "c", (0.1, 10.0)) == []


def test_the_effect_that_bears_the_highest_penalty_comes_first():
    assert longest_staying(PATH_RESULT, 5) == ("b", "a")
    assert longest_staying(PATH_RESULT, 1) == ("b",)


PATH_RESULT = make_selection(path=PATH)


def test_every_change_of_the_path_is_within_the_axis():
    low, high = penalty_range((step(0.0, 0.4, "a"), step(0.4, 70.0, "b"), step(70.0, math.inf)))
    assert low < 0.4
    assert high > 70.0


def test_the_axis_begins_where_the_path_begins():
    assert penalty_range((step(0.5, 3.0, "a"), step(3.0, math.inf)))[0] == 0.5


def test_the_criterion_stands_at_the_penalty_of_one_coefficient():
    two = dataclasses.replace(effect("CL", "RACE", penalty=9.2), coefficients=("CL_RACE_2", "CL_RACE_3"))
    assert criterion_penalty(make_selection(effects=(two, effect("V", "WT", penalty=4.6)))) == pytest.approx(4.6)
    assert math.isnan(criterion_penalty(make_selection(effects=())))
