"""Covariate effects stated in the model: their form, found by moving one covariate at a time."""

from __future__ import annotations

import numpy as np

from nlmevae.frontends.recognition.individual_level import IndividualLevel, run_watching
from nlmevae.frontends.recognition.individual_parameters import TypicalValue
from nlmevae.frontends.recognition.points import grid, sample_items, sample_thetas
from nlmevae.frontends.recognition.transforms import constant_along, gaussian_slope, to_gaussian
from nlmevae.ir import CovariateEffect, PopulationParameter, initial_elements
from nlmevae.ir.dual import tangent_of, value_of
from nlmevae.ir.evaluate import seeded

_N_BASE = 12
_N_VALUES = 16


def find_covariate_effects(
    level: IndividualLevel,
    values: list[TypicalValue],
    thetas: tuple[PopulationParameter, ...],
    rng: np.random.Generator,
) -> tuple[CovariateEffect, ...]:
    """One entry per individual parameter and data item its typical value depends on, by parameter."""
    covariates = list(dict.fromkeys(c for v in values for c in v.parameter.covariates))
    effects = []
    for covariate in covariates:
        readers = [v for v in values if covariate in v.parameter.covariates]
        effects += _effects_of(level, readers, covariate, thetas, rng)
    order = [v.parameter.name for v in values]
    return tuple(sorted(effects, key=lambda e: order.index(e.parameter)))


def _effects_of(
    level: IndividualLevel,
    readers: list[TypicalValue],
    covariate: str,
    thetas: tuple[PopulationParameter, ...],
    rng: np.random.Generator,
) -> list[CovariateEffect]:
    """Run the program with only `covariate` changing along each row, (n_base, n_values)."""
    model = level.model
    base = {**sample_thetas(model, _N_BASE, rng, fixed="varied"), **sample_items(model, _N_BASE, rng)}
    moved = sample_items(model, _N_VALUES, rng)[covariate]
    column = next(c for c in model.data.columns if covariate in (c.name, c.synonym))
    names = [name for name in (column.name, column.synonym) if name]
    points = grid({k: v for k, v in base.items() if k not in names}, dict.fromkeys(names, moved))
    points.update(dict.fromkeys((*model.etas, *model.epsilons), 0.0) | initial_elements(model))
    directions = (covariate, *(t.name for t in thetas))
    wanted = {(v.candidate.name, v.candidate.index) for v in readers}
    last = max(index for _, index in wanted)
    found, _ = run_watching(level.statements[: last + 1], seeded(points, directions), wanted)
    x = points[covariate].reshape(_N_BASE, _N_VALUES)
    scale = {t.name: points[t.name] if t.scale == "log" else 1.0 for t in thetas}
    units = {t.name: 1.0 if t.scale == "log" else float(np.max(np.abs(points[t.name]))) for t in thetas}
    effects = []
    for reader in readers:
        result = found[(reader.candidate.name, reader.candidate.index)]
        psi = np.broadcast_to(value_of(result), x.size)
        tangent = np.broadcast_to(tangent_of(result, np.zeros((len(directions), x.size))), (len(directions), x.size))
        transform = reader.parameter.transform
        mu, chain = to_gaussian(transform, psi), gaussian_slope(transform, psi)
        with np.errstate(all="ignore"):
            slopes = {n: _rows(chain * tangent[k] * scale.get(n, 1.0), mu) for k, n in enumerate(directions)}
        coefficients = tuple(n for n in reader.parameter.thetas if not constant_along(slopes[n], units[n]))
        if constant_along(_rows(mu, mu), 1.0) and not coefficients:
            continue  # read, but without influence
        natural = _rows(psi, mu) if transform.kind != "logit" else None
        form = _form(x, slopes[covariate], _rows(tangent[0], mu), natural)
        effects.append(
            CovariateEffect(parameter=reader.parameter.name, covariate=covariate, form=form, coefficients=coefficients)
        )
    return effects


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
