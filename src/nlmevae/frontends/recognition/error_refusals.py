"""Naming a residual error that is not one of the supported forms: for error messages only."""

from __future__ import annotations

import numpy as np

from nlmevae.errors import Location, UnsupportedError
from nlmevae.frontends.recognition.dependencies import error_program, outputs
from nlmevae.frontends.recognition.error_points import ErrorPoints, run_individual
from nlmevae.frontends.recognition.error_weights import is_variance_weight
from nlmevae.frontends.recognition.individual_level import initial_dependencies
from nlmevae.ir import Model
from nlmevae.ir.dual import tangent_of, value_of
from nlmevae.ir.evaluate import run, seeded

_FORMS = (
    "supported: F + EPS, F + F*EPS, F + F*EPS(1) + EPS(2), F + W*EPS with W = THETA, THETA*F, THETA + THETA*F or "
    "SQRT(THETA**2 + THETA**2*F**2) and $SIGMA 1 FIX, F*EXP(EPS), LOG(F) + EPS"
)


def refuse_weight(model: Model, found: ErrorPoints, k: int, at: Location | None) -> UnsupportedError:
    """Why EPS number k of `found` has no supported form."""
    epsilon = found.epsilons[k]
    reads = outputs(model, initial_dependencies(model))["Y"]
    for name in model.etas:
        if name in reads and _moves_weight_only(model, found, k, name):
            return UnsupportedError(
                f"{name} acts on the size of the residual error ({epsilon})",
                hint="leave the random effect out; one on the residual error is planned for a later release",
                location=at,
            )
    for name in sorted(reads & model.data_items):
        if _splits(model, found, k, name):
            return UnsupportedError(
                f"the residual error with {epsilon} differs between records by {name}",
                hint="one residual error model for all records is supported; several endpoints are planned for a "
                "later release",
                location=at,
            )
    usable = np.isfinite(found.f) & np.isfinite(found.w).all(axis=0) & (found.f != 0.0)
    if not usable.any() or np.any(found.w[k][usable] == 0.0):
        return UnsupportedError(
            f"{epsilon} does not act on every observation, or Y has no value at the points tried",
            hint=_FORMS,
            location=at,
        )
    return UnsupportedError(
        f"the residual error with {epsilon} is {_numerical_name(model, found, k, usable)}", hint=_FORMS, location=at
    )


def _numerical_name(model: Model, found: ErrorPoints, k: int, usable: np.ndarray) -> str:
    f, w = found.f[usable], found.w[k][usable]
    thetas = {t.name: found.points[t.name][usable] for t in model.thetas if not (t.fixed and t.init == 0.0)}
    if is_variance_weight(w, f, thetas):
        return "a form in which a THETA is a variance: write THETA(n)**2, so that THETA(n) is a standard deviation"
    if _is_power(model, found, k):
        return "a power of the prediction, which is planned for a later release"
    return "no form this version knows"


def _is_power(model: Model, found: ErrorPoints, k: int) -> bool:
    """log|w| is linear in log|f| when everything but the amounts is held."""
    if not model.structural.compartments:
        return False
    held = {}
    for name, value in found.points.items():
        varies = name == "F" or name.startswith("A(")
        held[name] = value if varies or np.ndim(value) == 0 else np.full_like(value, value[0])
    f, w = _weight_at(model, held, found.epsilons, k)
    usable = np.isfinite(f) & np.isfinite(w) & (f > 0.0) & (w != 0.0)
    if usable.sum() < 3:
        return False
    x, y = np.log(f[usable]), np.log(np.abs(w[usable]))
    slope, level = np.polyfit(x, y, 1)
    return bool(np.max(np.abs(y - slope * x - level)) < 1e-8)


def _weight_at(model: Model, points, epsilons: tuple[str, ...], k: int) -> tuple[np.ndarray, np.ndarray]:
    start = run_individual(model, points)
    shape = np.shape(next(v for v in points.values() if np.ndim(v)))
    start[epsilons[k]] = np.zeros(shape)
    y = run(error_program(model), seeded(start, (epsilons[k],)))["Y"]
    return (
        np.broadcast_to(value_of(y), shape),
        np.broadcast_to(tangent_of(y, np.zeros((1, *shape)))[0], shape),
    )


def _moved(model: Model, found: ErrorPoints, k: int, name: str):
    """(f, w) before and after shuffling the values of one input among the points."""
    value = np.asarray(found.points[name], dtype=float)
    names = next(
        ([n for n in (c.name, c.synonym) if n] for c in model.data.columns if name in (c.name, c.synonym)), [name]
    )
    shuffled = dict.fromkeys(names, np.roll(value, 1))
    before = _weight_at(model, found.points, found.epsilons, k)
    return before, _weight_at(model, {**found.points, **shuffled}, found.epsilons, k)


def _moves_weight_only(model: Model, found: ErrorPoints, k: int, name: str) -> bool:
    (f, w), (f_moved, w_moved) = _moved(model, found, k, name)
    return bool(np.allclose(f, f_moved, equal_nan=True) and not np.allclose(w, w_moved, equal_nan=True))


def _splits(model: Model, found: ErrorPoints, k: int, name: str) -> bool:
    """The item switches the EPS on and off, or changes its weight at the same prediction."""
    (f, w), (f_moved, w_moved) = _moved(model, found, k, name)
    switched = bool(np.any((w == 0.0) != (w_moved == 0.0)))
    same_f = np.isclose(f, f_moved)
    return switched or bool(np.any(~np.isclose(w, w_moved)[same_f]))
