"""The Gaussian model against dense marginal likelihoods of linear mixed models."""

import numpy as np
import pytest

from nlmevae.estimation.gaussian_likelihood import EffectDesign, GaussianLikelihood, normal_equations
from tests.helpers.linear_mixed import simulate


@pytest.mark.parametrize("block", [False, True])
def test_the_likelihood_of_a_linear_model_is_recovered(block):
    study = simulate(d=3, block=block)
    information = np.array([h.T @ h for h in study.h])
    natural = np.array([h.T @ y for h, y in zip(study.h, study.y, strict=True)])
    assert np.abs(study.likelihood.information - information).max() < 1e-10 * information.max()
    assert np.abs(study.likelihood.natural - natural).max() < 1e-10 * np.abs(natural).max()


@pytest.mark.parametrize("d", [1, 2, 4])
def test_minus_two_ll_is_the_marginal_likelihood_up_to_a_constant(d):
    study, rng = simulate(d=d), np.random.default_rng(1)
    differences = []
    for scale in (1e-8, 0.01, 0.3, 20.0):
        root = np.sqrt(scale) * rng.normal(size=(d, d))
        omega, mu = root @ root.T, rng.normal(size=study.offset.shape)
        differences.append(study.likelihood.minus_two_ll(mu, omega) - study.minus_two_ll(mu, omega))
    assert np.ptp(differences) < 1e-8 * max(1.0, np.abs(differences).max())


def dense_normal_equations(study, omega):
    columns = study.columns
    gram, linear, constant = 0.0, 0.0, 0.0
    for h, y, offset, x in zip(study.h, study.y, study.offset, columns, strict=True):
        inverse = np.linalg.inv(h @ omega @ h.T + np.eye(len(y)))
        residual = y - h @ offset
        gram = gram + (h @ x).T @ inverse @ (h @ x)
        linear = linear + (h @ x).T @ inverse @ residual
        constant += residual @ inverse @ residual - np.linalg.slogdet(inverse)[1]
    return gram, linear, constant


@pytest.mark.parametrize("block", [False, True])
def test_normal_equations_are_those_of_generalised_least_squares(block):
    study = simulate(d=3, n_columns=7, block=block, seed=3)
    omega = study.omega * 1.7 + 0.002
    gram, linear, _ = dense_normal_equations(study, omega)
    found = normal_equations(study.likelihood, study.design, omega)
    matrix = np.block([[found.base, found.cross], [found.cross.T, found.gram]])
    assert np.abs(matrix - gram).max() < 1e-10 * np.abs(gram).max()
    assert np.abs(np.r_[found.base_linear, found.linear] - linear).max() < 1e-10 * np.abs(linear).max()


def test_normal_equations_give_minus_two_ll_at_any_coefficients():
    study, rng = simulate(d=2, n_columns=4), np.random.default_rng(5)
    equations = normal_equations(study.likelihood, study.design, study.omega)
    gram, linear, constant = equations.without_base()
    beta = rng.normal(size=4)
    mu = study.design.mean(equations.base_optimum(beta), beta)
    expected = study.likelihood.minus_two_ll(mu, study.omega)
    assert beta @ gram @ beta - 2 * linear @ beta + constant == pytest.approx(expected, abs=1e-9)
    nearby = study.design.mean(equations.base_optimum(beta) + 0.01 * rng.normal(size=2), beta)
    assert study.likelihood.minus_two_ll(nearby, study.omega) > expected


def test_a_base_effect_may_act_on_several_latents():
    study = simulate(d=2, n_columns=2)
    shared = study.base @ np.array([[1.0], [2.0]])
    equations = normal_equations(
        study.likelihood, EffectDesign.of(study.offset, shared, study.latent, study.values), study.omega
    )
    both = normal_equations(study.likelihood, study.design, study.omega)
    weights = np.array([1.0, 2.0])
    assert equations.base[0, 0] == pytest.approx(weights @ both.base @ weights)
    assert equations.cross[0] == pytest.approx(weights @ both.cross)


def test_base_columns_that_depend_on_each_other_change_nothing():
    study = simulate(d=2, n_columns=3)
    doubled = EffectDesign.of(study.offset, np.repeat(study.base, 2, axis=2), study.latent, study.values)
    expected = normal_equations(study.likelihood, study.design, study.omega).without_base()
    found = normal_equations(study.likelihood, doubled, study.omega).without_base()
    assert found[0] == pytest.approx(expected[0], abs=1e-8)
    assert found[2] == pytest.approx(expected[2], abs=1e-8)


