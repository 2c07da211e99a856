"""Effect sizes of covariates, against the formulas of the control stream worked out by hand."""

import dataclasses

import numpy as np
import pytest

from nlmevae.diagnostics.effect_sizes import effect_sizes, theta_covariance
from nlmevae.diagnostics.fitted import at_fit
from nlmevae.pipeline import prepare
from tests.helpers.report_runs import STREAM, write_run

THETAS = np.array([2.0, 30.0, 0.75, -0.3, 0.01])
WEIGHTS = np.array([50.0, 60.0, 65.0, 70.0, 75.0, 80.0, 90.0, 100.0])
Z = 1.959964


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    path = write_run(tmp_path_factory.mktemp("run"), weights=WEIGHTS)
    run = prepare(path)
    found = at_fit(run.model, run.table, None)
    population = dataclasses.replace(found.population, thetas=THETAS)
    yield dataclasses.replace(found, population=population)
    found.problem.decoder.close()


def by_name(effects):
    return {(e.parameter, e.covariate, e.at): e for e in effects}


def test_a_power_is_the_ratio_to_the_power_with_its_interval(at):
    """CL = THETA(1)*(WT/70)**THETA(3): ratio (w / median)^0.75, interval ratio^(1 +- z se / theta) by hand."""
    errors = np.array([0.2, 3.0, 0.1, 0.05, 0.002])
    found = by_name(effect_sizes(at, theta_covariance(errors)))
    for q, words in ((0.05, "5 %"), (0.95, "95 %")):
        weight = np.quantile(WEIGHTS, q)
        effect = found["CL", "WT", f"{weight:.4g} ({words})"]
        shift = np.log(weight / np.median(WEIGHTS))
        assert effect.ratio == pytest.approx(np.exp(0.75 * shift), rel=1e-9)
        assert effect.low == pytest.approx(np.exp(0.75 * shift - Z * 0.1 * abs(shift)), rel=1e-6)
        assert effect.high == pytest.approx(np.exp(0.75 * shift + Z * 0.1 * abs(shift)), rel=1e-6)
        assert effect.reference == f"{np.median(WEIGHTS):.4g} (median)"


def test_a_category_is_compared_with_the_most_frequent_one(at):
    """CL is multiplied by EXP(THETA(4)) for SEX = 1; five of eight subjects have 0."""
    effect = by_name(effect_sizes(at, theta_covariance(np.full(5, 0.05))))["CL", "SEX", "= 1"]
    assert effect.reference == "= 0"
    assert effect.ratio == pytest.approx(np.exp(-0.3), rel=1e-9)
    assert (effect.low, effect.high) == pytest.approx((np.exp(-0.3 - Z * 0.05), np.exp(-0.3 + Z * 0.05)), rel=1e-6)


def test_a_ratio_that_depends_on_two_estimates_needs_their_covariance(at):
    """V = THETA(2) + THETA(5)*(WT-70)*THETA(2)... is linear in WT: its ratio depends on THETA(5) alone; with an
    additive shift it depends on both THETA(2) and THETA(5)."""
    full = np.diag([0.01, 4.0, 0.01, 0.01, 1e-4])
    full[1, 4] = full[4, 1] = 0.01
    weight, reference = np.quantile(WEIGHTS, 0.95), np.median(WEIGHTS)
    name = ("V", "WT", f"{weight:.4g} (95 %)")
    known, unknown = (by_name(effect_sizes(at, c))[name] for c in (full, theta_covariance(np.sqrt(np.diag(full)))))
    top, bottom = THETAS[1] + THETAS[4] * (weight - 70), THETAS[1] + THETAS[4] * (reference - 70)
    assert known.ratio == unknown.ratio == pytest.approx(top / bottom, rel=1e-9)
    gradient = np.array([1 / top - 1 / bottom, (weight - 70) / top - (reference - 70) / bottom])
    half = Z * np.sqrt(gradient @ full[np.ix_([1, 4], [1, 4])] @ gradient)
    assert known.high / known.ratio == pytest.approx(np.exp(half), rel=1e-6)
    assert np.isnan([unknown.low, unknown.high]).all()


def test_parameters_without_covariates_have_no_effect(at):
    assert {e.parameter for e in effect_sizes(at, np.full((5, 5), np.nan))} == {"CL", "V"}


def test_the_stream_says_what_the_formulas_above_say():
    for line in (
        "CL = THETA(1)*(WT/70)**THETA(3)*EXP(THETA(4)*SEX)*EXP(ETA(1))",
        "V = (THETA(2)+THETA(5)*(WT-70))*EXP(ETA(2))",
    ):
        assert line in STREAM
