import numpy as np
import pytest

from nlmevae.likelihood.pareto import fit_generalised_pareto, pareto_khat


def generalised_pareto_quantiles(k: float, n: int) -> np.ndarray:
    """Closed-form quantiles with scale 1 at n equally spaced levels."""
    level = (np.arange(n) + 0.5) / n
    return ((1 - level) ** -k - 1) / k


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.5, 0.9, 1.5])
def test_shape_of_generalised_pareto_quantiles_is_recovered(k):
    exceedances = generalised_pareto_quantiles(k, 4000)[None]
    assert fit_generalised_pareto(exceedances)[0] == pytest.approx(k, abs=0.03)


@pytest.mark.parametrize("k", [0.3, 0.7, 1.2])
def test_khat_of_pareto_distributed_weights_is_the_tail_index(k):
    rng = np.random.default_rng(1)
    log_weights = -k * np.log(rng.random((20000, 8)))  # P(w > x) = x^(-1/k)
    assert pareto_khat(log_weights).mean() == pytest.approx(k, abs=0.06)


def test_khat_does_not_depend_on_the_scale_of_the_weights():
    log_weights = np.random.default_rng(2).normal(size=(1000, 3))
    assert pareto_khat(log_weights + 700.0) == pytest.approx(pareto_khat(log_weights), rel=1e-9)


def test_equal_weights_are_reported_as_reliable():
    assert (pareto_khat(np.zeros((256, 2))) <= 0.0).all()


def test_light_tails_are_below_and_a_proposal_that_is_too_narrow_is_above_the_limit():
    """Target N(0, 1): a wider normal proposal has bounded weights, one of half the width has infinite variance."""
    z = np.random.default_rng(3).normal(size=20000)
    wide, narrow = 1.5 * z, 0.5 * z
    log_weights = np.stack([-0.5 * wide**2 + 0.5 * z**2, -0.5 * narrow**2 + 0.5 * z**2], axis=1)
    khat = pareto_khat(log_weights)
    assert khat[0] < 0.3
    assert khat[1] > 0.7  # exactly 1 - 0.5^2 = 0.75 in the limit


def test_weights_that_hardly_differ_have_no_tail():
    """A flat majority with a few draws 5 % above it looks heavy-tailed to a fit of exceedances alone."""
    log_weights = 1e-9 * np.random.default_rng(4).random((1000, 1))
    log_weights[:20] += np.linspace(0.01, 0.05, 20)[:, None]
    assert pareto_khat(log_weights)[0] <= 0.0


def test_too_few_draws_or_no_finite_weight_give_nan():
    assert np.isnan(pareto_khat(np.zeros((10, 2)))).all()
    assert np.isnan(pareto_khat(np.full((256, 1), -np.inf))).all()
