"""What a Monolix results folder holds, as numbers: computed after a fit, written by `writers.monolix_folder`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nlmevae.results.natural_parameter import NaturalParameter


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualValues:
    """Individual parameters, or random effects (`names` begin with ``eta_``): (N, n) each.

    `mean` and `sd` are moments of the conditional distribution of the values themselves, `mode` is its mode (of the
    random effects, then transformed); `draws` (S, N, n) of equal weight, S = 0 where the fit kept none.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    mode: np.ndarray
    sd: np.ndarray
    draws: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class CovariateColumn:
    """One covariate of the subjects, constant in each. `texts` (N,) as written; `values` (N,), NaN where missing."""

    name: str
    categorical: bool
    texts: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPredictions:
    """Observations of one endpoint with predictions, (M,) each, in data order.

    Attributes:
        subject: index; time, observed: as in the data.
        typical: at the subject's covariates, no random effect (popPred).
        typical_median: the same at median or most frequent covariates (popPred_medianCOV); NaN where not defined.
        mean, mode: at the conditional means of the individual parameters, and at the conditional mode.
        residual_mean, residual_mode: (observed - prediction) / sd there; of a censored value as if its limit had been
            observed, as Monolix has it.
    """

    name: str
    subject: np.ndarray
    time: np.ndarray
    observed: np.ndarray
    typical: np.ndarray
    typical_median: np.ndarray
    mean: np.ndarray
    mode: np.ndarray
    residual_mean: np.ndarray
    residual_mode: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class HypothesisTest:
    """One line of a test file: `of` are its first cells, `name` that of the test ("" where the file has no column)."""

    of: tuple[str, ...]
    statistic: float
    p_value: float
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderTests:
    """Of the subjects' draws and the residuals, one field per file; a field is empty where nothing can be tested."""

    random_effects_covariates: tuple[HypothesisTest, ...] = ()
    parameters_covariates: tuple[HypothesisTest, ...] = ()
    random_effects: tuple[HypothesisTest, ...] = ()
    fixed_effects: tuple[HypothesisTest, ...] = ()
    normality_random_effects: tuple[HypothesisTest, ...] = ()
    normality_parameters: tuple[HypothesisTest, ...] = ()
    normality_residuals: tuple[HypothesisTest, ...] = ()
    symmetry_residuals: tuple[HypothesisTest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixContent:
    """Everything beside the `FitResult`. `shrinkage` name -> percent by mode, mean and draws (NaN: no draws)."""

    parameters: tuple[NaturalParameter, ...]
    individuals: IndividualValues
    random_effects: IndividualValues
    covariates: tuple[CovariateColumn, ...]
    endpoints: tuple[EndpointPredictions, ...]
    shrinkage: dict[str, tuple[float, float, float]]
    n_doses: int
    tests: FolderTests = field(default_factory=FolderTests)
