"""Trend lines: local linear regression with tricube weights (Cleveland 1979, J Am Stat Assoc 74:829-836, without the
robustness iterations)."""

from __future__ import annotations

import math

import numpy as np

#: Share of the points that each local regression sees.
SPAN = 2.0 / 3.0
N_GRID = 60
#: With no more different values of x than this the regression is evaluated at them, not between.
MOST_PLACES = 30
#: A trend needs so many points, at so many different places.
FEWEST_POINTS, FEWEST_PLACES = 10, 4


def trend(x: np.ndarray, y: np.ndarray, *, share: float = SPAN) -> tuple[np.ndarray, np.ndarray]:
    """Places over the range of x and the local regression there; both empty where there are too few points.

    At each place the nearest `share` of the points are fitted by a line with weights (1 - (d / d_max)^3)^3.
    Ties are kept in: where x has few different values the window is wider than `share`. Points that are not finite
    are left out.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known].astype(float), y[known].astype(float)
    if len(x) < FEWEST_POINTS or len(np.unique(x)) < FEWEST_PLACES:
        return np.zeros(0), np.zeros(0)
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    places = np.unique(x)
    at = places if len(places) <= MOST_PLACES else np.linspace(x[0], x[-1], N_GRID)
    n_near = max(math.ceil(share * len(x)), FEWEST_PLACES)
    return at, np.array([_local_line(x, y, point, n_near) for point in at])


def _local_line(x: np.ndarray, y: np.ndarray, point: float, n_near: int) -> float:
    """The line's value at `point`; the weighted mean where all weight is on one x."""
    distance = np.abs(x - point)
    reach = np.partition(distance, n_near - 1)[n_near - 1]
    reach = _beyond(distance, reach) * (1.0 + 1e-9)
    near = distance <= reach
    u, v = x[near] - point, y[near]
    weight = (1.0 - (distance[near] / reach) ** 3) ** 3
    total = weight.sum()
    mean_u, mean_v = (weight @ u) / total, (weight @ v) / total
    variance = weight @ (u - mean_u) ** 2
    if variance <= 1e-12 * total * reach**2:
        return float(mean_v)
    slope = (weight @ ((u - mean_u) * (v - mean_v))) / variance
    return float(mean_v - slope * mean_u)


def _beyond(distance: np.ndarray, reach: float) -> float:
    """`reach`, or the next larger distance where less than two places would have weight."""
    inside = np.unique(distance[distance < reach])
    if len(inside) >= 2:
        return reach
    farther = np.unique(distance[distance > reach])
    return float(farther[0]) if len(farther) else max(reach, 1e-300)
