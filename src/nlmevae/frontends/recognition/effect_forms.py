"""Naming what a random effect does when it makes no single parameter random: for notes only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class EffectForm:
    """What it is, and the mu-referenced spelling of the same model ("" if there is none)."""

    name: str
    remedy: str = ""


SEVERAL_VARIABLES = "it acts on several variables ({names})"
ELSEWHERE = "it acts on {names} and elsewhere"
UNREACHED = "{name} depends on a branch that was reached at no point tried"
TAKEN = "{name} has another random effect that makes it random"
DERIVED = "{name} is computed from a parameter that has its own random effect, and from no THETA"
OUTSIDE = "it acts in {record}"
_SCALED = EffectForm("scaled, factor * ETA", "without the factor OMEGA is the variance of the effect itself")
_SCALED_LOG = EffectForm(
    "scaled log-normal, EXP(factor * ETA)", "{name} = typical value * EXP({eta}): OMEGA is then the variance of the log"
)
_PROPORTIONAL = EffectForm("the proportional form typical value * (1 + ETA)")
_SHIFTED = EffectForm(
    "log-normal plus a shift that is not a constant", "give the log-normal part a line and a name of its own"
)
_DECREASING = EffectForm("a parameter that falls as ETA rises", "write +{eta} in place of -{eta}")
_SOMETIMES = EffectForm("it acts in some branches only")
_OTHER = EffectForm("neither normal, log-normal nor logit-normal")
_NO_VALUE = EffectForm("without a finite value at the points tried")


def name_form(value: np.ndarray, slope: np.ndarray, typical: np.ndarray, typical_slope: np.ndarray) -> EffectForm:
    """The form of p(ETA), from p and dp/dETA at random ETA and at ETA = 0. Arrays (n,)."""
    finite = np.isfinite(value) & np.isfinite(slope) & np.isfinite(typical) & np.isfinite(typical_slope)
    value, slope, typical, typical_slope = (x[finite] for x in (value, slope, typical, typical_slope))
    if not len(value):
        return _NO_VALUE
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
