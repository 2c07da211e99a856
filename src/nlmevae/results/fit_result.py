"""The result of a fit: frozen, plain numpy, everything the writers need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import UncertaintyResult

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One population parameter. `kind` omega and sigma are (co)variances, with their row and column
    from 1; `label` is what to print (CL, or "CL,V" for a covariance)."""

    name: str
    label: str
    kind: Literal["theta", "omega", "sigma"]
    row: int
    column: int
    init: float
    value: float
    fixed: bool
    lower: float = -np.inf
    upper: float = np.inf
    standard_error: float | None = None
    at_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedQuantity:
    """A function of the estimates: `text` as typed, its value, standard error by the delta method (None where one of
    its parameters has none) and 95 % interval (NaN without one) on `scale`, transformed back."""

    text: str
    value: float
    standard_error: float | None
    low: float
    high: float
    scale: Literal["identity", "log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodValue:
    """-2 log-likelihood with its method; always with the 2 pi constant.

    `mc_se` is the Monte-Carlo standard error of `minus_two_ll` (0 for deterministic methods).
    """

    method: Literal["is", "lin", "elbo"]
    minus_two_ll: float
    mc_se: float
    aic: float
    bic: float
    bicc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualResults:
    """Per subject, in data order (N subjects with all data rows; d = number of ETAs).

    `eta_mean`, `eta_cov`: importance-weighted posterior mean (N, d) and covariance (N, d, d);
    `eta_mode` (N, d); `minus_two_ll` (N,) with constant; `ess` (N,) effective share of draws in (0, 1];
    `khat` (N,) Pareto tail index; `n_obs` (N,). `psi` (N, n) individual parameters at the posterior
    mean, named in `psi_names`.
    """

    labels: tuple[str, ...]
    n_obs: np.ndarray
    eta_mean: np.ndarray
    eta_cov: np.ndarray
    eta_mode: np.ndarray
    minus_two_ll: np.ndarray
    ess: np.ndarray
    khat: np.ndarray
    psi_names: tuple[str, ...] = ()
    psi: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """One iteration: `phase` is burn-in, vae, start, polish; `objective` is -2 ELBO in the VAE
    phases and the sample -2LL in the polish; `parameters` in result order (theta, sigma lower
    triangle, omega lower triangle). In a covariate search: `support` (n_candidates,) bool, and one THETA per
    coefficient behind the model's."""

    iteration: int
    phase: str
    objective: float
    parameters: np.ndarray
    seconds: float
    extra: dict[str, float] = field(default_factory=dict)
    support: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What `nlmevae.fit` returns. Call-independent truth at full precision is in `results.json`.

    `eta_transforms`: how each ETA enters its parameter ("identity", "log", "logit"; "" where unknown), in
    ETA order. Shrinkages are percent, on the SD scale. `uncertainty`: None if no covariance step was asked for or the
    run ended before it.

    `ofv_nonmem` = m2ll_is - n_obs_total * log(2 pi), the scale of NONMEM's OBJ.
    """

    name: str
    source_path: str
    data_path: str
    problem: str
    method: str
    status: FitStatus
    message: str
    seed: int
    n_subjects: int
    n_obs_total: int
    thetas: np.ndarray
    omega: np.ndarray
    sigma: np.ndarray
    estimates: tuple[Estimate, ...]
    likelihoods: tuple[LikelihoodValue, ...]
    individuals: IndividualResults
    eta_names: tuple[str, ...]
    eta_labels: tuple[str, ...]
    eta_shrinkage_sd: np.ndarray
    eps_shrinkage_sd: np.ndarray
    trace: tuple[TraceRow, ...]
    warnings: tuple[str, ...]
    settings: dict[str, Any]
    seconds: dict[str, float]
    versions: dict[str, str]
    covariates: tuple[dict[str, Any], ...] = ()
    eta_transforms: tuple[str, ...] = ()
    uncertainty: UncertaintyResult | None = None
    derived: tuple[DerivedQuantity, ...] = ()

    def likelihood(self, method: str) -> LikelihoodValue | None:
        """The value by "is", "lin" or "elbo"; None if that was not computed."""
        return next((v for v in self.likelihoods if v.method == method), None)

    @property
    def minus_two_ll(self) -> float:
        """By importance sampling; NaN when the run ended before it was computed."""
        value = self.likelihood("is")
        return float("nan") if value is None else value.minus_two_ll

    @property
    def ofv_nonmem(self) -> float:
        return self.minus_two_ll - self.n_obs_total * float(np.log(2 * np.pi))

    def to_frame(self) -> pandas.DataFrame:
        """The estimates as a pandas table, one row per parameter, indexed by its name."""
        import pandas as pd

        columns = ("name", "label", "kind", "init", "value", "fixed", "lower", "upper", "standard_error")
        rows = [{column: getattr(estimate, column) for column in columns} for estimate in self.estimates]
        return pd.DataFrame(rows, columns=list(columns)).set_index("name")
