"""Gaussian posteriors and the sufficient statistics every M step reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """q(z_i | y_i) = N(mean_i, chol_i chol_i'), from the encoder, the mode finder or weighted draws.

    mean (N, d); chol (N, d, d) lower triangular; ok (N,) False where it could not be computed.
    """

    mean: np.ndarray
    chol: np.ndarray
    kind: Literal["encoder", "map", "weighted"]
    ok: np.ndarray

    @property
    def cov(self) -> np.ndarray:
        return self.chol @ np.swapaxes(self.chol, -1, -2)

    def of_subjects(self, subjects: slice) -> Posterior:
        return replace(self, mean=self.mean[subjects], chol=self.chol[subjects], ok=self.ok[subjects])

    def of_everyone(self, everyone: Callable[[np.ndarray, str], np.ndarray]) -> Posterior:
        """Of the subjects of all processes, from those of this one."""
        arrays = {name: everyone(getattr(self, name), f"posterior {name}") for name in ("mean", "chol", "ok")}
        return replace(self, **arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class SufficientStatistics:
    """What the closed-form M step needs; the same type from the encoder and from weighted draws.

    z_mean (N, d) = E[z_i]; z_cov (N, d, d) = Cov[z_i]; residual draws: `prediction` (K, M) and
    `weight` (K, M) (weights of each draw, summing to 1 over K for every observation); `multiplier` (K, M) logarithms
    of what random effects on the residual error multiply it by (None: there are none).
    """

    z_mean: np.ndarray
    z_cov: np.ndarray
    prediction: np.ndarray
    weight: np.ndarray
    multiplier: np.ndarray | None = None
