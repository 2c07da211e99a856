"""Observed values on the scale of their distribution and back: z = h(y), for outcomes that are log- or logit-normal.

A scale is one row (kind, lower, upper) per observation, see `scale_rows`. The density of y is that of z times |dh/dy|
(change of variables); the probability of an interval is the same on both scales.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.ir import Transform

IDENTITY, LOG, LOGIT = 0.0, 1.0, 2.0
_KINDS = {"identity": IDENTITY, "log": LOG, "logit": LOGIT}


def scale_rows(scales: Sequence[Transform], which: np.ndarray) -> np.ndarray:
    """(M, 3) kind, lower and upper of the scale number `which` (M,) of each observation."""
    rows = np.array([(_KINDS[s.kind], s.lower, s.upper) for s in scales])
    return np.ascontiguousarray(rows[which])


def to_scale(scale: np.ndarray, y: np.ndarray) -> np.ndarray:
    """h(y) (..., M); what lies at a bound or beyond becomes infinite, so that limits of intervals keep their meaning.

    NaN where y is.
    """
    kind, lower, upper = scale.T
    with np.errstate(invalid="ignore", divide="ignore"):
        below = np.maximum(y - lower, 0.0)
        above = np.maximum(upper - y, 0.0)
        logit = np.log(below) - np.log(above)
        return np.where(kind == LOG, np.log(below), np.where(kind == LOGIT, logit, y))


def to_natural(scale: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The inverse of h at z (..., M)."""
    kind, lower, upper = scale.T
    width = np.where(kind == LOGIT, upper - lower, 0.0)
    with np.errstate(over="ignore"):
        return np.where(kind == LOG, lower + np.exp(z), np.where(kind == LOGIT, lower + width / (1.0 + np.exp(-z)), z))


def log_slope(scale: np.ndarray, z: np.ndarray) -> np.ndarray:
    """log |dh/dy| (M,) at y = h^-1(z): -z of the logarithm, -log(upper - lower) - log s (1 - s) of the logit."""
    kind, lower, upper = scale.T
    width = np.where(kind == LOGIT, upper - lower, 1.0)
    logit = np.abs(z) + 2.0 * np.log1p(np.exp(-np.abs(z))) - np.log(width)
    return np.where(kind == LOG, -z, np.where(kind == LOGIT, logit, 0.0))
