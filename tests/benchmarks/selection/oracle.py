"""What the criteria could reach at best: the factorial with every subject's CL and Vc known exactly.

    python -m tests.benchmarks.selection.oracle [--sets 100] [--subjects 40 80 300] [--shapes 1 2] [--out oracle.json]

The data are (log CL, log Vc), a two-variate normal regression; -2LL is that of maximum likelihood with the full
covariance (seemingly unrelated regressions), and the best support is found by going through all of them: no estimation
error, no search error. `--omega diagonal` takes the two parameters as independent. Prints the share of exact models
per criterion, as a mean over the 16 scenarios, and how often the model without effects is kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import chi2

from tests.benchmarks.selection.factorial_data import (
    CATEGORICAL,
    CONTINUOUS,
    PARAMETERS,
    SCENARIOS,
    draw_subjects,
)

#: Name -> penalty of an effect with k coefficients, N subjects, p candidates.
CRITERIA = {
    "aic": lambda k, n, p: 2.0 * k,
    "bicc": lambda k, n, p: k * np.log(n),
    "ebic:0.25": lambda k, n, p: k * np.log(n) + 0.5 * np.log(p),
    "ebic:0.5": lambda k, n, p: k * np.log(n) + np.log(p),
    "ebic": lambda k, n, p: k * np.log(n) + 2.0 * np.log(p),
    "mbic": lambda k, n, p: k * np.log(n) + 2.0 * np.log(p / 4.0),
    "lrt:0.05": lambda k, n, p: chi2.isf(0.05, k),
    "lrt:0.01": lambda k, n, p: chi2.isf(0.01, k),
    "lrt:0.001": lambda k, n, p: chi2.isf(0.001, k),
}
#: Supports of one parameter that stay in the joint search: the best of its own regression under each criterion.
SHORTLIST = 24


@dataclass(frozen=True)
class Subset:
    """One support of one parameter: its relations with shapes, regressors (n_columns,), sizes of its effects."""

    effects: tuple[tuple[str, str], ...]
    columns: tuple[int, ...]
    sizes: tuple[int, ...]


def design(covariates: dict[str, np.ndarray], shapes: int) -> tuple[np.ndarray, list[Subset]]:
    """Regressors (N, n_columns), centred, and all supports of one parameter (at most one shape per covariate)."""
    columns: list[np.ndarray] = []
    choices: list[list[tuple[tuple[str, str], tuple[int, ...]] | None]] = []
    for name in CONTINUOUS:
        x = covariates[name]
        options: list = [None, ((name, "power"), (len(columns),))]
        columns.append(np.log(x / x.mean()))
        if shapes == 2:
            options.append(((name, "exponential"), (len(columns),)))
            columns.append((x - x.mean()) / x.std())
        choices.append(options)
    for name in CATEGORICAL:
        levels = np.unique(covariates[name])[1:]
        choices.append([None, ((name, "categorical"), tuple(range(len(columns), len(columns) + len(levels))))])
        columns += [(covariates[name] == level).astype(float) for level in levels]
    X = np.column_stack(columns) if columns else np.empty((0, 0))
    subsets = []
    for choice in itertools.product(*choices):
        chosen = [c for c in choice if c is not None]
        subsets.append(
            Subset(
                tuple(c[0] for c in chosen), tuple(j for c in chosen for j in c[1]), tuple(len(c[1]) for c in chosen)
            )
        )
    return X - X.mean(0), subsets


def residual_sums(X: np.ndarray, z: np.ndarray, subsets: list[Subset]) -> np.ndarray:
    """(2, n_subsets) residual sums of squares of each parameter's own regression."""
    sums = np.empty((z.shape[1], len(subsets)))
    for s, subset in enumerate(subsets):
        q = np.linalg.qr(X[:, subset.columns])[0]
        sums[:, s] = np.square(z).sum(0) - np.square(q.T @ z).sum(0)
    return sums


