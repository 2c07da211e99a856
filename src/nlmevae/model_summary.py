"""What nlmevae understood of a model and its data, as plain values to look over before a fit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventKind, EventTable
from nlmevae.data.switched_model import switched_model
from nlmevae.ir import (
    CovarianceBlock,
    Diagnostic,
    ErrorCoefficient,
    IndividualParameter,
    Model,
    ObservationModel,
    PopulationParameter,
    ProjectRequest,
    ResidualError,
    Transform,
    assignments,
)

if TYPE_CHECKING:
    from nlmevae.prepared_run import PreparedRun

_DOSE_KINDS = {
    EventKind.BOLUS: "bolus",
    EventKind.INFUSION: "infusion",
    EventKind.INFUSION_DURATION: "infusion of estimated duration",
    EventKind.INFUSION_RATE: "infusion of estimated rate",
    EventKind.STEADY_STATE: "steady state before a dose",
    EventKind.STEADY_STATE_ADD: "steady state before a dose, added",
}

_CLOSED_FORMS = {
    "one": "one compartment",
    "one_absorption": "one compartment with first-order absorption",
    "two": "two compartments",
    "two_absorption": "two compartments with first-order absorption",
    "three": "three compartments",
    "three_absorption": "three compartments with first-order absorption",
    "linear": "{n} compartments with first-order flows",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseGroup:
    """Doses of one kind into one compartment, ADDL counted one by one; amounts as (smallest, largest)."""

    kind: str
    compartment: str
    n: int
    amounts: tuple[float, float]
    rates: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSummary:
    """One individual parameter: ``distribution`` in words, the THETAs and covariates its mean reads, and the
    source lines that define it (typical value first)."""

    name: str
    eta: str
    distribution: str
    thetas: tuple[str, ...]
    covariates: tuple[str, ...]
    source: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSummary:
    """One random effect: its initial variance and the ones it is correlated with."""

    name: str
    label: str
    variance: float
    correlated_with: tuple[str, ...]
    fixed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """`structure`, `errors` are sentences; `backend` is the decoder "auto" takes; `correlations`: ``OMEGA(2,1)``, its
    initial correlation, whether it is fixed; `project`: of a Monolix project."""

    path: str
    problem: str
    structure: str
    compartments: tuple[str, ...]
    data_path: str
    n_records: int
    n_subjects: int
    n_obs_total: int
    obs_per_subject: tuple[int, int]
    doses: tuple[DoseGroup, ...]
    n_resets: int
    thetas: tuple[PopulationParameter, ...]
    parameters: tuple[ParameterSummary, ...]
    effects: tuple[EffectSummary, ...]
    errors: tuple[str, ...]
    backend: str
    estimation: tuple[str, ...]
    evaluates_only: bool
    diagnostics: tuple[Diagnostic, ...]
    correlations: tuple[tuple[str, float, bool], ...] = ()
    project: ProjectRequest | None = None

    @property
    def shown(self) -> Mapping[str, str]:
        """Name in programs -> that of a Monolix project."""
        return {} if self.project is None else self.project.shown


def summarise(prepared: PreparedRun) -> ModelSummary:
    """Collect the facts. The model's functions are derived, so that what could not be run is found here;
    nothing is compiled or fitted."""
    model, table = prepared.model, prepared.table
    form = latent_form(model, table)
    backend = form.automatic_backend(table)
    counts = np.diff(table.ob_ptr)
    return ModelSummary(
        path=model.source.path,
        problem=model.problem,
        structure=structure_sentence(model, backend),
        compartments=tuple(c.name for c in switched_model(model, table).structural.compartments),
        data_path=prepared.dataset.path,
        n_records=prepared.dataset.n_rows,
        n_subjects=table.n_subjects,
        n_obs_total=table.n_obs_total,
        obs_per_subject=(int(counts.min()), int(counts.max())) if len(counts) else (0, 0),
        doses=dose_groups(model, table),
        n_resets=int(np.count_nonzero(table.ev_kind == EventKind.RESET)),
        thetas=model.thetas,
        parameters=tuple(_parameter(p, model) for p in model.individual_parameters),
        effects=tuple(effect for block in (*model.omega, *model.sigma) for effect in _effects(block)),
        errors=_endpoint_sentences(model, table),
        backend=backend,
        estimation=tuple(step.method for step in model.estimation),
        evaluates_only=model.evaluates_only,
        diagnostics=prepared.diagnostics,
        correlations=tuple(_correlations(model)),
        project=model.project,
    )


def structure_sentence(model: Model, backend: str) -> str:
    """``ADVAN2: one compartment with first-order absorption``, ``ADVAN13: 2 linear differential equations``."""
    structural = model.structural
    if not structural.compartments:
        return "one formula, no compartments" if model.project is not None else "one formula ($PRED), no compartments"
    n = len(structural.compartments)
    if structural.closed_form is not None:
        words = _CLOSED_FORMS[structural.closed_form].format(n=n)
    else:
        linear = "linear " if backend == "closed_form" else ""
        words = f"{n} {linear}differential equation{'s' if n > 1 else ''}"
    if structural.stiff and structural.closed_form is None and backend != "closed_form":
        words += " (the stiff solver it asks for is replaced by an explicit one)"
    return f"{structural.solver_name}: {words}" if structural.solver_name else words


def dose_groups(model: Model, table: EventTable) -> tuple[DoseGroup, ...]:
    """Doses by input (that is, compartment, unless the model has further inputs) and kind."""
    names = {c.number: c.name for c in model.structural.compartments}
    names |= {i.number: f"an input into {i.compartment} {names[i.compartment]}" for i in model.structural.inputs}
    groups = []
    is_dose = table.ev_is_dose | table.ev_is_steady
    present = zip(table.ev_cmt[is_dose].tolist(), table.ev_kind[is_dose].tolist(), strict=True)
    for compartment, kind in sorted(set(present)):
        chosen = (table.ev_cmt == compartment) & (table.ev_kind == kind)
        amounts, rates = table.ev_amt[chosen], table.ev_rate[chosen]
        groups.append(
            DoseGroup(
                kind=_DOSE_KINDS[EventKind(kind)],
                compartment=f"{compartment} ({names[compartment]})" if names.get(compartment) else str(compartment),
                n=int(np.count_nonzero(chosen)),
                amounts=(float(amounts.min()), float(amounts.max())),
                rates=(float(rates.min()), float(rates.max())) if kind == EventKind.INFUSION else None,
            )
        )
    return tuple(groups)


def distribution_words(transform: Transform) -> str:
    """``log-normal``, ``normal``, ``logit-normal between 0 and 1``."""
    if transform.kind == "identity":
        return "normal"
    if transform.kind == "log":
        return f"log-normal above {transform.lower:g}" if transform.lower else "log-normal"
    return f"logit-normal between {transform.lower:g} and {transform.upper:g}"


def _endpoint_sentences(model: Model, table: EventTable) -> tuple[str, ...]:
    """The residual error of every endpoint, and its observations where not all of them are alike."""
    endpoint = np.zeros(table.n_obs_total, dtype=int) if table.ob_endpoint is None else table.ob_endpoint
    found = []
    for e, observation in enumerate(model.observations):
        sentence, n = error_sentence(observation), int((endpoint == e).sum())
        n_censored = int(table.censored[endpoint == e].sum())
        if len(model.observations) > 1:
            sentence += f"; {n} observations"
        if n_censored:
            sentence += f"{',' if len(model.observations) > 1 else ';'} {n_censored} of them censored"
        if observation.floor is not None:
            sentence += "; conditional on a lower limit (YLO)"
        found.append(sentence)
    return tuple(found)


def error_sentence(observation: ObservationModel) -> str:
    """``Y: proportional, sd = b*|f|, b = SD of EPS(1)``."""
    error = observation.error
    parts = [f"{error.kind}, {_formula(error)}"]
    parts += [f"{name} = {_coefficient(c)}" for name, c in (("a", error.a), ("b", error.b)) if c is not None]
    if error.power is not None and error.power.parameter is not None:
        p = error.power
        parts.append(f"p = {p.parameter if p.scale == 1.0 else f'{p.scale:g} * {p.parameter}'}")
    if error.correlation is not None:
        parts.append(f"r = {'-' * (error.correlation.sign < 0)}correlation of {' and '.join(error.correlation.names)}")
    if error.written_as:
        parts.append(f"written as {error.written_as}")
    if observation.scale != "natural":
        parts.append(f"on the {observation.scale} scale")
    return f"{observation.name}: {', '.join(parts)}"


def _formula(error: ResidualError) -> str:
    power = "" if error.power is None else "^p" if error.power.parameter is not None else f"^{error.power.scale:g}"
    square = "f^2" if not power else f"|f|^({'2p' if power == '^p' else f'{2 * error.power.scale:g}'})"
    cross = " + 2*r*a*b*f" if error.correlation is not None else ""
    formula = {
        "additive": "a",
        "proportional": f"b*|f|{power}",
        "combined1": f"a + b*|f|{power}",
        "combined2": f"sqrt(a^2{cross} + b^2*{square})",
    }[error.kind]
    if error.effect is None:
        return f"sd = {formula}"
    scale = "" if error.effect.scale == 1.0 else f"{error.effect.scale:g}*"
    return f"sd = ({formula})*exp({scale}{error.effect.eta})"


def _coefficient(coefficient: ErrorCoefficient) -> str:
    name = coefficient.parameter if coefficient.kind == "theta" else f"SD of {coefficient.parameter}"
    scaled = name if math.isclose(coefficient.scale, 1.0) else f"{coefficient.scale:g} * {name}"
    return f"{scaled} (fixed)" if coefficient.fixed else scaled


def _effects(block: CovarianceBlock) -> list[EffectSummary]:
    return [
        EffectSummary(
            name=name,
            label=block.labels[k] if k < len(block.labels) else "",
            variance=block.matrix[k][k],
            correlated_with=tuple(o for j, o in enumerate(block.names) if j != k and block.matrix[k][j] != 0.0),
            fixed=block.fixed,
        )
        for k, name in enumerate(block.names)
    ]


def _correlations(model: Model) -> Iterator[tuple[str, float, bool]]:
    start = 0
    for block in model.omega:
        for i in range(len(block.names) if block.same_as is None else 0):
            for j in range(i):
                scale = math.sqrt(block.matrix[i][i] * block.matrix[j][j])
                if block.matrix[i][j] != 0.0 and scale > 0.0:
                    yield f"OMEGA({start + i + 1},{start + j + 1})", block.matrix[i][j] / scale, block.fixed
        start += len(block.names)


def _parameter(parameter: IndividualParameter, model: Model) -> ParameterSummary:
    return ParameterSummary(
        name=parameter.name,
        eta=parameter.eta,
        distribution=distribution_words(parameter.transform),
        thetas=parameter.thetas,
        covariates=parameter.covariates,
        source=defining_lines(parameter, model),
    )


def defining_lines(parameter: IndividualParameter, model: Model) -> tuple[str, ...]:
    """The user's own lines, in their order: the assignment of the parameter and those of the typical value and
    covariate effects it reads. Only lines up to it count: later code does not define it."""
    text = model.source.text.splitlines()
    last = parameter.at.line if parameter.at is not None else len(text)
    program = (*model.program.pk, *model.program.error)
    known = [a for a in assignments(program) if a.at is not None and a.at.line <= last]
    if model.project is not None and parameter.at is not None:  # code of its model file is in another text
        known = [a for a in known if a.at.path == parameter.at.path]
    wanted, lines = {parameter.name}, set()
    for assignment in reversed(known):
        if assignment.target in wanted:
            lines.add(assignment.at.line)
            wanted |= assignment.value.names()
    return tuple(re.split(r";", text[k - 1])[0].strip() for k in sorted(lines) if k <= len(text))
