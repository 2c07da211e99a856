"""Summaries of simulation-estimation studies, worked out by hand."""

from __future__ import annotations

import math

import pytest

from nlmevae.results.fit_record import FitRecord, StudyParameter
from nlmevae.results.sse_result import compare_ofv, summarise_model

CL = StudyParameter(name="THETA(1)", label="CL", value=2.0, estimated=True)


def fit(number, value, error=None, ofv=0.0, model=0):
    errors = () if error is None else (error,)
    return FitRecord(
        number=number,
        model=model,
        status="CONVERGED",
        minus_two_ll=ofv,
        mc_se=0.3,
        values=(value,),
        standard_errors=errors,
    )


def test_errors_of_the_estimates():
    (found,) = summarise_model(0, (CL,), (2.0,), [fit(1, 1.0), fit(2, 2.0), fit(3, 6.0)])
    assert (found.mean, found.median, found.minimum, found.maximum, found.bias) == (3.0, 2.0, 1.0, 6.0, 1.0)
    assert found.sd == pytest.approx(math.sqrt(7.0))
    assert found.rmse == pytest.approx(math.sqrt(17.0 / 3.0))
    assert (found.relative_bias, found.relative_rmse) == (50.0, pytest.approx(50.0 * math.sqrt(17.0 / 3.0)))
    assert (found.n_intervals, math.isnan(found.coverage)) == (0, True)


def test_coverage_counts_the_intervals_that_are_known():
    fits = [fit(1, 1.0, 0.52), fit(2, 2.5, 0.2), fit(3, 2.0, 0.001), fit(4, 9.0)]  # 1.96 * .52 > 1; 1.96 * .2 < .5
    (found,) = summarise_model(0, (CL,), (2.0,), fits)
    assert found.n_intervals == 3
    assert found.coverage == pytest.approx(2.0 / 3.0)
    assert found.mean_standard_error == pytest.approx((0.52 + 0.2 + 0.001) / 3)


def test_a_true_value_of_zero_has_no_relative_error():
    (found,) = summarise_model(0, (CL,), (0.0,), [fit(1, 0.5)])
    assert found.bias == 0.5
    assert math.isnan(found.relative_bias)


def test_without_a_true_value_there_is_neither_bias_nor_coverage():
    (found,) = summarise_model(1, (CL,), (math.nan,), [fit(1, 0.5, 0.1), fit(2, 1.0, 0.1)])
    assert found.mean == 0.75
    assert math.isnan(found.bias)
    assert math.isnan(found.coverage)


def test_objectives_are_compared_on_data_sets_that_both_fitted():
    simulation = [fit(1, 1.0, ofv=10.0), fit(2, 1.0, ofv=20.0), fit(3, 1.0, ofv=30.0)]
    refused = FitRecord(number=2, model=1, status="REFUSED")
    alternative = [fit(1, 1.0, ofv=5.0, model=1), refused, fit(3, 1.0, ofv=33.0, model=1)]
    found = compare_ofv(1, simulation, alternative, df=1, limits=[(1, 0.05, 3.84), (1, 0.5, 2.0)])
    assert (found.n, found.mean, found.minimum, found.maximum) == (2, 1.0, -3.0, 5.0)
    assert [(s.better, s.worse) for s in found.shares] == [(0.5, 0.0), (0.5, 0.5)]
    assert found.mc_error == pytest.approx(0.3 * math.sqrt(2))


def test_nothing_in_common_is_no_number():
    found = compare_ofv(1, [fit(1, 1.0)], [], df=-1, limits=[(1, 0.05, 3.84)])
    assert found.n == 0
    assert math.isnan(found.mean)
    assert math.isnan(found.shares[0].worse)
