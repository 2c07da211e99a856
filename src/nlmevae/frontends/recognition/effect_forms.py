"""Naming what a random effect does when it is not one of the supported forms: for error messages only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class EffectForm:
    """What it is and what to write instead."""

    name: str
    remedy: str


_LOG_NORMAL = "write {name} = typical value * EXP({eta}) (log-normal)"
SEVERAL_EFFECTS = EffectForm(
    "two random effects on one variable ({others})",
    "give {name} one random effect; inter-occasion variability and shared effects are planned for a later release",
)
SEVERAL_VARIABLES = EffectForm(
    "one random effect acting on several variables ({others})",
    "give each variable its own ETA, correlated with $OMEGA BLOCK; shared effects are planned for a later release",
)
_SCALED = EffectForm(
    "a scaled random effect (factor * ETA)", "leave the factor out: OMEGA is the variance of the effect itself"
)
_SCALED_LOG = EffectForm(
    "a scaled log-normal, EXP(factor * ETA)",
    "leave the factor out: write {name} = typical value * EXP({eta}); OMEGA is then the variance of the log",
)
_PROPORTIONAL = EffectForm("the proportional form typical value * (1 + ETA)", _LOG_NORMAL)
_SHIFTED = EffectForm(
    "a log-normal plus a shift that is not a constant",
    "make the shift a number, or give the log-normal part a line and a name of its own",
)
_DECREASING = EffectForm("a parameter that falls as ETA rises", "write +{eta} in place of -{eta}")
_SOMETIMES = EffectForm(
    "a random effect that acts in some branches only",
    "give {name} its random effect on every path; inter-occasion variability is planned for a later release",
)
_OTHER = EffectForm(
    "no form this version knows (Box-Cox, t-distributed and similar transformed effects are not supported)",
    _LOG_NORMAL,
)


def name_form(value: np.ndarray, slope: np.ndarray, typical: np.ndarray, typical_slope: np.ndarray) -> EffectForm:
    """The form of p(ETA), from p and dp/dETA at random ETA and at ETA = 0. Arrays (n,)."""
    finite = np.isfinite(value) & np.isfinite(slope) & np.isfinite(typical) & np.isfinite(typical_slope)
    value, slope, typical, typical_slope = (x[finite] for x in (value, slope, typical, typical_slope))
    if not len(value):
        return EffectForm("without a finite value at the points tried", "check the initial estimates and the code")
    if np.any(slope == 0.0) and np.any(slope != 0.0):
        return _SOMETIMES
    if _equal(slope, typical_slope):
        return _PROPORTIONAL if _equal(slope, typical) else _SCALED
    if np.all(slope < 0.0):
        return _DECREASING
    with np.errstate(all="ignore"):
        if _equal(slope / value, typical_slope / typical):
            return _SCALED_LOG
    if _equal(value - slope, typical - typical_slope, np.abs(value) + np.abs(slope)):
        return _SHIFTED
    return _OTHER


def _equal(a: np.ndarray, b: np.ndarray, size: np.ndarray | None = None) -> bool:
    size = np.abs(a) + np.abs(b) if size is None else size
    return bool(np.all(np.isfinite(a) & np.isfinite(b) & (np.abs(a - b) <= 1e-9 * size)))
