"""The residual error's maximiser on weighted draws: ResidualModel.update without an array of the predictions' size."""

from __future__ import annotations

import numpy as np

from nlmevae.decoder.residual import ResidualModel, scoring_steps
from nlmevae.likelihood.kernels import (
    COUNTED,
    INFORMATION_AA,
    INFORMATION_AB,
    INFORMATION_BB,
    SCORE_A,
    SCORE_B,
    SQUARES,
    TOTAL,
    VALUE,
    residual_sums,
)


def update_on_draws(
    residual: ResidualModel,
    y: np.ndarray,
    prediction: np.ndarray,
    weight: np.ndarray,
    ptr: np.ndarray,
    coefficients: tuple[float, float],
) -> tuple[float, float]:
    """(a, b) as from `ResidualModel.update`, for y (M,), prediction (K, M) and weight (K, N) of every subject's draws,
    whose observations are ptr[i]:ptr[i + 1]."""
    a, b = coefficients
    if not any(residual.free):
        return a, b

    def sums(a: float, b: float, *, with_density: bool) -> np.ndarray:
        out = np.zeros((weight.shape[1], 9))
        residual_sums(prediction, weight, y, ptr, residual.numbers(a, b), with_density, out)
        return out.sum(axis=0)

    if residual.error.kind in ("additive", "proportional"):
        total = sums(1.0, 1.0, with_density=False)
        if total[COUNTED] <= 0.0:
            return a, b
        size = float(np.sqrt(total[SQUARES] / total[COUNTED]))
        return (size, b) if residual.error.kind == "additive" else (a, size)
    if any(free and not value > 0.0 for free, value in zip(residual.free, coefficients, strict=True)):
        return residual.update(y, prediction, np.repeat(weight, np.diff(ptr), axis=1), a, b)

    def evaluate(a: float, b: float) -> tuple[float, np.ndarray, np.ndarray]:
        total = sums(a, b, with_density=True)
        information = total[[INFORMATION_AA, INFORMATION_AB, INFORMATION_AB, INFORMATION_BB]].reshape(2, 2)
        return total[VALUE] if total[TOTAL] > 0.0 else -np.inf, total[[SCORE_A, SCORE_B]], information

    return scoring_steps(evaluate, residual.free, a, b)
