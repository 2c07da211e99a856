"""Covariate effects stated in the model: their form, found by moving one covariate at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.frontends.recognition.individual_level import IndividualLevel, run_watching
from nlmevae.frontends.recognition.individual_parameters import TypicalValue
from nlmevae.frontends.recognition.points import Points, sample_items, sample_thetas
from nlmevae.frontends.recognition.transforms import constant_along, gaussian_slope, to_gaussian
from nlmevae.ir import CovariateEffect, Model, PopulationParameter, initial_elements, names_assigned, names_read
from nlmevae.ir.dual import Dual, tangent_of, value_of

_N_BASE = 12
_N_VALUES = 16
#: Numbers of all derivative arrays that a run begins with (32 MB).
_LARGEST = 4_000_000


def find_covariate_effects(
    level: IndividualLevel,
    values: list[TypicalValue],
    thetas: tuple[PopulationParameter, ...],
    rng: np.random.Generator,
) -> tuple[CovariateEffect, ...]:
    """One entry per individual parameter and data item its typical value depends on, by parameter.

    THETAs that change the effect of a covariate nearly always stand beside it in the code. Their derivatives are
    computed one by one, that by all others along one random direction; where it shows that others take part, by every
    one of them. So models with many effects are read in a time that hardly depends on how many THETAs they have.
    """
    covariates = list(dict.fromkeys(c for v in values for c in v.parameter.covariates))
    sampled = _sample(level.model, thetas, rng)
    effects: list[CovariateEffect] = []
    tasks = [_Task(covariate=c, readers=[v for v in values if c in v.parameter.covariates]) for c in covariates]
    near = {t.covariate: _thetas_beside(level, t) for t in tasks}
    while tasks:
        n_directions = 2 + max(len(near[t.covariate]) for t in tasks)
        n_inputs = len(thetas) + len(covariates)
        together = max(1, _LARGEST // (_N_BASE * _N_VALUES * n_directions * n_inputs))
        batch, tasks = tasks[:together], tasks[together:]
        for run in _run(level, batch, near, sampled):
            found = run.effects()
            if found is None:
                near[run.task.covariate] = run.task.thetas
                tasks.append(run.task)
            else:
                effects += found
    order = [v.parameter.name for v in values]
    return tuple(sorted(effects, key=lambda e: (order.index(e.parameter), covariates.index(e.covariate))))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A covariate, and the typical values that read it."""

    covariate: str
    readers: list[TypicalValue]

    @property
    def thetas(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for reader in self.readers for name in reader.parameter.thetas))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Random values: `base` (n_base,) of every input, `moved` (n_values,) of the data items, `weights` of the THETAs
    in the direction in which several of them move. Slopes are by the logarithm of a THETA whose scale that is, else
    by the THETA in units of its size."""

    thetas: tuple[PopulationParameter, ...]
    base: dict[str, np.ndarray]
    moved: dict[str, np.ndarray]
    weights: dict[str, float]
    units: dict[str, float]
    logs: frozenset[str]


def _sample(model: Model, thetas: tuple[PopulationParameter, ...], rng: np.random.Generator) -> _Sample:
    base = {**sample_thetas(model, _N_BASE, rng, fixed="varied"), **sample_items(model, _N_BASE, rng)}
    moved = sample_items(model, _N_VALUES, rng)
    weights = {t.name: float(w) for t, w in zip(thetas, rng.uniform(1.0, 2.0, len(thetas)), strict=True)}
    logs = frozenset(t.name for t in thetas if t.scale == "log")
    units = {t.name: 1.0 if t.name in logs else float(np.max(np.abs(base[t.name]))) for t in thetas}
    return _Sample(thetas=thetas, base=base, moved=moved, weights=weights, units=units, logs=logs)


def _thetas_beside(level: IndividualLevel, task: _Task) -> tuple[str, ...]:
    """THETAs in the statements that read the covariate, or a variable made of it without any THETA."""
    spread, found = {task.covariate}, set()
    last = max(reader.candidate.index for reader in task.readers)
    parameters = {t.name for t in level.model.thetas}
    for statement in level.statements[: last + 1]:
        read = names_read((statement,))
        if read & spread:
            found |= read & parameters
            if not read & parameters:
                spread |= names_assigned((statement,))
    return tuple(name for name in task.thetas if name in found)


def _run(level: IndividualLevel, batch: list[_Task], near: dict[str, tuple[str, ...]], sampled: _Sample) -> list[_Run]:
    """Run the program once for all covariates of the batch."""
    points = _points(level.model, batch, sampled)
    tangents = _tangents(batch, near, sampled, points)
    env = points | {name: Dual(points[name], tangent) for name, tangent in tangents.items()}
    wanted = {(v.candidate.name, v.candidate.index) for task in batch for v in task.readers}
    found, _ = run_watching(level.statements[: max(index for _, index in wanted) + 1], env, wanted)
    like = np.zeros_like(next(iter(tangents.values())))
    runs = []
    for task, rows in zip(batch, _blocks(batch), strict=True):
        results = [found[(v.candidate.name, v.candidate.index)] for v in task.readers]
        run = _Run(
            task=task,
            x=points[task.covariate][rows].reshape(_N_BASE, _N_VALUES),
            near={name: sampled.units[name] for name in near[task.covariate]},
            psi=[np.broadcast_to(value_of(r), like.shape[1])[rows] for r in results],
            tangent=[np.broadcast_to(tangent_of(r, like), like.shape)[:, rows] for r in results],
        )
        runs.append(run)
    return runs


def _blocks(batch: list[_Task]) -> list[slice]:
    """Where the points of each covariate are."""
    size = _N_BASE * _N_VALUES
    return [slice(k * size, (k + 1) * size) for k in range(len(batch))]


def _points(model: Model, batch: list[_Task], sampled: _Sample) -> Points:
    """For every covariate of the batch (n_base, n_values) points, along whose rows only it changes."""
    points = {name: np.tile(np.repeat(value, _N_VALUES), len(batch)) for name, value in sampled.base.items()}
    for task, rows in zip(batch, _blocks(batch), strict=True):
        column = next(c for c in model.data.columns if task.covariate in (c.name, c.synonym))
        for name in filter(None, (column.name, column.synonym)):
            points[name][rows] = np.tile(sampled.moved[task.covariate], _N_BASE)
    return points | dict.fromkeys((*model.etas, *model.epsilons), 0.0) | initial_elements(model)


def _tangents(
    batch: list[_Task], near: dict[str, tuple[str, ...]], sampled: _Sample, points: Points
) -> dict[str, np.ndarray]:
    """(2 + most near THETAs, points) by name: by the covariate, by the other THETAs together, by each near THETA."""
    shape = (2 + max(len(near[task.covariate]) for task in batch), len(batch) * _N_BASE * _N_VALUES)
    tangents = {name: np.zeros(shape) for name in (*(t.covariate for t in batch), *(t.name for t in sampled.thetas))}
    for task, rows in zip(batch, _blocks(batch), strict=True):
        beside = near[task.covariate]
        tangents[task.covariate][0, rows] = 1.0
        for name in task.thetas:
            step = points[name][rows] if name in sampled.logs else 1.0
            if name in beside:
                tangents[name][2 + beside.index(name), rows] = step
            else:
                tangents[name][1, rows] = sampled.weights[name] * sampled.units[name] * step
    return tangents


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What moving one covariate does: `x` (n_base, n_values), its values; `near`, the THETAs tried one by one with
    their units; for every reader `psi` (n_base * n_values,) and its `tangent` (2 + n_near, n_base * n_values) by
    the covariate, by all other THETAs together, by those of `near`."""

    task: _Task
    x: np.ndarray
    near: dict[str, float]
    psi: list[np.ndarray]
    tangent: list[np.ndarray]

    def effects(self) -> list[CovariateEffect] | None:
        """None if others than the THETAs in `near` take part."""
        effects = []
        for reader, psi, tangent in zip(self.task.readers, self.psi, self.tangent, strict=True):
            transform = reader.parameter.transform
            mu = to_gaussian(transform, psi)
            slopes = gaussian_slope(transform, psi) * tangent
            if len(self.near) < len(self.task.thetas) and not _certainly_constant(slopes[1], mu):
                return None
            own = {name: _rows(slopes[2 + k], mu) for k, name in enumerate(self.near)}
            coefficients = tuple(
                n for n in reader.parameter.thetas if n in own and not constant_along(own[n], self.near[n])
            )
            if constant_along(_rows(mu, mu), 1.0) and not coefficients:
                continue  # read, but without influence
            natural = _rows(psi, mu) if transform.kind != "logit" else None
            form = _form(self.x, _rows(slopes[0], mu), _rows(tangent[0], mu), natural)
            effects.append(
                CovariateEffect(
                    parameter=reader.parameter.name, covariate=self.task.covariate, form=form, coefficients=coefficients
                )
            )
        return effects


