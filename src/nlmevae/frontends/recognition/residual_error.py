"""The residual error model, found from Y and its derivative by EPS at EPS = 0 (NONMEM linearises in EPS
too): Var(Y | f) = sum over e of w_e² sigma_ee, w_e a verified function of the prediction f."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.recognition.dependencies import (
    assignment_place,
    error_program,
    outputs,
    place_of,
    with_arm_probes,
)
from nlmevae.frontends.recognition.error_branches import check_data_branches, guard_warnings
from nlmevae.frontends.recognition.error_points import (
    ErrorPoints,
    Prediction,
    run_error,
    run_individual,
    sample_error_inputs,
)
from nlmevae.frontends.recognition.error_refusals import refuse_weight
from nlmevae.frontends.recognition.error_weights import Term, Weight, fit_weight
from nlmevae.frontends.recognition.individual_level import MIN_POINTS, initial_dependencies
from nlmevae.frontends.recognition.log_scale import is_log_prediction, with_log_probes
from nlmevae.ir import CovarianceBlock, Diagnostic, ErrorCoefficient, Model, ObservationModel, ResidualError
from nlmevae.ir.dual import tangent_of
from nlmevae.ir.evaluate import run, seeded
from nlmevae.ir.program import names_assigned


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundError:
    """`thetas`: those that only set the residual error."""

    observation: ObservationModel
    thetas: frozenset[str]
    diagnostics: tuple[Diagnostic, ...]


def find_residual_error(model: Model, rng: np.random.Generator) -> FoundError:
    """Raises UnsupportedError or SemanticError, with the line of Y, unless a form is verified."""
    at = assignment_place(model.program.error, "Y")
    epsilons = _active_epsilons(model, at)
    statements, arm_probes = with_arm_probes(error_program(model), "#arm")
    statements, log_probes = with_log_probes(statements)
    for prediction in _ways(model):
        points = sample_error_inputs(model, rng, prediction=prediction)
        found = run_error(model, points, epsilons, statements, rng, prediction=prediction)
        weights = _fit_all(model, found)
        if all(weights):
            break
    else:
        raise refuse_weight(model, found, next(k for k, w in enumerate(weights) if w is None), at)
    check_data_branches(model, found, arm_probes)
    log_scale = is_log_prediction(found, log_probes)
    error = _residual_error(model, epsilons, weights, at)
    error = _with_notation(error, found, log_scale=log_scale)
    error = _with_zero(model, error, epsilons, weights, rng, at)
    scale = "log" if log_scale else "natural"
    return FoundError(
        observation=ObservationModel(name="Y", error=error, scale=scale),
        thetas=_error_only_thetas(model, found, error, at),
        diagnostics=_notes(found, at) + guard_warnings(model, found, arm_probes),
    )


def _ways(model: Model) -> tuple[Prediction, ...]:
    """F first as an unknown of its own; equal to A / S only where one compartment is observed."""
    if not model.structural.compartments or any(c.role == "cmt" for c in model.data.columns):
        return ("free",)
    return ("free", "tied")


def _active_epsilons(model: Model, at: Location | None) -> tuple[str, ...]:
    """The EPSs that act on Y, checked to be independent of each other."""
    error = model.program.error
    if "Y" not in names_assigned(error):
        raise SemanticError("the code assigns no Y", hint="assign Y = prediction + residual error in $ERROR or $PRED")
    if "F_FLAG" in names_assigned(error):
        raise UnsupportedError(
            "F_FLAG: likelihoods of the user's own, such as M3 for censored data, are not supported",
            hint="leave out censored records, or treat them as observations at the limit",
            location=assignment_place(error, "F_FLAG"),
        )
    reads = outputs(model, initial_dependencies(model))["Y"]
    zero = model.zero_epsilons
    active = tuple(name for name in model.epsilons if name not in zero)
    for name in active:
        if name not in reads:
            raise SemanticError(
                f"{name} has no effect on Y", hint=f"use {name} in Y, or remove it and its SIGMA",
                location=place_of(error, name) or _block(model, name).at,
            )  # fmt: skip
    if not active:
        raise SemanticError("Y has no residual error", hint="add one, as in Y = F + F*EPS(1)", location=at)
    _check_independent(model, active)
    return active


def _check_independent(model: Model, active: tuple[str, ...]) -> None:
    for block in model.sigma:
        members = [k for k, name in enumerate(block.names) if name in active]
        joined = len(members) > 1 and (
            not block.fixed or any(block.matrix[i][j] != 0.0 for i in members for j in members if i != j)
        )
        if joined or (members and block.same_as is not None):
            names = ", ".join(block.names[k] for k in members)
            what = "correlated residual errors" if joined else "a SIGMA that repeats another one (SAME)"
            raise UnsupportedError(
                f"{names}: {what} are not supported" if joined else f"{names}: {what} is not supported",
                hint="give each EPS a $SIGMA of its own",
                location=block.at,
            )


def _block(model: Model, name: str) -> CovarianceBlock:
    return next(block for block in model.sigma if name in block.names)


def _variance(model: Model, name: str) -> float:
    block = _block(model, name)
    k = block.names.index(name)
    return block.matrix[k][k]


def _fit_all(model: Model, found: ErrorPoints) -> list[Weight | None]:
    """The form of every EPS's weight."""
    reads = outputs(model, initial_dependencies(model))["Y"]
    names = [t.name for t in model.thetas if t.name in reads and not (t.fixed and t.init == 0.0)]
    finite = np.isfinite(found.f) & np.isfinite(found.w).all(axis=0) & (found.f != 0.0)
    if finite.sum() < MIN_POINTS:
        return [None] * len(found.epsilons)
    f = found.f[finite]
    thetas = {name: found.points[name][finite] for name in names}
    return [fit_weight(w[finite], f, thetas) if np.all(w[finite] != 0.0) else None for w in found.w]


