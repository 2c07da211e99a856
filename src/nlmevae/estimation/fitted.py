"""The population a fit ended with, checked against the model it is to be used with."""

from __future__ import annotations

import math

from nlmevae.errors import DataError
from nlmevae.estimation.population import Population
from nlmevae.ir import Model
from nlmevae.results.fit_result import FitResult

SAME_FIXED = 1e-9  # relative


def fitted_population(result: FitResult, model: Model) -> Population:
    """Final estimates of `result` for `model`.

    Raises:
        DataError: the fit is of another model, or ended without usable numbers.
    """
    hint = "give the control stream that was fitted, or fit this one"
    for what, fit, stated in (
        ("THETAs", len(result.thetas), len(model.thetas)),
        ("ETAs", len(result.omega), len(model.etas)),
        ("EPSs", len(result.sigma), len(model.epsilons)),
    ):
        if fit != stated:
            raise DataError(f"the fit has {fit} {what}, the model of {model.source.path} has {stated}", hint=hint)
    if result.fingerprint and result.fingerprint != model.fingerprint:
        raise DataError(f"{model.source.path} has other equations than the model that was fitted", hint=hint)
    for theta, value in zip(model.thetas, result.thetas, strict=True):
        if not math.isfinite(value):
            raise DataError(f"{theta.name} of the fit is not a number", hint="fit the model again")
        if theta.fixed and not math.isclose(theta.init, value, rel_tol=SAME_FIXED):
            raise DataError(
                f"{theta.name} is fixed at {theta.init:g} in {model.source.path} and {value:g} in the fit", hint=hint
            )
    return Population(thetas=result.thetas, omega=result.omega, sigma=result.sigma)