def _certainly_constant(slope: np.ndarray, mu: np.ndarray) -> bool:
    """Along x, and known wherever mu is."""
    return bool(np.isfinite(slope[np.isfinite(mu)]).all()) and constant_along(_rows(slope, mu), 1.0)


def _form(x: np.ndarray, mu_slope: np.ndarray, psi_slope: np.ndarray, psi: np.ndarray | None) -> str:
    """Form from d mu/dx and d psi/dx; psi is None where the natural scale is bounded on both sides."""
    size = float(np.max(np.abs(x)))
    if np.all(np.abs(mu_slope[np.isfinite(mu_slope)]) * size <= 1e-8):
        return "categorical"
    identity = psi is not None and np.allclose(mu_slope, psi_slope, rtol=1e-9, atol=0.0, equal_nan=True)
    if identity and constant_along(psi_slope, size):
        return "linear"
    with np.errstate(all="ignore"):
        relative = psi_slope / psi if identity else mu_slope
    if constant_along(np.where(x > 0.0, x * relative, np.nan), 1.0):
        return "power"
    if constant_along(relative, size):
        return "exponential"
    return "linear" if psi is not None and constant_along(psi_slope, size) else "custom"


def _rows(values: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """(n_base, n_values), NaN where mu is not defined."""
    return np.where(np.isfinite(mu), values, np.nan).reshape(_N_BASE, _N_VALUES)