# from weights to coefficients ---------------------------------------------------------------------
def _residual_error(
    model: Model, epsilons: tuple[str, ...], weights: list[Weight], at: Location | None
) -> ResidualError:
    parts: dict[str, ErrorCoefficient] = {}
    for name, weight in zip(epsilons, weights, strict=True):
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
    single = len(epsilons) == 1
    if single and len(parts) == 2:
        _check_separate(parts["a"], parts["b"], at)
    elif not single and any(w.a and w.b for w in weights):
        raise UnsupportedError(
            "Y combines a combined residual error with a second EPS",
            hint="write either W*EPS(1) with W = SQRT(THETA(n)**2 + THETA(m)**2*F**2), or F*EPS(1) + EPS(2)",
            location=at,
        )
    if len(parts) == 2:
        kind = "combined1" if single and weights[0].form == "linear" else "combined2"
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
    block = _block(model, epsilon)
    if term.theta is None:
        return ErrorCoefficient(parameter=epsilon, kind="sigma", scale=term.factor, fixed=block.fixed)
    theta = next(t for t in model.thetas if t.name == term.theta)
    if block.fixed:
        scale = term.factor * math.sqrt(_variance(model, epsilon))
        return ErrorCoefficient(parameter=theta.name, kind="theta", scale=scale, fixed=theta.fixed)
    if theta.fixed:
        return ErrorCoefficient(parameter=epsilon, kind="sigma", scale=term.factor * abs(theta.init))
    raise SemanticError(
        f"{theta.name} and the variance of {epsilon} are not identifiable: only their product acts on Y",
        hint=f"fix the variance of {epsilon}: $SIGMA 1 FIX",
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


def _with_notation(error: ResidualError, found: ErrorPoints, *, log_scale: bool) -> ResidualError:
    written_as = ""
    if log_scale and error.kind == "additive":
        written_as = "log"
    elif found.curved and found.exponential and error.kind == "proportional":
        written_as = "exponential"
    return ResidualError(kind=error.kind, a=error.a, b=error.b, written_as=written_as)


def _notes(found: ErrorPoints, at: Location | None) -> tuple[Diagnostic, ...]:
    if not found.curved:
        return ()
    return (
        Diagnostic(
            code="error-linearised",
            severity="note",
            message="Y is not linear in EPS; as in NONMEM, its variance is taken from the derivative at EPS = 0",
            hint="log-transform both sides for an exactly log-normal residual error: Y = LOG(F) + EPS(1)",
            location=at,
        ),
    )


# what the code does at f = 0 ----------------------------------------------------------------------
def _with_zero(
    model: Model,
    error: ResidualError,
    epsilons: tuple[str, ...],
    weights: list[Weight],
    rng: np.random.Generator,
    at: Location | None,
) -> ResidualError:
    """Add the standard deviation factor the code substitutes where f = 0, if it does."""
    if error.b is None:
        return error
    points = sample_error_inputs(model, rng, prediction="zero")
    found = run_error(model, points, epsilons, error_program(model), rng, prediction="zero")
    usable = (found.f == 0.0) & np.isfinite(found.w).all(axis=0)
    if not usable.any():
        return error  # f = 0 does not occur: nothing is substituted
    expected = [_additive_part(weight, points) for weight in weights]
    w = [np.abs(row[usable]) for row in found.w]
    if all(np.allclose(row, np.broadcast_to(e, usable.shape)[usable]) for row, e in zip(w, expected, strict=True)):
        return error
    if len(w) > 1 or not np.allclose(w[0], w[0][0]):
        raise UnsupportedError(
            "what the residual error becomes at a prediction of 0 depends on more than a number",
            hint="substitute a number: IF (F.EQ.0) W = 1",
            location=at,
        )
    fixed_sd = math.sqrt(_variance(model, epsilons[0])) if error.b.kind == "theta" else 1.0
    return ResidualError(
        kind=error.kind, a=error.a, b=error.b, written_as=error.written_as, at_zero=float(w[0][0]) * fixed_sd
    )


def _additive_part(weight: Weight, points) -> np.ndarray | float:
    if weight.a is None:
        return 0.0
    return weight.a.factor * (np.abs(points[weight.a.theta]) if weight.a.theta else 1.0)


# THETAs -------------------------------------------------------------------------------------------
def _error_only_thetas(model: Model, found: ErrorPoints, error: ResidualError, at: Location | None) -> frozenset[str]:
    """THETAs Y reads that change neither f nor anything before it."""
    seen = outputs(model, initial_dependencies(model))
    elsewhere = frozenset().union(*(reads for name, reads in seen.items() if name != "Y"))
    names = tuple(t.name for t in model.thetas if t.name in seen["Y"] and t.name not in elsewhere)
    start = run_individual(model, seeded(found.points, names))
    f = run(error_program(model), start)["Y"]
    tangent = tangent_of(f, np.zeros((len(names), len(found.f))))
    still = np.all((np.broadcast_to(tangent, (len(names), len(found.f))) == 0.0) | ~np.isfinite(found.f), axis=1)
    only = frozenset(name for name, unmoved in zip(names, still, strict=True) if unmoved)
    for coefficient in (error.a, error.b):
        if coefficient is not None and coefficient.kind == "theta" and coefficient.parameter not in only:
            raise UnsupportedError(
                f"{coefficient.parameter} sets the residual error and also the prediction",
                hint="give the residual error a THETA of its own",
                location=at,
            )
    return only
