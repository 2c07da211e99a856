"""How each typical value depends on its THETAs: the scale on which it is linear, and each THETA's role."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.frontends.recognition.individual_parameters import TypicalValue
from nlmevae.frontends.recognition.transforms import constant_along
from nlmevae.ir import Diagnostic, IndividualParameter, Model, PopulationParameter

_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledModel:
    """Individual parameters with `mu_linear` and THETAs with `scale` and `role` decided."""

    parameters: tuple[IndividualParameter, ...]
    thetas: tuple[PopulationParameter, ...]
    diagnostics: tuple[Diagnostic, ...]


def decide_scales(model: Model, values: list[TypicalValue]) -> ScaledModel:
    """ "log" for a THETA when all mus that read it are linear in its logarithm, "identity" otherwise."""
    thetas, notes = [], []
    for theta in model.thetas:
        readers = [v for v in values if theta.name in v.slope]
        if not readers:
            thetas.append(replace(theta, scale="identity", role="structural"))
            continue
        scale = _scale(theta, readers)
        if scale == "log" and theta.lower < 0.0 and not theta.fixed:
            notes.append(_positive_note(theta, readers[0].parameter.name))
        thetas.append(replace(theta, scale=scale, role=_role(theta, readers)))
    parameters = tuple(replace(v.parameter, mu_linear=_linear(v, thetas)) for v in values)
    return ScaledModel(parameters=parameters, thetas=tuple(thetas), diagnostics=tuple(notes))


def scaled_slope(value: TypicalValue, theta: PopulationParameter) -> np.ndarray:
    """dmu / d(THETA on its scale), (n_theta_draws, n_covariate_draws)."""
    slope = value.slope[theta.name]
    return slope * value.draws[theta.name] if theta.scale == "log" else slope


def _over_thetas(slope: np.ndarray, theta: np.ndarray) -> bool:
    """Every column (one set of data items) has one slope for all THETA draws."""
    return constant_along(slope.T, float(np.max(np.abs(theta))))


def _scale(theta: PopulationParameter, readers: list[TypicalValue]) -> str:
    if all(_over_thetas(v.slope[theta.name], v.draws[theta.name]) for v in readers) or theta.init <= 0.0:
        return "identity"
    if all(_over_thetas(v.slope[theta.name] * v.draws[theta.name], np.ones(1)) for v in readers):
        return "log"
    return "identity"


def _linear(value: TypicalValue, thetas: list[PopulationParameter]) -> bool:
    """mu is linear in all THETAs that are estimated, each on its scale, with no pieces they decide about."""
    moving = [t for t in thetas if t.name in value.slope and not t.fixed]
    if value.piecewise & {t.name for t in moving}:
        return False
    return all(
        _over_thetas(scaled_slope(value, t), np.ones(1) if t.scale == "log" else value.draws[t.name]) for t in moving
    )


def _role(theta: PopulationParameter, readers: list[TypicalValue]) -> str:
    return "typical_value" if any(_sets_level(theta.name, v) for v in readers) else "covariate_effect"


def _sets_level(name: str, value: TypicalValue) -> bool:
    """The THETA moves psi or mu alike for all covariates, or is itself the typical value of one group."""
    draws = value.draws[name]
    size = float(np.max(np.abs(draws)))
    ways = ((value.slope[name], size), (draws * value.slope[name], 1.0), (value.psi_slope[name], size))
    if any(constant_along(slopes, unit) for slopes, unit in ways):
        return True
    share = draws * value.psi_slope[name] / (value.psi - _lower(value))
    share = share[np.isfinite(share)]
    return bool(len(share)) and bool(np.all(np.minimum(np.abs(share), np.abs(share - 1.0)) < _TOLERANCE))


def _lower(value: TypicalValue) -> float:
    transform = value.parameter.transform
    return transform.lower if transform.kind == "log" else 0.0


def _positive_note(theta: PopulationParameter, parameter: str) -> Diagnostic:
    return Diagnostic(
        code="theta-kept-positive",
        severity="note",
        message=f"{theta.label} ({theta.name}) is estimated on the log scale and stays positive: {parameter} needs it",
        hint=f"state the lower bound 0: (0, {theta.init:g})",
        location=theta.at,
    )
