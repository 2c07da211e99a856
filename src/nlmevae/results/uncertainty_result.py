"""How well the estimates are known: their covariance, and what follows from it by the delta method.

Order of all parameters, everywhere here: that of result files (THETA, SIGMA lower triangle, OMEGA lower triangle).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

import numpy as np

UncertaintyMethod = Literal["observed", "cross-product", "sandwich", "none"]

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertaintyResult:
    """Covariance of the estimates and confidence intervals of level `level`.

    Attributes:
        method: of the covariance; "none": there is no number, and `status` says why.
        status: one sentence, then one for every parameter without a number.
        names: (P,) ``THETA(1)``, ``SIGMA(1,1)``, ``OMEGA(1,1)``, ...
        covariance: (P, P); 0 for what is fixed or held at a bound, NaN for what the data do not determine.
        distinct: (P,) bool, parameters with a standard error that repeat no other one (SAME).
        mc_error: (P,) Monte-Carlo error of the standard errors, relative to them.
        intervals: (P, 2) symmetric on the scale of estimation (logarithm of positive parameters and variances), then
            transformed back.
        symmetric_intervals: (P, 2) estimate plus and minus a multiple of its standard error.
        sd_standard_errors: (P,) of the standard deviations and correlations of SIGMA and OMEGA; 0 for THETA.
        sd_intervals: (P, 2) of those, on the scales of logarithm and Fisher's z; NaN for THETA.
        eigenvalues: (E,) of the correlation matrix of the distinct parameters, ascending.
        gradient: (P,) derivatives of log L at the estimates, 0 for what is not estimated; empty where unknown.
    """

    method: UncertaintyMethod
    status: str
    names: tuple[str, ...]
    covariance: np.ndarray
    distinct: np.ndarray
    mc_error: np.ndarray
    intervals: np.ndarray
    symmetric_intervals: np.ndarray
    sd_standard_errors: np.ndarray
    sd_intervals: np.ndarray
    eigenvalues: np.ndarray
    level: float = LEVEL
    gradient: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def standard_errors(self) -> np.ndarray:
        """(P,) 0 where nothing is estimated, NaN where unknown."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> np.ndarray:
        """(P, P); rows of what has no standard error are 0 or NaN as in `covariance`."""
        return correlation_of(self.covariance)

    @property
    def condition_number(self) -> float:
        """Largest over smallest eigenvalue of the correlation matrix; NaN if there are none."""
        return float(self.eigenvalues[-1] / self.eigenvalues[0]) if len(self.eigenvalues) else float("nan")

    @property
    def inverse(self) -> np.ndarray:
        """(P, P) inverse of the covariance of the distinct parameters; 0 elsewhere."""
        inverse = np.zeros_like(self.covariance)
        index = np.ix_(self.distinct, self.distinct)
        correlation = correlation_of(self.covariance[index])
        errors = self.standard_errors[self.distinct]
        inverse[index] = np.linalg.pinv(correlation, hermitian=True) / np.outer(errors, errors)
        return inverse


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """The estimates as matrices, and `log` (P,) bool: confidence intervals on the logarithmic scale."""

    thetas: np.ndarray
    sigma: np.ndarray
    omega: np.ndarray
    log: np.ndarray

    @property
    def vector(self) -> np.ndarray:
        return np.concatenate([self.thetas, _lower(self.sigma), _lower(self.omega)])


def uncertainty_result(
    estimated: Estimated,
    covariance: np.ndarray,
    *,
    method: UncertaintyMethod,
    status: str,
    names: tuple[str, ...],
    mc_error: np.ndarray,
    repeats: np.ndarray,
    level: float = LEVEL,
    gradient: np.ndarray | None = None,
) -> UncertaintyResult:
    """Everything that follows from a covariance (P, P); `repeats` (P,) bool: another parameter's value (SAME);
    `gradient` (P,) of log L, where it is known."""
    errors = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore"):
        distinct = (errors > 0) & ~repeats
    value = estimated.vector
    z = NormalDist().inv_cdf(0.5 + level / 2)
    sd_errors, sd_intervals = _standard_deviations(estimated, covariance, z)
    return UncertaintyResult(
        method=method,
        status=status,
        names=names,
        covariance=covariance,
        distinct=distinct,
        mc_error=mc_error,
        intervals=np.where(estimated.log[:, None], log_interval(value, errors, z), interval(value, errors, z)),
        symmetric_intervals=interval(value, errors, z),
        sd_standard_errors=sd_errors,
        sd_intervals=sd_intervals,
        eigenvalues=_eigenvalues(covariance[np.ix_(distinct, distinct)]),
        level=level,
        gradient=np.empty(0) if gradient is None else gradient,
    )


