"""The form of the residual error at one set of points: a weight for each EPS that acts, and a random effect on all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nlmevae.frontends.recognition.dependencies import error_program, outputs
from nlmevae.frontends.recognition.error_points import ErrorPoints, run_again
from nlmevae.frontends.recognition.error_weights import Term, Weight, fit_weight
from nlmevae.frontends.recognition.individual_level import MIN_POINTS, initial_dependencies
from nlmevae.frontends.recognition.record_kinds import RecordKind
from nlmevae.ir import Assign, Binary, Call, ErrorEffect, Expression, If, Model, Number, Statement

LARGEST_EXPONENT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorForm:
    """`weights` by EPS, those that act; `failed` is the position of one without a form, None if all have one.

    `empty`: Y has no value at any point. `kind`: the records the points stand for, None for all of them.
    `probability`: F_FLAG is 1, Y is a likelihood of the user's own.
    """

    found: ErrorPoints
    weights: dict[str, Weight]
    effect: ErrorEffect | None = None
    failed: int | None = None
    empty: bool = False
    kind: RecordKind | None = None
    probability: bool = False


def find_form(model: Model, found: ErrorPoints, kind: RecordKind | None = None) -> ErrorForm:
    """Weights as they are, else with the factor EXP(ETA) of one random effect taken out."""
    if not np.isfinite(found.f).any():
        return ErrorForm(found=found, weights={}, empty=True, kind=kind)
    finite = np.isfinite(found.f) & np.isfinite(found.w).all(axis=0)
    if found.f[finite].any():  # else a coefficient fixed at 0 makes it 0 for all parameters
        finite &= found.f != 0.0
    if finite.sum() < MIN_POINTS:
        return ErrorForm(found=found, weights={}, failed=0, kind=kind)
    weights, failed = _fit_all(model, found, finite, found.w)
    if failed is None:
        return ErrorForm(found=found, weights=weights, kind=kind)
    effect = _find_effect(model, found, finite)
    if effect is None:
        return ErrorForm(found=found, weights=weights, failed=failed, kind=kind)
    rest = found.w * np.exp(-effect.scale * found.points[effect.eta])
    weights, failed = _fit_all(model, found, finite, rest)
    return ErrorForm(found=found, weights=weights, effect=effect, failed=failed, kind=kind)


def _fit_all(
    model: Model, found: ErrorPoints, finite: np.ndarray, w: np.ndarray
) -> tuple[dict[str, Weight], int | None]:
    reads = outputs(model, initial_dependencies(model))["Y"]
    names = [t.name for t in model.thetas if t.name in reads and not (t.fixed and t.init == 0.0)]
    thetas = {name: np.asarray(found.points[name])[finite] for name in names}
    exponents = list(_exponents(model, names))
    weights: dict[str, Weight] = {}
    for k, name in enumerate(found.epsilons):
        row = w[k][finite]
        if not row.any():
            continue
        weight = fit_weight(row, found.f[finite], thetas, exponents) if np.all(row != 0.0) else None
        if weight is None:
            return weights, k
        weights[name] = weight
    return weights, None if weights else 0


def _exponents(model: Model, thetas: list[str]) -> Iterator[Term]:
    """What p of |f|^p may be: THETAs and numbers of a code that raises something to a power, and simple multiples."""
    nodes = [n for e in _expressions((*model.program.pk, *error_program(model))) for n in e.walk()]
    if not any((isinstance(n, Binary) and n.operator == "**") or _is_root(n) for n in nodes):
        return
    for factor in (1.0, 0.5, 2.0):
        yield from (Term(theta, factor) for theta in thetas)
    numbers = {n.value for n in nodes if isinstance(n, Number)}
    halves = {value * factor for value in numbers for factor in (1.0, 0.5)} | {0.5}
    yield from (Term(None, p) for p in sorted(halves) if 0.0 < p <= LARGEST_EXPONENT and p != 1.0)


def _is_root(node: Expression) -> bool:
    return isinstance(node, Call) and node.function == "SQRT"


def _expressions(statements: tuple[Statement, ...]) -> Iterator[Expression]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.value
        elif isinstance(statement, If):
            for condition, body in statement.arms:
                yield condition
                yield from _expressions(body)
            yield from _expressions(statement.orelse)


def _find_effect(model: Model, found: ErrorPoints, finite: np.ndarray) -> ErrorEffect | None:
    """The ETA that multiplies every weight by EXP(scale * ETA) and leaves the prediction alone."""
    reads = outputs(model, initial_dependencies(model))["Y"]
    for eta in model.etas:
        if eta not in reads or eta in model.zero_etas:
            continue
        value = np.asarray(found.points[eta], dtype=float)
        shuffled = np.roll(value, 1)
        f, w = run_again(model, found, {eta: shuffled})
        acts = [k for k in range(len(w)) if found.w[k][finite].any()]
        change = (value - shuffled)[finite]
        if not np.allclose(f[finite], found.f[finite], rtol=1e-12, atol=0.0) or not acts:
            continue
        with np.errstate(all="ignore"):
            ratio = np.log(np.abs(found.w[acts][:, finite] / w[acts][:, finite]))
        if not np.isfinite(ratio).all():
            continue
        scale = float((ratio[0] @ change) / (change @ change))
        if abs(scale) > 1e-6 and np.max(np.abs(ratio - scale * change)) < 1e-8 * max(1.0, abs(scale)):
            return ErrorEffect(eta=eta, scale=float(f"{scale:.8g}"))
    return None
