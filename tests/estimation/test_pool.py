import numpy as np
import pytest

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.pool import Pool
from nlmevae.estimation.refine import find_modes
from nlmevae.estimation.sample import Sample, draw_batch
from nlmevae.likelihood.importance import mixture
from tests.helpers.linear_gaussian import exact_minus_two_ll, random_intercept_and_slope


def batches(problem, offsets, n_draws=256):
    """One batch per offset, its proposal displaced and narrowed by it."""
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    found = []
    for k, offset in enumerate(offsets):
        proposal = mixture(joint, modes.mean + offset, modes.chol * (1.0 - 0.8 * (offset > 0)))
        found.append(draw_batch(problem, joint, modes.mean, proposal, n_draws, np.random.default_rng(k)))
    return found


def pooled(problem, found, keep):
    pool = Pool()
    for batch in found:
        pool = pool.add(batch, keep=keep)
    return pool, Sample.of(problem, Coordinates.of(problem), pool.merged())


@pytest.mark.parametrize("fixed_quadratic", [False, True])
def test_a_pool_is_weighed_against_the_mixture_of_all_its_proposals(fixed_quadratic):
    problem = random_intercept_and_slope(fixed_quadratic=fixed_quadratic)
    found = batches(problem, [0.0, 1.0])
    _, sample = pooled(problem, found, keep=1)
    z = np.concatenate([b.draws.z for b in found])
    expected = np.log(0.5 * sum(np.exp(b.proposal.log_density(z)) for b in found))
    assert sample.batch.draws.log_q == pytest.approx(expected, abs=1e-10)


def test_a_poor_old_proposal_does_not_spoil_the_pool():
    problem = random_intercept_and_slope()
    good, poor = batches(problem, [0.0, 1.0])
    _, alone = pooled(problem, [poor], keep=0)
    _, both = pooled(problem, [poor, good], keep=1)
    assert alone.weigh(problem.initial).ess.min() < 0.1
    assert both.weigh(problem.initial).ess.min() > 0.3
    exact = exact_minus_two_ll(problem, problem.initial)
    assert both.weigh(problem.initial).minus_two_ll == pytest.approx(exact, abs=0.15)


def test_only_the_last_batches_are_kept():
    problem = random_intercept_and_slope()
    pool, sample = pooled(problem, batches(problem, [0.0] * 5, n_draws=64), keep=2)
    assert len(pool.batches) == 3
    assert len(sample.batch.draws.z) == 3 * 64
    assert [len(row) for row in pool.densities] == [3, 3, 3]


def test_draws_of_a_pool_are_in_memory_once():
    problem = random_intercept_and_slope()
    pool, sample = pooled(problem, batches(problem, [0.0, 0.1, 0.2]), keep=2)
    for batch in pool.batches:
        assert np.shares_memory(batch.draws.z, sample.batch.draws.z)
        assert np.shares_memory(batch.draws.prediction, sample.batch.draws.prediction)