def interval(value: np.ndarray, error: np.ndarray, z: float) -> np.ndarray:
    """(..., 2) symmetric; NaN where there is no standard error."""
    error = np.where(np.asarray(error) > 0, error, np.nan)
    return np.stack([value - z * error, value + z * error], axis=-1)


def log_interval(value: np.ndarray, error: np.ndarray, z: float) -> np.ndarray:
    """(..., 2) symmetric in the logarithm of |value|, which keeps its sign."""
    with np.errstate(all="ignore"):
        error = np.where(np.asarray(error) > 0, error, np.nan)
        half = z * error / np.abs(value)
        return np.sort(np.stack([value * np.exp(-half), value * np.exp(half)], axis=-1), axis=-1)


def correlation_of(covariance: np.ndarray) -> np.ndarray:
    """Unit diagonal where there is a variance; 0 and NaN stay."""
    errors = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(errors, errors)
    correlation[np.outer(errors, errors) == 0] = 0.0
    return correlation


def _eigenvalues(covariance: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(correlation_of(covariance)) if len(covariance) else np.zeros(0)


def _standard_deviations(estimated: Estimated, covariance: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors (P,) and intervals (P, 2) of standard deviations and correlations, by the delta method."""
    errors, intervals = np.zeros(len(covariance)), np.full((len(covariance), 2), np.nan)
    start = len(estimated.thetas)
    for matrix in (estimated.sigma, estimated.omega):
        for (i, j), gradient in _sd_gradients(matrix):
            k = start + _position(i, j)
            used = np.flatnonzero(gradient)
            if not covariance[k, k] > 0:
                errors[k] = covariance[k, k]  # 0 stays 0, NaN stays NaN
                continue
            part = covariance[start + used][:, start + used]
            errors[k] = np.sqrt(max(gradient[used] @ part @ gradient[used], 0.0))
            value = np.sqrt(matrix[i, i]) if i == j else matrix[i, j] / np.sqrt(matrix[i, i] * matrix[j, j])
            intervals[k] = log_interval(value, errors[k], z) if i == j else _correlation_interval(value, errors[k], z)
        start += len(matrix) * (len(matrix) + 1) // 2
    return errors, intervals


def _sd_gradients(matrix: np.ndarray) -> list[tuple[tuple[int, int], np.ndarray]]:
    """Per element of the lower triangle, the derivative (elements,) of its standard deviation or correlation."""
    n = len(matrix)
    found = []
    for i in range(n):
        for j in range(i + 1):
            gradient = np.zeros(n * (n + 1) // 2)
            with np.errstate(all="ignore"):
                if i == j:
                    gradient[_position(i, i)] = 0.5 / np.sqrt(matrix[i, i])
                else:
                    scale = np.sqrt(matrix[i, i] * matrix[j, j])
                    gradient[_position(i, j)] = 1.0 / scale
                    for k in (i, j):
                        gradient[_position(k, k)] = -0.5 * matrix[i, j] / scale / matrix[k, k]
            found.append(((i, j), gradient))
    return found


def _position(i: int, j: int) -> int:
    """Of element (i, j) in the lower triangle, row by row."""
    return i * (i + 1) // 2 + j


def _correlation_interval(value: float, error: float, z: float) -> np.ndarray:
    """Symmetric in Fisher's z = atanh(correlation)."""
    if not abs(value) < 1.0:
        return np.full(2, np.nan)
    half = z * error / (1.0 - value**2)
    return np.tanh(np.arctanh(value) + np.array([-half, half]))


def _lower(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.tril_indices(len(matrix))]
