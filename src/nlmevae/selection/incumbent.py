"""Supports that obey the rules, and a good one found by single exchanges: the upper bound of every exact search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.selection.normal_form import effect_cost, refit
from nlmevae.selection.program import Program


def is_allowed(program: Program, support: np.ndarray) -> bool:
    rules = program.rules
    return (
        all(support[u] for u in rules.forced)
        and not any(support[u] for u in rules.banned)
        and all(sum(support[u] for u in group) <= 1 for group in rules.exclusive)
        and all(support[b] or not support[a] for a, b in rules.requires)
        and (rules.at_most is None or support.sum() <= rules.at_most)
    )


def smallest_support(program: Program) -> np.ndarray:
    """The forced units and what they require. Every allowed support contains it, so the rules contradict each
    other exactly if it breaks one: SettingsError."""
    support = np.zeros(program.n_units, dtype=bool)
    support[list(program.rules.forced)] = True
    support = _with_required(program, support)
    if not is_allowed(program, support):
        raise SettingsError(
            f"The rules contradict each other: {_broken(program, support)}.",
            hint="loosen one of the forced, forbidden, exclusive or size rules",
        )
    return support


def incumbent(program: Program, warm: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """A support that no single addition, removal or exchange improves, from `warm` if the rules allow it, and its
    objective."""
    support = smallest_support(program)
    if warm is not None and is_allowed(program, np.asarray(warm, dtype=bool)):
        support = np.array(warm, dtype=bool)
    objective = refit(program, support)[1]
    least = 1e-9 * effect_cost(program)
    while True:
        best, best_objective = _best_of(program, _single_changes(program, support), support, objective - least)
        if best is support:  # exchanges are many: only where no single change helps
            best, best_objective = _best_of(program, _exchanges(program, support), support, objective - least)
        if best is support:
            return support, objective
        support, objective = best, best_objective


def _best_of(
    program: Program, candidates: Iterator[np.ndarray], best: np.ndarray, objective: float
) -> tuple[np.ndarray, float]:
    for candidate in candidates:
        if is_allowed(program, candidate):
            value = refit(program, candidate)[1]
            if value < objective:
                best, objective = candidate, value
    return best, objective


def _single_changes(program: Program, support: np.ndarray) -> Iterator[np.ndarray]:
    for u in range(program.n_units):
        yield _without(program, support, u) if support[u] else _with(program, support, u)


def _exchanges(program: Program, support: np.ndarray) -> Iterator[np.ndarray]:
    for out in np.flatnonzero(support):
        left = _without(program, support, out)
        for into in np.flatnonzero(~support):
            yield _with(program, left, into)


def _with(program: Program, support: np.ndarray, unit: int) -> np.ndarray:
    support = support.copy()
    support[unit] = True
    return _with_required(program, support)


def _with_required(program: Program, support: np.ndarray) -> np.ndarray:
    support = support.copy()
    changed = True
    while changed:
        changed = False
        for a, b in program.rules.requires:
            if support[a] and not support[b]:
                support[b] = changed = True
    return support


def _without(program: Program, support: np.ndarray, unit: int) -> np.ndarray:
    support = support.copy()
    support[unit] = False
    changed = True
    while changed:
        changed = False
        for a, b in program.rules.requires:
            if support[a] and not support[b]:
                support[a] = False
                changed = True
    return support


def _broken(program: Program, support: np.ndarray) -> str:
    rules = program.rules
    banned = [u for u in rules.banned if support[u]]
    if banned:
        return f"unit {banned[0]} is forbidden and also forced or required by a forced one"
    for group in rules.exclusive:
        together = [u for u in group if support[u]]
        if len(together) > 1:
            return f"units {together[0]} and {together[1]} exclude each other and both are forced or required"
    return f"{int(support.sum())} units are forced or required and at most {rules.at_most} are allowed"
