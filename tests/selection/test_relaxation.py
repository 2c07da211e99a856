"""The lower bound holds at every point and state; D leaves a positive semidefinite rest."""

import numpy as np
import pytest

from nlmevae.selection.branch_and_bound import _largest_fit
from nlmevae.selection.components import reduce
from nlmevae.selection.program import Rules
from nlmevae.selection.relaxation import lower_bound, split
from nlmevae.selection.tree_kernels import bound_at, relax
from tests.helpers.enumeration import enumerate_supports
from tests.helpers.selection_programs import random_program

CASES = {
    "single columns": {},
    "wide units": {"units": ((0, 1), (2,), (3, 4, 5), (6,))},
    "alternatives": {"rules": Rules(exclusive=((0, 1, 2), (3, 4)))},
    "wide alternatives": {"units": ((0, 1), (2,), (3, 4, 5), (6,)), "rules": Rules(exclusive=((0, 2), (1, 3)))},
}


def block_of(kind, seed, **more):
    program = random_program(seed, n_columns=7, n_subjects=30, correlation=more.pop("correlation", 0.6), **CASES[kind])
    (block,) = reduce(program, joined=True).blocks
    return program, block


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_the_rest_is_positive_semidefinite_and_nothing_is_wasted(kind, correlation):
    _, block = block_of(kind, 4, correlation=correlation)
    parts = split(block)
    values = np.linalg.eigvalsh(parts.rest)
    assert values[0] >= -1e-12 * values[-1]
    assert values[0] <= 0.02 * max(values[-1], 1.0)
    inverse = np.linalg.inv(parts.transform)
    for a, b in zip(block.starts[:-1], block.starts[1:], strict=True):
        unit = inverse[a:b, a:b].T @ inverse[a:b, a:b]  # D_uu
        own, whole = inverse[a:b, a:b], parts.rest[a:b, a:b] + np.eye(b - a)
        np.testing.assert_allclose(own.T @ whole @ own, block.gram[a:b, a:b], atol=1e-10)
        assert np.linalg.eigvalsh(unit)[0] > 0


@pytest.mark.parametrize("kind", CASES)
def test_no_completion_is_below_the_bound_at_any_point(kind):
    rng = np.random.default_rng(11)
    for seed in range(6):
        program, block = block_of(kind, seed)
        parts = split(block)
        supports, objectives = enumerate_supports(program)
        linear = program.linear[block.columns] * block.scale
        cost = program.cost[block.units]
        scale = np.abs(parts.linear(linear)).max()
        for _ in range(40):
            state = rng.choice([-1, -1, 0, 1], size=program.n_units)
            fits = ~((supports & (state == 0)).any(axis=1) | (~supports & (state == 1)).any(axis=1))
            if not fits.any():
                continue
            point = rng.standard_normal(len(linear)) * scale * rng.choice([0.0, 0.01, 0.1, 1.0])
            bound = lower_bound(block, parts, linear, cost, state[block.units], point)
            assert bound <= objectives[fits].min() - program.constant + 1e-8 * scale**2


@pytest.mark.parametrize("kind", CASES)
def test_the_compiled_bound_is_the_formula(kind):
    program, block = block_of(kind, 2)
    parts = split(block)
    linear, cost = program.linear[block.columns] * block.scale, program.cost[block.units]
    rng = np.random.default_rng(0)
    term, best = np.empty(block.n_units), np.empty(len(block.atom_starts) - 1)
    for _ in range(20):
        state = rng.choice([-1, 0], size=block.n_units).astype(np.int8)
        state[rng.integers(block.n_units)] = 1
        point = rng.standard_normal(len(linear))
        pull = parts.rest @ point
        found = bound_at(
            parts.linear(linear), cost, block.starts, block.atom_starts, state, -1, point, pull, term, best
        )
        assert found == pytest.approx(lower_bound(block, parts, linear, cost, state, point), rel=1e-9)


@pytest.mark.parametrize("kind", CASES)
def test_the_relaxation_is_solved(kind):
    """Duality: the relaxed value is above every bound, so where they meet both are right."""
    program, block = block_of(kind, 6)
    parts = split(block)
    linear, cost = parts.linear(program.linear[block.columns] * block.scale), program.cost[block.units]
    n = block.n_units
    state, b = np.full(n, -1, np.int8), np.zeros(len(linear))
    pull = np.zeros(len(linear))
    work = (np.empty(n), np.empty(n), np.empty(n), np.zeros(len(block.atom_starts) - 1))
    arguments = parts.rest, parts.curvature, linear, cost, block.starts, block.atom_starts, state, -1, b, pull, np.inf
    bound = max(relax(*arguments, 1, work) for _ in range(3000))
    np.testing.assert_allclose(pull, parts.rest @ b, atol=1e-8 * np.abs(linear).max())
    value = b @ parts.rest @ b - 2 * linear @ b
    for first, last in zip(block.atom_starts[:-1], block.atom_starts[1:], strict=True):
        norms = np.array([np.linalg.norm(b[block.starts[u] : block.starts[u + 1]]) for u in range(first, last)])
        value += hull(norms, cost[first:last])
    assert value == pytest.approx(bound, abs=1e-3 * cost.mean())


def hull(norm, cost):
    """min over z in the simplex of sum norm^2 / z + cost z, by a fine search."""
    from scipy.optimize import minimize

    if len(norm) == 1:
        root = np.sqrt(cost[0])
        return 2 * root * norm[0] if norm[0] < root else norm[0] ** 2 + cost[0]
    start = np.maximum(norm / np.sqrt(cost), 1e-6)
    start /= max(start.sum(), 1.0)
    found = minimize(
        lambda z: np.sum(norm**2 / z + cost * z), start, bounds=[(1e-9, 1.0)] * len(norm),
        constraints={"type": "ineq", "fun": lambda z: 1.0 - z.sum()}, options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    return found.fun


def test_dependent_columns_have_no_split():
    program, _ = block_of("single columns", 0)
    from dataclasses import replace

    gram = program.gram.copy()
    gram[6], gram[:, 6] = gram[0] + gram[1], gram[:, 0] + gram[:, 1]
    gram[6, 6] = gram[0, 0] + gram[1, 1] + 2 * gram[0, 1]
    (block,) = reduce(replace(program, gram=gram), joined=True).blocks
    assert split(block) is None


def test_the_largest_fit_is_that_of_all_columns():
    program, block = block_of("single columns", 1)
    supports, objectives = enumerate_supports(program)
    everything = objectives[supports.all(axis=1)][0] - program.cost.sum() - program.constant
    assert _largest_fit(block.gram, program.linear[block.columns] * block.scale) == pytest.approx(-everything, rel=1e-6)
