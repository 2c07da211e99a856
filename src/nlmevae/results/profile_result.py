"""Profile likelihoods: how far -2LL rises when one parameter is held and all others are estimated again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterProfile:
    """The profile of one parameter.

    Attributes:
        value: (G,) values of the parameter, ascending; rise: (G,) of -2LL above its minimum; parameters: (G, P) all
            parameters where the others are at their best, in result order; these make a plot.
        low, high: where -2LL has risen by the chi-square quantile of the level; a bound of the parameter (0 for a
            variance) where it does not rise so far; NaN where it was not found.
        mc_error: Monte-Carlo errors of low and high, on the parameter's scale.
        note: what a reader has to know about the ends; "" if nothing.
    """

    name: str
    label: str
    estimate: float
    low: float
    high: float
    mc_error: tuple[float, float]
    value: np.ndarray
    rise: np.ndarray
    parameters: np.ndarray
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileResult:
    """Profiles of the parameters asked for, those that were finished; `message` says if some were not.

    `names` (P,) are those of the columns of `ParameterProfile.parameters`."""

    name: str
    source_path: str
    level: float
    names: tuple[str, ...]
    profiles: tuple[ParameterProfile, ...]
    message: str = ""
