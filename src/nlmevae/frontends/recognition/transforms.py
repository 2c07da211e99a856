"""Which transform h makes an individual parameter Gaussian: found from its derivative, then checked.

With p the parameter and D = dp/dETA at random points, h is
    identity   D = 1
    log        D = p - lower, the same lower everywhere
    logit      D = (p - lower)(upper - p) / (upper - lower), the same bounds everywhere
and then h(p(ETA)) - h(p(0)) = ETA must hold at all points.
"""

from __future__ import annotations

import math

import numpy as np

from nlmevae.frontends.recognition.individual_level import MIN_POINTS
from nlmevae.ir import Transform

#: relative errors of a relation that holds exactly are about 1e-15 to 1e-12 in float64
TOLERANCE = 1e-9
_DIGITS = 10
_WIDEST = 1e4  # widest logit range looked for, in standard deviations of the values seen


def find_transform(value: np.ndarray, slope: np.ndarray, typical: np.ndarray, eta: np.ndarray) -> Transform | None:
    """h, or None if none of the three fits.

    Args:
        value, slope: (n,) parameter and its derivative by ETA at random ETA.
        typical: (n,) parameter at ETA = 0, everything else equal.
        eta: (n,) the random effect.
    """
    finite = np.isfinite(value) & np.isfinite(slope) & np.isfinite(typical)
    if finite.sum() < MIN_POINTS:
        return None
    value, slope, typical, eta = (x[finite] for x in (value, slope, typical, eta))
    for propose in (_identity, _log, _logit):
        transform = propose(value, slope)
        if transform is not None and _verified(transform, value, typical, eta):
            return transform
    return None


def to_gaussian(transform: Transform, value: np.ndarray) -> np.ndarray:
    """z = h(psi); NaN outside the range of psi."""
    with np.errstate(all="ignore"):
        if transform.kind == "identity":
            return np.asarray(value, dtype=float)
        if transform.kind == "log":
            return np.log(value - transform.lower)
        return np.log((value - transform.lower) / (transform.upper - value))


def gaussian_slope(transform: Transform, value: np.ndarray) -> np.ndarray:
    """dh/dpsi."""
    with np.errstate(all="ignore"):
        if transform.kind == "identity":
            return np.ones_like(value)
        if transform.kind == "log":
            return 1.0 / (value - transform.lower)
        return 1.0 / (value - transform.lower) + 1.0 / (transform.upper - value)


def constant_along(slopes: np.ndarray, unit: float) -> bool:
    """Each row of `slopes` holds one value, NaN and infinity aside; at least one row must have two.

    Args:
        unit: a typical size of what the slope is with respect to, so that slope * unit is of the size
            of the effect itself.
    """
    finite = np.isfinite(slopes)
    usable = finite.sum(axis=1) >= 2
    if not usable.any():
        return False
    kept = np.where(finite, slopes, np.nan)[usable]
    high, low = np.nanmax(kept, axis=1), np.nanmin(kept, axis=1)
    size = np.maximum(np.abs(high), np.abs(low)) * unit
    return bool(np.all((high - low) * unit <= 1e-8 * size + 1e-12))


def _identity(value: np.ndarray, slope: np.ndarray) -> Transform | None:
    return Transform(kind="identity") if np.allclose(slope, 1.0, rtol=0.0, atol=TOLERANCE) else None


def _log(value: np.ndarray, slope: np.ndarray) -> Transform | None:
    shift = value - slope
    size = np.abs(value) + np.abs(slope)
    lower = float(np.median(shift))
    if not np.all(np.abs(shift - lower) <= TOLERANCE * size):
        return None
    negligible = abs(lower) <= TOLERANCE * float(np.min(size))
    return Transform(kind="log", lower=0.0 if negligible else _tidy(lower))


def _logit(value: np.ndarray, slope: np.ndarray) -> Transform | None:
    """dp/dETA is a parabola in p with its zeros at the bounds and curvature -2 / (upper - lower)."""
    middle, size = float(np.mean(value)), float(np.std(value))
    if size == 0.0 or not math.isfinite(size):
        return None
    x = (value - middle) / size
    (c2, c1, c0), *_ = np.linalg.lstsq(np.vander(x, 3), slope, rcond=None)
    residual = slope - (c0 + c1 * x + c2 * x * x)
    discriminant = c1 * c1 - 4.0 * c2 * c0
    if np.max(np.abs(residual)) > TOLERANCE * np.max(np.abs(slope)) or c2 >= 0.0 or discriminant <= 0.0:
        return None
    root = math.sqrt(discriminant)
    low, high = sorted(middle + size * (-c1 + sign * root) / (2.0 * c2) for sign in (1.0, -1.0))
    if high - low > _WIDEST * size:
        return None  # the curvature is rounding error: no bound was seen
    low, high = _tidy(low, high - low), _tidy(high, high - low)
    expected = (value - low) * (high - value) / (high - low)
    close = np.abs(slope - expected) <= TOLERANCE * np.abs(slope) + 1e-14 * (abs(low) + abs(high))
    return Transform(kind="logit", lower=low, upper=high) if np.all(close) else None


def _tidy(bound: float, width: float | None = None) -> float:
    """Round the rounding error away: a bound is a number the user wrote."""
    size = abs(bound) if width is None else max(abs(bound), width)
    return float(round(bound, _DIGITS - math.ceil(math.log10(size)))) + 0.0


def _verified(transform: Transform, value: np.ndarray, typical: np.ndarray, eta: np.ndarray) -> bool:
    z, mu = to_gaussian(transform, value), to_gaussian(transform, typical)
    inside = np.isfinite(z) & np.isfinite(mu)
    error = rounding(transform, value) + rounding(transform, typical)
    telling = inside & (error < 1e-3)  # psi still has the digits to tell one ETA from another
    if telling.sum() < max(MIN_POINTS, 0.5 * inside.sum()):
        return False
    allowed = 2.0 * TOLERANCE * (1.0 + np.abs(z)) + error
    return bool(np.all(np.abs(z - mu - eta)[inside] <= allowed[inside]))


def rounding(transform: Transform, value: np.ndarray) -> np.ndarray:
    """Error of z from the rounding error of psi: large near a bound."""
    upper = transform.upper if transform.kind == "logit" else 0.0
    size = np.abs(value) + abs(transform.lower) + abs(upper)
    return 1e-14 * size * np.abs(gaussian_slope(transform, value))
