import numpy as np
import pytest

from nlmevae.estimation.at_estimates import at_estimates
from tests.helpers.decay import decay_problem
from tests.helpers.linear_gaussian import exact_posterior, random_intercept_and_slope


def here(problem):
    return at_estimates(problem, problem.initial, rng=np.random.default_rng(0))


def test_modes_of_a_linear_model_are_the_exact_posterior_means():
    problem = random_intercept_and_slope()
    # the search stops at an expected gain of 1e-8, a distance of 1e-4 posterior standard deviations
    assert here(problem).mode == pytest.approx(exact_posterior(problem, problem.initial)[0], abs=1e-4)


def test_slopes_equal_central_differences_of_the_log_likelihood():
    problem = decay_problem()
    joint, z = here(problem).joint, here(problem).mode
    solution = joint.decoder.linearise(joint.inputs(z))
    slopes = joint.slopes(z, solution.prediction, solution.jacobian)
    for k in range(joint.n_latents):
        step = 1e-5 * np.eye(joint.n_latents)[k]
        up, down = (joint.log_likelihood(joint.predict(z + s * step)) for s in (1, -1))
        assert slopes.score[:, k] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-6)


def test_expected_information_is_the_mean_square_of_simulated_scores():
    """Fisher's identity, by simulation: 4000 data sets, relative error 5 % of the largest element."""
    problem = decay_problem()
    joint, z = here(problem).joint, here(problem).mode
    solution = joint.decoder.linearise(joint.inputs(z))
    expected = joint.slopes(z, solution.prediction, solution.jacobian).information
    rng = np.random.default_rng(1)
    total = np.zeros_like(expected)
    for _ in range(4000):
        y = joint.simulate(z, solution.prediction, rng)
        other = joint.__class__(**{n: getattr(joint, n) for n in joint.__dataclass_fields__} | {"y": y})
        score = other.slopes(z, solution.prediction, solution.jacobian).score
        total += score[..., :, None] * score[..., None, :]
    assert total / 4000 == pytest.approx(expected, rel=0.15, abs=0.05 * np.abs(expected).max())
