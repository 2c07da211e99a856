"""The recogniser: fills in what a model's code says about its individual parameters and residual error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.frontends.recognition.covariate_effects import find_covariate_effects
from nlmevae.frontends.recognition.individual_level import run_individual_level
from nlmevae.frontends.recognition.individual_parameters import find_parameters
from nlmevae.frontends.recognition.residual_error import FoundErrors, find_residual_errors
from nlmevae.frontends.recognition.typical_values import decide_scales
from nlmevae.frontends.recognition.variance_elements import refuse_variance_elements
from nlmevae.ir import Diagnostic, Model, PopulationParameter, summed_thetas

#: the random points are the same in every run: a model is accepted always or never
_SEED = 12345


def recognise(model: Model) -> Model:
    """The model with `individual_parameters`, `covariate_effects`, `observations`, the scale and role of
    every THETA, and notes added to `diagnostics`.

    Raises:
        UnsupportedError: a residual error this version cannot execute exactly, or one that could not be verified.
        SemanticError: an effect that acts on nothing, or coefficients that cannot be told apart.
    """
    rng = np.random.default_rng(_SEED)
    refuse_variance_elements(model, final=False)
    with np.errstate(all="ignore"):  # points outside the domain of a LOG give NaN and are left out
        errors = find_residual_errors(model, np.random.default_rng(_SEED))
        level = run_individual_level(model, rng)
        values, notes = find_parameters(level, elsewhere=errors.effects)
        scaled = decide_scales(model, values)
        effects = find_covariate_effects(level, values, scaled.thetas, rng)
    influences = {(e.parameter, e.covariate) for e in effects}
    parameters = tuple(
        replace(p, covariates=tuple(c for c in p.covariates if (p.name, c) in influences)) for p in scaled.parameters
    )
    recognised = replace(
        model,
        thetas=_with_error_roles(scaled.thetas, errors),
        sigma=errors.sigma,
        individual_parameters=parameters,
        covariate_effects=effects,
        observations=errors.observations,
        diagnostics=(*model.diagnostics, *notes, *scaled.diagnostics, *errors.diagnostics, *_sign_notes(model, errors)),
    )
    refuse_variance_elements(recognised, final=True)
    return recognised


def _sign_notes(model: Model, errors: FoundErrors) -> list[Diagnostic]:
    """The recogniser tries THETAs of the signs of the initial estimates, and so does a fit."""
    return [
        Diagnostic(
            code="residual-sign",
            severity="note",
            message=f"{t.label} keeps the sign of its initial estimate: the residual error is a sum of one sign",
            hint="a bound of 0 says so in the control stream",
            location=t.at,
        )
        for pair in summed_thetas(errors.observations, model.thetas)
        for t in pair
        if not t.fixed and t.lower < 0.0 < t.upper
    ]


def _with_error_roles(thetas: tuple[PopulationParameter, ...], errors: FoundErrors) -> tuple[PopulationParameter, ...]:
    return tuple(
        replace(t, role="residual_error") if t.name in errors.thetas and t.role == "structural" else t for t in thetas
    )
