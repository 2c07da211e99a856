"""The result of a fit: frozen, plain numpy, everything the writers need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nlmevae.results.likelihood_names import LikelihoodMethod
from nlmevae.results.saved_encoder import SavedEncoder
from nlmevae.results.shrinkage import Shrinkage
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import UncertaintyResult

if TYPE_CHECKING:
    import pandas

#: Of the posterior quantiles in `IndividualResults.psi_quantiles`.
QUANTILE_LEVELS = (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)


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

    `mc_se` is the Monte-Carlo standard error of `minus_two_ll` (0 for deterministic methods), `numerical_error` the
    size of the numerical error of a deterministic one (0 for "is" and "elbo"). Neither holds how far an approximation
    is from the exact value.
    """

    method: LikelihoodMethod | Literal["elbo"]
    minus_two_ll: float
    mc_se: float
    aic: float
    bic: float
    bicc: float
    numerical_error: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCount:
    """Observations of one endpoint, and how many of them are censored."""

    name: str
    n_obs: int
    n_censored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualResults:
    """Per subject, in data order (N subjects with all data rows; d = number of ETAs, n of parameters).

    `eta_mean`, `eta_cov`: importance-weighted posterior mean (N, d) and covariance (N, d, d);
    `eta_mode` (N, d); `minus_two_ll` (N,) with constant; `ess` (N,) effective share of draws in (0, 1];
    `khat` (N,) Pareto tail index; `moment_error` (N,) largest Monte-Carlo error of a mean or standard deviation of a
    random effect, in standard deviations; `n_obs` (N,), of which `n_censored` (N,) (empty:
    none at all). Subjects without observations have the prior.

    Individual parameters, named in `psi_names`: (N, n) on their natural scale. `psi` and `psi_mode` are those of
    the mean and the mode of the random effects; `psi_mean`, `psi_sd` and `psi_quantiles` (Q, N, n), at
    `QUANTILE_LEVELS`, are moments and quantiles of the parameters themselves. The mean of a log-normal parameter
    is larger than its value at the mean of the random effects.

    `eta_samples` (S, N, d), `psi_samples` (S, N, n): draws of equal weight, where they were asked for.
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
    n_censored: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))

    psi_mode: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    psi_mean: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    psi_sd: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    psi_quantiles: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))
    moment_error: np.ndarray = field(default_factory=lambda: np.empty(0))
    eta_samples: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))
    psi_samples: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))

    @property
    def n_known(self) -> np.ndarray:
        """(N,) observations with a known value."""
        return self.n_obs - self.n_censored if len(self.n_censored) else self.n_obs

    @property
    def eta_sd(self) -> np.ndarray:
        """(N, d) posterior standard deviations of the random effects."""
        return np.sqrt(np.diagonal(self.eta_cov, axis1=-2, axis2=-1))

    def quantiles(self, level: float) -> np.ndarray:
        """(N, n) posterior quantiles of the parameters at one of `QUANTILE_LEVELS`; NaN where none were computed."""
        if not len(self.psi_quantiles):
            return np.full_like(self.psi, np.nan)
        return self.psi_quantiles[QUANTILE_LEVELS.index(level)]


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
    ETA order. `fingerprint`: of the model's equations. `data_ranges`: smallest and largest value in the data of times,
    doses and covariates the model reads. `encoder`: where it was asked for; it has a file of its own and is not in
    `results.json`. `source_format`: whose names are shown to the user. `uncertainty`: None if no
    covariance step was asked for or the run ended before it.

    `ofv_nonmem` = m2ll_is - n_known * log(2 pi), the scale of NONMEM's OBJ: censored observations, whose likelihood is
    a probability (F_FLAG=1), do not count.
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
    shrinkage: Shrinkage
    trace: tuple[TraceRow, ...]
    warnings: tuple[str, ...]
    settings: dict[str, Any]
    seconds: dict[str, float]
    versions: dict[str, str]
    covariates: tuple[dict[str, Any], ...] = ()
    eta_transforms: tuple[str, ...] = ()
    endpoints: tuple[EndpointCount, ...] = ()

    data_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    fingerprint: str = ""
    source_format: Literal["nonmem", "monolix", "python"] = "nonmem"
    encoder: SavedEncoder | None = field(default=None, repr=False)
    uncertainty: UncertaintyResult | None = None
    derived: tuple[DerivedQuantity, ...] = ()

    @property
    def n_known(self) -> int:
        """Observations with a known value."""
        return self.n_obs_total - sum(e.n_censored for e in self.endpoints)

    @property
    def eta_shrinkage_sd(self) -> np.ndarray:
        """(n_eta,) percent, SD scale, of the conditional means."""
        return self.shrinkage.means.sd

    @property
    def eps_shrinkage_sd(self) -> np.ndarray:
        """(n_eps,) percent, SD scale."""
        return self.shrinkage.eps_sd

    def likelihood(self, method: str) -> LikelihoodValue | None:
        """The value by a method of `LikelihoodMethod` or "elbo"; None if that was not computed."""
        return next((v for v in self.likelihoods if v.method == method), None)

    @property
    def minus_two_ll(self) -> float:
        """By importance sampling; NaN when the run ended before it was computed."""
        value = self.likelihood("is")
        return float("nan") if value is None else value.minus_two_ll

    @property
    def ofv_nonmem(self) -> float:
        return self.minus_two_ll - self.n_known * float(np.log(2 * np.pi))

    def to_frame(self) -> pandas.DataFrame:
        """The estimates as a pandas table, one row per parameter, indexed by its name."""
        import pandas as pd

        columns = ("name", "label", "kind", "init", "value", "fixed", "lower", "upper", "standard_error")
        rows = [{column: getattr(estimate, column) for column in columns} for estimate in self.estimates]
        return pd.DataFrame(rows, columns=list(columns)).set_index("name")
