import numpy as np
import pytest
from scipy.optimize import minimize

from nlmevae.estimation.structured_omega import element_directions, positive_share, structured_fit

FREE = np.array([[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]], dtype=bool)  # no order makes it a band


def scatter(seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(12, 4)) @ np.random.default_rng(seed + 100).normal(size=(4, 4))
    return x.T @ x / 12


def deviance(omega: np.ndarray, s: np.ndarray) -> float:
    return np.linalg.slogdet(omega)[1] + np.trace(np.linalg.solve(omega, s))


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_a_stationary_point_no_generic_optimiser_improves(seed):
    s, basis = scatter(seed), element_directions(FREE)
    found = structured_fit(s, np.diag(np.diag(s)), FREE)
    assert np.array_equal(found != 0.0, FREE)
    assert np.linalg.eigvalsh(found)[0] > 0.0

    def objective(x):
        omega = np.tensordot(x, basis, axes=1)
        return deviance(omega, s) if np.linalg.eigvalsh(omega)[0] > 0 else 1e6

    start = np.array([found[np.nonzero(b)][0] for b in basis])
    better = minimize(objective, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000})
    assert objective(start) - better.fun < 1e-8


def test_without_zeros_it_is_the_scatter_itself():
    s = scatter(9)
    assert structured_fit(s, np.eye(4), np.ones((4, 4), dtype=bool)) == pytest.approx(s, rel=1e-6)


def test_a_step_stops_short_of_a_singular_matrix():
    change = np.diag([-2.0, 0.5])
    assert np.linalg.eigvalsh(np.eye(2) + positive_share(change) * change)[0] == pytest.approx(0.2)
    assert positive_share(0.1 * change) == 1.0
