"""The M step from moments against the same step on all rows, by enumeration and by a generic optimiser."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.selection.design import CovariateDesign
from nlmevae.selection.program import Program, Rules
from nlmevae.selection.solve import solve
from tests.helpers.enumeration import best

N, D = 70, 3


def simulate(seed, *, n=N, n_covariates=4, correlation=0.0, omega=(0.04, 0.09, 0.25)):
    """Covariates (N, n), mu (N, 3), Omega (3, 3); two or three true effects."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, n_covariates)) * 10.0 ** rng.uniform(-2, 2, n_covariates) + rng.uniform(-5, 5)
    sd = np.sqrt(omega)
    covariance = np.outer(sd, sd) * np.where(
        np.eye(3) > 0, 1.0, np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]]) * correlation
    )
    slope = rng.standard_normal((3, n_covariates)) * (rng.random((3, n_covariates)) < 0.3) / x.std(axis=0)
    mu = [1.0, -2.0, 0.5] + 0.5 * sd * (x @ slope.T) + rng.multivariate_normal(np.zeros(3), covariance, n)
    return x, mu, covariance


def every_covariate_on_every_parameter(x, *, rules=None, cost=None):
    n = x.shape[1]
    columns = np.tile(x, (1, D))
    return CovariateDesign.of(
        columns, parameter=np.repeat(np.arange(D), n), units=tuple((c,) for c in range(D * n)),
        cost=np.full(D * n, np.log(len(x))) if cost is None else cost, rules=rules, n_parameters=D,
    )  # fmt: skip


def row_program(design, columns, mu, omega, penalty_factor=1.0):
    """The same step written on N * D rows, intercepts as free units: nothing shared with the design's algebra."""
    n, c = columns.shape
    root = np.linalg.inv(np.linalg.cholesky(omega))
    rows = np.zeros((n, D, c + D))
    rows[:, design.parameter, np.arange(c)] = columns
    rows[:, np.arange(D), c + np.arange(D)] = 1.0
    rows = np.einsum("kl,nlc->nkc", root, rows).reshape(n * D, -1)
    y = (mu @ root.T).ravel()
    units = (*design.units, *((c + k,) for k in range(D)))
    rules = replace(design.rules, forced=(*design.rules.forced, *(len(design.units) + np.arange(D)).tolist()))
    if rules.at_most is not None:
        rules = replace(rules, at_most=rules.at_most + D)
    return Program(
        gram=rows.T @ rows, linear=rows.T @ y, constant=float(y @ y), units=units,
        cost=np.append(penalty_factor * design.cost, np.zeros(D)), rules=rules,
    )  # fmt: skip


def objective_by_rows(columns, parameter, mu, omega, step, cost):
    beta_x = np.zeros_like(mu)
    for c in range(columns.shape[1]):
        beta_x[:, parameter[c]] += step.beta[parameter[c], c] * columns[:, c]
    r = mu - step.intercept - beta_x
    return float(np.einsum("ni,ij,nj->", r, np.linalg.inv(omega), r) + cost[step.support].sum())


@pytest.mark.parametrize("correlation", [0.0, 0.7])
@pytest.mark.parametrize(
    "rules", [None, Rules(exclusive=((0, 1), (4, 5))), Rules(at_most=2), Rules(requires=((0, 4),))]
)
def test_the_step_is_the_optimum_over_all_rows(correlation, rules):
    for seed in range(4):
        x, mu, omega = simulate(seed, n_covariates=3, correlation=correlation)
        rules_here = rules
        design = every_covariate_on_every_parameter(x, rules=rules_here)
        step = design.m_step(mu, omega, penalty_factor=1.5)
        columns = np.tile(x, (1, D))
        _, objective, _ = best(row_program(design, columns, mu, omega, 1.5))
        assert step.objective == pytest.approx(objective, rel=1e-8)
        assert objective_by_rows(columns, design.parameter, mu, omega, step, 1.5 * design.cost) == pytest.approx(
            objective, rel=1e-8
        )
        assert step.certified
        assert step.bound <= objective + 1e-8
        assert (step.beta[:, ~step.support] == 0).all()


