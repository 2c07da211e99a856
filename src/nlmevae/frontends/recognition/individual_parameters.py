"""From each ETA to the individual parameter it makes random.

The parameter is the first program variable for which h(psi) = something + ETA is verified and through
which everything the ETA does to the data passes. The something may depend on other ETAs (those between
occasions) and change within a subject. A variable whose typical value reads a THETA is preferred to one that
only holds the effect (``ECL = EXP(ETA(1))``). An ETA without such a parameter is a latent variable of its
own with mean 0, whatever it does: nothing is assumed about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmevae.errors import Location, SemanticError
from nlmevae.frontends.recognition.dependencies import (
    NOTHING,
    Cuts,
    assigned_repeatedly,
    assignment_place,
    error_program,
    outputs,
    piecewise_inputs,
    place_of,
    trace,
)
from nlmevae.frontends.recognition.effect_forms import (
    DERIVED,
    ELSEWHERE,
    OUTSIDE,
    SEVERAL_VARIABLES,
    TAKEN,
    UNREACHED,
    EffectForm,
    name_form,
)
from nlmevae.frontends.recognition.individual_level import (
    Candidate,
    IndividualLevel,
    initial_dependencies,
    without_effect,
)
from nlmevae.frontends.recognition.reach import decides, reached, reaches_data
from nlmevae.frontends.recognition.transforms import find_transform, gaussian_slope, rounding, to_gaussian
from nlmevae.ir import (
    Diagnostic,
    If,
    IndividualParameter,
    Model,
    Statement,
    Transform,
    assignments,
    names_assigned,
    names_read,
    past_flags,
)
from nlmevae.ir.dual import tangent_of, value_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalValue:
    """mu of one individual parameter at the points of the individual level, NaN where psi is out of range.

    mu, psi (n_theta_draws, n_covariate_draws); per THETA: draws its values, slope dmu/dTHETA and
    psi_slope dpsi/dTHETA, same shape. piecewise: the inputs that decide between pieces of the code.
    """

    parameter: IndividualParameter
    candidate: Candidate
    mu: np.ndarray
    psi: np.ndarray
    draws: dict[str, np.ndarray]
    slope: dict[str, np.ndarray]
    psi_slope: dict[str, np.ndarray]
    piecewise: frozenset[str]


def find_parameters(
    level: IndividualLevel, *, elsewhere: frozenset[str] = frozenset()
) -> tuple[list[TypicalValue], tuple[Diagnostic, ...]]:
    """One entry per ETA that makes one parameter random, in ETA order, and a note on every other one. An ETA
    fixed at zero has neither, nor has one that is known to act `elsewhere`.

    Raises:
        SemanticError: an ETA has no effect.
    """
    model = level.model
    known = dict.fromkeys(model.zero_etas, NOTHING)
    reaches = NOTHING.union(*outputs(model, known).values())
    chosen: dict[str, tuple[Candidate, Transform]] = {}
    carriers: dict[str, list[_Carrier]] = {}
    for eta in model.etas:
        if eta in model.zero_etas or eta in elsewhere:
            continue
        if eta not in reaches:
            raise SemanticError(
                f"{eta} has no effect on the prediction or its residual error",
                hint=f"use {eta} in the code, or remove it and its OMEGA",
                location=place_of(level.program, eta) or _omega_place(model, eta),
            )
        carriers[eta] = _carriers(level, eta)
        pair = _parameter_of(level, carriers[eta], taken={candidate.name for candidate, _ in chosen.values()})
        if pair is not None:
            chosen[eta] = pair
    cuts = {candidate.name: eta for eta, (candidate, _) in chosen.items()}
    derived = {eta for eta, (candidate, _) in chosen.items() if _is_derived(level, candidate, eta, cuts)}
    values = [_typical_value(level, *pair, eta, cuts) for eta, pair in chosen.items() if eta not in derived]
    left = [eta for eta in model.etas if eta not in model.zero_etas | elsewhere]
    general = [eta for eta in left if eta not in chosen or eta in derived]
    return values, tuple(_general_note(level, eta, carriers[eta], chosen.get(eta)) for eta in general)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrier:
    """A variable that carries an ETA: `reason` it cannot be an individual parameter, else its transform if there is
    one, and then whether nothing the data see depends on the ETA except through it. at_zero: of `without_effect`, if
    it had to be found."""

    candidate: Candidate
    reason: str
    transform: Transform | None
    captures: bool
    at_zero: dict[tuple[str, int], Any]


def _carriers(level: IndividualLevel, eta: str) -> list[_Carrier]:
    found = []
    reasons = [_not_individual(level, candidate, eta) for candidate in level.candidates[eta]]
    alone = all(c.reads.isdisjoint(level.other_etas(eta)) for c in level.candidates[eta])
    at_zero = {} if alone or all(reasons) else without_effect(level, eta)
    for candidate, reason in zip(level.candidates[eta], reasons, strict=True):
        transform = None if reason else _transform_of(level, candidate, eta, at_zero)
        captures = transform is not None and not reaches_data(
            level.model, level.program, eta, candidate.name, candidate.index + 1
        )
        found.append(
            _Carrier(candidate=candidate, reason=reason, transform=transform, captures=captures, at_zero=at_zero)
        )
    return found


def _parameter_of(
    level: IndividualLevel, carriers: list[_Carrier], taken: set[str]
) -> tuple[Candidate, Transform] | None:
    """None: no parameter is verified that is not `taken` by another ETA."""
    verified = [(c.candidate, c.transform) for c in carriers if c.captures and c.candidate.name not in taken]
    chosen = _choose(verified)
    return None if chosen is None or level.unreached_arms(chosen[0]) else chosen


def _is_derived(level: IndividualLevel, candidate: Candidate, eta: str, cuts: Cuts) -> bool:
    """It has other random effects in it and no THETA of its own (V = CL*EXP(ETA(2))): nothing is left for a mean."""
    others = candidate.reads & set(level.model.etas) - {eta}
    return bool(others) and not _own_reads(level, candidate, cuts) & {t.name for t in level.model.thetas}


def _own_reads(level: IndividualLevel, candidate: Candidate, cuts: Cuts) -> frozenset[str]:
    """What the variable depends on, other individual parameters counting as known."""
    others = {name: eta for name, eta in cuts.items() if name != candidate.name}
    before = level.program[: candidate.index + 1]
    return trace(before, initial_dependencies(level.model), others)[candidate.name]


def _choose(verified: list[tuple[Candidate, Transform]]) -> tuple[Candidate, Transform] | None:
    """The first one with a THETA, else the first; a later one with a bounded range replaces an identity
    one that reads the same (``PHI = MU_1 + ETA(1)``, ``CL = EXP(PHI)``: the parameter is CL)."""
    if not verified:
        return None
    with_theta = [pair for pair in verified if any(name.startswith("THETA(") for name in pair[0].reads)]
    ordered = with_theta or verified
    first = ordered[0]
    if first[1].kind == "identity":
        for other in ordered[1:]:
            if other[1].kind != "identity" and other[0].reads == first[0].reads:
                return other
    return first


def _not_individual(level: IndividualLevel, candidate: Candidate, eta: str) -> str:
    """Why the variable cannot be an individual parameter whatever its transform; "" if it can."""
    program = level.program
    if assigned_repeatedly(program[candidate.index], candidate.name):
        return "is assigned more than once in one branch of an IF block"
    if _builds_on_itself(program, candidate, eta):
        return "is computed from itself after it has the effect"
    if _read_before(program, candidate, eta):
        return "has the effect and is read before it is assigned again"
    if _replaced_later(program, candidate):
        return "is assigned again, without its earlier value, in some branches"
    if decides(program[: candidate.index + 1], eta, candidate.name):
        return "is limited or piecewise in it (IF, MIN, MAX, ABS)"
    varying = candidate.reads - level.known_inputs - {*past_flags(level.model.program)}
    return f"varies with {', '.join(sorted(varying))}" if varying else ""


def _read_before(program: tuple[Statement, ...], candidate: Candidate, eta: str) -> bool:
    """An earlier value of the variable has the effect, too, and something else reads it: one individual parameter
    cannot be both."""
    name = candidate.name
    for first in range(candidate.index):
        if name in names_assigned((program[first],)) and name in reached(program[: first + 1], {eta}):
            return any(name in names_read((s,)) for s in program[first : candidate.index])
    return False


def _builds_on_itself(program: tuple[Statement, ...], candidate: Candidate, eta: str) -> bool:
    """The statement reads the variable's own earlier value, which already had the effect."""
    reads_itself = candidate.name in names_read((program[candidate.index],))
    return reads_itself and candidate.name in reached(program[: candidate.index], {eta})


