"""Gains of effects at fixed Omega against refitting."""

import numpy as np
import pytest

from nlmevae.estimation.support_screening import Quadratic


def quadratic(seed=0, n=40, units=((0,), (1, 2), (3,), (4,), (5, 6))):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 7)) * np.array([1.0, 1e-3, 2.0, 50.0, 1.0, 1.0, 1.0])
    y = x @ np.array([0.3, 0.0, 0.2, 0.01, 0.0, 0.5, 0.0]) + rng.normal(size=n)
    return Quadratic(gram=x.T @ x, linear=x.T @ y, constant=float(y @ y)), x, y, units


def residual_squares(x, y, columns):
    if not columns.any():
        return y @ y
    return np.sum((y - x[:, columns] @ np.linalg.lstsq(x[:, columns], y, rcond=None)[0]) ** 2)


def test_the_minimum_is_the_sum_of_squared_residuals():
    form, x, y, _ = quadratic()
    for columns in (np.zeros(7, dtype=bool), np.arange(7) % 2 == 0, np.ones(7, dtype=bool)):
        assert form.minimum(columns) == pytest.approx(residual_squares(x, y, columns), rel=1e-8)


def test_gains_are_those_of_a_refit():
    form, x, y, units = quadratic()
    columns = np.isin(np.arange(7), [1, 2, 3])
    gains = form.gains(columns, units)
    for u, unit in enumerate(units):
        more = columns | np.isin(np.arange(7), unit)
        assert gains[u] == pytest.approx(residual_squares(x, y, columns) - residual_squares(x, y, more), abs=1e-7)


def test_a_column_that_the_support_spans_gains_nothing():
    form, x, y, _ = quadratic()
    x = np.column_stack([x, x[:, 0] - 2 * x[:, 3]])
    dependent = Quadratic(gram=x.T @ x, linear=x.T @ y, constant=form.constant)
    gains = dependent.gains(np.isin(np.arange(8), [0, 3]), ((0,), (3,), (7,), (4, 7)))
    assert gains[2] == 0.0
    assert gains[3] == pytest.approx(dependent.gains(np.isin(np.arange(8), [0, 3]), ((4,),))[0], rel=1e-6)


def test_exchanges_are_sorted_and_exact():
    form, x, y, units = quadratic()
    support = np.array([False, True, True, False, False])
    columns = np.isin(np.arange(7), [1, 2, 3])
    cost = np.array([3.0, 6.0, 3.0, 3.0, 6.0])
    found = form.exchanges(columns, units, cost, support)
    assert [f[0] for f in found] == sorted(f[0] for f in found)
    assert {(out, into) for _, out, into in found} == {(o, i) for o in (1, 2) for i in (0, 3, 4)}
    for change, out, into in found:
        other = columns & ~np.isin(np.arange(7), units[out]) | np.isin(np.arange(7), units[into])
        expected = residual_squares(x, y, other) - residual_squares(x, y, columns) + cost[into] - cost[out]
        assert change == pytest.approx(expected, abs=1e-7)
