"""Which supports other penalties would choose, by the same profile criterion as the choice itself.

With all penalties multiplied by a factor, a support's criterion is a straight line in the factor; the path is the lower
envelope of these lines. It is traced by the crossing of two neighbouring supports: solve at the crossing, and if a
better support turns up there, look on both sides of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.observed_selection import EffectSearch, Exploration, Solver
from nlmevae.estimation.profile import Profile

LOWEST = 0.2  # factor at which the path begins
SUBJECTS_PER_EFFECT = 5
SAME = 1e-3  # of the criterion: a crossing that is better by less is none


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPoint:
    """The best support found while the factor on all penalties is within (low, high]."""

    low: float
    high: float
    support: np.ndarray
    profile: Profile


def path(
    search: EffectSearch,
    omega: np.ndarray,
    *,
    support: np.ndarray | None = None,
    lowest: float = LOWEST,
    seconds: float = 10.0,
    solver: Solver | None = None,
) -> tuple[PathPoint, ...]:
    """From the weakest penalties to the strongest (factor `lowest` to infinity), with at most one effect for every
    five subjects unless `support` has more.

    Args:
        omega: (d, d) to start from.
        support: (n_units,) the chosen one, a point to start from.
        seconds: after which no further support is sought; the path is then that of the supports found.
        solver: as in `choose`.
    """
    deadline = time.perf_counter() + seconds
    run = Exploration(_of_limited_size(search, support), omega, solver=solver)
    known = [run.smallest] if support is None else [run.smallest, support.copy()]
    if run.profile_everything(known[-1]):
        return _envelope(run, lowest)
    run.profile(known, omega)
    weakest = _at(run, lowest, known)
    open_intervals = [(weakest, run.smallest)]
    while open_intervals and time.perf_counter() < deadline:
        more, fewer = open_intervals.pop()
        factor = _crossing(run, more, fewer)
        if factor is None or factor <= lowest:
            continue
        between = _at(run, factor, [more, fewer])
        if run.at(factor * search.cost).criterion(between) < _line(run, more, factor) - SAME:
            open_intervals += [(more, between), (between, fewer)]
    return _envelope(run, lowest)


def supports_by_criterion(
    search: EffectSearch,
    omega: np.ndarray,
    penalties: Mapping[str, np.ndarray],
    *,
    support: np.ndarray | None = None,
    solver: Solver | None = None,
) -> dict[str, np.ndarray]:
    """Name -> the support (n_units,) that penalties (n_units,) on -2LL choose."""
    run = Exploration(search, omega, solver=solver)
    start = run.smallest if support is None else support
    return {name: run.at(np.asarray(cost, dtype=float)).explore(start.copy()) for name, cost in penalties.items()}


def _of_limited_size(search: EffectSearch, support: np.ndarray | None) -> EffectSearch:
    """Weak penalties would let in effects until no variance is left to explain."""
    chosen = len(search.rules.forced) if support is None else int(support.sum())
    most = max(search.model.n_subjects // SUBJECTS_PER_EFFECT, chosen, 1)
    if search.rules.at_most is not None:
        most = min(most, search.rules.at_most)
    return replace(search, rules=replace(search.rules, at_most=most))


def _at(run: Exploration, factor: float, starts: list[np.ndarray]) -> np.ndarray:
    """The best support at this factor."""
    there = run.at(factor * run.search.cost)
    there.alternate(starts)
    best = min(there.profiles_allowed(), key=there.criterion)
    there.profile([best], there.omega)
    around = there.neighbours_of(best)
    there.profile(around, there.profiles[best.tobytes()].omega)
    return min([best, *around], key=there.criterion)


def _line(run: Exploration, support: np.ndarray, factor: float) -> float:
    return run.profiles[support.tobytes()].minus_two_ll + factor * float(run.search.cost[support].sum())


def _crossing(run: Exploration, more: np.ndarray, fewer: np.ndarray) -> float | None:
    """The factor at which two supports are equally good; None if the second is not the cheaper one."""
    saved = float(run.search.cost[more].sum() - run.search.cost[fewer].sum())
    if saved <= 1e-12:
        return None
    return (_line(run, fewer, 0.0) - _line(run, more, 0.0)) / saved


def _envelope(run: Exploration, lowest: float) -> tuple[PathPoint, ...]:
    """Every profiled support that is best for some factor above `lowest`, weakest penalties first."""
    supports = run.profiles_allowed()
    cost = np.array([run.search.cost[s].sum() for s in supports])
    value = np.array([run.profiles[s.tobytes()].minus_two_ll for s in supports])
    factor, points = lowest, []
    current = int(np.lexsort((cost, value + factor * cost))[0])
    while True:
        cheaper = np.flatnonzero(cost < cost[current] - 1e-12)
        if not len(cheaper):
            break
        crossing = (value[cheaper] - value[current]) / (cost[current] - cost[cheaper])
        first = cheaper[np.lexsort((cost[cheaper], crossing))[0]]
        high = float(max(crossing.min(), factor))
        if high > factor:
            points.append((factor, high, supports[current]))
        factor, current = high, int(first)
    points.append((factor, float("inf"), supports[current]))
    run.profile([s for _, _, s in points], run.omega)
    return tuple(
        PathPoint(low=low, high=high, support=support, profile=run.profiles[support.tobytes()])
        for low, high, support in points
    )
