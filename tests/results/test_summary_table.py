"""The rows shown are the field's usual numbers, by their explicit names."""

import dataclasses
import math

import pytest

from nlmevae.results.summary_table import estimate_rows, likelihood_rows
from tests.helpers.results import estimate, make_result


def rows_by_name(result):
    return {row.name: row for row in estimate_rows(result)}


def test_rows_are_thetas_then_omegas_then_sigmas():
    result = make_result()
    shuffled = dataclasses.replace(result, estimates=result.estimates[::-1])
    assert [row.kind for row in estimate_rows(shuffled)] == ["theta"] * 2 + ["omega"] * 3 + ["sigma"]


def test_a_variance_comes_with_its_sd_and_a_covariance_with_its_correlation():
    rows = rows_by_name(make_result())
    assert rows["OMEGA(1,1)"].sd == pytest.approx(0.3)
    assert rows["OMEGA(2,1)"].sd == pytest.approx(0.03 / (0.3 * 0.2))
    assert rows["SIGMA(1,1)"].sd == pytest.approx(0.15)
    assert rows["THETA(1)"].sd is None


def test_only_a_log_normal_parameter_has_a_cv():
    rows = rows_by_name(make_result())
    assert rows["OMEGA(1,1)"].cv_percent == pytest.approx(100.0 * math.sqrt(math.exp(0.09) - 1.0))
    assert rows["OMEGA(2,2)"].cv_percent is None
    assert rows["SIGMA(1,1)"].cv_percent is None
    unknown = rows_by_name(make_result(eta_transforms=()))
    assert unknown["OMEGA(1,1)"].cv_percent is None


def test_shrinkage_stands_with_its_variance_and_is_absent_when_not_computed():
    rows = rows_by_name(make_result())
    assert rows["OMEGA(1,1)"].shrinkage_percent == 12.5
    assert rows["OMEGA(2,2)"].shrinkage_percent is None
    assert rows["SIGMA(1,1)"].shrinkage_percent == 7.25


def test_fixed_and_bounded_parameters_are_marked_and_fixed_zero_covariances_left_out():
    changed = (
        estimate("THETA(1)", "CL", "theta", 1, 1, init=1.0, value=0.0, at_bound=True),
        estimate("OMEGA(2,1)", "CL,V", "omega", 2, 1, init=0.0, value=0.0, fixed=True),
        estimate("OMEGA(2,2)", "V", "omega", 2, 2, init=0.0, value=0.0, fixed=True),
    )
    rows = rows_by_name(make_result(estimates=changed))
    assert rows["THETA(1)"].remark == "at its bound"
    assert rows["OMEGA(2,2)"].remark == "fixed"
    assert "OMEGA(2,1)" not in rows


def test_likelihoods_are_named_and_nonmems_scale_leaves_out_the_constant():
    rows = {row.label: row for row in likelihood_rows(make_result())}
    full = rows["-2LL (importance sampling)"]
    assert full.mc_se == 0.12
    nonmem = rows["OFV, NONMEM scale (-2LL minus n*ln(2*pi))"]
    assert full.value - nonmem.value == pytest.approx(20 * 1.8378770664093453)
    assert rows["-2ELBO (upper bound)"].mc_se is None
    assert rows["BICc"].value == full.value + 12
    assert "-2LL (linearisation)" not in rows


def test_a_run_without_a_likelihood_shows_none():
    assert likelihood_rows(make_result(likelihoods=())) == ()
