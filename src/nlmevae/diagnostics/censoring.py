"""Observations of which only an interval is known: below a limit of quantification, or above one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.events import EventTable
from nlmevae.data.value_scales import to_scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Censoring:
    """lower, upper (M,): the interval in which a censored value lies (infinite where it is open); NaN for known values.

    limit (M,): the lower limit of quantification that would apply to each observation, -inf where none is known.
    """

    lower: np.ndarray
    upper: np.ndarray
    limit: np.ndarray

    @property
    def censored(self) -> np.ndarray:
        """(M,) bool."""
        return ~np.isnan(self.upper)

    @property
    def below(self) -> np.ndarray:
        """(M,) bool: known to lie below a limit of quantification."""
        return self.lower == -np.inf


def censoring(table: EventTable) -> Censoring:
    """On the scale of `ob_value`; nothing is censored where the event table knows no intervals."""
    found = natural_censoring(table)
    if table.ob_scale is None:
        return found
    moved = (to_scale(table.ob_scale, values) for values in (found.lower, found.upper, found.limit))
    return Censoring(**dict(zip(("lower", "upper", "limit"), moved, strict=True)))


def natural_censoring(table: EventTable) -> Censoring:
    """On the scale of the data."""
    limits = table.ob_limits if table.ob_limits is not None else np.full((table.n_obs_total, 2), np.nan)
    kind = table.ob_endpoint
    lower, upper, value = (table.natural(values) for values in (limits[:, 0], limits[:, 1], table.ob_value))
    return censored_by(lower, upper, value, table.ob_cmt if kind is None else kind)


def censored_by(lower: np.ndarray, upper: np.ndarray, y: np.ndarray, kind: np.ndarray) -> Censoring:
    """The limit of a known value is the largest limit of its kind (M,) that does not exceed it, since it was measured;
    the smallest one if all exceed it. An interval that begins at 0 or below counts as open where all known values of
    its kind are positive."""
    limit = np.full(len(y), -np.inf)
    opened = lower.copy()
    for k in np.unique(kind):
        own = kind == k
        known = own & np.isnan(upper)
        if np.all(y[known] > 0.0):
            opened[own & (lower <= 0.0)] = -np.inf
        limits = np.unique(upper[own & (opened == -np.inf)])
        if len(limits):
            place = np.maximum(np.searchsorted(limits, y[known], side="right") - 1, 0)
            limit[known] = limits[place]
    below = opened == -np.inf
    limit[below] = upper[below]
    return Censoring(lower=opened, upper=upper, limit=limit)
