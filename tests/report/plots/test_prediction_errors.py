"""Tests of NPDE have the size they say, and the plots show all values."""

import numpy as np
import pytest
from scipy.stats import kstest

from nlmevae.report.plots.prediction_errors import npde_figure, npde_tests
from tests.helpers.diagnostics import make_diagnostics
from tests.helpers.figures import dots, panels


def test_p_values_are_uniform_under_the_model():
    rng = np.random.default_rng(11)
    found = [npde_tests(rng.normal(size=60)) for _ in range(300)]
    for name in ("mean", "variance", "normality"):
        # a Kolmogorov-Smirnov p-value of 300 values; fixed seed
        assert kstest([getattr(f, name) for f in found], "uniform").pvalue > 0.01, name
    assert np.mean([f.overall < 0.05 for f in found]) < 0.09  # Bonferroni: 0.05 at most, standard error 0.013


@pytest.mark.parametrize(
    ("values", "name"),
    [(lambda z: z + 0.6, "mean"), (lambda z: 1.8 * z, "variance"), (lambda z: np.exp(z) - 1.65, "normality")],
)
def test_each_test_finds_its_own_deviation(values, name):
    found = npde_tests(values(np.random.default_rng(5).normal(size=150)))
    assert getattr(found, name) < 0.001
    assert found.overall < 0.003


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0, 2.0]), np.zeros(50), np.full(9, np.nan)])
def test_too_few_or_equal_values_have_no_p_value(values):
    found = npde_tests(values)
    assert np.isnan([found.mean, found.variance, found.normality]).all()


def test_thousands_of_values_are_tested_too():
    assert 0.0 <= npde_tests(np.random.default_rng(1).normal(size=6000)).normality <= 1.0


def test_every_npde_is_in_the_plots():
    diagnostics = make_diagnostics(10)
    quantiles, _, over_time, over_pred = panels(npde_figure(diagnostics))
    o = diagnostics.observations
    np.testing.assert_allclose(np.sort(dots(quantiles)[:, 1]), np.sort(o.npde))
    np.testing.assert_allclose(dots(over_time), np.column_stack([o.time, o.npde]))
    np.testing.assert_allclose(dots(over_pred), np.column_stack([o.pred, o.npde]))
