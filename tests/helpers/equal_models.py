"""Whether two models are one: equal but for names, numbering, source places and what only one language states.

Population parameters meet by their labels, random effects by those of their variances ("omega_V"); the programs are
compared by what they compute, at random values of everything they read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.latent_form import LatentForm, latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.events import EventTable
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.ir import ErrorCoefficient, ErrorPower, Model, ObservationModel, PopulationParameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A model with its data."""

    model: Model
    table: EventTable
    form: LatentForm

    @classmethod
    def of(cls, model: Model) -> Read:
        table = event_table(model, read_dataset(model))
        return cls(model=model, table=table, form=latent_form(model, table))

    @property
    def theta_labels(self) -> dict[str, str]:
        return {t.name: t.label or t.name for t in self.model.thetas}

    @property
    def eta_labels(self) -> dict[str, str]:
        return {n: label for b in self.model.omega for n, label in zip(b.names, b.labels or b.names, strict=True)}


def model_differences(a: Model, b: Model) -> list[str]:
    """What differs between two models without their data, in words; empty where they are one."""
    return [f"{what}: {x} and {y}" for what, x, y in differences(a, b)]


def differences(a: Model, b: Model) -> list[tuple[str, object, object]]:
    """What differs, and both values."""
    one, two = (_Statement.of(m) for m in (a, b))
    return [(what, x, y) for what, x, y in _pairs(one, two) if x != y]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    """What a model says, by labels. Censoring stands in code or in columns: `prediction_difference` has what
    both make of the data."""

    thetas: Mapping[str, tuple[float, float, float, bool]]
    omega: Mapping[tuple[str, str], float]
    omega_fixed: Mapping[str, bool]
    parameters: Mapping[str, tuple[object, ...]]
    effects: frozenset[tuple[object, ...]]
    outcomes: tuple[object, ...]
    structure: Mapping[str, object]

    @classmethod
    def of(cls, model: Model) -> _Statement:
        names = {t.name: t.label for t in model.thetas}
        labels = {n: label for b in model.omega for n, label in zip(b.names, b.labels or b.names, strict=True)}
        owner = {p.name: labels[p.eta] for p in model.individual_parameters}
        return cls(
            thetas={t.label: _stated(t) for t in model.thetas},
            omega=_covariances(model),
            omega_fixed={labels[n]: b.fixed for b in model.omega for n in b.names},
            parameters={
                labels[p.eta]: (p.transform, p.mu_linear, frozenset(names[t] for t in p.thetas))
                for p in model.individual_parameters
            },
            effects=frozenset(
                (owner.get(e.parameter), e.covariate, frozenset(names[c] for c in e.coefficients), e.state)
                for e in model.covariate_effects
            ),
            outcomes=tuple(sorted((_outcome(o, names) for o in model.observations), key=repr)),
            structure=_structure(model),
        )


def _pairs(a: _Statement, b: _Statement) -> Iterator[tuple[str, object, object]]:
    for what in ("thetas", "omega", "omega_fixed", "parameters", "structure"):
        one, two = getattr(a, what), getattr(b, what)
        for key in {**one, **two}:
            yield f"{what} {key}", _rounded(one.get(key)), _rounded(two.get(key))
    yield "covariate effects", a.effects, b.effects
    yield "outcomes", a.outcomes, b.outcomes


