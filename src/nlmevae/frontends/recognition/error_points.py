"""The observation code at random points: prediction f = Y at EPS = 0 and the weights w_e = dY/dEPS(e)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nlmevae.frontends.recognition.dependencies import dosing_names, error_program
from nlmevae.frontends.recognition.points import (
    Points,
    compared_numbers,
    sample_etas,
    sample_items,
    sample_thetas,
)
from nlmevae.ir import Model, Statement, initial_elements, names_assigned, names_read, needed_for
from nlmevae.ir.dual import tangent_of, value_of
from nlmevae.ir.evaluate import run, seeded

N_POINTS = 320
#: Where predictions lie at random amounts, and what is so far from it that amounts are changed.
MIDDLE, USUAL = 5.0, (1e-3, 1e5)
#: "free": F varies independently of the amounts; "tied": F = A(default) / S; "zero": all amounts, or in a
#: formula the time, are 0
Prediction = Literal["free", "tied", "zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPoints:
    """Y at n points.

    points: all inputs (THETA, ETA, data items, A(n), F); f (n,); w (n_eps, n); epsilons the names of
    its rows; curved: Y is not linear in EPS; exponential: it is f * EXP(c * EPS); env: all variables;
    prediction, statements: how it was run.
    """

    points: Points
    epsilons: tuple[str, ...]
    f: np.ndarray
    w: np.ndarray
    curved: bool
    exponential: bool
    env: dict
    prediction: Prediction
    statements: tuple[Statement, ...]


def sample_error_inputs(
    model: Model, rng: np.random.Generator, *, prediction: Prediction, items: Points | None = None
) -> Points:
    """Independent random values of everything $PK and $ERROR (or $PRED) may read; data items may be given."""
    points: Points = {
        **sample_thetas(model, N_POINTS, rng, fixed="zeros_held"),
        **sample_etas(model, N_POINTS, rng),
        **(sample_items(model, N_POINTS, rng, record="observation") if items is None else items),
        **dict.fromkeys(model.epsilons, 0.0),
        **initial_elements(model),
    }
    count = len(model.structural.compartments)
    names = [f"A({n})" for n in range(1, count + 1)] + (["F"] if count else [])
    if prediction == "zero":
        if not names:
            columns = [c for c in model.data.columns if c.role == "time"]
            names = [name for c in columns for name in (c.name, c.synonym) if name]
        points.update(dict.fromkeys(names, np.zeros(N_POINTS)))
    else:
        compared = compared_numbers(model.program.error) if names else {}
        limits = sorted(v for values in compared.values() for v in values if v > 0.0)
        points.update({name: _sample_amount(limits, rng) for name in names})
    return points


def _sample_amount(limits: list[float], rng: np.random.Generator) -> np.ndarray:
    """Positive, from 1e-8 to 1e8 (most within three decades of 5), and near every one of `limits`: positive numbers
    the observation code compares with."""
    drawn = np.exp(rng.normal(1.5, 2.0, N_POINTS))
    extreme = 10.0 ** (rng.uniform(3.0, 8.0, N_POINTS) * rng.choice([-1.0, 1.0], N_POINTS))
    drawn = np.where(rng.uniform(size=N_POINTS) < 0.15, extreme, drawn)
    if limits:
        near = rng.choice(limits, N_POINTS) * rng.choice([0.9, 1.1], N_POINTS)
        drawn = np.where(rng.uniform(size=N_POINTS) < 0.2, near, drawn)
    return drawn


def run_error(
    model: Model,
    points: Points,
    epsilons: tuple[str, ...],
    statements: tuple[Statement, ...],
    rng: np.random.Generator,
    *,
    prediction: Prediction,
) -> ErrorPoints:
    """Run $PK, then `statements` ($ERROR or $PRED, perhaps with probes), at EPS = 0 and at random EPS."""
    start = _start(model, points, epsilons, prediction)
    f, w, env = _linear(start, epsilons, statements)
    drawn = 0.3 * rng.standard_normal((len(epsilons), N_POINTS))
    y = run(statements, {**start, **dict(zip(epsilons, drawn, strict=True))}).get("Y", np.nan)
    y = np.broadcast_to(y, f.shape)
    acts = np.flatnonzero((w != 0.0).any(axis=1))
    with np.errstate(all="ignore"):
        exponential = len(acts) == 1 and _same(y, f * np.exp(w[acts[0]] / f * drawn[acts[0]]))
    linear = _same(y, f + (w * drawn).sum(axis=0), np.abs(f) + np.abs(w * drawn).sum(axis=0))
    return ErrorPoints(
        points=points,
        epsilons=epsilons,
        f=f,
        w=w,
        curved=not linear,
        exponential=exponential,
        env=env,
        prediction=prediction,
        statements=statements,
    )


def usual_amounts(model: Model, found: ErrorPoints) -> Points | None:
    """The points with amounts such that predictions are about `MIDDLE`; None where they are of a usual size, or the
    code compares amounts with numbers. A volume of 1e-6 would make any additive part of the error too small to see."""
    if found.prediction == "zero" or not model.structural.compartments or compared_numbers(model.program.error):
        return None
    size = np.abs(found.f[np.isfinite(found.f) & (found.f != 0.0)])
    middle = float(np.median(size)) if len(size) else MIDDLE
    if USUAL[0] <= middle <= USUAL[1]:
        return None
    amounts = [f"A({c.number})" for c in model.structural.compartments]
    return {**found.points, **{name: found.points[name] * (MIDDLE / middle) for name in amounts}}


def run_again(model: Model, found: ErrorPoints, changes: Points) -> tuple[np.ndarray, np.ndarray]:
    """f (n,) and w (n_eps, n) of the same code where some inputs have other values."""
    start = _start(model, {**found.points, **changes}, found.epsilons, found.prediction)
    f, w, _ = _linear(start, found.epsilons, found.statements)
    return f, w


def _start(model: Model, points: Points, epsilons: tuple[str, ...], prediction: Prediction) -> dict:
    start = run_individual(model, points)
    if prediction == "tied":
        compartment = model.structural.compartments[model.structural.default_observation - 1]
        scale = start[compartment.scale] if compartment.scale else 1.0
        start["F"] = start[f"A({compartment.number})"] / scale
    start.update({name: np.zeros(N_POINTS) for name in epsilons})
    return unassigned(model.program.error) | start


def _linear(start: dict, epsilons: tuple[str, ...], statements: tuple[Statement, ...]):
    env = run(statements, seeded(start, epsilons))
    y, shape = env.get("Y", np.nan), (N_POINTS,)
    f = np.broadcast_to(value_of(y), shape)
    w = np.broadcast_to(tangent_of(y, np.zeros((len(epsilons), *shape))), (len(epsilons), *shape))
    return f, w, env


def run_individual(model: Model, points: Points) -> dict:
    """`points` and what $PK assigns, as far as doses and the observation code need it."""
    reads = names_read(error_program(model)) | set(dosing_names(model))
    needed = needed_for(model.program.pk, reads)
    return run(needed, unassigned(needed) | points)


def unassigned(statements: tuple[Statement, ...]) -> dict[str, float]:
    """Not a number for what none of the points may assign, as where some of them do not."""
    return dict.fromkeys(names_assigned(statements), np.nan)


def _same(a: np.ndarray, b: np.ndarray, size: np.ndarray | None = None) -> bool:
    finite = np.isfinite(a) & np.isfinite(b)
    size = np.abs(a) + np.abs(b) if size is None else size
    return bool(finite.any()) and bool(np.all(np.abs(a - b)[finite] <= 1e-9 * size[finite]))
