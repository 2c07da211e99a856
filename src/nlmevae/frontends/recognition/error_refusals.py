"""Naming a residual error that is not one of the supported forms: for error messages only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.errors import Location, UnsupportedError
from nlmevae.frontends.recognition.data_values import negated
from nlmevae.frontends.recognition.dependencies import outputs
from nlmevae.frontends.recognition.endpoints import text_of
from nlmevae.frontends.recognition.error_forms import ErrorForm
from nlmevae.frontends.recognition.error_points import ErrorPoints, run_again
from nlmevae.frontends.recognition.error_weights import is_variance_weight
from nlmevae.frontends.recognition.individual_level import initial_dependencies
from nlmevae.frontends.recognition.record_kinds import spellings
from nlmevae.ir import Expression, Model, past_flags, time_of

_FORMS = (
    "supported: F + EPS, F + F*EPS, F + F*EPS(1) + EPS(2), F + W*EPS with W = THETA, THETA*F, THETA + THETA*F or "
    "SQRT(THETA**2 + THETA**2*F**2) and $SIGMA 1 FIX, powers F**THETA in place of F, all of them times EXP(ETA); "
    "F*EXP(EPS), LOG(F) + EPS"
)


def refuse_form(
    model: Model, form: ErrorForm, conditions: Sequence[Expression], at: Location | None
) -> UnsupportedError:
    """Why the EPS that failed has no supported form."""
    found, k = form.found, form.failed or 0
    epsilon = found.epsilons[k]
    where = _records(form, conditions)
    reads = outputs(model, initial_dependencies(model))["Y"]
    for name in model.etas:
        if name in reads and _moves_weight_only(model, found, k, name):
            return UnsupportedError(
                f"{name} acts on the size of the residual error ({epsilon}) otherwise than by a factor EXP({name}) of "
                "all of it",
                hint=f"write Y = F + W*EXP({name})*EPS(1)",
                location=at,
            )
    for name in sorted(splitting_items(model, form)):
        return UnsupportedError(
            f"the residual error with {epsilon}{where} differs between records by {name}",
            hint=f"choose it with IF and numbers, as in IF ({name}.EQ.1), or multiply by a data item that is 0 or 1",
            location=at,
        )
    for flag in past_flags(model.program):
        if flag in reads and _splits(model, found, k, flag):
            return UnsupportedError(
                f"the residual error with {epsilon}{where} is another one after {time_of(flag)}: not supported",
                hint=f"take {flag} out of its weight; predictions may read it",
                location=at,
            )
    usable = np.isfinite(found.f) & np.isfinite(found.w).all(axis=0) & (found.f != 0.0)
    if not usable.any() or np.any(found.w[k][usable] == 0.0):
        return UnsupportedError(
            f"{epsilon} does not act on every observation{where}, or Y has no value at the points tried",
            hint=_FORMS,
            location=at,
        )
    return UnsupportedError(
        f"the residual error with {epsilon}{where} is {_numerical_name(model, found, k, usable)}",
        hint=_FORMS,
        location=at,
    )


def _records(form: ErrorForm, conditions: Sequence[Expression]) -> str:
    if form.kind is None or not conditions:
        return ""
    held = [c if t else negated(c) for c, t in zip(conditions, form.kind.truth, strict=True)]
    return f" of records with {' and '.join(text_of(c) for c in held)}"


def splitting_items(model: Model, form: ErrorForm) -> list[str]:
    """Data items that switch an EPS on and off, or change its weight at the same prediction."""
    reads = outputs(model, initial_dependencies(model))["Y"]
    names = sorted(reads & model.data_items)
    count = range(len(form.found.epsilons))
    return [name for name in names if any(_splits(model, form.found, k, name) for k in count)]


def _numerical_name(model: Model, found: ErrorPoints, k: int, usable: np.ndarray) -> str:
    f, w = found.f[usable], found.w[k][usable]
    thetas = {t.name: found.points[t.name][usable] for t in model.thetas if not (t.fixed and t.init == 0.0)}
    if is_variance_weight(w, f, thetas):
        return "a form in which a THETA is a variance: write THETA(n)**2, so that THETA(n) is a standard deviation"
    if _is_power(model, found, k):
        return "a power of the prediction whose exponent is neither a THETA nor a number"
    return "no form this version knows"


def _is_power(model: Model, found: ErrorPoints, k: int) -> bool:
    """log|w| is linear in log|f| when everything but the amounts is held."""
    if not model.structural.compartments:
        return False
    held = {}
    for name, value in found.points.items():
        varies = name == "F" or name.startswith("A(")
        held[name] = value if varies or np.ndim(value) == 0 else np.full_like(value, value[0])
    f, rows = run_again(model, found, held)
    w = rows[k]
    usable = np.isfinite(f) & np.isfinite(w) & (f > 0.0) & (w != 0.0)
    if usable.sum() < 3:
        return False
    x, y = np.log(f[usable]), np.log(np.abs(w[usable]))
    if np.ptp(x) < 1e-6 * (1.0 + np.abs(x).max()):  # too narrow to tell a power
        return False
    slope, level = np.polyfit(x, y, 1)
    return bool(np.max(np.abs(y - slope * x - level)) < 1e-8)


def _moved(model: Model, found: ErrorPoints, k: int, name: str):
    """(f, w) before and after shuffling the values of one input among the points."""
    shuffled = np.roll(np.asarray(found.points[name], dtype=float), 1)
    f, w = run_again(model, found, dict.fromkeys(spellings(model, name), shuffled))
    return (found.f, found.w[k]), (f, w[k])


def _moves_weight_only(model: Model, found: ErrorPoints, k: int, name: str) -> bool:
    (f, w), (f_moved, w_moved) = _moved(model, found, k, name)
    return bool(np.allclose(f, f_moved, equal_nan=True) and not np.allclose(w, w_moved, equal_nan=True))


def _splits(model: Model, found: ErrorPoints, k: int, name: str) -> bool:
    """The item switches the EPS on and off, or changes its weight at the same prediction."""
    (f, w), (f_moved, w_moved) = _moved(model, found, k, name)
    told = np.isfinite(f) & np.isfinite(f_moved) & np.isfinite(w) & np.isfinite(w_moved)
    switched = bool(np.any(((w == 0.0) != (w_moved == 0.0))[told]))
    same_f = told & np.isclose(f, f_moved)
    return switched or bool(np.any(~np.isclose(w, w_moved)[same_f]))
