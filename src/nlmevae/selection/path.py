"""What other charges would have chosen, and how firm each decision is.

The supports that are optimal for some multiple of the charges are the vertices of the lower convex hull of
{(charges, sum of squares)} over all supports. Each question "the optimum at this multiple?" is one exact solve; asked
at the slope between two known vertices it finds a vertex between them or proves that there is none (dichotomic search).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from nlmevae.selection.normal_form import refit
from nlmevae.selection.program import Budget, Program, Solution
from nlmevae.selection.solve import TIE, Prepared

#: Smallest multiple of the charges that is looked at.
FLOOR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPoint:
    """One support of the path: optimal while the charges are multiplied by a number in [low, high].

    beta (p,), fit: objective without charges; cost: its charges; certified: proven for the multiples it was found at.
    """

    low: float
    high: float
    support: np.ndarray
    beta: np.ndarray
    fit: float
    cost: float
    certified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vertex:
    support: np.ndarray
    beta: np.ndarray
    fit: float
    cost: float
    certified: bool


def penalty_path(
    program: Program,
    *,
    floor: float = FLOOR,
    most_units: int | None = None,
    budget: Budget | None = None,
    solver: str = "auto",
) -> tuple[PathPoint, ...]:
    """From the smallest support (highest charges) to the largest.

    Args:
        floor: smallest multiple of the charges.
        most_units: the path ends before the first support with more units.
        budget: of each solve; points that ran out of it have certified=False.
        solver: "auto", "table" or "bnb".
    """
    prepared = Prepared(program, solver=solver)
    budget = budget or Budget()
    known = [_smallest(prepared)]
    multiple = 1.0
    while True:
        known.append(_vertex(prepared, multiple, known[-1].support, budget))
        if multiple <= floor or (most_units is not None and known[-1].support.sum() > most_units):
            break
        multiple = max(0.5 * multiple, floor)
    lowest = multiple
    vertices = [known[0]]
    for vertex in known[1:]:
        vertices += [*_between(prepared, vertices[-1], vertex, budget), vertex]
    hull = _hull(vertices, TIE * prepared.unit_cost)
    return _points(hull, lowest, most_units)


def margins(program: Program, solution: Solution, *, budget: Budget | None = None, solver: str = "auto") -> np.ndarray:
    """(n_units,) how much the objective rises if the decision on one unit is reversed and all others are made anew;
    NaN where the rules leave no choice. Of units with the same columns one may stand in for another."""
    prepared = Prepared(program, solver=solver)
    budget = budget or Budget()
    reduction = prepared.reduction
    rise = np.full(program.n_units, np.nan)
    blocked = set(program.rules.forced) | set(program.rules.banned)
    groups = {u: (first, *others) for first, others in reduction.aliases.items() for u in (first, *others)}
    for unit in range(program.n_units):
        if unit in blocked:
            continue
        same = groups.get(unit, (unit,))
        if len(same) > 1 and solution.support[list(same)].any():
            rise[unit] = 0.0
        elif reduction.always[unit] or (reduction.never[unit] and len(same) == 1):
            rise[unit] = _reversed_by_rules(program, solution, unit, budget, solver)
        else:
            state = np.full(program.n_units, -1)
            state[same[0]] = int(not solution.support[unit])
            other = prepared.solve(warm=solution.support, state=state, budget=budget)
            if other is not None:
                rise[unit] = max(other.objective - solution.objective, 0.0)
    return rise


def _reversed_by_rules(program: Program, solution: Solution, unit: int, budget: Budget, solver: str) -> float:
    """For units that the reduction decides: as a rule of a program of their own."""
    from nlmevae.errors import SettingsError

    rules = program.rules
    if solution.support[unit]:
        rules = replace(rules, banned=(*rules.banned, unit))
    else:
        rules = replace(rules, forced=(*rules.forced, unit))
    try:
        other = Prepared(replace(program, rules=rules), solver=solver).solve(budget=budget)
    except SettingsError:
        return float("nan")
    return float("nan") if other is None else max(other.objective - solution.objective, 0.0)


def _smallest(prepared: Prepared) -> _Vertex:
    """What infinite charges leave."""
    program = prepared.program
    support = prepared.reduction.always.copy()
    beta, objective = refit(program, support)
    cost = float(np.asarray(program.cost)[support].sum())
    return _Vertex(support=support, beta=beta, fit=objective - cost, cost=cost, certified=True)


def _vertex(prepared: Prepared, multiple: float, warm: np.ndarray, budget: Budget) -> _Vertex:
    found = prepared.solve(cost_factor=multiple, warm=warm, budget=budget)
    cost = float(np.asarray(prepared.program.cost)[found.support].sum())
    return _Vertex(
        support=found.support, beta=found.beta, fit=found.objective - multiple * cost, cost=cost,
        certified=found.certified,
    )  # fmt: skip


def _between(prepared: Prepared, small: _Vertex, large: _Vertex, budget: Budget) -> list[_Vertex]:
    """Hull vertices strictly between two supports, in order of charges."""
    tie = 1e-6 * prepared.unit_cost
    if large.cost - small.cost <= tie or small.fit - large.fit <= 0.0:
        return []
    slope = (small.fit - large.fit) / (large.cost - small.cost)
    middle = _vertex(prepared, slope, small.support, budget)
    line = small.fit + slope * small.cost
    if middle.fit + slope * middle.cost >= line - tie * slope * (1 + TIE):
        return []
    return [*_between(prepared, small, middle, budget), middle, *_between(prepared, middle, large, budget)]


def _hull(vertices: list[_Vertex], tie: float) -> list[_Vertex]:
    """The lower convex hull, small to large charges: removes repeats, and what gaps of uncertified solves left."""
    hull: list[_Vertex] = []
    for vertex in sorted(vertices, key=lambda v: (v.cost, v.fit)):
        if hull and (vertex.cost <= hull[-1].cost + tie or vertex.fit >= hull[-1].fit - tie):
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-1], vertex):
            hull.pop()
        hull.append(vertex)
    return hull


def _slope(small: _Vertex, large: _Vertex) -> float:
    return (small.fit - large.fit) / (large.cost - small.cost)


def _points(hull: list[_Vertex], lowest: float, most_units: int | None) -> tuple[PathPoint, ...]:
    slopes = [np.inf, *(_slope(a, b) for a, b in pairwise(hull)), lowest]
    points = []
    for vertex, high, low in zip(hull, slopes[:-1], slopes[1:], strict=True):
        if most_units is not None and vertex.support.sum() > most_units:
            break
        points.append(
            PathPoint(
                low=float(min(low, high)), high=float(high), support=vertex.support, beta=vertex.beta, fit=vertex.fit,
                cost=vertex.cost, certified=vertex.certified,
            )
        )  # fmt: skip
    return tuple(points)
