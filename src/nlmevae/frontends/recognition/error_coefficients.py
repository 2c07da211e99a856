"""From the verified weights of one kind of record to its residual error and the parameters it stands on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.recognition.dependencies import error_program
from nlmevae.frontends.recognition.error_forms import ErrorForm
from nlmevae.frontends.recognition.error_points import run_error, sample_error_inputs
from nlmevae.frontends.recognition.error_weights import Term, Weight
from nlmevae.frontends.recognition.sigma_blocks import block_of, is_correlated, variance_of
from nlmevae.ir import ErrorCoefficient, ErrorCorrelation, ErrorPower, Model, ResidualError


def residual_error_of(
    model: Model, form: ErrorForm, rng: np.random.Generator, at: Location | None, *, log_scale: bool
) -> ResidualError:
    """Raises SemanticError or UnsupportedError: coefficients that cannot be told apart, or their combination."""
    error = _coefficients(model, form.weights, at)
    error = replace(error, effect=form.effect, power=_power(model, form.weights))
    error = replace(error, correlation=_correlation(model, form, at))
    written_as = ""
    if log_scale and error.kind == "additive":
        written_as = "log"
    elif form.found.curved and form.found.exponential and error.kind == "proportional" and error.power is None:
        written_as = "exponential"
    return _with_zero(model, replace(error, written_as=written_as), form, rng, at)


def _coefficients(model: Model, weights: dict[str, Weight], at: Location | None) -> ResidualError:
    parts: dict[str, ErrorCoefficient] = {}
    for name, weight in weights.items():
        for part, term in (("a", weight.a), ("b", weight.b)):
            if term is None:
                continue
            if part in parts:
                what = "additive" if part == "a" else "proportional"
                raise SemanticError(
                    f"Y has more than one {what} residual error: only the sum of their variances can be estimated",
                    hint=f"keep one {what} EPS",
                    location=at,
                )
            parts[part] = _coefficient(model, name, term, at)
    single = len(weights) == 1
    if single and len(parts) == 2:
        _check_separate(parts["a"], parts["b"], at)
    elif not single and any(w.a and w.b for w in weights.values()):
        raise UnsupportedError(
            "Y combines a combined residual error with a second EPS",
            hint="write either W*EPS(1) with W = SQRT(THETA(n)**2 + THETA(m)**2*F**2), or F*EPS(1) + EPS(2)",
            location=at,
        )
    if len(parts) == 2:
        kind = "combined1" if single and next(iter(weights.values())).form == "linear" else "combined2"
    else:
        kind = "additive" if "a" in parts else "proportional"
    if len(parts) == 2 and parts["a"].parameter == parts["b"].parameter and not parts["a"].fixed:
        raise UnsupportedError(
            f"{parts['a'].parameter} is both the additive and the proportional coefficient of the residual error",
            hint="give each a THETA of its own",
            location=at,
        )
    return ResidualError(kind=kind, a=parts.get("a"), b=parts.get("b"))


def _coefficient(model: Model, epsilon: str, term: Term, at: Location | None) -> ErrorCoefficient:
    block = block_of(model, epsilon)
    if term.theta is None:
        return ErrorCoefficient(parameter=epsilon, kind="sigma", scale=term.factor, fixed=block.fixed)
    theta = next(t for t in model.thetas if t.name == term.theta)
    if block.fixed:
        scale = term.factor * math.sqrt(variance_of(model, epsilon))
        return ErrorCoefficient(parameter=theta.name, kind="theta", scale=scale, fixed=theta.fixed)
    if theta.fixed:
        return ErrorCoefficient(parameter=epsilon, kind="sigma", scale=term.factor * abs(theta.init))
    raise SemanticError(
        f"{theta.name} and the variance of {epsilon} are not identifiable: only their product acts on Y",
        hint=f"fix the variance of {epsilon}: $SIGMA 1 FIX; where other records have {epsilon} without {theta.name}, "
        "give these an EPS of their own in place of the product",
        location=at,
    )


def _check_separate(a: ErrorCoefficient, b: ErrorCoefficient, at: Location | None) -> None:
    """Two coefficients of one EPS must not both move with its variance."""
    for one in (a, b):
        if one.kind == "sigma" and not one.fixed:
            raise UnsupportedError(
                f"both parts of the combined residual error move with the variance of {one.parameter}",
                hint="write W = SQRT(THETA(n)**2 + THETA(m)**2*F**2), Y = F + W*EPS(1) with $SIGMA 1 FIX",
                location=at,
            )


def _power(model: Model, weights: dict[str, Weight]) -> ErrorPower | None:
    """Only the proportional part has one."""
    term = next((weight.power for weight in weights.values() if weight.power is not None), None)
    if term is None:
        return None
    if term.theta is None:
        return ErrorPower(scale=term.factor)
    theta = next(t for t in model.thetas if t.name == term.theta)
    if theta.fixed:
        return ErrorPower(scale=term.factor * theta.init)
    return ErrorPower(parameter=theta.name, scale=term.factor, fixed=False)


def _correlation(model: Model, form: ErrorForm, at: Location | None) -> ErrorCorrelation | None:
    names = [name for name in model.epsilons if name in form.weights]
    joined = [(i, j) for i in names for j in names if i < j and is_correlated(model, i, j)]
    if not joined:
        return None
    additive = [name for name in names if form.weights[name].a is not None]
    proportional = [name for name in names if form.weights[name].b is not None]
    if len(names) != 2 or len(additive) != 1 or len(proportional) != 1 or additive == proportional:
        raise UnsupportedError(
            f"{', '.join(names)}: correlated residual errors are only supported for one additive and one proportional "
            "EPS",
            hint="give each EPS a $SIGMA of its own",
            location=block_of(model, names[0]).at or at,
        )
    if form.weights[proportional[0]].power is not None:
        raise UnsupportedError(
            f"{', '.join(names)}: correlated residual errors with a power of the prediction are not supported",
            hint="give each EPS a $SIGMA of its own",
            location=block_of(model, names[0]).at or at,
        )
    found = form.found
    rows = [found.w[found.epsilons.index(name)] for name in (additive[0], proportional[0])]
    with np.errstate(all="ignore"):
        sign = np.sign(rows[0] * rows[1] * found.f)
    signs = set(sign[np.isfinite(sign) & (sign != 0.0)].tolist())
    if len(signs) != 1:
        raise UnsupportedError(
            f"{', '.join(names)}: the sign of their correlation differs between records",
            hint="give each EPS a $SIGMA of its own",
            location=at,
        )
    block = block_of(model, names[0])
    return ErrorCorrelation(names=(additive[0], proportional[0]), sign=signs.pop(), fixed=block.fixed)


# what the code does at f = 0 ----------------------------------------------------------------------
def _with_zero(
    model: Model, error: ResidualError, form: ErrorForm, rng: np.random.Generator, at: Location | None
) -> ResidualError:
    """Add the standard deviation factor the code substitutes where f = 0, if it does."""
    if error.b is None:
        return error
    items = None if form.kind is None else form.kind.items
    points = sample_error_inputs(model, rng, prediction="zero", items=items)
    epsilons = tuple(form.weights)
    found = run_error(model, points, epsilons, error_program(model), rng, prediction="zero")
    usable = (found.f == 0.0) & np.isfinite(found.w).all(axis=0)
    if not usable.any():
        return error  # f = 0 does not occur: nothing is substituted
    factor = 1.0 if form.effect is None else np.exp(form.effect.scale * points[form.effect.eta])
    expected = [
        np.broadcast_to(_additive_part(weight, points) * factor, usable.shape) for weight in form.weights.values()
    ]
    w = [np.abs(row[usable]) for row in found.w]
    if all(np.allclose(row, e[usable]) for row, e in zip(w, expected, strict=True)):
        return error
    substituted = w[0] / np.broadcast_to(factor, usable.shape)[usable]
    if len(w) > 1 or not np.allclose(substituted, substituted[0]):
        raise UnsupportedError(
            "what the residual error becomes at a prediction of 0 depends on more than a number",
            hint="substitute a number for the prediction in W: IF (F.EQ.0) W = 1, before any EXP(ETA(n))",
            location=at,
        )
    fixed_sd = math.sqrt(variance_of(model, epsilons[0])) if error.b.kind == "theta" else 1.0
    return replace(error, at_zero=float(substituted[0]) * fixed_sd)


def _additive_part(weight: Weight, points) -> np.ndarray | float:
    if weight.a is None:
        return 0.0
    return weight.a.factor * (np.abs(points[weight.a.theta]) if weight.a.theta else 1.0)
