"""The joint (beta, omega) step against enumeration over supports with omega at its best for each."""

from itertools import product

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.selection.design import CovariateDesign
from nlmevae.selection.omega_profile import profiled_step
from nlmevae.selection.program import Rules


def simulate(seed, n, p, *, units=None, rules=None, d=2):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) @ np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))).T
    mu = x @ (rng.standard_normal((p, d)) * (rng.random((p, d)) < 0.4) * 0.5) + rng.standard_normal((n, d))
    own = units or tuple((j,) for j in range(p))
    design = CovariateDesign.of(
        np.tile(x, (1, d)), parameter=np.repeat(np.arange(d), p),
        units=tuple(tuple(c + k * p for c in u) for k in range(d) for u in own),
        cost=np.tile(np.log(n) * np.array([len(u) for u in own]), d), rules=rules,
    )  # fmt: skip
    return x, mu, design, own


def enumerate_jointly(x, y, units, extra, floor, penalty):
    """min over supports of N log(rss / N + extra) + N + penalties."""
    n, found = len(y), []
    for support in product([False, True], repeat=len(units)):
        columns = [c for u, s in zip(units, support, strict=True) if s for c in u]
        rows = np.column_stack([np.ones(n), x[:, columns]])
        residual = y - rows @ np.linalg.lstsq(rows, y, rcond=None)[0]
        variance = max(residual @ residual / n + extra, floor)
        found.append(n * np.log(variance) + n + penalty * np.log(n) * len(columns))
    return min(found)


@pytest.mark.parametrize("solver", ["table", "bnb"])
@pytest.mark.parametrize("units", [None, ((0, 1), (2,), (3,), (4, 5))])
def test_the_joint_optimum(solver, units, monkeypatch):
    if solver == "bnb":
        monkeypatch.setattr("nlmevae.selection.solve.LARGEST", 0)
    for seed in range(25):
        n = (12, 30, 60, 189)[seed % 4]
        x, mu, design, own = simulate(seed, n, 6, units=units)
        extra = np.array([0.05, 0.3])
        step = profiled_step(design, mu, posterior_variance=extra, penalty_factor=1.2)
        expected = sum(enumerate_jointly(x, mu[:, k], own, extra[k], 0.0, 1.2) for k in range(2))
        assert step.objective == pytest.approx(expected, abs=1e-6)
        assert step.certified
        r = mu - step.intercept - np.tile(x, (1, 2)) @ step.beta.T
        np.testing.assert_allclose(step.omega, (r**2).mean(axis=0) + extra, rtol=1e-9)


def test_few_solves_are_needed(monkeypatch):
    monkeypatch.setattr("nlmevae.selection.solve.LARGEST", 0)
    solves = [
        profiled_step(simulate(seed, 60, 8)[2], simulate(seed, 60, 8)[1], posterior_variance=np.full(2, 0.1)).n_solves
        for seed in range(10)
    ]
    assert np.mean(solves) / 2 < 8


def test_alternating_steps_are_never_better():
    worse = 0
    for seed in range(30):
        _, mu, design, _ = simulate(seed, 12, 5)
        extra, omega, warm = np.full(2, 0.02), np.full(2, 3.0), None
        for _ in range(50):
            step = design.m_step(mu, np.diag(omega), warm=warm)
            omega, warm = np.diag(step.residual) + extra, step.support
        alternating = 12 * np.log(omega).sum() + 24 + design.cost[step.support].sum()
        joint = profiled_step(design, mu, posterior_variance=extra)
        assert joint.objective <= alternating + 1e-6
        worse += joint.objective < alternating - 1e-3
    assert worse > 0  # small samples have several fixed points


def test_the_floor_keeps_a_saturated_fit_finite():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 8))
    design = CovariateDesign.of(
        x, parameter=np.zeros(8, int), units=tuple((j,) for j in range(8)), cost=np.full(8, 2.0)
    )
    step = profiled_step(design, rng.standard_normal((6, 1)), posterior_variance=np.zeros(1), floor=1e-3)
    assert step.omega[0] >= 1e-3
    assert np.isfinite(step.objective)


def test_rules_across_parameters_are_refused():
    _, mu, design, _ = simulate(0, 30, 3, rules=Rules(exclusive=((0, 3),)))
    with pytest.raises(SettingsError, match="several parameters"):
        profiled_step(design, mu, posterior_variance=np.zeros(2))
