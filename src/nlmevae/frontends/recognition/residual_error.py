"""The residual errors of all endpoints, found from Y and its derivative by EPS at EPS = 0 (NONMEM linearises in EPS
too): Var(Y | f) = w' SIGMA w, each w_e a verified function of the prediction f, for every kind of record that the code
tells apart by data items."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.recognition.data_values import DataValues, data_values
from nlmevae.frontends.recognition.dependencies import (
    ArmProbe,
    assignment_place,
    error_program,
    individual_program,
    outputs,
    place_of,
    with_arm_probes,
)
from nlmevae.frontends.recognition.endpoints import condition_of, deciding, text_of
from nlmevae.frontends.recognition.error_branches import check_data_branches, guard_warnings
from nlmevae.frontends.recognition.error_coefficients import residual_error_of
from nlmevae.frontends.recognition.error_forms import ErrorForm, find_form
from nlmevae.frontends.recognition.error_points import (
    N_POINTS,
    Prediction,
    run_again,
    run_error,
    run_individual,
    sample_error_inputs,
)
from nlmevae.frontends.recognition.error_refusals import refuse_form, splitting_items
from nlmevae.frontends.recognition.individual_level import initial_dependencies
from nlmevae.frontends.recognition.log_scale import is_log_prediction, with_log_probes
from nlmevae.frontends.recognition.record_kinds import RecordKind, record_kinds
from nlmevae.frontends.recognition.sigma_blocks import block_of, check_sigma, without_idle_covariances
from nlmevae.ir import (
    Compare,
    CovarianceBlock,
    Diagnostic,
    Expression,
    Model,
    Number,
    ObservationModel,
    Statement,
    Symbol,
)
from nlmevae.ir.dual import tangent_of
from nlmevae.ir.evaluate import run, seeded
from nlmevae.ir.program import names_assigned


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundErrors:
    """`thetas`: those that only set the residual error; `effects`: ETAs that only act on its size; `sigma`: the
    model's blocks without covariances that no record can show."""

    observations: tuple[ObservationModel, ...]
    thetas: frozenset[str]
    effects: frozenset[str]
    sigma: tuple[CovarianceBlock, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """What is run: `statements` compute Y, with probes; `values` is what the code knows from data items."""

    model: Model
    epsilons: tuple[str, ...]
    statements: tuple[Statement, ...]
    arm_probes: tuple[ArmProbe, ...]
    log_probes: tuple[str, ...]
    values: DataValues
    at: Location | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """Forms of all kinds of records that `conditions` tell apart; those at `needed` hold where a form was verified."""

    conditions: tuple[Expression, ...]
    needed: tuple[int, ...]
    forms: tuple[ErrorForm, ...]

    @property
    def failed(self) -> ErrorForm | None:
        return next((form for form in self.forms if form.failed is not None), None)


def find_residual_errors(model: Model, rng: np.random.Generator) -> FoundErrors:
    """Raises UnsupportedError or SemanticError, with the line of Y, unless every form is verified."""
    code = _read(model)
    survey = _survey(code, rng)
    forms = [form for form in survey.forms if not form.empty]
    check_data_branches(model, [form.found.env for form in forms], code.arm_probes)
    observations = _observations(code, survey, rng)
    sigma, notes = without_idle_covariances(model, observations)
    curved = any(form.found.curved for form in forms)
    return FoundErrors(
        observations=observations,
        thetas=_error_only_thetas(code, forms, observations),
        effects=_effects(code, forms, observations),
        sigma=sigma,
        diagnostics=(
            *(_linearised(code.at) if curved else ()),
            *notes,
            *guard_warnings(model, [form.found.env for form in forms], code.arm_probes),
        ),
    )


def _read(model: Model) -> _Code:
    at = assignment_place(model.program.error, "Y")
    epsilons = _active_epsilons(model, at)
    statements, arm_probes = with_arm_probes(error_program(model), "#arm")
    statements, log_probes = with_log_probes(statements)
    values = data_values(error_program(model), model.data_items)
    return _Code(
        model=model,
        epsilons=epsilons,
        statements=statements,
        arm_probes=arm_probes,
        log_probes=log_probes,
        values=values,
        at=at,
    )


def _active_epsilons(model: Model, at: Location | None) -> tuple[str, ...]:
    """The EPSs that act on Y."""
    error = model.program.error
    if "Y" not in names_assigned(error):
        raise SemanticError("the code assigns no Y", hint="assign Y = prediction + residual error in $ERROR or $PRED")
    if "F_FLAG" in names_assigned(error):
        raise UnsupportedError(
            "F_FLAG: likelihoods of the user's own, such as M3 for censored data, are not supported",
            hint="leave out censored records, or treat them as observations at the limit",
            location=assignment_place(error, "F_FLAG"),
        )
    reads = outputs(model, initial_dependencies(model))["Y"]
    zero = model.zero_epsilons
    active = tuple(name for name in model.epsilons if name not in zero)
    for name in active:
        if name not in reads:
            raise SemanticError(
                f"{name} has no effect on Y", hint=f"use {name} in Y, or remove it and its SIGMA",
                location=place_of(error, name) or block_of(model, name).at,
            )  # fmt: skip
    if not active:
        raise SemanticError("Y has no residual error", hint="add one, as in Y = F + F*EPS(1)", location=at)
    check_sigma(model)
    return active


# kinds of records ---------------------------------------------------------------------------------
def _survey(code: _Code, rng: np.random.Generator) -> _Survey:
    """All records alike if one form holds for all; else told apart by conditions of the observation code, by data
    items that act as flags, by conditions of $PK: as little as will do.

    Raises:
        UnsupportedError: some kind of record has no supported form.
    """
    tried = [_tried(code, (), (), rng)]
    for conditions in _conditions(code):
        if tried[-1].failed is not None:
            tried.append(_tried(code, conditions, (), rng))
    for before in tried[1:] or tried:
        flags = _flags(code, before.failed) if tried[-1].failed is not None else ()
        if flags:
            count = len(before.conditions)
            needed = tuple(range(count, count + len(flags)))
            tried.append(_tried(code, (*before.conditions, *flags), needed, rng))
    if tried[-1].failed is not None:
        worst = tried[1] if code.values.conditions else tried[0]
        raise refuse_form(code.model, worst.failed, worst.conditions, code.at)
    return tried[-1]


def _conditions(code: _Code) -> list[tuple[Expression, ...]]:
    """Those of the observation code, and those of $PK beside them, where there are any."""
    found = [tuple(code.values.conditions)]
    if code.model.structural.compartments:
        program = (*individual_program(code.model), *error_program(code.model))
        found.append(tuple(data_values(program, code.model.data_items).conditions))
    return [conditions for conditions in dict.fromkeys(found) if conditions]


def _tried(
    code: _Code, conditions: tuple[Expression, ...], needed: tuple[int, ...], rng: np.random.Generator
) -> _Survey:
    kinds: list[RecordKind | None] = [None]
    if conditions:
        found = record_kinds(code.model, conditions, N_POINTS, rng)
        pairs = [needed[k : k + 2] for k in range(0, len(needed), 2)]
        kinds = [kind for kind in found if all(any(kind.truth[k] for k in pair) for pair in pairs)]
    for prediction in _ways(code.model):
        forms = tuple(_form(code, kind, prediction, rng) for kind in kinds)
        survey = _Survey(conditions=conditions, needed=needed, forms=forms)
        if survey.failed is None and not all(form.empty for form in forms):
            break
    if all(form.empty for form in survey.forms):
        return replace(survey, forms=(replace(survey.forms[0], empty=False, failed=0),))
    return survey


def _form(code: _Code, kind: RecordKind | None, prediction: Prediction, rng: np.random.Generator) -> ErrorForm:
    items = None if kind is None else kind.items
    points = sample_error_inputs(code.model, rng, prediction=prediction, items=items)
    found = run_error(code.model, points, code.epsilons, code.statements, rng, prediction=prediction)
    return find_form(code.model, found, kind)


def _ways(model: Model) -> tuple[Prediction, ...]:
    """F first as an unknown of its own; equal to A / S only where one compartment is observed."""
    if not model.structural.compartments or any(c.role == "cmt" for c in model.data.columns):
        return ("free",)
    return ("free", "tied")


def _flags(code: _Code, failed: ErrorForm | None) -> tuple[Expression, ...]:
    """Two conditions, 0 and 1, for each data item that switches errors by being multiplied with them."""
    if failed is None:
        return ()
    items = splitting_items(code.model, failed)
    return tuple(Compare("==", Symbol(item), Number(value)) for item in items for value in (0.0, 1.0))


# observation models -------------------------------------------------------------------------------
def _observations(code: _Code, survey: _Survey, rng: np.random.Generator) -> tuple[ObservationModel, ...]:
    """One per distinct residual error, in the order of their EPS."""
    stated = [None if form.empty else _observation(code, form, rng) for form in survey.forms]
    known = dict.fromkeys(observation for observation in stated if observation is not None)
    distinct = sorted(known, key=lambda o: [code.model.epsilons.index(e) for e in o.epsilons])
    if len(distinct) == 1 and None not in stated and not survey.needed:
        return (distinct[0],)
    truths = [form.kind.truth for form in survey.forms]  # type: ignore[union-attr]
    labels = [-1 if observation is None else distinct.index(observation) for observation in stated]
    kept = deciding(truths, labels, survey.needed)
    found = []
    for label, observation in enumerate(distinct):
        when = condition_of(survey.conditions, truths, labels, label, kept)
        name = observation.name if when is None else text_of(when)
        found.append(replace(observation, name=name, when=when))
    return tuple(found)


def _observation(code: _Code, form: ErrorForm, rng: np.random.Generator) -> ObservationModel:
    log_scale = is_log_prediction(form.found, code.log_probes)
    error = residual_error_of(code.model, form, rng, code.at, log_scale=log_scale)
    epsilons = tuple(name for name in code.model.epsilons if name in form.weights)
    return ObservationModel(name="Y", error=error, scale="log" if log_scale else "natural", epsilons=epsilons)


def _linearised(at: Location | None) -> tuple[Diagnostic, ...]:
    return (
        Diagnostic(
            code="error-linearised",
            severity="note",
            message="Y is not linear in EPS; as in NONMEM, its variance is taken from the derivative at EPS = 0",
            hint="log-transform both sides for an exactly log-normal residual error: Y = LOG(F) + EPS(1)",
            location=at,
        ),
    )


# THETAs and ETAs that act on nothing else ---------------------------------------------------------
def _error_only_thetas(
    code: _Code, forms: list[ErrorForm], observations: tuple[ObservationModel, ...]
) -> frozenset[str]:
    """THETAs Y reads that change neither f nor anything before it."""
    model = code.model
    seen = outputs(model, initial_dependencies(model))
    elsewhere = frozenset().union(*(reads for name, reads in seen.items() if name != "Y"))
    only = frozenset(t.name for t in model.thetas if t.name in seen["Y"] and t.name not in elsewhere)
    for form in forms:
        only &= _unmoved_by(model, form, tuple(sorted(only)))
    for observation in observations:
        error = observation.error
        used = [c.parameter for c in (error.a, error.b) if c is not None and c.kind == "theta"]
        used += [error.power.parameter] if error.power is not None and error.power.parameter else []
        for name in used:
            if name not in only:
                raise UnsupportedError(
                    f"{name} sets the residual error and also the prediction",
                    hint="give the residual error a THETA of its own",
                    location=code.at,
                )
    return only


def _unmoved_by(model: Model, form: ErrorForm, names: tuple[str, ...]) -> frozenset[str]:
    """Those of `names` whose derivative of f is 0 at every point."""
    found = form.found
    start = run_individual(model, seeded(found.points, names))
    tangent = tangent_of(run(error_program(model), start)["Y"], np.zeros((len(names), len(found.f))))
    slopes = np.broadcast_to(tangent, (len(names), len(found.f)))
    still = np.all((slopes == 0.0) | ~np.isfinite(found.f), axis=1)
    return frozenset(name for name, unmoved in zip(names, still, strict=True) if unmoved)


def _effects(code: _Code, forms: list[ErrorForm], observations: tuple[ObservationModel, ...]) -> frozenset[str]:
    """ETAs that multiply residual errors, checked to act on nothing else."""
    effects = frozenset(o.error.effect.eta for o in observations if o.error.effect is not None)
    seen = outputs(code.model, initial_dependencies(code.model))
    elsewhere = frozenset().union(*(reads for name, reads in seen.items() if name != "Y"))
    for eta in sorted(effects):
        moved = eta in elsewhere
        for form in forms:
            f, _ = run_again(code.model, form.found, {eta: np.roll(form.found.points[eta], 1)})
            moved = moved or not np.allclose(f, form.found.f, rtol=1e-12, atol=0.0, equal_nan=True)
        if moved:
            raise UnsupportedError(
                f"{eta} acts on the size of the residual error and on the prediction",
                hint="give the residual error a random effect of its own",
                location=code.at,
            )
    return effects