def _rounded(value: object) -> object:
    """Standard deviations are squared in one language."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _stated(theta: PopulationParameter) -> tuple[float, float, float, bool]:
    """Bounds of a fixed parameter do nothing."""
    return theta.init, *((-np.inf, np.inf) if theta.fixed else (theta.lower, theta.upper)), theta.fixed


def _covariances(model: Model) -> dict[tuple[str, str], float]:
    found = {}
    for block in model.omega:
        labels = block.labels or block.names
        for i, first in enumerate(labels):
            for j, second in enumerate(labels[: i + 1]):
                if block.matrix[i][j] != 0.0:
                    found[min(first, second), max(first, second)] = float(block.matrix[i][j])
    return found


def _outcome(o: ObservationModel, names: Mapping[str, str]) -> tuple[object, ...]:
    error = o.error
    return (
        error.kind,
        _coefficient(error.a, names),
        _coefficient(error.b, names),
        _power(error.power, names),
        error.effect,
        error.at_zero,
        o.scale,
        len(o.epsilons),
        o.floor is not None,
    )


def _coefficient(c: ErrorCoefficient | None, names: Mapping[str, str]) -> object:
    return None if c is None else (names.get(c.parameter, c.parameter), c.kind, c.scale, c.fixed)


def _power(p: ErrorPower | None, names: Mapping[str, str]) -> object:
    return None if p is None else (names.get(p.parameter or "", p.parameter), p.scale, p.fixed)


def _structure(model: Model) -> dict[str, object]:
    s = model.structural
    return {"compartments": len(s.compartments), "by": "formula" if not s.compartments else "states"}


def prediction_difference(a: Read, b: Read, rng: np.random.Generator, *, n_draws: int = 3) -> float:
    """The largest difference of two predictions, relative to the larger of a value and a thousandth of the largest, at
    common random effects and at moved values of all THETAs. Integrated to 1e-12.

    Raises:
        AssertionError: other subjects, observations, values or censoring.
    """
    ia, ib = _order(a.table), _order(b.table)
    assert a.table.subject_labels == b.table.subject_labels
    np.testing.assert_allclose(a.table.ob_time[ia], b.table.ob_time[ib], rtol=1e-12)
    np.testing.assert_array_equal(_values(a.table)[ia], _values(b.table)[ib])
    np.testing.assert_array_equal(a.table.censored[ia], b.table.censored[ib])
    if a.table.censored.any():
        np.testing.assert_allclose(a.table.ob_limits[ia, :2], b.table.ob_limits[ib, :2])
    worst = 0.0
    decoders = [make_decoder(r.form, r.table, rtol=1e-12) for r in (a, b)]
    try:
        for _ in range(n_draws):
            eta = {label: 0.4 * rng.standard_normal(a.table.n_subjects) for label in a.eta_labels.values()}
            moved = {label: float(np.exp(0.1 * rng.standard_normal())) for label in a.theta_labels.values()}
            one, two = (
                d.predict(_inputs(r, eta, moved)).prediction[i]
                for d, r, i in zip(decoders, (a, b), (ia, ib), strict=True)
            )
            size = np.maximum(np.abs(one), 1e-3 * np.abs(one).max())
            worst = max(worst, float(np.abs((one - two) / size).max()))
    finally:
        for d in decoders:
            d.close()
    return worst


def _values(table: EventTable) -> np.ndarray:
    """What is known: of a censored value its limits are compared."""
    return np.where(table.censored, 0.0, table.ob_value)


def _order(table: EventTable) -> np.ndarray:
    """By subject, time and value: simultaneous observations of two kinds may stand in any order."""
    return np.lexsort((table.ob_value, table.ob_time, table.ob_subject))


def _inputs(read: Read, eta: Mapping[str, np.ndarray], moved: Mapping[str, float]) -> np.ndarray:
    """(N, n_inputs) mu + eta and the structural THETAs, by labels."""
    labels, etas, form, table = read.theta_labels, read.eta_labels, read.form, read.table
    values = {t.name: t.init * (1.0 if t.fixed else moved[labels[t.name]]) for t in read.model.thetas}
    mu = _typical(form, table, values)
    z = np.column_stack([eta[etas[latent.eta]] for latent in form.latents])
    thetas = np.array([values[name] for name in form.structural])
    return np.column_stack([mu + z, np.broadcast_to(thetas, (table.n_subjects, len(thetas)))])


def _typical(form: LatentForm, table: EventTable, values: Mapping[str, float]) -> np.ndarray:
    """(N, n_latents) by the estimation's own functions."""
    from nlmevae.estimation.problem import make_problem

    model = form.model
    problem = make_problem(model, form, table, make_decoder(form, table))
    try:
        return problem.mean.mean(np.array([values[t.name] for t in model.thetas]))
    finally:
        problem.decoder.close()
