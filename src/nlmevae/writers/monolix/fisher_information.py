"""`FisherInformation/covarianceEstimatesSA.txt` and `correlationEstimatesSA.txt`: no header, one row per estimated
parameter, its name first. As in Monolix since 2021, typical values are on their Gaussian scale (the logarithm of a
log-normal parameter), everything else as in `populationParameters.txt`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.results.natural_parameter import NaturalParameter, covariance_of
from nlmevae.results.uncertainty_result import UncertaintyResult, correlation_of
from nlmevae.writers.monolix.cells import numbers, table_text


def estimated(parameters: Sequence[NaturalParameter]) -> list[NaturalParameter]:
    return [p for p in parameters if not p.fixed]


def correlation_matrix(parameters: Sequence[NaturalParameter], known: UncertaintyResult) -> np.ndarray:
    """(K, K) of the estimated ones; 1 on the diagonal, NaN for what has no standard error."""
    correlation = correlation_of(_covariance(parameters, known))
    np.fill_diagonal(correlation, 1.0)
    return correlation


def covariance_text(parameters: Sequence[NaturalParameter], known: UncertaintyResult) -> str:
    return _matrix_text(parameters, _covariance(parameters, known))


def correlation_text(parameters: Sequence[NaturalParameter], known: UncertaintyResult) -> str:
    return _matrix_text(parameters, correlation_matrix(parameters, known))


def _covariance(parameters: Sequence[NaturalParameter], known: UncertaintyResult) -> np.ndarray:
    """Of the estimated ones; NaN for what is held at a bound."""
    covariance = covariance_of(estimated(parameters), known, gaussian=True)
    held = np.diag(covariance) == 0.0
    covariance[held, :] = covariance[:, held] = np.nan
    return covariance


def _matrix_text(parameters: Sequence[NaturalParameter], matrix: np.ndarray) -> str:
    return table_text(None, ([p.name, *numbers(row)] for p, row in zip(estimated(parameters), matrix, strict=True)))
