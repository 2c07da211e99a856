"""The population parameters of a fit as Monolix lists them: names, natural scale, standard deviations, order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nlmevae.diagnostics.typical_parameters import TypicalParameter, gaussian_slope, typical_parameters
from nlmevae.estimation.problem import Problem
from nlmevae.ir import CovarianceBlock, ErrorCoefficient, Model, PopulationParameter, free_elements
from nlmevae.results.fit_result import FitResult
from nlmevae.results.monolix_names import MonolixNames, word
from nlmevae.results.natural_parameter import NaturalParameter


def natural_parameters(problem: Problem, fit: FitResult, names: MonolixNames) -> tuple[NaturalParameter, ...]:
    """In Monolix's order: every typical value with its covariate effects, standard deviations, correlations, error.

    A THETA that is neither is listed under its label with its own value.
    """
    model = problem.model
    found = [
        *_fixed_effects(problem, fit, names),
        *_standard_deviations(model, fit, names),
        *_correlations(model, fit, names),
        *_errors(model, fit, names),
    ]
    return tuple(_unique(found))


def eta_name(model: Model, eta: str, names: MonolixNames) -> str:
    """What stands behind ``eta_`` and ``omega_``: the individual parameter, else the label of the random effect."""
    for p in model.individual_parameters:
        if p.eta == eta:
            return names.of(p.name)
    if eta in names.shown:
        return names.of(eta)
    label = next((label for name, label in _eta_labels(model) if name == eta), "")
    return word(re.sub(r"^(omega|gamma)_", "", label) or eta)


def _eta_labels(model: Model) -> Iterator[tuple[str, str]]:
    for block in model.omega:
        labels = block.labels or ("",) * len(block.names)
        yield from zip(block.names, labels, strict=True)


def _fixed_effects(problem: Problem, fit: FitResult, names: MonolixNames) -> Iterator[NaturalParameter]:
    model = problem.model
    typical = typical_parameters(problem, fit.thetas)
    errors = {c.parameter for o in model.observations for c in _coefficients(o.error) if c.kind == "theta"}
    errors |= {o.error.power.parameter for o in model.observations if o.error.power is not None}
    rows = {t.name: k for k, t in enumerate(model.thetas) if t.name not in errors}
    owner = _owners(problem)
    done: set[str] = set()
    for theta, k in rows.items():
        if theta in done or theta in owner:
            continue
        done.add(theta)
        yield _theta_row(model, model.thetas[k], float(fit.thetas[k]), typical.get(theta), names)
        if (row := typical.get(theta)) is not None or (row := _stated(model, model.thetas[k])) is not None:
            mine = [t for t, parameter in owner.items() if parameter == row.name and t in rows and t not in done]
            done |= set(mine)
            yield from (_theta_row(model, model.thetas[rows[t]], float(fit.thetas[rows[t]]), None, names) for t in mine)
    for theta in owner:
        if theta in rows and theta not in done:
            yield _theta_row(model, model.thetas[rows[theta]], float(fit.thetas[rows[theta]]), None, names)


def _owners(problem: Problem) -> dict[str, str]:
    """Covariate effect (THETA) -> the individual parameter it acts on first."""
    found: dict[str, str] = {}
    for theta in problem.model.thetas:
        if theta.role != "covariate_effect" and not theta.label.startswith("beta_"):
            continue
        for p in problem.model.individual_parameters:
            if theta.name in p.thetas:
                found.setdefault(theta.name, p.name)
    return found


def _stated(model: Model, theta: PopulationParameter) -> TypicalParameter | None:
    """By its label ``ka_pop``, where ka is an individual parameter that reads it."""
    for p in model.individual_parameters:
        if theta.name in p.thetas and theta.label == f"{p.name}_pop":
            return TypicalParameter(name=p.name, value=theta.init, derivative=1.0, slope=1.0)
    return None


def _theta_row(
    model: Model, theta: PopulationParameter, value: float, typical: TypicalParameter | None, names: MonolixNames
) -> NaturalParameter:
    own = theta.label != theta.name
    # a factor, as in IF (SEX.EQ.1) CL = CL*THETA(3), is without effect at 1
    effect = theta.scale != "log" and (theta.role == "covariate_effect" or theta.label.startswith("beta_"))
    if typical is None:
        stem = theta.label.removesuffix("_pop")
        transform = next((p.transform for p in model.individual_parameters if p.name == stem), None)
        transform = transform or names.transforms.get(stem)
        slope = gaussian_slope(transform, value) if theta.label.endswith("_pop") and transform is not None else 1.0
        derivative, name = 1.0, names.of(theta.name) if theta.name in names.shown else word(theta.label)
    else:
        value, slope, derivative = typical.value, typical.slope, typical.derivative
        stated = own and theta.label.endswith("_pop")
        usual = word(theta.label) if stated else f"{names.of(typical.name)}_pop"
        name = names.shown.get(theta.name, usual)
    return NaturalParameter(
        name=name,
        kind="fixed effect",
        value=value,
        fixed=theta.fixed,
        gradient={theta.name: derivative},
        slope=slope,
        effect=effect,
    )


def _own_blocks(blocks: tuple[CovarianceBlock, ...]) -> Iterator[tuple[int, int, CovarianceBlock]]:
    """(index, first row from 0, block) of those that repeat no other."""
    start = 0
    for index, block in enumerate(blocks):
        if block.same_as is None:
            yield index, start, block
        start += len(block.names)


def _standard_deviations(model: Model, fit: FitResult, names: MonolixNames) -> Iterator[NaturalParameter]:
    repeated = {block.same_as for block in model.omega}
    log_normal = {p.eta for p in model.individual_parameters if p.transform.kind == "log" and not p.transform.lower}
    found = []
    for index, start, block in _own_blocks(model.omega):
        for i, eta in enumerate(block.names):
            variance = float(fit.omega[start + i, start + i])
            if eta in model.zero_etas:
                continue
            sd = float(np.sqrt(variance))
            element = f"OMEGA({start + i + 1},{start + i + 1})"
            row = NaturalParameter(
                name=names.shown.get(element, _omega_name(model, block, i, names, within=index in repeated)),
                kind="omega",
                value=sd,
                fixed=block.fixed,
                gradient={element: 0.5 / sd} if sd > 0.0 else {},
                cv=100.0 * float(np.sqrt(np.expm1(variance))) if eta in log_normal else float("nan"),
            )
            found.append((row.name.startswith("gamma_"), row))
    yield from (row for _, row in sorted(found, key=lambda pair: pair[0]))


def _omega_name(model: Model, block: CovarianceBlock, i: int, names: MonolixNames, *, within: bool) -> str:
    """As labelled (``omega_ka``, ``gamma_ka``); else gamma where the block is repeated: it is between occasions."""
    label = block.labels[i] if i < len(block.labels) else ""
    if label.startswith(("omega_", "gamma_")):
        return word(label)
    return f"{'gamma' if within else 'omega'}_{eta_name(model, block.names[i], names)}"


def _correlations(model: Model, fit: FitResult, names: MonolixNames) -> Iterator[NaturalParameter]:
    for kind, blocks, matrix in (("OMEGA", model.omega, fit.omega), ("SIGMA", model.sigma, fit.sigma)):
        for _, start, block in _own_blocks(blocks):
            free = free_elements(block)
            for i in range(len(block.names)):
                for j in range(i):
                    if block.matrix[i][j] == 0.0 and not free[i][j]:
                        continue
                    row = _correlation(kind, matrix, start + i, start + j)
                    pair = [_effect_word(model, kind, block.names[k], names) for k in (i, j)]
                    name = names.shown.get(next(iter(row.gradient)), f"corr_{pair[0]}_{pair[1]}")
                    yield replace(row, name=name, fixed=block.fixed)


def _effect_word(model: Model, matrix: str, effect: str, names: MonolixNames) -> str:
    return eta_name(model, effect, names) if matrix == "OMEGA" else word(effect)


def _correlation(kind: str, matrix: np.ndarray, i: int, j: int) -> NaturalParameter:
    scale = float(np.sqrt(matrix[i, i] * matrix[j, j]))
    value = float(matrix[i, j]) / scale
    gradient = {f"{kind}({i + 1},{j + 1})": 1.0 / scale}
    gradient |= {f"{kind}({k + 1},{k + 1})": -0.5 * value / float(matrix[k, k]) for k in (i, j)}
    return NaturalParameter(name="", kind="correlation", value=value, fixed=False, gradient=gradient)


def _coefficients(error) -> tuple[ErrorCoefficient, ...]:
    return tuple(c for c in (error.a, error.b) if c is not None)


def _errors(model: Model, fit: FitResult, names: MonolixNames) -> Iterator[NaturalParameter]:
    """a, b, c; with several endpoints a1, b1, a2, ...; labels of THETAs where the text gives them."""
    thetas = {t.name: k for k, t in enumerate(model.thetas)}
    several = len(model.observations) > 1
    seen: set[tuple[str, float]] = set()
    for number, observation in enumerate(model.observations, 1):
        error = observation.error
        slots = [("a", error.a), ("b", error.b), ("c", error.power)]
        for letter, slot in slots:
            if slot is None or slot.parameter is None or (slot.parameter, slot.scale) in seen:
                continue
            seen.add((slot.parameter, slot.scale))
            usual = f"{letter}{number}" if several else letter
            if slot.parameter in thetas:
                yield _theta_error(model.thetas[thetas[slot.parameter]], slot.scale, fit, usual, names, letter == "c")
            else:
                yield _sigma_error(model, slot, fit, names.shown.get(slot.parameter, usual))


def _theta_error(
    theta: PopulationParameter, scale: float, fit: FitResult, usual: str, names: MonolixNames, power: bool
) -> NaturalParameter:
    value = scale * next(e.value for e in fit.estimates if e.name == theta.name)
    sign = -1.0 if value < 0.0 and not power else 1.0  # a standard deviation
    own = names.shown.get(theta.name) or (word(theta.label) if theta.label != theta.name else usual)
    return NaturalParameter(
        name=own if scale in (1.0, -1.0) else usual,
        kind="error",
        value=sign * value,
        fixed=theta.fixed,
        gradient={theta.name: sign * scale},
    )


def _sigma_error(model: Model, slot: ErrorCoefficient, fit: FitResult, name: str) -> NaturalParameter:
    k = model.epsilons.index(slot.parameter)
    sd = abs(slot.scale) * float(np.sqrt(fit.sigma[k, k]))
    gradient = {f"SIGMA({k + 1},{k + 1})": 0.5 * sd / float(fit.sigma[k, k])} if sd > 0.0 else {}
    return NaturalParameter(name=name, kind="error", value=sd, fixed=slot.fixed, gradient=gradient)


def _unique(rows: list[NaturalParameter]) -> Iterator[NaturalParameter]:
    """Two labels may be one word: the second gets a number."""
    taken: set[str] = set()
    for row in rows:
        name, count = row.name, 1
        while name in taken:
            count += 1
            name = f"{row.name}_{count}"
        taken.add(name)
        yield replace(row, name=name)