def _replaced_later(program: tuple[Statement, ...], candidate: Candidate) -> bool:
    """An IF further down gives the variable another value on some paths: what it was is not all it is."""
    later = program[candidate.index + 1 :]
    ifs = [s for s in later if isinstance(s, If) and candidate.name in names_assigned((s,))]
    found = [a for a in assignments(tuple(ifs)) if a.target == candidate.name]
    return any(candidate.name not in a.value.names() for a in found)


def _covariates(model: Model) -> frozenset[str]:
    columns = [c for c in model.data.columns if c.role == "covariate"]
    return frozenset(name for c in columns for name in (c.name, c.synonym) if name)


def _transform_of(
    level: IndividualLevel, candidate: Candidate, eta: str, at_zero: dict[tuple[str, int], Any]
) -> Transform | None:
    """`at_zero`: without_effect, read where the variable has other effects too: they stay as they are."""
    value, slope = _value_and_slope(level, candidate, eta)
    if value is None:
        return None
    alone = candidate.reads.isdisjoint(level.other_etas(eta))
    typical = (level.typical if alone else at_zero)[(candidate.name, candidate.index)]
    return find_transform(value, slope, _full(level, value_of(typical)), level.points[eta])


def _value_and_slope(level: IndividualLevel, candidate: Candidate, eta: str):
    found = level.random.get((candidate.name, candidate.index))
    if found is None:
        return None, None
    value = _full(level, value_of(found))
    tangent = tangent_of(found, np.zeros((len(level.etas), *value.shape)))
    return value, np.broadcast_to(tangent[level.etas.index(eta)], value.shape)


