"""Population parameters as Monolix has them: typical values on their natural scale, standard deviations, correlations.

Each is a function of the parameters that were estimated (THETA, SIGMA, OMEGA); its derivative is kept with it, so that
standard errors and covariances follow by the delta method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from nlmevae.results.uncertainty_result import UncertaintyResult

Kind = Literal["fixed effect", "omega", "correlation", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalParameter:
    """One of them.

    Attributes:
        name: ``ka_pop``, ``beta_V_lw70``, ``omega_ka``, ``corr_V_ka``, ``a``.
        gradient: canonical name (``THETA(1)``) -> derivative of `value`.
        slope: derivative of the value on the Gaussian scale (log, logit) with respect to `value`; 1 for all but
            typical values. Monolix's covariance is that of the former.
        cv: percent, of the standard deviation of a log-normal parameter; else NaN.
        effect: the coefficient of a covariate.
    """

    name: str
    kind: Kind
    value: float
    fixed: bool
    gradient: dict[str, float] = field(default_factory=dict)
    slope: float = 1.0
    cv: float = float("nan")
    effect: bool = False


def covariance_of(
    parameters: Sequence[NaturalParameter], known: UncertaintyResult, *, gaussian: bool = False
) -> np.ndarray:
    """(K, K) covariance of the parameters by the delta method, of what they are on the Gaussian scale where `gaussian`
    says so. 0 where nothing is estimated, NaN where the data do not determine something they depend on."""
    index = {name: k for k, name in enumerate(known.names)}
    jacobian = np.zeros((len(parameters), len(known.names)))
    for row, p in zip(jacobian, parameters, strict=True):
        for name, derivative in p.gradient.items():
            row[index[name]] = derivative * (p.slope if gaussian else 1.0)
    undetermined = np.isnan(np.diag(known.covariance))
    covariance = jacobian @ np.where(np.isnan(known.covariance), 0.0, known.covariance) @ jacobian.T
    lost = (jacobian[:, undetermined] != 0.0).any(axis=1)
    covariance[lost, :] = covariance[:, lost] = np.nan
    return covariance


def standard_errors(parameters: Sequence[NaturalParameter], known: UncertaintyResult | None) -> np.ndarray:
    """(K,) NaN where there is none: fixed, held at a bound, not determined, or no covariance was computed."""
    if known is None or known.method == "none":
        return np.full(len(parameters), np.nan)
    variance = np.diag(covariance_of(parameters, known))
    usable = (variance > 0.0) & np.array([not p.fixed for p in parameters], dtype=bool)
    return np.sqrt(np.where(usable, variance, np.nan))
