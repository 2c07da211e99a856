"""The residual errors of all endpoints, found from Y and its derivative by EPS at EPS = 0 (NONMEM linearises in EPS
too): Var(Y | f) = w' SIGMA w, each w_e a verified function of the prediction f, for every kind of record that the code
tells apart by data items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.recognition.censored_forms import CensoredForm, find_censoring, with_conditional_densities
from nlmevae.frontends.recognition.data_values import DataValues, all_of, data_values, negated
from nlmevae.frontends.recognition.dependencies import (
    ArmProbe,
    assignment_place,
    error_program,
    individual_program,
    outputs,
    place_of,
    with_arm_probes,
    with_target_probes,
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
from nlmevae.frontends.recognition.points import Points
from nlmevae.frontends.recognition.record_kinds import RecordKind, record_kinds
from nlmevae.frontends.recognition.sigma_blocks import block_of, check_sigma, without_idle_covariances
from nlmevae.ir import (
    Censoring,
    Compare,
    CovarianceBlock,
    Diagnostic,
    Expression,
    Model,
    Number,
    ObservationModel,
    Statement,
    Symbol,
    needed_for,
)
from nlmevae.ir.dual import tangent_of
from nlmevae.ir.evaluate import evaluate, run, seeded
from nlmevae.ir.program import names_assigned

#: What the observation code may state beside Y, and what it is where the code does not.
_STATED = ("Y", "F_FLAG", "YLO")
_DEFAULTS = {"F_FLAG": Number(0.0), "YLO": Number(-math.inf)}


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
    y_probes: dict[str, Location | None]
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
        return next((form for form in self.densities if form.failed is not None), None)

    @property
    def densities(self) -> list[ErrorForm]:
        """Of records with a normal residual error."""
        return [form for form in self.forms if not form.empty and not form.probability]


def find_residual_errors(model: Model, rng: np.random.Generator) -> FoundErrors:
    """Raises UnsupportedError or SemanticError, with the line of Y, unless every form is verified."""
    code = _read(model)
    survey = _survey(code, rng)
    forms = survey.densities
    runs = [form.found.env for form in survey.forms if not form.empty]
    check_data_branches(model, runs, code.arm_probes)
    thetas = _only_in_errors(model, forms)
    observations, more = with_conditional_densities(_observations(code, survey, thetas, rng), code.at)
    _check_thetas(thetas, observations, code.at)
    sigma, notes = without_idle_covariances(model, observations)
    curved = any(form.found.curved for form in forms)
    return FoundErrors(
        observations=observations,
        thetas=thetas,
        effects=_effects(code, forms, observations),
        sigma=sigma,
        diagnostics=(
            *(_linearised(code.at) if curved else ()),
            *notes,
            *more,
            *guard_warnings(model, runs, code.arm_probes),
        ),
    )


def _read(model: Model) -> _Code:
    at = assignment_place(model.program.error, "Y")
    epsilons = _active_epsilons(model, at)
    statements, arm_probes = with_arm_probes(error_program(model), "#arm")
    statements, log_probes = with_log_probes(statements)
    statements, y_probes = with_target_probes(statements, "Y")
    values = data_values(needed_for(model.program.error, _STATED), model.data_items, _DEFAULTS)
    return _Code(
        model=model,
        epsilons=epsilons,
        statements=statements,
        arm_probes=arm_probes,
        log_probes=log_probes,
        y_probes=y_probes,
        values=values,
        at=at,
    )


def _active_epsilons(model: Model, at: Location | None) -> tuple[str, ...]:
    """The EPSs that act on Y."""
    error = model.program.error
    if "Y" not in names_assigned(error):
        raise SemanticError("the code assigns no Y", hint="assign Y = prediction + residual error in $ERROR or $PRED")
    for name in ("F_FLAG", "YLO"):
        if name in names_assigned(model.program.pk):
            raise UnsupportedError(
                f"{name} is assigned in $PK",
                hint=f"assign {name} in $ERROR",
                location=assignment_place(model.program.pk, name),
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
    stated = names_assigned(code.model.program.error) & {"F_FLAG", "YLO"}
    tried = [] if stated and code.values.conditions else [_tried(code, (), (), rng)]
    for conditions in _conditions(code):
        if not tried or tried[-1].failed is not None:
            tried.append(_tried(code, conditions, (), rng))
    for before in tried[1:] or tried:
        flags = _flags(code, before.failed) if tried[-1].failed is not None else ()
        if flags:
            count = len(before.conditions)
            needed = tuple(range(count, count + len(flags)))
            tried.append(_tried(code, (*before.conditions, *flags), needed, rng))
    if tried[-1].failed is not None:
        worst = tried[1] if code.values.conditions and not stated else tried[0]
        raise refuse_form(code.model, worst.failed, worst.conditions, code.at)
    return tried[-1]


def _conditions(code: _Code) -> list[tuple[Expression, ...]]:
    """Those of the observation code, and those of $PK beside them, where there are any."""
    found = [tuple(code.values.conditions)]
    if code.model.structural.compartments:
        program = (*individual_program(code.model), *needed_for(code.model.program.error, _STATED))
        found.append(tuple(data_values(program, code.model.data_items, _DEFAULTS).conditions))
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
        if survey.failed is None and survey.densities:
            break
    if not survey.densities:
        return replace(survey, forms=(replace(survey.forms[0], empty=False, probability=False, failed=0),))
    return survey


def _form(code: _Code, kind: RecordKind | None, prediction: Prediction, rng: np.random.Generator) -> ErrorForm:
    items = None if kind is None else kind.items
    points = sample_error_inputs(code.model, rng, prediction=prediction, items=items)
    found = run_error(code.model, points, code.epsilons, code.statements, rng, prediction=prediction)
    if _is_probability(code, items):
        return ErrorForm(found=found, weights={}, kind=kind, probability=True, empty=not np.isfinite(found.f).any())
    return find_form(code.model, found, kind)


def _is_probability(code: _Code, items: Points | None) -> bool:
    """F_FLAG is 1 on all records with these data items; it is 0 unless the code says otherwise.

    Raises:
        UnsupportedError: it has another value, or depends on more than data items.
    """
    flag = code.values.known["F_FLAG"]
    at = assignment_place(code.model.program.error, "F_FLAG")
    if flag is None or (flag.names() and items is None):
        raise UnsupportedError(
            "F_FLAG depends on more than conditions on data items",
            hint="choose it with IF and a data item, as in IF (BLQ.EQ.1) THEN, and set it in every branch",
            location=at,
        )
    value = np.unique(evaluate(flag, items or {}))
    if len(value) != 1 or value[0] not in (0.0, 1.0):
        raise UnsupportedError(
            f"F_FLAG is {', '.join(f'{v:g}' for v in value[:3])}: only 0 (Y is a prediction with residual error) and 1 "
            "(Y is a probability) are supported",
            hint="write the probability itself with F_FLAG=1",
            location=at,
        )
    return value[0] == 1.0


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
def _observations(
    code: _Code, survey: _Survey, sizes: frozenset[str], rng: np.random.Generator
) -> tuple[ObservationModel, ...]:
    """One per distinct residual error, in the order of their EPS, with the censored records that belong to it."""
    plain = {id(form): _observation(code, form, rng) for form in survey.densities}
    distinct = list(dict.fromkeys(plain.values()))
    if len(distinct) == 1 and len(plain) == len(survey.forms) and not survey.needed:
        return (distinct[0],)
    censored = {id(form): _censoring(code, survey, form, sizes, rng) for form in survey.forms if form.probability}
    of = {key: (distinct.index(plain[id(c.partner)]), c.lower, c.upper, c.floor) for key, c in censored.items()}
    kinds = [-1, *range(len(distinct)), *dict.fromkeys(of.values())]
    truths = [form.kind.truth for form in survey.forms]  # type: ignore[union-attr]
    labels = [
        kinds.index(of[id(f)] if id(f) in of else distinct.index(plain[id(f)]) if id(f) in plain else -1)
        for f in survey.forms
    ]
    kept = deciding(truths, labels, survey.needed)
    endpoints = [kinds[label][0] if isinstance(kinds[label], tuple) else kinds[label] for label in labels]
    told = deciding(truths, endpoints, survey.needed)

    def when(kind: object) -> Expression | None:
        return condition_of(survey.conditions, truths, labels, kinds.index(kind), kept)

    found = []
    for label, observation in enumerate(distinct):
        groups = [kind for kind in dict.fromkeys(of.values()) if kind[0] == label]
        censoring = tuple(
            _stated(code, survey, [censored[key] for key in of if of[key] == group], when(group)) for group in groups
        )
        whole = condition_of(survey.conditions, truths, endpoints, label, told)
        name = observation.name if whole is None or len(distinct) == 1 else text_of(whole)
        found.append(replace(observation, name=name, when=when(label), censoring=censoring))
    return tuple(
        sorted(found, key=lambda o: ([code.model.epsilons.index(e) for e in o.epsilons], o.name.count("!="), o.name))
    )


def _observation(code: _Code, form: ErrorForm, rng: np.random.Generator) -> ObservationModel:
    log_scale = is_log_prediction(form.found, code.log_probes)
    error = residual_error_of(code.model, form, rng, code.at, log_scale=log_scale)
    epsilons = tuple(name for name in code.model.epsilons if name in form.weights)
    return ObservationModel(
        name="Y", error=error, scale="log" if log_scale else "natural", epsilons=epsilons, floor=_floor(code, form)
    )


def _floor(code: _Code, form: ErrorForm) -> Expression | None:
    """YLO, where the code assigns it."""
    floor = code.values.known["YLO"]
    if floor == _DEFAULTS["YLO"]:
        return None
    if form.kind is None and floor is not None and floor.names():
        return floor
    value = None if floor is None else np.atleast_1d(evaluate(floor, {} if form.kind is None else form.kind.items))
    if value is None or np.isneginf(value).any() != np.isneginf(value).all():
        raise UnsupportedError(
            "YLO depends on more than data items",
            hint="assign YLO a number or a data item",
            location=assignment_place(code.model.program.error, "YLO"),
        )
    return None if np.isneginf(value).all() else floor


def _censoring(
    code: _Code, survey: _Survey, form: ErrorForm, sizes: frozenset[str], rng: np.random.Generator
) -> CensoredForm:
    held = [c if t else negated(c) for c, t in zip(survey.conditions, form.kind.truth, strict=True)]  # type: ignore[union-attr]
    places = _reached(code, [form])
    return find_censoring(
        code.model, form, survey.densities, survey.conditions, code.values, sorted(sizes), rng,
        records=text_of(all_of(held)), at=places[0] if places else code.at,
    )  # fmt: skip


def _stated(code: _Code, survey: _Survey, forms: list[CensoredForm], when: Expression | None) -> Censoring:
    seen = set(_reached(code, survey.densities))
    probabilities = [form for form in survey.forms if form.probability]
    first = forms[0]
    return Censoring(
        when=when if when is not None else Compare("==", Number(0.0), Number(0.0)),
        lower=first.lower,
        upper=first.upper,
        floor=first.floor,
        stand_in=first.stand_in,
        places=tuple(at for at in _reached(code, probabilities) if at not in seen),
    )


def _reached(code: _Code, forms: Sequence[ErrorForm]) -> list[Location]:
    """Assignments to Y that ran for one of the forms."""
    runs = [form.found.env for form in forms]
    ran = [name for name in code.y_probes if any(np.isfinite(run.get(name, np.nan)).any() for run in runs)]
    return [at for at in dict.fromkeys(code.y_probes[name] for name in ran) if at is not None]


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
def _only_in_errors(model: Model, forms: list[ErrorForm]) -> frozenset[str]:
    """THETAs Y reads that change neither f nor anything before it."""
    seen = outputs(model, initial_dependencies(model))
    elsewhere = frozenset().union(*(reads for name, reads in seen.items() if name != "Y"))
    only = frozenset(t.name for t in model.thetas if t.name in seen["Y"] and t.name not in elsewhere)
    for form in forms:
        only &= _unmoved_by(model, form, tuple(sorted(only)))
    return only


def _check_thetas(only: frozenset[str], observations: tuple[ObservationModel, ...], at: Location | None) -> None:
    for observation in observations:
        error = observation.error
        used = [c.parameter for c in (error.a, error.b) if c is not None and c.kind == "theta"]
        used += [error.power.parameter] if error.power is not None and error.power.parameter else []
        for name in used:
            if name not in only:
                raise UnsupportedError(
                    f"{name} sets the residual error and also the prediction",
                    hint="give the residual error a THETA of its own",
                    location=at,
                )


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
