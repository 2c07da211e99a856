"""Proposal distributions of the importance sampler: mixtures of multivariate t, one per subject.

Draws are quasi-random: an extensible rank-1 lattice with an independent random shift per subject
(Cranley and Patterson), so every estimate stays unbiased and its error falls faster than 1/sqrt(K).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import gammaincinv, gammaln, ndtr

from nlmevae.likelihood import kernels
from nlmevae.likelihood.draw_kernel import student_draws
from nlmevae.threads import each, parts

DEGREES_OF_FREEDOM = 20.0
RADIUS_RANGE, RADIUS_STEP = 8.5, 1.0 / 512
_SHARED, _FEWEST = 32_768, 8  # draws of one subject, and of every subject, that one thread takes at a time

# Cools, Kuo, Nuyens (SIAM J. Sci. Comput. 28, 2006): embedded lattice rules, up to 2^20 points.
LATTICE = np.array(
    [
        1, 182667, 469891, 498753, 110745, 446247, 250185, 118627, 245333, 283199, 408519, 391023, 246327, 126539,
        399185, 461527, 300343, 69681, 516695, 436179, 106383, 238523, 413283, 70841, 47719, 300129, 113029, 123925,
    ],
    dtype=np.float64,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Per subject, sum_c share_c t_20(loc_c, chol_c chol_c').

    share (C,) sums to 1; loc (C, N, d); chol (C, N, d, d) lower triangular.
    """

    share: np.ndarray
    loc: np.ndarray
    chol: np.ndarray

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """z (K, N, d) and its log density (K, N).

        The components get fixed numbers of draws; the density is that of the mixture with exactly
        these proportions (balance heuristic: Veach and Guibas 1995), which keeps weights bounded by
        the best component.
        """
        ends = np.cumsum(allocate(self.share, n_draws))
        _, n_subjects, d = self.loc.shape
        points, radius = lattice(n_draws, d + 1), student_radius()
        shift = rng.random((n_subjects, d + 1))
        loc, chol = np.ascontiguousarray(self.loc), np.ascontiguousarray(self.chol)
        z = np.empty((n_draws, n_subjects, d))

        def fill(part: slice) -> None:
            student_draws(
                points[part], shift, radius, -RADIUS_RANGE, RADIUS_STEP, ends - part.start, loc, chol, z[part]
            )

        each(fill, parts(n_draws, _draws_at_once(n_subjects)))
        return z, self.rounded(n_draws).log_density(z)

    def rounded(self, n_draws: int) -> Mixture:
        """The mixture with the proportions that `draw` of this many draws really has."""
        return replace(self, share=allocate(self.share, n_draws) / n_draws)

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """(K, N) for z (K, N, d)."""
        used = np.flatnonzero(self.share > 0)
        n_draws, n_subjects, d = z.shape
        z, out = np.ascontiguousarray(z), np.empty(z.shape[:2])
        loc, whiten = np.ascontiguousarray(self.loc[used]), np.ascontiguousarray(np.linalg.inv(self.chol[used]))
        log_scale = np.log(self.share[used])[:, None] + log_peak(self.chol[used])

        def fill(part: slice) -> None:
            power = int(DEGREES_OF_FREEDOM) + d
            kernels.log_student_mixture(z[part], loc, whiten, log_scale, power, DEGREES_OF_FREEDOM, out[part])

        each(fill, parts(n_draws, _draws_at_once(n_subjects)))
        return out


def _draws_at_once(n_subjects: int) -> int:
    return max(_FEWEST, _SHARED // max(n_subjects, 1))


@lru_cache(maxsize=1)
def student_radius() -> np.ndarray:
    """sqrt(20 / X) at normal quantiles v = -8.5, ..., 8.5 of the chi-square X: what turns a normal into a t. Linear
    in between it is right to 1e-7."""
    v = RADIUS_STEP * np.arange(round(2 * RADIUS_RANGE / RADIUS_STEP) + 1) - RADIUS_RANGE
    half = DEGREES_OF_FREEDOM / 2
    return np.sqrt(half / gammaincinv(half, ndtr(v)))


def log_peak(chol: np.ndarray) -> np.ndarray:
    """(...,) log t_20(loc; loc, chol chol') for chol (..., d, d)."""
    d = chol.shape[-1]
    nu = DEGREES_OF_FREEDOM
    constant = gammaln((nu + d) / 2) - gammaln(nu / 2) - 0.5 * d * np.log(nu * np.pi)
    return constant - np.log(np.diagonal(chol, axis1=-2, axis2=-1)).sum(axis=-1)


def log_mean(log_values: list[np.ndarray], share: np.ndarray) -> np.ndarray:
    """log sum_c share_c exp(log_values[c])."""
    if len(log_values) == 1:
        return log_values[0]
    top = np.maximum.reduce(log_values)
    total = np.zeros_like(top)
    for values, weight in zip(log_values, share, strict=True):
        total += weight * np.exp(values - top)
    return top + np.log(total)


def allocate(share: np.ndarray, n_draws: int) -> np.ndarray:
    """Whole numbers of draws with proportions close to `share`, summing to n_draws."""
    edges = np.rint(np.cumsum(share) / np.sum(share) * n_draws).astype(int)
    return np.diff(edges, prepend=0)


@lru_cache(maxsize=32)
def lattice(n_points: int, dimension: int) -> np.ndarray:
    """(n_points, dimension) in [0, 1): every run of 2^m consecutive points is itself a lattice.

    Beyond the published 28 dimensions the generator is continued by powers of the golden section's
    generalisation, which keeps the points distinct without a published quality bound.
    """
    index = np.arange(n_points, dtype=np.uint32)
    reversed_bits = np.zeros(n_points)
    for bit in range(32):
        reversed_bits += ((index >> bit) & 1) * 2.0 ** -(bit + 1)
    if dimension <= len(LATTICE):
        points = np.outer(reversed_bits, LATTICE[:dimension]) % 1.0
    else:
        extra = np.arange(1, dimension - len(LATTICE) + 1)
        continued = np.concatenate([LATTICE, 2 * np.floor(2**19 * np.modf(extra * 0.6180339887498949)[0]) + 1])
        points = np.outer(reversed_bits, continued) % 1.0
    points.setflags(write=False)
    return points


def safe_cholesky(cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower Cholesky factors of cov (N, d, d) and (N,) bool, False (and identity) where there is none."""
    finite = np.isfinite(cov).all(axis=(-2, -1))
    d = cov.shape[-1]
    if not d:
        return cov, finite
    usable = np.where(finite[:, None, None], cov, np.eye(d))
    values, vectors = np.linalg.eigh(0.5 * (usable + np.swapaxes(usable, -1, -2)))
    positive = finite & (values[:, -1] > 0)
    floor = 1e-10 * np.where(positive, values[:, -1], 1.0)[:, None]
    root = vectors * np.sqrt(np.maximum(values, floor))[:, None, :]
    # QR of the transposed square root gives the Cholesky factor without squaring the condition number
    upper = np.linalg.qr(np.swapaxes(root, -1, -2), mode="r")
    sign = np.where(np.diagonal(upper, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return np.where(positive[:, None, None], np.swapaxes(upper * sign[..., None], -1, -2), np.eye(d)), positive