def test_parameters_with_the_same_candidates_share_one_engine():
    x, mu, omega = simulate(0, n_covariates=5)
    design = every_covariate_on_every_parameter(x)
    design.m_step(mu, omega)
    assert len(design._solver.engines) == 1


def test_other_candidates_for_other_parameters():
    x, mu, omega = simulate(3, n_covariates=4)
    parameter = np.array([0, 0, 2, 2, 2, 1])
    columns = x[:, [0, 1, 0, 2, 3, 3]]
    design = CovariateDesign.of(
        columns, parameter=parameter, units=((0,), (1,), (2,), (3, 4), (5,)), cost=np.array([4, 4, 4, 8, 4.0])
    )
    for om in (omega, simulate(3, correlation=0.6)[2]):
        step = design.m_step(mu, om)
        assert step.objective == pytest.approx(best(row_program(design, columns, mu, om))[1], rel=1e-8)
        assert (step.beta[np.arange(D)[:, None] != parameter[None]] == 0).all()


def test_a_parameter_without_candidates_gets_its_mean():
    x, mu, omega = simulate(1)
    design = CovariateDesign.of(
        x, parameter=np.zeros(4, int), units=((0,), (1,), (2, 3)), cost=np.ones(3), n_parameters=D
    )
    step = design.m_step(mu, omega)
    np.testing.assert_allclose(step.intercept[1:], mu[:, 1:].mean(axis=0))


def test_moments_are_all_that_is_needed():
    x, mu, omega = simulate(2)
    design = every_covariate_on_every_parameter(x)
    from_rows, from_moments = design.m_step(mu, omega), design.m_step(design.moments(mu), omega)
    np.testing.assert_array_equal(from_rows.beta, from_moments.beta)
    twice = every_covariate_on_every_parameter(np.tile(x, (2, 1)), cost=2 * design.cost)
    np.testing.assert_allclose(twice.m_step(np.tile(mu, (2, 1)), omega).beta, from_rows.beta, rtol=1e-9)


