"""Shrinkage by NONMEM's definitions (Users Guide: Introduction to NONMEM 7; Karlsson and Savic 2007).

    ETASHRINKVR   1 - var(eta_i) / omega_kk, ETASHRINKSD the same of standard deviations, var with divisor N
    EBVSHRINKVR   mean(conditional variance) / omega_kk, EBVSHRINKSD = 1 - sqrt(1 - EBVSHRINKVR)
    RELATIVEINF   1 / [(Omega - mean conditional covariance)^-1]_kk / omega_kk
    EPSSHRINKVR   1 - mean(IWRES^2), EPSSHRINKSD = 1 - sqrt(mean(IWRES^2))

The guide leaves divisors open; these reproduce every digit that NONMEM 7.5.1 prints for its phenobarbital example
(tests/estimation/test_shrinkage.py). NONMEM 7.5.0 and earlier divide var(eta_i) by N - 1 in ETASHRINK, not in SE.
"""

from __future__ import annotations

import math

import numpy as np

from nlmevae.results.shrinkage import EtaStatistics, Shrinkage


def shrinkage(
    *,
    mean: np.ndarray,
    mode: np.ndarray,
    cov: np.ndarray,
    omega: np.ndarray,
    seen: np.ndarray,
    weighted_residuals: tuple[np.ndarray, ...],
) -> Shrinkage:
    """All statistics of one fit.

    Args:
        mean, mode: (N, n_eta) conditional means and modes of the random effects; cov: (N, n_eta, n_eta).
        omega: (n_eta, n_eta).
        seen: (N,) bool, subjects with observations.
        weighted_residuals: one array per EPS, of the observations it acts on.
    """
    ebv = _ratio(cov[seen].mean(axis=0).diagonal() if seen.any() else np.full(len(omega), np.nan), omega)
    eps = np.array([_mean_square(residuals) for residuals in weighted_residuals])
    return Shrinkage(
        n_subjects=int(seen.sum()),
        means=eta_statistics(mean[seen], omega),
        modes=eta_statistics(mode[seen], omega),
        ebv_sd=_percent(1.0 - _root(1.0 - ebv)),
        ebv_variance=_percent(ebv),
        relative_information=relative_information(cov[seen], omega),
        eps_sd=_percent(1.0 - _root(eps)),
        eps_variance=_percent(1.0 - eps),
    )


def eta_statistics(eta: np.ndarray, omega: np.ndarray) -> EtaStatistics:
    """Of estimates eta (N, n_eta); NaN for fewer than two subjects."""
    n, n_eta = eta.shape
    if n < 2:
        unknown = np.full(n_eta, np.nan)
        return EtaStatistics(bar=unknown, standard_error=unknown, p_value=unknown, sd=unknown, variance=unknown)
    bar, error = eta.mean(axis=0), eta.std(axis=0) / math.sqrt(n)
    share = _ratio(eta.var(axis=0), omega)
    return EtaStatistics(
        bar=bar,
        standard_error=error,
        p_value=np.array([_p_value(b, e) for b, e in zip(bar, error, strict=True)]),
        sd=_percent(1.0 - _root(share)),
        variance=_percent(1.0 - share),
    )


def relative_information(cov: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """(n_eta,) percent, from conditional covariances cov (N, n_eta, n_eta); NaN for effects with variance 0
    and for those that nothing reads, and for all where the data hold no information about some combination."""
    found = np.full(len(omega), np.nan)
    variance = omega.diagonal()
    if not len(cov) or not (variance > 0).any():
        return found
    idle = np.abs(variance - cov.mean(axis=0).diagonal()) <= 1e-12 * variance  # variance 0 too
    used = np.flatnonzero(~idle)
    sd = np.sqrt(omega.diagonal()[used])
    explained = (omega - cov.mean(axis=0))[np.ix_(used, used)] / np.outer(sd, sd)
    if np.isfinite(explained).all() and np.linalg.matrix_rank(explained, hermitian=True) == len(used):
        found[used] = 100.0 / np.linalg.inv(explained).diagonal()
    return found


def _p_value(bar: float, error: float) -> float:
    """Two-sided, normal; 1 where nothing varies around 0."""
    if not math.isfinite(bar) or not math.isfinite(error):
        return math.nan
    if error == 0.0:
        return 1.0 if bar == 0.0 else 0.0
    return math.erfc(abs(bar) / error / math.sqrt(2.0))


def _mean_square(residuals: np.ndarray) -> float:
    known = residuals[np.isfinite(residuals)]
    return float((known**2).mean()) if len(known) else math.nan


def _ratio(variance: np.ndarray, omega: np.ndarray) -> np.ndarray:
    diagonal = omega.diagonal()
    return np.where(diagonal > 0, variance / np.where(diagonal > 0, diagonal, 1.0), np.nan)


def _root(share: np.ndarray) -> np.ndarray:
    """Of what may be slightly negative by Monte-Carlo error."""
    return np.sqrt(np.maximum(share, 0.0))


def _percent(share: np.ndarray) -> np.ndarray:
    return 100.0 * share
