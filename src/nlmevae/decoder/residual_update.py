"""The coefficients of the residual error that fit weighted predictions best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.decoder.residual import ResidualModel, flat_multiplier
from nlmevae.decoder.residual_kernels import (
    COUNTED,
    INFORMATION,
    N_SUMS,
    SCORE,
    SQUARES,
    TOTAL,
    VALUE,
    Observed,
    residual_sums,
)
from nlmevae.threads import each, parts

N_SCORING_STEPS = 3
_SHARED = 512  # groups of observations that one thread takes at a time
LARGEST_STEP = 2.0  # of the log of a standard deviation in one scoring step
LARGEST_OTHER = 0.5  # of an exponent and of atanh of a correlation


def update(
    residual: ResidualModel,
    observed: Observed,
    prediction: np.ndarray,
    weight: np.ndarray,
    coefficients: np.ndarray,
    *,
    ptr: np.ndarray | None = None,
    multiplier: np.ndarray | None = None,
    everyone: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """(q,) coefficients that maximise the weighted sum of log densities, fixed ones unchanged.

    Closed form (the root of the weighted mean of squared residuals in units of the coefficient) for a coefficient
    that is alone in all its endpoints; for the others three Fisher scoring steps in their coordinates from the given
    values, none of which lowers the sum.

    Args:
        prediction: (K, M); weight: (K, M), or (K, N) of groups with observations ptr[i]:ptr[i + 1]; not negative.
            Terms of weight 0, with a prediction that is not finite or with sd 0 do not count.
        multiplier: (K, M) logarithms of factors of the standard deviation.
        everyone: (n, ...) of these groups or observations to those (N, ...) of all processes, which share the data;
            None: these are all.
    """
    everyone = everyone or (lambda own: own)
    free = residual.free
    if not free.any():
        return coefficients
    prediction = np.ascontiguousarray(np.atleast_2d(prediction), dtype=float)
    weight = np.ascontiguousarray(np.atleast_2d(weight), dtype=float)
    groups = np.arange(prediction.shape[1] + 1, dtype=np.int32) if ptr is None else ptr
    more = flat_multiplier(multiplier, prediction.shape)

    def sums(c: np.ndarray, *, with_density: bool) -> Sums:
        totals = []
        for error in residual.numbers(c):
            out = np.zeros((weight.shape[1], N_SUMS))

            def add(part: slice, error=error, out=out) -> None:
                share, bounds = np.ascontiguousarray(weight[:, part]), groups[part.start : part.stop + 1]
                residual_sums(prediction, share, observed, bounds, error, more, with_density, out[part])

            each(add, parts(weight.shape[1], _SHARED))
            totals.append(everyone(out).sum(axis=0))
        return Sums.of(residual, totals)

    alone = free & _alone(residual) & (not observed.limited)
    found = np.array(coefficients, dtype=float)
    if alone.any():
        found = _closed_form(sums, found, alone)
    joint = free & ~alone
    if not joint.any():
        return found
    if (joint & residual.is_size & (found <= 0.0)).any():
        every = np.repeat(weight, np.diff(groups), axis=1)
        found = _positive_start(residual, observed, (prediction, every), found, joint, everyone)
    return _scoring_steps(residual, sums, found, joint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Weighted sums over draws and observations, for the q coefficients in their coordinates: value of the log density,
    total of the weights, score (q,), expected information (q, q); squares (q,) of (y - f) / sd and counted (q,) weights
    of terms whose sd depends on the coefficient."""

    value: float
    total: float
    score: np.ndarray
    information: np.ndarray
    squares: np.ndarray
    counted: np.ndarray

    @classmethod
    def of(cls, residual: ResidualModel, parts: list[np.ndarray]) -> Sums:
        """From the sums (N_SUMS,) of every endpoint."""
        maps = [residual.slot_map(e) for e in range(len(parts))]
        acts = [(m != 0.0).any(axis=0) for m in maps]
        triangle = np.zeros((4, 4), dtype=int)
        triangle[np.tril_indices(4)] = np.arange(10)
        full = INFORMATION + np.maximum(triangle, triangle.T)
        return cls(
            value=float(sum(p[VALUE] for p in parts)),
            total=float(sum(p[TOTAL] for p in parts)),
            score=sum(m.T @ p[SCORE : SCORE + 4] for m, p in zip(maps, parts, strict=True)),
            information=sum(m.T @ p[full] @ m for m, p in zip(maps, parts, strict=True)),
            squares=sum(a * p[SQUARES] for a, p in zip(acts, parts, strict=True)),
            counted=sum(a * p[COUNTED] for a, p in zip(acts, parts, strict=True)),
        )


