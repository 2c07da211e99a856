"""What diagnostics compute and the report draws: frozen, plain numpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One kind of observation: what to print, and whether y and predictions are logarithms."""

    name: str
    log_scale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationDiagnostics:
    """One entry per observation (M), in data order.

    Attributes:
        subject: index of the subject; endpoint: index into `Diagnostics.endpoints`; row: of the data set.
        time, dv: as in the data.
        pred: prediction at ETA = 0. ipred: at the conditional mode. epred: mean of simulations.
        cpred: expected value by linearisation at the conditional mode.
        iwres: (dv - ipred) / sd. wres: weighted residual by linearisation at ETA = 0 (first order), cwres at the
            conditional mode (Hooker, Staatz and Karlsson 2007). ewres: of the simulations' mean and covariance.
        npde: normalised prediction distribution error, decorrelated (Brendel et al. 2006); npd: without
            decorrelation. Both use a random value below the limit where dv is censored.
        censored: True where dv is a limit; iwres, wres and cwres are then NaN.
    """

    subject: np.ndarray
    endpoint: np.ndarray
    row: np.ndarray
    time: np.ndarray
    dv: np.ndarray
    pred: np.ndarray
    ipred: np.ndarray
    iwres: np.ndarray
    wres: np.ndarray
    cpred: np.ndarray
    cwres: np.ndarray
    epred: np.ndarray
    ewres: np.ndarray
    npd: np.ndarray
    npde: np.ndarray
    censored: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualCurve:
    """Predictions of one endpoint of one subject on a fine grid of times (T,): population and individual."""

    subject: int
    endpoint: int
    time: np.ndarray
    pred: np.ndarray
    ipred: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class VisualPredictiveCheck:
    """Quantiles of the data in B bins of the independent variable, beside those of S simulated data sets.

    Attributes:
        endpoint: index into `Diagnostics.endpoints`; stratum: what to print, empty if not stratified.
        prediction_corrected: Bergstrand et al. 2011.
        edges (B + 1,), middle (B,) median of the independent variable.
        levels (Q,): quantiles, 0.05, 0.5, 0.95 by default.
        observed (B, Q); simulated (B, Q, 3): lower, median and upper bound of the `confidence` interval.
        count (B,) observations per bin; time, value: the (corrected) observations themselves.
        below (B, 4): share of censored observations: observed, then lower, median, upper simulated; None without any.
    """

    endpoint: int
    stratum: str
    prediction_corrected: bool
    edges: np.ndarray
    middle: np.ndarray
    levels: np.ndarray
    observed: np.ndarray
    simulated: np.ndarray
    confidence: float
    count: np.ndarray
    time: np.ndarray
    value: np.ndarray
    below: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectCovariates:
    """Values (N, C) at each subject's first record; `categorical` (C,) names those with few distinct values."""

    names: tuple[str, ...]
    values: np.ndarray
    categorical: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """Everything about one fit. `labels` (N,) IDs; `time_name` what to print for the independent variable;
    `warnings` in plain words."""

    labels: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    observations: ObservationDiagnostics
    curves: tuple[IndividualCurve, ...]
    vpcs: tuple[VisualPredictiveCheck, ...]
    covariates: SubjectCovariates
    n_simulations: int
    seed: int
    time_name: str = "TIME"
    warnings: tuple[str, ...] = field(default=())
