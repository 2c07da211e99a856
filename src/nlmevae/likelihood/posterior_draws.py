"""Weighted draws of every subject's posterior, kept from the final importance sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.likelihood.kernels import interpolated
from nlmevae.processes import combined
from nlmevae.threads import each, parts

_SUBJECTS = 256  # whose draws one thread takes at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDraws:
    """Draws z (K, n, d) of `subjects` (n,) with weights (K, n) that sum to 1 over K. No draws: another process has
    them."""

    subjects: np.ndarray
    z: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Of n quantities: mean, sd (N, n); quantiles (Q, N, n)."""

    mean: np.ndarray
    sd: np.ndarray
    quantiles: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorDraws:
    """Of N subjects in one or more `parts` (numbers of draws differ); a later part replaces an earlier one."""

    n_subjects: int
    parts: tuple[SubjectDraws, ...]

    def summarise(
        self, quantities: Callable[[np.ndarray, np.ndarray], np.ndarray], n: int, levels: Sequence[float] = ()
    ) -> Summary:
        """Weighted moments and quantiles of quantities(z (K, n_s, d), subjects (n_s,)) -> (K, n_s, n)."""
        mean, sd = np.full((2, self.n_subjects, n), np.nan)
        quantiles = np.full((len(levels), self.n_subjects, n), np.nan)

        def describe(of: tuple[SubjectDraws, slice]) -> None:
            part, some = of
            subjects, share = part.subjects[some], np.ascontiguousarray(part.weight[:, some])
            values = quantities(np.ascontiguousarray(part.z[:, some]), subjects)
            with np.errstate(invalid="ignore", over="ignore"):
                centre = (share[..., None] * values).sum(axis=0)
                mean[subjects] = centre
                sd[subjects] = np.sqrt((share[..., None] * (values - centre) ** 2).sum(axis=0))
            for j in range(n if len(levels) else 0):
                quantiles[:, subjects, j] = weighted_quantiles(values[..., j], share, levels)

        here = np.zeros(self.n_subjects, dtype=bool)
        for part in self.parts:  # in order: a later part replaces an earlier one
            here[part.subjects] = len(part.z) > 0
            if len(part.z):
                each(describe, [(part, some) for some in parts(len(part.subjects), _SUBJECTS)])
        mean, sd = combined(mean, here, "means"), combined(sd, here, "standard deviations")
        quantiles = combined(quantiles.transpose(1, 0, 2), here, "quantiles").transpose(1, 0, 2)
        return Summary(mean=mean, sd=sd, quantiles=quantiles)

    def resample(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """(n_samples, N, d) draws of equal weight: systematic resampling (Kitagawa 1996), in random order.

        A draw may come more than once; NaN where no draw could be evaluated."""
        d = self.parts[0].z.shape[-1]
        out = np.full((n_samples, self.n_subjects, d), np.nan)
        if not n_samples:
            return out
        for part in self.parts:
            for column, subject in enumerate(part.subjects):
                points = (np.arange(n_samples) + rng.random()) / n_samples
                cumulative = np.cumsum(part.weight[:, column])
                if not np.isfinite(cumulative[-1]):
                    continue
                chosen = np.minimum(np.searchsorted(cumulative, points * cumulative[-1]), len(cumulative) - 1)
                out[:, subject] = part.z[rng.permutation(chosen), column]
        return out


def weighted_quantiles(values: np.ndarray, weight: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(Q, n) of values (K, n) with weights (K, n): the distribution function is interpolated between the middles
    of its steps. NaN where a value with weight is not finite."""
    rows, shares = np.ascontiguousarray(values.T), np.ascontiguousarray(weight.T)
    order = np.argsort(rows, axis=1)
    out = np.full((len(levels), len(rows)), np.nan)
    interpolated(rows, shares, order, np.asarray(levels, dtype=float), out)
    return out
