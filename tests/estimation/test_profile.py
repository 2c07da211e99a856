"""Profile likelihoods against a general optimiser on dense marginal likelihoods."""

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.estimation.gaussian_likelihood import normal_equations
from nlmevae.estimation.profile import LinearMixedModel, basis_of, profile, profile_all
from tests.helpers.linear_mixed import FLOOR, simulate

CASES = {
    "one latent": {"d": 1, "n_subjects": 25},
    "diagonal": {"d": 3, "n_subjects": 60, "n_obs": 6},
    "block": {"d": 2, "n_subjects": 60, "n_obs": 4, "block": True},
    "block and more": {"d": 3, "n_subjects": 60, "n_obs": 6, "block": True, "seed": 2},
    "fixed variance": {"d": 3, "n_subjects": 40, "n_obs": 6, "fixed": (1,)},
    "sparse": {"d": 2, "n_subjects": 120, "n_obs": 1},
    "few subjects": {"d": 2, "n_subjects": 12, "n_obs": 6},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_profile_is_the_optimum_of_the_marginal_likelihood(case):
    study = simulate(**case)
    support = np.array([True, False, True, False, False])
    found = profile(study.model, support, study.omega)
    mu = study.design.mean(found.gamma, found.beta)
    assert found.converged
    assert study.likelihood.minus_two_ll(mu, found.omega) == pytest.approx(found.minus_two_ll, abs=1e-8)
    assert study.minus_two_ll(mu, found.omega) == pytest.approx(study.dense_optimum(support), abs=1e-4)
    assert (found.beta[~support] == 0).all()
    assert found.omega[~study.mask] == pytest.approx(study.omega[~study.mask])


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("factor", [1e-4, 0.05, 20.0])
def test_the_start_does_not_matter(block, factor):
    study = simulate(d=3, n_subjects=50, block=block, n_obs=5)
    support = np.ones(5, dtype=bool)
    expected = profile(study.model, support, study.omega)
    found = profile(study.model, support, factor * study.omega)
    assert found.minus_two_ll == pytest.approx(expected.minus_two_ll, abs=1e-5)
    assert found.omega == pytest.approx(expected.omega, rel=1e-3)


def test_a_batch_gives_what_single_supports_give():
    study, rng = simulate(d=3, n_columns=8, block=True), np.random.default_rng(0)
    supports = list(rng.random((9, 8)) < 0.4)
    batch = profile_all(study.model, supports, np.repeat(study.omega[None], 9, axis=0), tolerance=1e-8)
    for support, found in zip(supports, batch, strict=True):
        alone = profile(study.model, support, study.omega, tolerance=1e-8)
        assert found.minus_two_ll == pytest.approx(alone.minus_two_ll, abs=1e-8)
        assert found.beta == pytest.approx(alone.beta, abs=1e-5)


def test_a_variance_that_wants_to_vanish_stops_at_its_floor():
    study = simulate(d=2, n_subjects=40, n_obs=4, true_variance=1e-10, effect=0.0)
    found = profile(study.model, np.zeros(5, dtype=bool), study.omega)
    assert found.converged
    assert np.sqrt(np.diag(found.omega)) == pytest.approx([FLOOR, FLOOR], rel=0.5)


def test_a_variance_leaves_its_floor():
    study = simulate(d=2, n_subjects=40, n_obs=4)
    expected = profile(study.model, np.zeros(5, dtype=bool), study.omega)
    found = profile(study.model, np.zeros(5, dtype=bool), FLOOR**2 * np.eye(2))
    assert found.omega == pytest.approx(expected.omega, rel=1e-3)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_a_block_becomes_singular_where_that_is_the_optimum(seed):
    study = simulate(d=2, n_subjects=15, n_obs=1, block=True, seed=seed)
    none = np.zeros(5, dtype=bool)
    found = [profile(study.model, none, factor * study.omega) for factor in (1.0, 0.3, 3.0)]
    correlation = found[0].omega[0, 1] / np.sqrt(np.prod(np.diag(found[0].omega)))
    assert abs(correlation) > 0.999
    assert found[1].minus_two_ll == pytest.approx(found[0].minus_two_ll, abs=1e-4)
    assert found[2].minus_two_ll == pytest.approx(found[0].minus_two_ll, abs=1e-4)
    mu = study.design.mean(found[0].gamma, found[0].beta)
    assert study.minus_two_ll(mu, found[0].omega) < study.dense_optimum(none) + 0.02  # of the floor


def test_repeated_variances_stay_equal_and_are_jointly_optimal():
    study = simulate(d=3, n_subjects=60, n_obs=6)
    basis = np.zeros((2, 3, 3))
    basis[0, 0, 0] = basis[0, 1, 1] = basis[1, 2, 2] = 1.0
    model = replace(study.model, basis=basis)
    none = np.zeros(5, dtype=bool)
    found = profile(model, none, study.omega)
    assert found.omega[0, 0] == found.omega[1, 1]
    free = profile(study.model, none, study.omega)
    assert found.minus_two_ll > free.minus_two_ll
    for factor in (0.97, 1.03):
        moved = found.omega.copy()
        moved[0, 0] *= factor
        moved[1, 1] *= factor
        _, _, constant = normal_equations(study.likelihood, study.design, moved).without_base()
        assert constant > found.minus_two_ll


def test_without_free_variances_only_the_coefficients_move():
    study = simulate(d=2, n_subjects=30)
    model = replace(study.model, basis=basis_of(np.zeros((2, 2), dtype=bool)))
    support = np.ones(5, dtype=bool)
    found = profile(model, support, study.omega)
    gram, linear, constant = normal_equations(study.likelihood, study.design, study.omega).without_base()
    assert found.omega == pytest.approx(study.omega)
    assert found.minus_two_ll == pytest.approx(constant - linear @ np.linalg.solve(gram, linear), abs=1e-8)


def test_equal_columns_share_their_effect():
    study = simulate(d=2, n_subjects=30, n_columns=3)
    twice = replace(
        study,
        values=np.column_stack([study.values, study.values[:, 0]]),
        latent=np.append(study.latent, study.latent[0]),
    )
    expected = profile(study.model, np.array([True, False, False]), study.omega)
    found = profile(twice.model, np.array([True, False, False, True]), study.omega)
    assert found.minus_two_ll == pytest.approx(expected.minus_two_ll, abs=1e-5)
    assert found.beta[0] + found.beta[3] == pytest.approx(expected.beta[0], rel=1e-4)


def test_counting_a_subject_twice_is_having_it_twice():
    study = simulate(d=2, n_subjects=20, n_obs=3)
    weight = np.random.default_rng(1).integers(0, 3, 20).astype(float)
    index = np.repeat(np.arange(20), weight.astype(int))
    model = study.model
    copied = LinearMixedModel.of(study.likelihood.subset(index), study.design.subset(index), model.basis, model.floor)
    support = np.array([True, True, False, False, False])
    found = profile(model.resampled(weight), support, study.omega)
    expected = profile(copied, support, study.omega)
    assert found.minus_two_ll == pytest.approx(expected.minus_two_ll, abs=1e-6)
    assert found.omega == pytest.approx(expected.omega, rel=1e-4)
