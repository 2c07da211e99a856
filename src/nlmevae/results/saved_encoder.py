"""The encoder that belongs to a fit: weights of the network and everything needed to feed it new subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class InputScales:
    """Numbers that standardise what the network reads; those of the data of the fit.

    `longest` time since the first record; `value_mean`, `value_sd` of DV; `mean_dose`; `log_dose_mean`,
    `log_dose_sd` of log(1 + amount so far / mean dose); `compartments` observed; covariates by name with their mean
    and standard deviation (C,).
    """

    longest: float
    value_mean: float
    value_sd: float
    mean_dose: float
    log_dose_mean: float
    log_dose_sd: float
    compartments: tuple[int, ...]
    covariate_names: tuple[str, ...]
    covariate_mean: np.ndarray
    covariate_sd: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedEncoder:
    """Attributes:
    fingerprint: of the model's equations. latents: names, in order (d).
    thetas, omega, sigma: the population the encoder was trained at.
    hidden: size of the LSTM's state. weights: (n,) float32, all of them in the network's order.
    history: (H, 2) training steps done and mean negative log density of the true latents since the last entry.
    """

    fingerprint: str
    latents: tuple[str, ...]
    thetas: np.ndarray
    omega: np.ndarray
    sigma: np.ndarray
    hidden: int
    weights: np.ndarray
    scales: InputScales
    history: np.ndarray
