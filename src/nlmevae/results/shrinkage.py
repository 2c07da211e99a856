"""How far individual estimates are pulled towards the population: NONMEM's ETABAR and shrinkage statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class EtaStatistics:
    """Of one kind of estimate of the random effects, (n_eta,) each.

    `bar` is the mean over subjects, `standard_error` its standard error, `p_value` of the hypothesis that it is 0
    (normal). `sd` and `variance` are shrinkages in percent; negative where the estimates vary more than OMEGA says
    (NONMEM prints 1E-10 then). NaN where OMEGA is 0.
    """

    bar: np.ndarray
    standard_error: np.ndarray
    p_value: np.ndarray
    sd: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkage:
    """What NONMEM prints below ETABAR, in percent; over the `n_subjects` that have observations.

    Attributes:
        means: of the conditional means, NONMEM's estimates after a Monte-Carlo method (ETASHRINK).
        modes: of the conditional modes, NONMEM's EBEs after FOCE or Laplace (ETASHRINK there).
        ebv_sd, ebv_variance: (n_eta,) from the conditional variances (EBVSHRINK).
        relative_information: (n_eta,) share of the information on each random effect that the data hold, beside the
            other random effects (RELATIVEINF).
        eps_sd, eps_variance: (n_eps,) from the individual weighted residuals at the modes (EPSSHRINK).
    """

    n_subjects: int
    means: EtaStatistics
    modes: EtaStatistics
    ebv_sd: np.ndarray
    ebv_variance: np.ndarray
    relative_information: np.ndarray
    eps_sd: np.ndarray
    eps_variance: np.ndarray
