import numpy as np
import pytest

from nlmevae.diagnostics.vpc import CheckedValues, CheckOptions, visual_predictive_check


def values(x, y, simulated, *, pred=None, below=None, limit=-np.inf, log_scale=False):
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return CheckedValues(
        x=x,
        y=y,
        pred=np.ones(len(x)) if pred is None else np.asarray(pred, dtype=float),
        simulated=np.asarray(simulated, dtype=float),
        below=np.zeros(len(x), dtype=bool) if below is None else np.asarray(below),
        limit=np.full(len(x), limit),
        log_scale=log_scale,
    )


@pytest.fixture
def some():
    rng = np.random.default_rng(0)
    return values(np.repeat([0.0, 1.0], 7), rng.normal(size=14), rng.normal(size=(40, 14)))


def test_quantiles_and_their_intervals_are_numpys(some):
    check = visual_predictive_check(some, CheckOptions(n_bins=2, levels=(0.1, 0.5), confidence=0.8))
    assert list(check.count) == [7, 7]
    for b, own in enumerate((some.x == 0, some.x == 1)):
        assert check.observed[b] == pytest.approx(np.quantile(some.y[own], [0.1, 0.5]))
        of_replicates = np.quantile(some.simulated[:, own], [0.1, 0.5], axis=1)
        assert check.simulated[b] == pytest.approx(np.quantile(of_replicates, [0.1, 0.5, 0.9], axis=1).T)


def test_prediction_correction_makes_two_dose_groups_one():
    """y is exactly PRED times a common factor: corrected values do not depend on the dose."""
    factor = np.tile([0.9, 1.0, 1.2], 2)
    pred = np.repeat([10.0, 100.0], 3)
    data = values(np.zeros(6), pred * factor, np.tile(pred * factor, (5, 1)), pred=pred)
    check = visual_predictive_check(data, CheckOptions(prediction_corrected=True))
    assert check.value == pytest.approx(np.median(pred) * factor)
    assert check.observed[0] == pytest.approx(check.simulated[0, :, 1])


def test_on_the_log_scale_correction_is_a_shift():
    pred = np.log(np.repeat([10.0, 100.0], 3))
    data = values(np.zeros(6), pred + 0.5, np.tile(pred, (5, 1)), pred=pred, log_scale=True)
    check = visual_predictive_check(data, CheckOptions(prediction_corrected=True))
    assert check.value == pytest.approx(np.full(6, np.median(pred) + 0.5))


def test_a_prediction_of_zero_cannot_be_corrected_and_drops_out():
    data = values(np.zeros(3), [1.0, 2.0, 3.0], np.ones((4, 3)), pred=[0.0, 2.0, 2.0])
    check = visual_predictive_check(data, CheckOptions(prediction_corrected=True))
    assert np.isnan(check.value[0])
    assert check.value[1:] == pytest.approx([2.0, 3.0])
    assert check.observed[0, 1] == pytest.approx(2.5)


def test_values_below_the_limit_are_the_smallest_and_their_share_is_shown():
    y = [1.0, 1.0, 5.0, 6.0]
    simulated = np.array([[0.5, 2.0, 5.0, 6.0], [0.5, 0.6, 0.7, 6.0]])
    data = values(np.zeros(4), y, simulated, below=[True, True, False, False], limit=1.0)
    check = visual_predictive_check(data, CheckOptions(levels=(0.05, 0.9)))
    assert np.isnan(check.observed[0, 0])
    assert check.observed[0, 1] == pytest.approx(np.quantile(y, 0.9))
    assert check.below[0, 0] == 0.5
    assert check.below[0, 2] == pytest.approx(np.median([0.25, 0.75]))
    assert np.isnan(check.value[:2]).all()


def test_without_censoring_there_is_no_panel_of_shares(some):
    assert visual_predictive_check(some, CheckOptions()).below is None


def test_a_bin_without_observations_is_empty_and_the_others_are_not():
    data = values([0.0, 0.1, 5.0], [1.0, 2.0, 3.0], np.ones((4, 3)))
    check = visual_predictive_check(data, CheckOptions(edges=(0.0, 1.0, 4.0, 6.0)))
    assert list(check.count) == [2, 0, 1]
    assert np.isnan(check.observed[1]).all()
    assert np.isnan(check.simulated[1]).all()
    assert np.isfinite(check.observed[[0, 2]]).all()


def test_observations_without_a_value_of_the_independent_variable_do_not_count():
    data = values([np.nan, 1.0], [100.0, 2.0], np.ones((4, 2)))
    assert visual_predictive_check(data, CheckOptions()).observed[0] == pytest.approx([2.0, 2.0, 2.0])
    assert visual_predictive_check(data.part(np.array([True, False])), CheckOptions()) is None


def test_failed_simulations_do_not_count(some):
    broken = some.simulated.copy()
    broken[:10] = np.nan
    check = visual_predictive_check(
        CheckedValues(**{n: getattr(some, n) for n in some.__dataclass_fields__} | {"simulated": broken}),
        CheckOptions(n_bins=1),
    )
    expected = np.quantile(np.median(some.simulated[10:], axis=1), [0.05, 0.5, 0.95])
    assert check.simulated[0, 1] == pytest.approx(expected)
