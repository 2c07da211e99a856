"""A typical value that changes within a subject, split into what is constant and what is not.

With other random effects (between occasions) or covariates that change over time, h(psi) = g(THETA, covariates,
effects) + ETA has no single mean. Where g = mu(THETA a) + rest(THETA b, covariates, effects) with no THETA in both,
mu is the mean of z = mu + ETA as ever, and the decoder adds the rest: h(psi) = z + rest. So THETAs a stay out of the
decoder, and their update in closed form.

That a THETA belongs to mu is verified at random points: dg/dTHETA must not depend on anything of the rest. Then
g(a, b) - g(a0, b) = g(a, b0) - g(a0, b0), so mu(a) = g(a, b0) and rest(b) = g(a0, b) - g(a0, b0) whatever the
references a0 and b0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.execute import substitute
from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.print_numpy import link_numpy
from nlmevae.ir import PopulationParameter

_SEED = 54321
_N_HELD, _N_MOVING = 6, 40
_SPREAD = 0.3
_TOLERANCE = 1e-8  # of a slope, relative: what holds exactly has errors of 1e-15 to 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What typical values may read. held, moving: data items -> (rows,) values, constant within each subject or not;
    latents: other components of z -> a usual value; thetas: those that are estimated."""

    held: Mapping[str, np.ndarray]
    moving: Mapping[str, np.ndarray]
    latents: Mapping[str, float]
    thetas: Mapping[str, PopulationParameter]


@dataclass(frozen=True, slots=True)
class TypicalSplit:
    """Nodes: g = mu + rest."""

    mu: int
    rest: int


def split_typical(graph: Graph, node: int, known: Surroundings) -> TypicalSplit | None:
    """None: no THETA can be told apart from what changes, so there is no mean to estimate."""
    read = graph.inputs_of([node])
    alone = sorted(read & set(known.thetas))
    together: set[str] = set()
    while alone:
        dependent = _interacting(graph, node, alone, sorted(together), known)
        if not dependent:
            break
        together |= dependent
        alone = [name for name in alone if name not in dependent]
    if not alone:
        return None
    start = {name: graph.constant(known.thetas[name].init) for name in alone}
    typical = substitute(graph, node, start)
    mu = substitute(graph, node, _references(graph, typical, sorted(together), known))
    return TypicalSplit(mu=mu, rest=graph.sub(typical, substitute(graph, mu, start)))


def _interacting(
    graph: Graph, node: int, alone: Sequence[str], together: Sequence[str], known: Surroundings
) -> set[str]:
    """Those of `alone` whose slope depends on what changes within a subject, effects or THETAs in `together`."""
    rng = np.random.default_rng(_SEED)
    outer = {name: _theta_values(known.thetas[name], _N_HELD, rng) for name in alone}
    outer |= _rows(known.held, _N_HELD)
    inner = {name: _theta_values(known.thetas[name], _N_MOVING, rng) for name in together}
    inner |= {name: value + _SPREAD * rng.standard_normal(_N_MOVING) for name, value in known.latents.items()}
    inner |= _rows(known.moving, _N_MOVING)
    columns = {name: np.repeat(values, _N_MOVING) for name, values in outer.items()}
    columns |= {name: np.tile(values, _N_HELD) for name, values in inner.items()}
    inputs = tuple(sorted(graph.inputs_of([node])))
    value = link_numpy(Function(name="typical", graph=graph, inputs=inputs, outputs=(("g", node),)), alone)
    _, slopes = value(*(columns[name] for name in inputs))
    table = np.broadcast_to(slopes[:, 0], (_N_HELD * _N_MOVING, len(alone))).reshape(_N_HELD, _N_MOVING, len(alone))
    return {name for j, name in enumerate(alone) if not _constant_rows(table[:, :, j])}


def _constant_rows(slopes: np.ndarray) -> bool:
    """Every row holds one value, NaN aside, and there is a row with two."""
    usable = np.isfinite(slopes)
    rows = usable.sum(axis=1) >= 2
    if not rows.any():
        return False
    kept = np.where(usable, slopes, np.nan)[rows]
    high, low = np.nanmax(kept, axis=1), np.nanmin(kept, axis=1)
    return bool(np.all(high - low <= _TOLERANCE * np.maximum(np.abs(high), np.abs(low)) + 1e-300))


def _references(graph: Graph, typical: int, together: Sequence[str], known: Surroundings) -> dict[str, int]:
    """Values at which what changes is held in mu: of the first record where g has a value."""
    fixed = {name: known.thetas[name].init for name in together} | dict(known.latents)
    n = len(next(iter(known.moving.values()), (0,)))
    columns = {name: np.full(n, value) for name, value in fixed.items()}
    columns |= dict(known.moving) | {name: np.full(n, values[0]) for name, values in known.held.items()}
    inputs = tuple(sorted(graph.inputs_of([typical])))
    value = link_numpy(Function(name="typical", graph=graph, inputs=inputs, outputs=(("g", typical),)))
    finite = np.isfinite(np.broadcast_to(value(*(columns[name] for name in inputs))[0][:, 0], n))
    row = int(np.argmax(finite))
    values = fixed | {name: float(column[row]) for name, column in known.moving.items()}
    return {name: graph.constant(value) for name, value in values.items()}


def _theta_values(theta: PopulationParameter, n: int, rng: np.random.Generator) -> np.ndarray:
    spread = _SPREAD * rng.standard_normal(n)
    values = theta.init * np.exp(spread) if theta.init else spread
    return np.clip(values, theta.lower, theta.upper)


def _rows(items: Mapping[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
    """`n` rows, spread over the data; the same rows of all items, with every value of an item that has few."""
    if not items:
        return {}
    table = np.unique(np.column_stack(list(items.values())), axis=0)
    chosen = table[np.round(np.linspace(0, len(table) - 1, n)).astype(int)]
    return dict(zip(items, chosen.T, strict=True))