def joint_minus_two_ll(X: np.ndarray, z: np.ndarray, first: list[Subset], second: list[Subset]) -> np.ndarray:
    """(n_first, n_second) -2LL up to a constant, by iterated generalised least squares, all pairs at once."""
    n, columns = X.shape
    G, R, S = X.T @ X, X.T @ z, z.T @ z
    kept_1 = np.array([[j in s.columns for j in range(columns)] for s in first])
    kept_2 = np.array([[j in s.columns for j in range(columns)] for s in second])
    shape = (len(first), len(second))
    mask = np.empty((*shape, 2 * columns), dtype=bool)
    mask[..., :columns], mask[..., columns:] = kept_1[:, None, :], kept_2[None, :, :]
    flat = mask.reshape(-1, 2 * columns)
    covariance = np.broadcast_to(S / n, (len(flat), 2, 2)).copy()
    for _ in range(12):
        weight = np.linalg.inv(covariance)
        A = np.einsum("bij,kl->bikjl", weight, G).reshape(len(flat), 2 * columns, 2 * columns)
        A = A * (flat[:, :, None] & flat[:, None, :]) + np.eye(2 * columns) * ~flat[:, :, None]
        g = np.einsum("bij,kj->bik", weight, R).reshape(len(flat), 2 * columns) * flat
        beta = np.linalg.solve(A, g[..., None])[..., 0].reshape(-1, 2, columns)
        cross = np.einsum("bik,kj->bij", beta, R)
        new = (S - cross - cross.transpose(0, 2, 1) + np.einsum("bik,kl,bjl->bij", beta, G, beta)) / n
        change = np.abs(new - covariance).max() / np.abs(new).max()
        covariance = new
        if change < 1e-7:
            break
    return (n * np.linalg.slogdet(covariance)[1]).reshape(shape)


def select(
    X: np.ndarray, z: np.ndarray, subsets: list[Subset], p: int, omega: str, criteria: Iterable[str] = CRITERIA
) -> dict[str, frozenset]:
    """Criterion -> {(effect, shape)} of the best support of both parameters."""
    n = len(z)
    z = z - z.mean(0)
    own = n * np.log(residual_sums(X, z, subsets))
    cost = {
        c: np.array([sum(f(k, n, p) for k in s.sizes) for s in subsets])
        for c, f in CRITERIA.items()
        if c in set(criteria)
    }
    if omega == "diagonal":
        best = {c: [int(np.argmin(own[k] + cost[c])) for k in range(2)] for c in cost}
        return {c: _named(subsets, pair) for c, pair in best.items()}
    short = [sorted({int(s) for c in cost for s in np.argsort(own[k] + cost[c])[:SHORTLIST]}) for k in range(2)]
    joint = joint_minus_two_ll(X, z, [subsets[s] for s in short[0]], [subsets[s] for s in short[1]])
    chosen = {}
    for c in cost:
        total = joint + cost[c][short[0]][:, None] + cost[c][short[1]][None, :]
        i, j = np.unravel_index(int(np.argmin(total)), total.shape)
        chosen[c] = _named(subsets, [short[0][i], short[1][j]])
    return chosen


def _named(subsets: list[Subset], pair: list[int]) -> frozenset:
    return frozenset(
        (f"{parameter}~{covariate}", shape)
        for parameter, s in zip(PARAMETERS, pair, strict=True)
        for covariate, shape in subsets[s].effects
    )


def run(n: int, shapes: int, sets: int, omega: str) -> dict[str, dict[str, float]]:
    """Criterion -> shares: relations (exact), with_shape (exact with the true shapes), null kept, false per model."""
    p = len(PARAMETERS) * (shapes * len(CONTINUOUS) + len(CATEGORICAL))
    hits = {c: {"relations": [], "with_shape": [], "null": [], "false": [], "missed": []} for c in CRITERIA}
    for number, scenario in enumerate(SCENARIOS):
        truth = {(e, "categorical" if e == "V2~SEX" else "power") for e in scenario}
        for k in range(sets):
            rng = np.random.default_rng([n, number, k])
            subjects = draw_subjects(rng, n, scenario)
            X, subsets = design(subjects.covariates, shapes)
            for c, support in select(X, subjects.log_parameters, subsets, p, omega).items():
                names = {e for e, _ in support}
                hits[c]["relations"].append(names == set(scenario))
                hits[c]["with_shape"].append(set(support) == truth)
                hits[c]["false"].append(len(names - set(scenario)))
                hits[c]["missed"].append(len(set(scenario) - names))
                if not scenario:
                    hits[c]["null"].append(not names)
    return {c: {key: float(np.mean(v)) for key, v in h.items()} for c, h in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=100, help="data sets per scenario")
    parser.add_argument("--subjects", type=int, nargs="+", default=[40, 80, 300])
    parser.add_argument("--shapes", type=int, nargs="+", default=[1, 2], choices=(1, 2))
    parser.add_argument("--omega", choices=("block", "diagonal"), default="block")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for shapes, n in itertools.product(options.shapes, options.subjects):
        for criterion, shares in run(n, shapes, options.sets, options.omega).items():
            rows.append({"shapes": shapes, "n": n, "criterion": criterion, "sets": options.sets, **shares})
            print(
                f"shapes {shapes}  N {n:3d}  {criterion:9s}  exact {100 * shares['relations']:5.1f} %  "
                f"with shape {100 * shares['with_shape']:5.1f} %  null kept {100 * shares['null']:5.1f} %  "
                f"false {shares['false']:.2f}  missed {shares['missed']:.2f}",
                flush=True,
            )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1), encoding="ascii")


if __name__ == "__main__":
    main()
