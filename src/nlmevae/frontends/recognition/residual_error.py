"""The residual errors of all endpoints, found from Y and its derivative by EPS at EPS = 0 (NONMEM linearises in EPS
too): Var(Y | f) = w' SIGMA w, each w_e a verified function of the prediction f, for every kind of record that the code
tells apart by data items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import Location, UnsupportedError
from nlmevae.frontends.recognition.censored_forms import CensoredForm, find_censoring, with_conditional_densities
from nlmevae.frontends.recognition.data_values import all_of, negated
from nlmevae.frontends.recognition.dependencies import (
    assignment_place,
    error_program,
    outputs,
)
from nlmevae.frontends.recognition.endpoints import condition_of, deciding, text_of
from nlmevae.frontends.recognition.error_branches import check_data_branches, guard_warnings
from nlmevae.frontends.recognition.error_coefficients import residual_error_of
from nlmevae.frontends.recognition.error_forms import ErrorForm
from nlmevae.frontends.recognition.error_points import (
    run_again,
    run_individual,
    unassigned,
)
from nlmevae.frontends.recognition.error_survey import DEFAULTS, ErrorCode, Survey, read_error_code, survey_records
from nlmevae.frontends.recognition.individual_level import initial_dependencies
from nlmevae.frontends.recognition.log_scale import is_log_prediction
from nlmevae.frontends.recognition.sigma_blocks import without_idle_covariances
from nlmevae.ir import (
    Censoring,
    Compare,
    CovarianceBlock,
    Diagnostic,
    Expression,
    Model,
    Number,
    ObservationModel,
)
from nlmevae.ir.dual import tangent_of
from nlmevae.ir.evaluate import evaluate, run, seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundErrors:
    """`thetas`: those that only set the residual error; `effects`: ETAs that only act on its size; `sigma`: the
    model's blocks without covariances that no record can show."""

    observations: tuple[ObservationModel, ...]
    thetas: frozenset[str]
    effects: frozenset[str]
    sigma: tuple[CovarianceBlock, ...]
    diagnostics: tuple[Diagnostic, ...]


def find_residual_errors(model: Model, rng: np.random.Generator) -> FoundErrors:
    """Raises UnsupportedError or SemanticError, with the line of Y, unless every form is verified."""
    code = read_error_code(model)
    survey = survey_records(code, rng)
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


# observation models -------------------------------------------------------------------------------
def _observations(
    code: ErrorCode, survey: Survey, sizes: frozenset[str], rng: np.random.Generator
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


def _observation(code: ErrorCode, form: ErrorForm, rng: np.random.Generator) -> ObservationModel:
    log_scale = is_log_prediction(form.found, code.log_probes)
    error = residual_error_of(code.model, form, rng, code.at, log_scale=log_scale)
    epsilons = tuple(name for name in code.model.epsilons if name in form.weights)
    return ObservationModel(
        name="Y", error=error, scale="log" if log_scale else "natural", epsilons=epsilons, floor=_floor(code, form)
    )


def _floor(code: ErrorCode, form: ErrorForm) -> Expression | None:
    """YLO, where the code assigns it."""
    floor = code.values.known["YLO"]
    if floor == DEFAULTS["YLO"]:
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
    code: ErrorCode, survey: Survey, form: ErrorForm, sizes: frozenset[str], rng: np.random.Generator
) -> CensoredForm:
    held = [c if t else negated(c) for c, t in zip(survey.conditions, form.kind.truth, strict=True)]  # type: ignore[union-attr]
    places = _reached(code, [form])
    return find_censoring(
        code.model, form, survey.densities, survey.conditions, code.values, sorted(sizes), rng,
        records=text_of(all_of(held)), at=places[0] if places else code.at,
    )  # fmt: skip


def _stated(code: ErrorCode, survey: Survey, forms: list[CensoredForm], when: Expression | None) -> Censoring:
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


def _reached(code: ErrorCode, forms: Sequence[ErrorForm]) -> list[Location]:
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
    """Those of `names` whose derivative of f is 0 wherever f and the derivative are finite, which they are somewhere.

    Where f is 0 by division by an infinite number (a scale that divides by a covariate of 0), or as EXP(THETA*LOG(0)),
    it is not a number.
    """
    found = form.found
    start = run_individual(model, seeded(found.points, names))
    program = error_program(model)
    tangent = tangent_of(run(program, unassigned(program) | start)["Y"], np.zeros((len(names), len(found.f))))
    slopes = np.broadcast_to(tangent, (len(names), len(found.f)))
    known = np.isfinite(slopes) & np.isfinite(found.f)
    still = np.all((slopes == 0.0) | ~known, axis=1) & known.any(axis=1)
    return frozenset(name for name, unmoved in zip(names, still, strict=True) if unmoved)


def _effects(code: ErrorCode, forms: list[ErrorForm], observations: tuple[ObservationModel, ...]) -> frozenset[str]:
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
