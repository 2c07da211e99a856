"""Profile intervals are those of the exact likelihood."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.covariance_step import vector_names
from nlmevae.estimation.profile_likelihood import profile_parameter, profile_targets
from tests.helpers.decay import decay_problem, quadrature_minus_two_ll
from tests.helpers.exact_information import exact_maximum
from tests.helpers.linear_gaussian import exact_minus_two_ll, random_intercept_and_slope
from tests.helpers.results import estimate

#: Of the ends, relative to the length of the interval: the search stops within .4 % of sqrt(rise), and there are 512
#: draws a batch.
END = 0.01


def target_of(problem, population, name):
    kind = name[:5].lower()
    row, column = (1, 1) if kind == "theta" else map(int, name[6:-1].split(","))
    value = population.vector()[vector_names(problem.model).index(name)]
    theta = problem.model.thetas[int(name[6:-1]) - 1] if kind == "theta" else None
    bounds = {} if theta is None else {"lower": theta.lower, "upper": theta.upper}
    found = estimate(name, name, kind, row, column, init=value, value=value, **bounds)
    return profile_targets(problem, population, [found])[0]


def profiled(problem, population, name, level=0.95):
    target = target_of(problem, population, name)
    return profile_parameter(problem, population, target, level=level, n_draws=512, rng=np.random.default_rng(0))


def exact_rise(problem, best, name, minus_two_ll, value):
    """-2LL above its minimum, the parameter held at `value`, all others at their best by a generic optimiser."""
    coordinates, index = Coordinates.of(problem), vector_names(problem.model).index(name)

    def moved(step):
        return coordinates.move(problem, best, step)

    held = {"type": "eq", "fun": lambda step: moved(step).vector()[index] - value}
    start = np.zeros(sum(coordinates.sizes))
    found = minimize(
        lambda step: minus_two_ll(problem, moved(step)).sum(), start, method="SLSQP", constraints=held,
        options={"ftol": 1e-8},
    )  # fmt: skip
    return found.fun - minus_two_ll(problem, best).sum()


@pytest.fixture(scope="module")
def linear():
    problem = random_intercept_and_slope(n_subjects=12, block=True)
    return problem, exact_maximum(problem, exact_minus_two_ll)


@pytest.mark.parametrize("name", ["THETA(1)", "OMEGA(1,1)", "OMEGA(2,1)", "SIGMA(1,1)"])
def test_ends_of_a_linear_model_are_where_the_exact_profile_has_risen_by_the_quantile(linear, name):
    problem, best = linear
    found = profiled(problem, best, name)
    for end in (found.low, found.high):
        rise = exact_rise(problem, best, name, exact_minus_two_ll, end)
        assert np.sqrt(rise) == pytest.approx(np.sqrt(chi2.ppf(0.95, 1)), rel=2 * END)
    assert found.low < found.estimate < found.high
    assert found.note == ""
    assert (np.diff(found.value) > 0).all()
    assert found.rise.min() == 0.0


@pytest.mark.slow
def test_a_theta_without_random_effect_has_its_quadrature_profile():
    problem = decay_problem(n_subjects=8)
    best = exact_maximum(problem, quadrature_minus_two_ll)
    found = profiled(problem, best, "THETA(2)")
    rise = exact_rise(problem, best, "THETA(2)", quadrature_minus_two_ll, found.high)
    assert np.sqrt(rise) == pytest.approx(np.sqrt(chi2.ppf(0.95, 1)), rel=2 * END)


def test_a_lower_level_gives_a_narrower_interval(linear):
    problem, best = linear
    wide, narrow = (profiled(problem, best, "THETA(1)", level=level) for level in (0.95, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_small_variance_has_the_lower_end_0_where_curvature_gives_a_positive_one():
    problem = decay_problem(n_subjects=10, omega=0.08, seed=2)  # omega^2 is estimated at .002, -2LL at 0 is .15 higher
    near = replace(
        problem.initial, thetas=np.array([0.5, 10.0]), omega=np.array([[0.002]]), sigma=np.diag([0.01, 0.0225])
    )
    found = profiled(problem, near, "OMEGA(1,1)")
    assert found.low == 0.0
    assert "lower end is the bound 0" in found.note
    assert 0.01 < found.high < 0.04
    assert found.rise[0] < 1.0


def test_a_parameter_stays_inside_its_bounds():
    free = random_intercept_and_slope(n_subjects=12)
    best = exact_maximum(free, exact_minus_two_ll)
    bounded = random_intercept_and_slope(n_subjects=12, upper=float(best.thetas[0]) + 0.02)
    found = profiled(bounded, best, "THETA(1)")
    assert found.high == pytest.approx(best.thetas[0] + 0.02)
    assert "upper end is the bound" in found.note
    assert found.low < best.thetas[0] - 0.1