def test_the_residual_is_that_of_the_rows():
    x, mu, omega = simulate(5, correlation=0.5)
    design = every_covariate_on_every_parameter(x)
    step = design.m_step(mu, omega, penalty_factor=0.2)
    assert step.support.any()
    r = mu - step.intercept - np.tile(x, (1, D)) @ step.beta.T
    np.testing.assert_allclose(step.residual, r.T @ r / len(r), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(r.mean(axis=0), 0.0, atol=1e-9)


def test_shifting_and_scaling_covariates_changes_nothing():
    x, mu, omega = simulate(6)
    scale, shift = 10.0 ** np.array([-6, 6, 0, 3.0]), np.array([1.0, 0.0, -4, 10])
    one = every_covariate_on_every_parameter(x).m_step(mu, omega, penalty_factor=0.5)
    other = every_covariate_on_every_parameter((x + shift) * scale).m_step(mu, omega, penalty_factor=0.5)
    np.testing.assert_array_equal(one.support, other.support)
    np.testing.assert_allclose(other.beta * np.tile(scale, D), one.beta, rtol=1e-6, atol=1e-12)


def test_ignoring_the_correlation_of_random_effects_picks_another_support():
    differ, excess = 0, []
    for seed in range(20):
        x, mu, omega = simulate(seed, n_covariates=3, correlation=0.8)
        design = every_covariate_on_every_parameter(x)
        exact, shortcut = design.m_step(mu, omega), design.m_step(mu, np.diag(np.diag(omega)))
        if not np.array_equal(exact.support, shortcut.support):
            differ += 1
            program = row_program(design, np.tile(x, (1, D)), mu, omega)
            wrong = solve(replace(program, rules=Rules(forced=(*np.flatnonzero(shortcut.support), 9, 10, 11),
                                                       banned=tuple(np.flatnonzero(~shortcut.support)))))  # fmt: skip
            excess.append(wrong.objective - exact.objective)
    assert differ >= 3
    assert min(excess) > 0


def test_constant_covariates_are_named_and_left_out():
    x, mu, omega = simulate(0)
    x[:, 1] = 3.3
    design = every_covariate_on_every_parameter(x)
    assert design.constant == (1, 5, 9)
    step = design.m_step(mu, omega, penalty_factor=1e-3)
    assert not step.support[[1, 5, 9]].any()
    assert np.isfinite(step.intercept).all()


def test_more_candidates_than_subjects():
    x, mu, omega = simulate(0, n=10, n_covariates=12)
    step = every_covariate_on_every_parameter(x).m_step(mu, omega, penalty_factor=3.0)
    assert step.certified
    assert np.isfinite(step.beta).all()
    assert step.support.sum() < 30


@pytest.mark.parametrize("n_covariates", [6, 18])
def test_a_chain_of_steps_is_the_same_from_warm_and_cold_starts(n_covariates):
    """300 steps with drifting targets, a falling Omega and an annealed penalty; every one certified."""
    rng = np.random.default_rng(0)
    x, mu, omega = simulate(4, n_covariates=n_covariates)
    design, start = every_covariate_on_every_parameter(x), rng.standard_normal(mu.shape)
    warm, variance = None, 4 * np.diag(omega)
    changes = 0
    for iteration in range(300):
        share = min(1.0, iteration / 100)
        target = design.moments(share * mu + (1 - share) * start + 0.05 * rng.standard_normal(mu.shape))
        factor = 1 + 4 * max(0.0, 1 - iteration / 50)
        step = design.m_step(target, np.diag(variance), penalty_factor=factor, warm=warm)
        assert step.certified
        if iteration % 5 == 0:
            cold = design.m_step(target, np.diag(variance), penalty_factor=factor)
            np.testing.assert_array_equal(cold.support, step.support)
        changes += warm is not None and not np.array_equal(warm, step.support)
        warm = step.support
        variance = np.maximum(np.diag(step.residual) + 0.01, variance / 1.3)
    assert changes > 3


def test_bad_designs_are_refused():
    x, mu, _ = simulate(0)
    good = {"parameter": np.zeros(4, int), "units": ((0,), (1,), (2,), (3,)), "cost": np.ones(4)}
    with pytest.raises(SettingsError, match="missing"):
        CovariateDesign.of(np.where(x > 0, x, np.nan), **good)
    with pytest.raises(SettingsError, match="partition"):
        CovariateDesign.of(x, **{**good, "units": ((0,), (1,), (2,))})
    with pytest.raises(SettingsError, match="several parameters"):
        CovariateDesign.of(
            x, **{**good, "parameter": np.array([0, 1, 0, 0]), "units": ((0, 1), (2,), (3,)), "cost": np.ones(3)}
        )
    design = every_covariate_on_every_parameter(x)
    for bad in (np.diag([1.0, 0.0, 1.0]), np.array([[1.0, 2, 0], [2, 1, 0], [0, 0, 1]])):
        with pytest.raises(SettingsError, match="positive definite"):
            design.m_step(mu, bad)


def test_the_row_form_itself_is_right():
    """The oracle of this file against least squares on the rows."""
    x, mu, omega = simulate(9, n_covariates=1, correlation=0.5)
    design = every_covariate_on_every_parameter(x)
    program = row_program(design, np.tile(x, (1, D)), mu, omega)
    root = np.linalg.inv(np.linalg.cholesky(omega))
    values = []
    for support in product([False, True], repeat=3):
        blocks = [np.column_stack([np.ones(N), *([x[:, 0]] if s else [])]) for s in support]
        rows = np.concatenate(
            [np.concatenate([root[k, j] * blocks[j] for j in range(D)], axis=1) for k in range(D)], axis=0
        )
        y = np.concatenate([mu @ root[k] for k in range(D)])
        values.append(np.linalg.lstsq(rows, y, rcond=None)[1][0] + sum(support) * np.log(N))
    assert best(program)[1] == pytest.approx(min(values), rel=1e-9)
