"""From each ETA to the individual parameter it makes random.

The parameter is the first program variable that carries the ETA alone, for which a transform is
verified and through which everything the ETA does to the data passes. A variable whose typical value
reads a THETA is preferred to one that only holds the effect (``ECL = EXP(ETA(1))``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.recognition.dependencies import (
    NOTHING,
    Cut,
    assigned_repeatedly,
    assignment_place,
    individual_program,
    outputs,
    piecewise_inputs,
    place_of,
    trace,
)
from nlmevae.frontends.recognition.effect_forms import SEVERAL_EFFECTS, SEVERAL_VARIABLES, EffectForm, name_form
from nlmevae.frontends.recognition.individual_level import (
    Candidate,
    IndividualLevel,
    initial_dependencies,
    run_watching,
)
from nlmevae.frontends.recognition.points import zero_etas
from nlmevae.frontends.recognition.transforms import find_transform, gaussian_slope, rounding, to_gaussian
from nlmevae.ir import IndividualParameter, Model, Transform, assignments
from nlmevae.ir.dual import tangent_of, value_of
from nlmevae.ir.evaluate import seeded


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


def find_parameters(level: IndividualLevel, *, elsewhere: frozenset[str] = frozenset()) -> list[TypicalValue]:
    """One entry per ETA that is not `elsewhere`, in ETA order; an ETA fixed at zero has one only if its form is known.

    Raises:
        UnsupportedError: an ETA has a form that is not supported; SemanticError: it has no effect.
    """
    model = level.model
    known = dict.fromkeys(zero_etas(model), NOTHING)
    reaches = NOTHING.union(*outputs(model, known).values())
    _check_places(model, elsewhere)
    found = []
    for eta in model.etas:
        if eta in zero_etas(model) or eta in elsewhere:
            continue
        if eta not in reaches:
            raise SemanticError(
                f"{eta} has no effect on the prediction or its residual error",
                hint=f"use {eta} in the code, or remove it and its OMEGA",
                location=place_of(individual_program(model), eta) or _omega_place(model, eta),
            )
        found.append(_parameter_of(level, eta))
    return found


def _check_places(model: Model, elsewhere: frozenset[str]) -> None:
    """Random effects belong to the individual level: $PK or $PRED."""
    if not model.structural.compartments:
        return
    known = {**{a.target: NOTHING for a in assignments(model.program.pk)}, **initial_dependencies(model)}
    for statements, record in ((model.program.des, "$DES"), (model.program.error, "$ERROR")):
        results = trace(statements, known)
        reads = NOTHING.union(*(results[n] for n in results if n == "Y" or n.startswith("DADT(")))
        for eta in model.etas:
            if eta in reads and eta not in elsewhere:
                raise UnsupportedError(
                    f"{eta} acts in {record}, where this version supports no random effect",
                    hint=f"define the individual parameter that carries {eta} in $PK and use it in {record}; on the "
                    f"residual error, write W*EXP({eta})",
                    location=place_of(statements, eta),
                )


def _parameter_of(level: IndividualLevel, eta: str) -> TypicalValue:
    verified = []
    for candidate in level.candidates[eta]:
        reason = _not_individual(level.model, candidate, eta)
        transform = None if reason else _transform_of(level, candidate, eta)
        if transform is not None and _captures(level.model, candidate, eta):
            verified.append((candidate, transform))
    chosen = _choose(verified)
    if chosen is None:
        raise _refusal(level, eta)
    candidate, transform = chosen
    unreached = level.unreached_arms(candidate)
    if unreached:
        raise UnsupportedError(
            f"{candidate.name} cannot be verified: a branch it depends on was not reached at any point tried",
            hint="compare the data item with a number directly, as in IF (SEX.EQ.1)",
            location=unreached[0].at,
        )
    return _typical_value(level, candidate, transform, eta)


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


def _not_individual(model: Model, candidate: Candidate, eta: str) -> str:
    """Why the variable cannot be an individual parameter whatever its transform; "" if it can."""
    others = sorted(candidate.reads & set(model.etas) - {eta})
    if others:
        return "effects"
    if assigned_repeatedly(individual_program(model)[candidate.index], candidate.name):
        return "is assigned more than once in one branch of an IF block"
    before = individual_program(model)[: candidate.index + 1]
    if eta in piecewise_inputs(before, (candidate.name,), initial_dependencies(model)):
        return "is limited or piecewise in it (IF, MIN, MAX, ABS)"
    thetas = {t.name for t in model.thetas}
    varying = candidate.reads - thetas - _covariates(model) - {eta}
    return f"varies with {', '.join(sorted(varying))}" if varying else ""


def _covariates(model: Model) -> frozenset[str]:
    columns = [c for c in model.data.columns if c.role == "covariate"]
    return frozenset(name for c in columns for name in (c.name, c.synonym) if name)


def _captures(model: Model, candidate: Candidate, eta: str) -> bool:
    """Nothing the data can see depends on the ETA except through the candidate."""
    seen = outputs(model, initial_dependencies(model), Cut(candidate.name, eta))
    return all(eta not in reads for reads in seen.values())


def _transform_of(level: IndividualLevel, candidate: Candidate, eta: str) -> Transform | None:
    value, slope = _value_and_slope(level, candidate, eta)
    typical = level.typical.get((candidate.name, candidate.index))
    if value is None or typical is None:
        return None
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


def _typical_value(level: IndividualLevel, candidate: Candidate, transform: Transform, eta: str) -> TypicalValue:
    model = level.model
    found = level.typical[(candidate.name, candidate.index)]
    before = individual_program(model)[: candidate.index + 1]
    psi = _full(level, value_of(found)).reshape(level.shape)
    tangent = tangent_of(found, np.zeros((len(level.thetas), *level.shape)))
    tangent = np.broadcast_to(tangent.reshape(len(level.thetas), -1), (len(level.thetas), psi.size))
    with np.errstate(all="ignore"):
        mu = to_gaussian(transform, psi)
        # near a bound psi no longer has the digits that tell its slope
        exact = (transform.kind == "identity") | (rounding(transform, psi) < 1e-10)
        mu = np.where(np.isfinite(mu) & exact, mu, np.nan)
        chain = np.where(np.isfinite(mu), gaussian_slope(transform, psi), np.nan)
    thetas = tuple(t.name for t in model.thetas if t.name in candidate.reads)
    rows = {name: tangent[level.thetas.index(name)].reshape(level.shape) for name in thetas}
    psi_slope = {name: np.where(np.isfinite(mu), row, np.nan) for name, row in rows.items()}
    covariates = sorted(candidate.reads & model.data_items, key=_column_order(model))
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


# refusals -----------------------------------------------------------------------------------------
def _refusal(level: IndividualLevel, eta: str) -> UnsupportedError:
    model = level.model
    first = level.candidates[eta][0]
    verifiable = [
        c for c in level.candidates[eta] if not _not_individual(model, c, eta) and _transform_of(level, c, eta)
    ]
    reason = _not_individual(model, first, eta)
    if verifiable:
        names = ", ".join(dict.fromkeys(c.name for c in verifiable))
        form = EffectForm(SEVERAL_VARIABLES.name.format(others=names), SEVERAL_VARIABLES.remedy)
    elif reason == "effects":
        others = ", ".join(name for name in model.etas if name in first.reads)
        form = EffectForm(SEVERAL_EFFECTS.name.format(others=others), SEVERAL_EFFECTS.remedy)
    elif reason:
        form = EffectForm(
            f"a random effect on a value that {reason}",
            "give the typical value times EXP({eta}) a line of its own that reads only THETAs and covariates, and "
            "what is done to it afterwards another line and another name",
        )
    else:
        form = _numerical_form(level, first, eta)
    return UnsupportedError(
        f"{eta}, first carried by {first.name}, is {form.name}",
        hint=form.remedy.format(name=first.name, eta=eta),
        location=_effect_place(model, eta),
    )


def _numerical_form(level: IndividualLevel, candidate: Candidate, eta: str) -> EffectForm:
    value, slope = _value_and_slope(level, candidate, eta)
    if value is None:
        return EffectForm("without a value at the points tried", "assign {name} on every path")
    zero = seeded({**level.points, **dict.fromkeys(level.model.etas, 0.0)}, (eta,))
    key = (candidate.name, candidate.index)
    at_zero, _ = run_watching(level.statements[: candidate.index + 1], zero, {key})
    typical = _full(level, value_of(at_zero[key]))
    typical_slope = np.broadcast_to(tangent_of(at_zero[key], np.zeros((1, *typical.shape)))[0], typical.shape)
    return name_form(value, slope, typical, typical_slope)


def _effect_place(model: Model, eta: str) -> Location | None:
    return place_of(individual_program(model), eta)


def _omega_place(model: Model, eta: str) -> Location | None:
    return next((block.at for block in model.omega if eta in block.names), None)
