"""Damped Newton ascent of many functions at once, one per row (Levenberg-Marquardt).

A rejected step costs one more iteration with more damping, never a separate line search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

STEP_CAP = 2.0  # largest change of a component per step, in units of its scale
DAMPING_START, DAMPING_DOWN, DAMPING_UP, DAMPING_STOP = 1e-3, 0.2, 20.0, 1e8
RIDGE = 1e-10  # relative

#: (z (R, d), rows (R,)) -> value (R,), gradient (R, d), positive definite curvature (R, d, d) of what is minimised;
#: the value is inf where it is not defined.
Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowest:
    """z (R, d), value (R,) and curvature (R, d, d) there; decrement (R,): g'H^-1 g left."""

    z: np.ndarray
    value: np.ndarray
    curvature: np.ndarray
    decrement: np.ndarray


def descend(
    evaluate: Evaluate, start: np.ndarray, *, scale: np.ndarray | float, max_iterations: int, tolerance: float
) -> Lowest:
    """Minimise from start (R, d). A row is done when its decrement is below `tolerance` or no step helps any more;
    `scale` (d,) is the size of one unit of each component."""
    z = np.array(start, dtype=float)
    value, gradient, hessian = evaluate(z, np.arange(len(z)))
    damping = np.full(len(z), DAMPING_START)
    decrement = np.full(len(z), np.inf)
    moving = np.isfinite(value)
    decrement[moving] = _decrement(gradient[moving], hessian[moving])
    moving &= decrement > tolerance
    for _ in range(max_iterations):
        rows = np.flatnonzero(moving)
        if not len(rows):
            break
        trial = z[rows] + _step(gradient[rows], hessian[rows], damping[rows], scale)
        new_value, new_gradient, new_hessian = evaluate(trial, rows)
        better = new_value < value[rows]
        accepted, kept = rows[better], rows[~better]
        z[accepted], value[accepted] = trial[better], new_value[better]
        gradient[accepted], hessian[accepted] = new_gradient[better], new_hessian[better]
        damping[accepted] = np.maximum(damping[accepted] * DAMPING_DOWN, 1e-9)
        damping[kept] = np.maximum(damping[kept], DAMPING_START) * DAMPING_UP
        decrement[accepted] = _decrement(gradient[accepted], hessian[accepted])
        moving[rows] = (decrement[rows] > tolerance) & (damping[rows] < DAMPING_STOP)
    return Lowest(z=z, value=value, curvature=hessian, decrement=decrement)


def _step(gradient: np.ndarray, hessian: np.ndarray, damping: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    d = gradient.shape[1]
    diagonal = np.einsum("nii->ni", hessian)
    damped = hessian + damping[:, None, None] * diagonal[:, :, None] * np.eye(d)
    step = -_solved(damped, gradient)
    longest = np.abs(step / scale).max(axis=1, initial=0.0)
    return step * np.minimum(1.0, STEP_CAP / np.maximum(longest, 1e-300))[:, None]


def _decrement(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    return (gradient * _solved(hessian, gradient)).sum(axis=1)


def _solved(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """matrix^-1 vector of every row (R, d). Far from the data a curvature can be so large in some directions that it is
    singular in its digits: such a row gets a relative ridge on its diagonal. NaN where there is no number."""
    try:
        return np.linalg.solve(matrix, vector[..., None])[..., 0]
    except np.linalg.LinAlgError:
        found = np.full(vector.shape, np.nan)
        for row, (own, right) in enumerate(zip(matrix, vector, strict=True)):
            for ridge in (0.0, RIDGE):
                try:
                    found[row] = np.linalg.solve(own + ridge * np.diag(np.diag(own)), right)
                    break
                except np.linalg.LinAlgError:
                    continue
        return found
