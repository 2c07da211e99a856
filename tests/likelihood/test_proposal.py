import numpy as np
import pytest
from scipy.stats import multivariate_t

from nlmevae.likelihood.proposal import Mixture, allocate, lattice, safe_cholesky


def example() -> Mixture:
    loc = np.array([[[0.0, 1.0]], [[2.0, -1.0]]])
    chol = np.array([[[[1.0, 0.0], [0.5, 0.7]]], [[[0.4, 0.0], [-0.1, 1.3]]]])
    return Mixture(share=np.array([0.7, 0.3]), loc=loc, chol=chol)


def test_student_density_equals_scipy():
    rng = np.random.default_rng(0)
    z, loc = rng.normal(size=(5, 3, 2)), rng.normal(size=(3, 2))
    chol = np.tril(rng.normal(size=(3, 2, 2))) + 2 * np.eye(2)
    for i in range(3):
        expected = multivariate_t(loc[i], chol[i] @ chol[i].T, df=20).logpdf(z[:, i])
        assert Mixture(share=np.ones(1), loc=loc[None], chol=chol[None]).log_density(z)[:, i] == pytest.approx(
            expected, abs=1e-12
        )


def test_mixture_density_is_the_share_weighted_sum():
    mixture = example()
    z, log_q = mixture.draw(1000, np.random.default_rng(1))
    parts = [multivariate_t(mixture.loc[c, 0], mixture.chol[c, 0] @ mixture.chol[c, 0].T, df=20) for c in (0, 1)]
    expected = 0.7 * parts[0].pdf(z[:, 0]) + 0.3 * parts[1].pdf(z[:, 0])
    assert np.exp(log_q[:, 0]) == pytest.approx(expected, rel=1e-12)


def test_draws_have_the_mixture_moments():
    mixture = example()
    z = np.concatenate([mixture.draw(1024, np.random.default_rng(s))[0][:, 0] for s in range(8)])
    mean = 0.7 * mixture.loc[0, 0] + 0.3 * mixture.loc[1, 0]
    spread = [20 / 18 * mixture.chol[c, 0] @ mixture.chol[c, 0].T for c in (0, 1)]
    second = [spread[c] + np.outer(mixture.loc[c, 0], mixture.loc[c, 0]) for c in (0, 1)]
    cov = 0.7 * second[0] + 0.3 * second[1] - np.outer(mean, mean)
    assert z.mean(axis=0) == pytest.approx(mean, abs=0.01)
    assert np.cov(z.T) == pytest.approx(cov, abs=0.05)


def test_the_estimate_of_a_known_integral_is_unbiased():
    """E_q[1{z_1 > 0.3} / q] with a normal target: the exact probability within 4 standard errors."""
    mixture = example()
    estimates = []
    for seed in range(60):
        z, log_q = mixture.draw(64, np.random.default_rng(seed))
        target = np.exp(-0.5 * (z[:, 0] ** 2).sum(-1)) / (2 * np.pi)
        estimates.append((target / np.exp(log_q[:, 0]) * (z[:, 0, 0] > 0.3)).mean())
    error = np.std(estimates, ddof=1) / np.sqrt(60)
    assert abs(np.mean(estimates) - 0.3820885778) < 4 * error


@pytest.mark.parametrize("dimension", [1, 4, 9, 28, 35])
def test_every_coordinate_of_the_lattice_is_perfectly_stratified(dimension):
    points = lattice(256, dimension)
    assert (np.sort(np.floor(points * 256).astype(int), axis=0) == np.arange(256)[:, None]).all()


def test_lattice_error_is_far_below_plain_monte_carlo():
    rng = np.random.default_rng(5)
    errors = [np.prod(1 + (((lattice(512, 4) + rng.random(4)) % 1) - 0.5), axis=1).mean() - 1 for _ in range(40)]
    monte_carlo = np.sqrt(((13 / 12) ** 4 - 1) / 512)
    assert np.sqrt(np.mean(np.square(errors))) < 0.2 * monte_carlo


def test_allocation_is_whole_and_proportional():
    assert allocate(np.array([0.5, 0.4, 0.1]), 256).tolist() == [128, 102, 26]
    assert allocate(np.array([0.9, 0.1]), 33).sum() == 33


def test_same_seed_gives_the_same_draws():
    first, second = (example().draw(64, np.random.default_rng(7))[0] for _ in range(2))
    assert (first == second).all()


def test_safe_cholesky_equals_numpy_and_survives_singular_and_nan_matrices():
    rng = np.random.default_rng(8)
    root = rng.normal(size=(3, 3))
    cov = np.stack([root @ root.T, np.ones((3, 3)), np.full((3, 3), np.nan)])
    chol, positive = safe_cholesky(cov)
    assert chol[0] == pytest.approx(np.linalg.cholesky(cov[0]), abs=1e-12)
    assert chol[1] @ chol[1].T == pytest.approx(cov[1], abs=1e-4)
    assert positive.tolist() == [True, True, False]
    assert np.isfinite(chol).all()
