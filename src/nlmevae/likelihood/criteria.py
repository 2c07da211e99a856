"""Information criteria, each with its convention stated.

BICc is Monolix's (Delattre, Lavielle, Poursat, Electron. J. Stat. 8 (2014) 456-475, as implemented):
parameters of the random part cost ln N, parameters of the fixed part cost ln n_tot. FIXED
parameters count nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCount:
    """Estimated parameters by the part of the model they belong to.

    random_part: variances and covariances of random effects, covariate effects on parameters that
    have a random effect. fixed_part: typical values, residual error, covariate effects on parameters
    without a random effect.
    """

    random_part: int
    fixed_part: int

    @property
    def total(self) -> int:
        return self.random_part + self.fixed_part


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """AIC = -2LL + 2k; BIC = -2LL + k ln N; BICc as in the module docstring."""

    aic: float
    bic: float
    bicc: float


def information_criteria(minus_two_ll: float, count: ParameterCount, *, n_subjects: int, n_obs_total: int) -> Criteria:
    """All three from -2LL with the 2 pi constant."""
    log_n, log_n_tot = float(np.log(n_subjects)), float(np.log(n_obs_total))
    return Criteria(
        aic=minus_two_ll + 2.0 * count.total,
        bic=minus_two_ll + log_n * count.total,
        bicc=minus_two_ll + log_n * count.random_part + log_n_tot * count.fixed_part,
    )
