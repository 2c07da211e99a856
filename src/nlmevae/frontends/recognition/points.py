"""Random points at which a model's code is tried: parameters around their initial estimates and inside
their bounds, positive data items, and the values the code itself compares data items with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from nlmevae.frontends.recognition.dependencies import conditions
from nlmevae.ir import Column, Compare, Model, Negate, Number, PopulationParameter, Symbol, assignments, past_flags

ETA_SD = 0.3
DOSE_ROLES = ("evid", "mdv", "amt", "rate", "addl", "ss", "ii")
Record = Literal["any", "observation"]
Points = dict[str, np.ndarray | float]


def sample_theta(theta: PopulationParameter, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) values strictly inside the bounds, of the sign of the initial estimate. A fixed one has no bounds."""
    spread = 0.3 * rng.standard_normal(n)
    values = theta.init * np.exp(spread) if theta.init != 0.0 else spread
    if theta.fixed:
        return values
    for bound, outside in ((theta.lower, values <= theta.lower), (theta.upper, values >= theta.upper)):
        if math.isfinite(bound) and outside.any():
            other = theta.upper if bound == theta.lower else theta.lower
            anchor = theta.init if theta.init != bound else (0.5 * (bound + other) if math.isfinite(other) else
                                                             bound + math.copysign(1.0, other))  # fmt: skip
            values = np.where(outside, bound + (anchor - bound) * rng.uniform(0.2, 0.9, n), values)
    return values


def sample_thetas(
    model: Model, n: int, rng: np.random.Generator, *, fixed: Literal["held", "zeros_held", "varied"]
) -> dict[str, np.ndarray]:
    """Values of every THETA. Fixed ones keep their value when "held", those fixed at 0 when "zeros_held"."""
    values = {}
    for theta in model.thetas:
        hold = theta.fixed and (fixed == "held" or (fixed == "zeros_held" and theta.init == 0.0))
        values[theta.name] = np.full(n, theta.init) if hold else sample_theta(theta, n, rng)
    return values


def sample_etas(model: Model, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Values of every ETA; 0 for those with variance fixed at zero."""
    zero = model.zero_etas
    return {name: np.zeros(n) if name in zero else ETA_SD * rng.standard_normal(n) for name in model.etas}


def sample_items(model: Model, n: int, rng: np.random.Generator, *, record: Record = "any") -> dict[str, np.ndarray]:
    """Values of every data item, both spellings of a synonym alike, and of MPAST(i), which data decide as well."""
    program = model.program
    compared = compared_numbers((*program.pk, *program.des, *program.error))
    values = {}
    for column in model.data.columns:
        if column.role == "drop":
            continue
        names = [name for name in (column.name, column.synonym) if name]
        special = sorted(set().union(*(compared.get(name, ()) for name in names)))
        drawn = _sample_item(column, special, n, rng, record)
        values.update(dict.fromkeys(names, drawn))
    return values | {flag: rng.integers(0, 2, n).astype(float) for flag in past_flags(program)}


def _sample_item(column: Column, special: list[float], n: int, rng: np.random.Generator, record: Record) -> np.ndarray:
    if record == "observation" and column.role in DOSE_ROLES:
        return np.zeros(n)
    drawn = sample_covariate(n, rng)
    if column.role == "time":
        drawn = rng.uniform(0.1, 48.0, n)
    elif column.role in ("evid", "mdv", "ss"):
        drawn = rng.integers(0, 2, n).astype(float)
    elif column.role in ("id", "cmt", "addl"):
        drawn = rng.integers(1, 5, n).astype(float)
    if special:
        near = rng.choice(special, n) + rng.choice([-1.0, 1.0], n)
        share = 0.75 if len(special) > 1 else 0.5
        where = rng.uniform(size=n)
        drawn = np.where(where < share, rng.choice(special, n), np.where(where < share + 0.12, near, drawn))
        every = rng.permutation(n)[: len(special)]  # dozens of occasions must all come up
        drawn[every] = special[: len(every)]
    return drawn


def sample_covariate(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) positive numbers from about 5 to 200, and one in four a small integer."""
    continuous = np.exp(rng.normal(math.log(30.0), 0.8, n))
    return np.where(rng.uniform(size=n) < 0.25, rng.integers(0, 4, n), continuous)


def compared_numbers(statements) -> dict[str, set[float]]:
    """The numbers each name is compared with in conditions, those of `Where` too."""
    found: dict[str, set[float]] = {}
    for expression in (*conditions(statements), *(a.value for a in assignments(tuple(statements)))):
        for node in expression.walk():
            if isinstance(node, Compare):
                for one, other in ((node.left, node.right), (node.right, node.left)):
                    number = _number(other)
                    if isinstance(one, Symbol) and number is not None:
                        found.setdefault(one.name, set()).add(number)
    return found


def _number(node) -> float | None:
    if isinstance(node, Negate):
        inner = _number(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, Number) else None


def grid(outer: Mapping[str, np.ndarray], inner: Mapping[str, np.ndarray]) -> Points:
    """Every outer point with every inner point, outer index slowest: (n_outer * n_inner,) each."""
    n_outer = len(next(iter(outer.values()))) if outer else 1
    n_inner = len(next(iter(inner.values()))) if inner else 1
    points: Points = {name: np.repeat(value, n_inner) for name, value in outer.items()}
    points.update({name: np.tile(value, n_outer) for name, value in inner.items()})
    return points