def _alone(residual: ResidualModel) -> np.ndarray:
    """(q,) bool: the only coefficient of every endpoint that has it, and a standard deviation."""
    alone = residual.is_size.copy()
    for point in residual.endpoints:
        if len(point.slots) > 1:
            alone[[slot.coefficient for slot in point.slots.values()]] = False
    return alone


def _closed_form(sums: Callable[..., Sums], coefficients: np.ndarray, alone: np.ndarray) -> np.ndarray:
    total = sums(np.where(alone, 1.0, coefficients), with_density=False)
    found = alone & (total.counted > 0.0)
    with np.errstate(all="ignore"):
        return np.where(found, np.sqrt(total.squares / total.counted), coefficients)


def _scoring_steps(
    residual: ResidualModel, sums: Callable[..., Sums], coefficients: np.ndarray, joint: np.ndarray
) -> np.ndarray:
    """After three Fisher scoring steps of the coefficients `joint`, none of which lowers the value."""
    used = np.flatnonzero(joint)

    def evaluate(c: np.ndarray) -> Sums:
        total = sums(c, with_density=True)
        return total if total.total > 0.0 else replace(total, value=-np.inf)

    best, here = coefficients, evaluate(coefficients)
    longest = np.where(residual.is_size, LARGEST_STEP, LARGEST_OTHER)[used]
    for _ in range(N_SCORING_STEPS):
        moved = None
        for short in _steps(here.score[used], here.information[np.ix_(used, used)], longest):
            step = np.zeros(len(coefficients))
            step[used] = short
            moved = _ascent(residual, evaluate, best, here, np.where(joint, step, 0.0))
            if moved is not None:
                break
        if moved is None:
            break
        best, here = moved
    return best


def _ascent(
    residual: ResidualModel, evaluate: Callable[[np.ndarray], Sums], best: np.ndarray, here: Sums, step: np.ndarray
) -> tuple[np.ndarray, Sums] | None:
    """The step, halved until the value does not fall; None if it always does."""
    for _ in range(12):
        trial = np.where(step != 0.0, residual.from_coordinates(residual.coordinates(best) + step), best)
        new = evaluate(trial)
        if new.value >= here.value:
            return trial, new
        step = 0.5 * step
    return None


def _steps(score: np.ndarray, information: np.ndarray, longest: np.ndarray) -> Iterator[np.ndarray]:
    """The maximum of the quadratic, first within the largest step of every coordinate (one that goes to 0 for ever must
    not hold back the others), then shortened as a whole, which always points upwards."""
    scale = np.sqrt(np.diag(information)) + 1e-150  # a coefficient near 0 has a tiny information: keep its step
    matrix = information / np.outer(scale, scale) + 1e-10 * np.eye(len(scale))
    whole = np.linalg.solve(matrix, score / scale) / scale
    step, free = whole.copy(), np.ones(len(scale), dtype=bool)
    for _ in range(len(scale)):
        over = free & (np.abs(step) > longest)
        step[over] = np.clip(step[over], -longest[over], longest[over])
        free &= ~over
        if not over.any() or not free.any():
            break
        rest = score[free] / scale[free] - matrix[np.ix_(free, ~free)] @ (step[~free] * scale[~free])
        step[free] = np.linalg.solve(matrix[np.ix_(free, free)], rest) / scale[free]
    yield step
    yield whole * min(1.0, (longest / np.maximum(np.abs(whole), 1e-300)).min())


def _positive_start(
    residual: ResidualModel,
    observed: Observed,
    weighted: tuple[np.ndarray, np.ndarray],
    coefficients: np.ndarray,
    joint: np.ndarray,
    everyone: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Standard deviations as they are, or a thousandth of what the residuals suggest where they are 0. `weighted`:
    predictions and their weights (K, M)."""
    prediction, weight = weighted
    zero = joint & residual.is_size & (coefficients <= 0.0)
    found = np.array(coefficients)
    usable = (weight > 0.0) & np.isfinite(prediction)
    for point_index, point in enumerate(residual.endpoints):
        here = usable & (observed.endpoint == point_index)
        w, f = np.where(here, weight, 0.0), np.where(here, prediction, 0.0)
        own = np.column_stack([term.sum(axis=0) for term in (w, w * (observed.y - f) ** 2, w * np.abs(f))])
        total, squares, sizes = everyone(own).sum(axis=0)
        rms = float(np.sqrt(squares / (total or 1.0))) or 1e-12
        size = float(sizes / (total or 1.0)) or 1.0
        for name, start in (("a", rms), ("b", rms / size)):
            slot = point.slots.get(name)
            if slot is not None and zero[slot.coefficient]:
                found[slot.coefficient] = 1e-3 * start / slot.factor
    return found
