"""Selection steps with known answers: simulated regressions, and enumeration of every support the rules allow."""

from __future__ import annotations

from itertools import product

import numpy as np

from nlmevae.selection.program import Program, Rules


def random_program(
    seed: int,
    *,
    n_subjects: int = 60,
    n_columns: int = 6,
    correlation: float = 0.5,
    signal: float = 1.0,
    units: tuple[tuple[int, ...], ...] | None = None,
    rules: Rules | None = None,
    cost: np.ndarray | None = None,
) -> Program:
    """Least squares on centred columns of very different lengths; every third true effect is not zero, of size about
    `signal` / 3 noise standard deviations. A charge of log N per column unless `cost` is given."""
    rng = np.random.default_rng(seed)
    distance = np.abs(np.subtract.outer(np.arange(n_columns), np.arange(n_columns)))
    columns = rng.standard_normal((n_subjects, n_columns)) @ np.linalg.cholesky(correlation**distance).T
    y = columns @ np.where(rng.random(n_columns) < 1 / 3, signal / 3 * rng.standard_normal(n_columns), 0.0)
    return program_of(
        columns * 10 ** rng.uniform(-3, 3, n_columns), y + rng.standard_normal(n_subjects), units, rules, cost
    )


def program_of(
    columns: np.ndarray,
    y: np.ndarray,
    units: tuple[tuple[int, ...], ...] | None = None,
    rules: Rules | None = None,
    cost: np.ndarray | None = None,
) -> Program:
    """The program of regressing y (N,) on columns (N, p) with a free intercept and unit residual variance."""
    columns, y = columns - columns.mean(axis=0), y - y.mean()
    units = units or tuple((j,) for j in range(columns.shape[1]))
    return Program(
        gram=columns.T @ columns,
        linear=columns.T @ y,
        constant=float(y @ y),
        units=units,
        cost=np.log(len(y)) * np.array([len(u) for u in units], dtype=float) if cost is None else cost,
        rules=rules or Rules(),
    )


def coupled_program(seed: int, *, n_subjects: int, n_covariates: int, correlation: float) -> tuple[Program, Program]:
    """Two parameters with correlated random effects: G = W kron X'X, and the same without the coupling in W."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_subjects, n_covariates))
    x -= x.mean(axis=0)
    omega = np.array([[1.0, correlation], [correlation, 1.0]])
    mu = x @ (0.3 * rng.standard_normal((n_covariates, 2))) + rng.multivariate_normal(np.zeros(2), omega, n_subjects)
    mu -= mu.mean(axis=0)

    def of(weight: np.ndarray) -> Program:
        return Program(
            gram=np.kron(weight, x.T @ x),
            linear=(x.T @ mu @ weight).T.ravel(),
            constant=float(np.trace(weight @ mu.T @ mu)),
            units=tuple((j,) for j in range(2 * n_covariates)),
            cost=np.full(2 * n_covariates, np.log(n_subjects)),
        )

    weight = np.linalg.inv(omega)
    return of(weight), of(np.eye(2))


def objective_of(program: Program, support: np.ndarray) -> float:
    """The objective of a support by a pseudo-inverse of its scaled Gram matrix."""
    columns = [j for u in np.flatnonzero(support) for j in program.units[u] if program.gram[j, j] > 0]
    spent = program.constant + float(np.asarray(program.cost)[support].sum())
    if not columns:
        return spent
    length = np.sqrt(np.diag(program.gram)[columns])
    gram = program.gram[np.ix_(columns, columns)] / np.outer(length, length)
    linear = program.linear[columns] / length
    return spent - float(linear @ np.linalg.pinv(gram, rcond=1e-9, hermitian=True) @ linear)


def obeys(rules: Rules, support: np.ndarray) -> bool:
    inside = set(np.flatnonzero(support).tolist())
    return not (
        set(rules.forced) - inside
        or set(rules.banned) & inside
        or any(len(inside & set(group)) > 1 for group in rules.exclusive)
        or any(a in inside and b not in inside for a, b in rules.requires)
        or (rules.at_most is not None and len(inside) > rules.at_most)
    )


def brute_force(program: Program) -> float:
    """The smallest objective over all supports that the rules allow."""
    supports = (np.array(s, dtype=bool) for s in product([False, True], repeat=program.n_units))
    return min(objective_of(program, s) for s in supports if obeys(program.rules, s))


#: Each kind of rule alone, units of several columns, and everything at once, for 7 columns.
RULES = {
    "none": (None, Rules()),
    "forced": (None, Rules(forced=(1, 4))),
    "banned": (None, Rules(banned=(0, 3))),
    "exclusive": (None, Rules(exclusive=((0, 1, 2), (3, 4)))),
    "requires": (None, Rules(requires=((0, 1), (1, 2), (5, 6)))),
    "at most": (None, Rules(at_most=1)),
    "several columns": (((0, 1, 2), (3,), (4, 6), (5,)), Rules()),
    "mixed": (
        ((0, 2), (1,), (3,), (4,), (5,), (6,)),
        Rules(forced=(3,), banned=(5,), exclusive=((0, 1), (1, 2)), requires=((4, 0),), at_most=3),
    ),
}


def ruled_program(kind: str, seed: int) -> Program:
    units, rules = RULES[kind]
    return random_program(seed, n_columns=7, signal=2.0, units=units, rules=rules)
