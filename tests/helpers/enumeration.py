"""The optimum of a selection step by looking at every support: modified Gram-Schmidt on a square root of G."""

from __future__ import annotations

import numpy as np

from nlmevae.selection.program import Program, Rules

DEPENDENT = 1e-10


def allowed(rules: Rules, support: np.ndarray) -> bool:
    """Does a support obey the rules? Written from their definition in `Rules`."""
    inside = set(np.flatnonzero(support).tolist())
    return (
        set(rules.forced) <= inside
        and not set(rules.banned) & inside
        and all(len(inside & set(group)) <= 1 for group in rules.exclusive)
        and all(b in inside for a, b in rules.requires if a in inside)
        and (rules.at_most is None or len(inside) <= rules.at_most)
    )


def enumerate_supports(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Every allowed support (n, n_units) bool with its objective (n,)."""
    scale = 1.0 / np.sqrt(np.where(np.diag(program.gram) > 0, np.diag(program.gram), np.inf))
    values, vectors = np.linalg.eigh(program.gram * np.outer(scale, scale))
    used = values > 1e-13
    rows = np.sqrt(values[used])[:, None] * vectors[:, used].T
    target = vectors[:, used].T @ (scale * program.linear) / np.sqrt(values[used])
    supports: list[np.ndarray] = []
    objectives: list[float] = []

    def visit(unit: int, chosen: list[int], basis: list[np.ndarray], fit: float, cost: float) -> None:
        if unit == program.n_units:
            support = np.zeros(program.n_units, dtype=bool)
            support[chosen] = True
            if allowed(program.rules, support):
                supports.append(support)
                objectives.append(program.constant + cost - fit)
            return
        visit(unit + 1, chosen, basis, fit, cost)
        grown, gained = list(basis), 0.0
        for c in program.units[unit]:
            direction = rows[:, c].copy()
            for _ in range(2):
                for known in grown:
                    direction -= (known @ direction) * known
            length = direction @ direction
            if length > DEPENDENT:
                direction /= np.sqrt(length)
                grown.append(direction)
                gained += (direction @ target) ** 2
        visit(unit + 1, [*chosen, unit], grown, fit + gained, cost + program.cost[unit])

    visit(0, [], [], 0.0, 0.0)
    return np.array(supports), np.array(objectives)


def best(program: Program) -> tuple[np.ndarray, float, float]:
    """Best support, its objective, and the objective of the next."""
    supports, objectives = enumerate_supports(program)
    order = np.argsort(objectives, kind="stable")
    second = float(objectives[order[1]]) if len(order) > 1 else float("inf")
    return supports[order[0]], float(objectives[order[0]]), second