@pytest.mark.parametrize("variance", [1e-9, 1e-14])
def test_precise_data_give_the_information_of_known_parameters(variance):
    study = simulate(d=2, n_columns=3)
    rng = np.random.default_rng(2)
    z = rng.normal(size=study.offset.shape)
    cov = np.broadcast_to(variance * np.eye(2), study.cov.shape)
    likelihood = GaussianLikelihood.of(z, cov, study.offset, study.omega, np.ones(len(z), dtype=bool))
    equations = normal_equations(likelihood, study.design, study.omega)
    precision = np.linalg.inv(study.omega)
    expected = precision[np.ix_(study.latent, study.latent)] * (study.values.T @ study.values)
    assert equations.gram == pytest.approx(expected, rel=1e-6)
    pulled = (z - study.offset) @ precision
    assert equations.linear == pytest.approx((study.values * pulled[:, study.latent]).sum(axis=0), rel=1e-5)


def test_subjects_without_data_carry_no_information():
    study = simulate(d=2, n_obs=0)
    assert study.likelihood.information == pytest.approx(0.0, abs=1e-12)
    assert study.likelihood.minus_two_ll(study.offset + 3.0, 5 * study.omega) == pytest.approx(0.0, abs=1e-9)


def wide_posteriors():
    rng = np.random.default_rng(4)
    prior_mean = rng.normal(size=(6, 2))
    omega = np.array([[0.2, 0.05], [0.05, 0.1]])
    return prior_mean + 0.2 * rng.normal(size=(6, 2)), np.array([1.3 * omega] * 6), prior_mean, omega


def test_a_posterior_wider_than_the_prior_keeps_its_mean():
    mean, cov, prior_mean, omega = wide_posteriors()
    likelihood = GaussianLikelihood.of(mean, cov, prior_mean, omega, np.ones(6, dtype=bool))
    precision = np.linalg.inv(omega)
    posterior = np.linalg.inv(likelihood.information + precision)
    found = posterior @ (likelihood.natural + prior_mean @ precision)[:, :, None]
    assert found[:, :, 0] == pytest.approx(mean, abs=1e-8)
    assert np.linalg.eigvalsh(likelihood.information).min() > -1e-12


def test_a_posterior_wider_than_the_prior_leaves_the_likelihood_bounded_in_omega():
    mean, cov, prior_mean, omega = wide_posteriors()
    likelihood = GaussianLikelihood.of(mean, cov, prior_mean, omega, np.ones(6, dtype=bool))
    assert likelihood.minus_two_ll(prior_mean, 1e12 * omega) > likelihood.minus_two_ll(prior_mean, 1e6 * omega) > 0


def test_the_origin_of_z_does_not_matter():
    mean, cov, prior_mean, omega = wide_posteriors()
    ok = np.ones(6, dtype=bool)
    here = GaussianLikelihood.of(mean, cov, prior_mean, omega, ok)
    there = GaussianLikelihood.of(mean + 7.0, cov, prior_mean + 7.0, omega, ok)
    value = here.minus_two_ll(prior_mean + 0.1, 2 * omega)
    assert there.minus_two_ll(prior_mean + 7.1, 2 * omega) == pytest.approx(value, abs=1e-9)


def test_subjects_that_failed_do_not_count():
    study = simulate(d=2)
    ok = np.arange(len(study.y)) % 3 > 0
    mean = np.where(ok[:, None], study.mean, np.nan)
    found = GaussianLikelihood.of(mean, study.cov, study.offset, study.omega, ok)
    expected = study.likelihood.subset(ok).minus_two_ll(study.offset[ok], study.omega)
    assert found.minus_two_ll(study.offset, study.omega) == pytest.approx(expected)
    assert normal_equations(found, study.design, study.omega).gram == pytest.approx(
        normal_equations(study.likelihood.subset(ok), study.design.subset(ok), study.omega).gram
    )


def test_shrinkage_is_that_of_the_posterior_variances():
    study = simulate(d=3, block=True)
    explained = 1.0 - np.mean(np.diagonal(study.cov, axis1=1, axis2=2), axis=0) / np.diag(study.omega)
    assert study.likelihood.shrinkage(study.omega) == pytest.approx(1.0 - np.sqrt(explained))