def _full(level: IndividualLevel, value) -> np.ndarray:
    rows, columns = level.shape
    return np.broadcast_to(np.asarray(value, dtype=float), (rows * columns,))


def _typical_value(
    level: IndividualLevel, candidate: Candidate, transform: Transform, eta: str, cuts: Cuts
) -> TypicalValue:
    model = level.model
    found = level.typical[(candidate.name, candidate.index)]
    before = level.program[: candidate.index + 1]
    psi = _full(level, value_of(found)).reshape(level.shape)
    tangent = tangent_of(found, np.zeros((len(level.thetas), *level.shape)))
    tangent = np.broadcast_to(tangent.reshape(len(level.thetas), -1), (len(level.thetas), psi.size))
    with np.errstate(all="ignore"):
        mu = to_gaussian(transform, psi)
        # near a bound psi no longer has the digits that tell its slope
        exact = (transform.kind == "identity") | (rounding(transform, psi) < 1e-10)
        mu = np.where(np.isfinite(mu) & exact, mu, np.nan)
        chain = np.where(np.isfinite(mu), gaussian_slope(transform, psi), np.nan)
    reads = _own_reads(level, candidate, cuts)
    thetas = tuple(t.name for t in model.thetas if t.name in reads)
    rows = {name: tangent[level.thetas.index(name)].reshape(level.shape) for name in thetas}
    psi_slope = {name: np.where(np.isfinite(mu), row, np.nan) for name, row in rows.items()}
    covariates = sorted(reads & _covariates(model), key=_column_order(model))
    return TypicalValue(
        parameter=IndividualParameter(
            name=candidate.name,
            eta=eta,
            transform=transform,
            mu_linear=True,
            thetas=thetas,
            covariates=tuple(covariates),
            verified=True,
            at=assignment_place(before, candidate.name),
        ),
        candidate=candidate,
        mu=mu,
        psi=np.where(np.isfinite(mu), psi, np.nan),
        draws={name: level.points[name].reshape(level.shape) for name in thetas},
        slope={name: chain * value for name, value in psi_slope.items()},
        psi_slope=psi_slope,
        piecewise=piecewise_inputs(before, (candidate.name,), initial_dependencies(model)),
    )


def _column_order(model: Model):
    names = [name for c in model.data.columns for name in (c.name, c.synonym) if name]
    return lambda name: names.index(name)


# other effects ------------------------------------------------------------------------------------
def _general_note(
    level: IndividualLevel, eta: str, carriers: list[_Carrier], derived: tuple[Candidate, Transform] | None
) -> Diagnostic:
    form, name = (
        _form_of(level, eta, carriers) if derived is None else (EffectForm(DERIVED.format(name=derived[0].name)), "")
    )
    return Diagnostic(
        code="general-effect",
        severity="note",
        message=f"{eta} is not mu-referenced ({form.name}): it is a variable of its own with mean 0",
        hint=form.remedy.format(name=name, eta=eta),
        location=_effect_place(level, eta),
    )


def _form_of(level: IndividualLevel, eta: str, carriers: list[_Carrier]) -> tuple[EffectForm, str]:
    """What the effect is instead, and the variable that first carries it."""
    model = level.model
    if not carriers:
        record = "$DES" if place_of(model.program.des, eta) else "$ERROR" if model.structural.compartments else "Y"
        return EffectForm(OUTSIDE.format(record=record)), eta
    name = carriers[0].candidate.name
    last = next(c for c in reversed(carriers) if c.candidate.name == name)  # when all its assignments are made
    usable = [c for c in carriers if c.transform]
    captured = [c.candidate for c in usable if c.captures]
    if captured:
        form = UNREACHED if level.unreached_arms(captured[0]) else TAKEN
        return EffectForm(form.format(name=captured[0].name)), name
    if usable:
        names = ", ".join(dict.fromkeys(c.candidate.name for c in usable))
        where = SEVERAL_VARIABLES if "," in names else ELSEWHERE
        return EffectForm(where.format(names=names)), name
    if last.reason:
        return EffectForm(f"{name} {last.reason}"), name
    return _numerical_form(level, last, eta), name


def _numerical_form(level: IndividualLevel, carrier: _Carrier, eta: str) -> EffectForm:
    candidate = carrier.candidate
    value, slope = _value_and_slope(level, candidate, eta)
    if value is None:
        return EffectForm("without a value at the points tried")
    at_zero = (carrier.at_zero or without_effect(level, eta))[(candidate.name, candidate.index)]
    typical = _full(level, value_of(at_zero))
    typical_slope = np.broadcast_to(tangent_of(at_zero, np.zeros((1, *typical.shape)))[0], typical.shape)
    return name_form(value, slope, typical, typical_slope)


def _effect_place(level: IndividualLevel, eta: str) -> Location | None:
    programs = (level.program, level.model.program.des, error_program(level.model))
    return next((place for program in programs if (place := place_of(program, eta))), None)


def _omega_place(model: Model, eta: str) -> Location | None:
    return next((block.at for block in model.omega if eta in block.names), None)
