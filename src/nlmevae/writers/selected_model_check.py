"""Does a written control stream state the selected model, and nothing else?

The old model with ETA(k) + beta x in place of ETA(k) is the selected model, whatever its transform: both
programs are run by the reference evaluator at random points, and what the data can see must agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.frontends.recognition.points import sample_etas, sample_items, sample_thetas
from nlmevae.ir import (
    Candidate,
    CandidateColumn,
    IndividualParameter,
    Model,
    initial_elements,
    model_times,
    names_assigned,
    names_read,
)
from nlmevae.ir.evaluate import run

N_POINTS = 400
_MIN_POINTS = 40
_SEED = 20240
_RELATIVE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenEffect:
    """An effect as it should stand in the new text: `thetas` are the names of its coefficients."""

    candidate: Candidate
    thetas: tuple[str, ...]


def difference(
    old: Model, new: Model, effects: Sequence[WrittenEffect], *, items: Mapping[str, np.ndarray] | None = None
) -> str:
    """What makes `new` another model than `old` with `effects`; "" if nothing does.

    Args:
        items: values of data items to try, `N_POINTS` of each; None: made-up ones.
    """
    return (
        _other_parts(old, new)
        or _parameters(old, new, effects)
        or _effects(new, effects)
        or _values(old, new, effects, items or {})
    )


# statements ---------------------------------------------------------------------------------------
def _other_parts(old: Model, new: Model) -> str:
    for before, after in zip(old.thetas, new.thetas, strict=False):
        if before != after:
            return f"{before.name} is then read differently ({after.role}, {after.scale} scale)"
    parts = {
        "the structural model": (old.structural, new.structural),
        "$DES": (old.program.des, new.program.des),
        "$ERROR": (_error(old), _error(new)),
        "$OMEGA": (old.omega, new.omega),
        "$SIGMA": (old.sigma, new.sigma),
        "the residual error": (old.observations, new.observations),
        "the data": (_data(old), _data(new)),
    }
    changed = [name for name, (before, after) in parts.items() if before != after]
    return f"it changes {' and '.join(changed)}" if changed else ""


def _error(model: Model):
    """$ERROR; $PRED holds the individual parameters as well and is compared by its values."""
    return model.program.error if model.structural.compartments else None


def _data(model: Model):
    return replace(model.data, path="")


def _parameters(old: Model, new: Model, effects: Sequence[WrittenEffect]) -> str:
    if [(p.name, p.eta) for p in old.individual_parameters] != [(p.name, p.eta) for p in new.individual_parameters]:
        found = ", ".join(p.name for p in new.individual_parameters)
        return f"the individual parameters are then read as {found}"
    for before, after in zip(old.individual_parameters, new.individual_parameters, strict=True):
        added = {t for e in effects if e.candidate.parameter == before.name for t in e.thetas}
        if not _same_transform(before, after):
            return f"the distribution of {before.name} is then read as {after.transform.kind}"
        if set(after.thetas) != set(before.thetas) | added:
            return f"{before.name} then reads {', '.join(after.thetas)}"
        if after.mu_linear != before.mu_linear:
            return f"the typical value of {before.name} is then not linear in its coefficients"
    return ""


def _same_transform(a: IndividualParameter, b: IndividualParameter) -> bool:
    return a.transform.kind == b.transform.kind and all(
        math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12)
        for x, y in ((a.transform.lower, b.transform.lower), (a.transform.upper, b.transform.upper))
    )


def _effects(new: Model, effects: Sequence[WrittenEffect]) -> str:
    roles = {t.name: (t.role, t.scale, t.fixed) for t in new.thetas}
    found = {(e.parameter, e.covariate): set(e.coefficients) for e in new.covariate_effects}
    name_of = {name: c.name for c in new.data.columns for name in (c.name, c.synonym) if name}
    for effect in effects:
        key = effect.candidate.parameter, name_of[effect.candidate.covariate]
        for theta in effect.thetas:
            if roles.get(theta) != ("covariate_effect", "identity", False):
                return f"{theta} is then not read as a covariate effect"
        if not set(effect.thetas) <= found.get(key, set()):
            return f"the effect of {key[1]} on {key[0]} is then not recognised"
    return ""


# values -------------------------------------------------------------------------------------------
def _values(old: Model, new: Model, effects: Sequence[WrittenEffect], items: Mapping[str, np.ndarray]) -> str:
    rng = np.random.default_rng(_SEED)
    points = {
        **sample_thetas(new, N_POINTS, rng, fixed="held"),
        **sample_items(new, N_POINTS, rng),
        **items,
        **sample_etas(new, N_POINTS, rng),
        **initial_elements(new),
        **{name: rng.standard_normal(N_POINTS) for name in new.epsilons},
    }
    for effect in effects:
        _set_item(points, old, effect.candidate, rng)
    added = _added(old, effects, points)
    shifted = {**points, **{eta: points[eta] + value for eta, value in added.items()}}
    with np.errstate(all="ignore"):
        before, after = run(individual_code(old), shifted), run(individual_code(new), points)
    for name in sorted(visible_names(old)):
        if not _agree(_or_zero(name, before), _or_zero(name, after), 0.0):
            return f"{name} does not get beside its random effect what was selected"
    for eta, value in added.items():
        mu = f"MU_{eta[4:-1]}"
        if mu in before and not _agree(before[mu], after.get(mu), value):
            return f"{mu} does not get what was selected"
    return ""


def _or_zero(name: str, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """An initial amount that no condition gives is 0; other variables without a value are compared as such."""
    value = values.get(name)
    return value if value is None or not name.startswith("A_0(") else np.where(np.isnan(value), 0.0, value)


def individual_code(model: Model):
    return model.program.pk if model.structural.compartments else model.program.error


def visible_names(model: Model) -> frozenset[str]:
    """Names that code decides and the data or the user see: individual parameters and what they are used for."""
    if not model.structural.compartments:
        read = frozenset({"Y"})
    else:
        executed = model.executed
        read = names_read(executed.error) | names_read(executed.des) | model.structural.program_names
        read |= {*model_times(executed)}
    mus = frozenset(n for n in names_assigned(individual_code(model)) if n.startswith("MU_"))
    parameters = frozenset(p.name for p in model.individual_parameters)
    return (read & names_assigned(individual_code(model)) | parameters) - mus


def _set_item(points: dict, model: Model, candidate: Candidate, rng: np.random.Generator) -> None:
    """Draw the covariate around its centre, at its levels and where it is missing, for half of the points."""
    column = candidate.columns[0]
    n = len(points[candidate.covariate])
    if column.shape == "indicator":
        drawn = rng.choice([c.level for c in candidate.columns] + [column.level + 0.5], n)
    elif column.shape == "log":
        drawn = column.centre * np.exp(0.5 * rng.standard_normal(n))
    else:
        drawn = column.centre + max(abs(column.centre), 1.0) * 0.3 * rng.standard_normal(n)
    if candidate.missing_code is not None:
        drawn = np.where(rng.uniform(size=n) < 0.2, candidate.missing_code, drawn)
    drawn = np.where(rng.uniform(size=n) < 0.5, drawn, points[candidate.covariate])
    for item in model.data.columns:
        if candidate.covariate in (item.name, item.synonym):
            points.update({name: drawn for name in (item.name, item.synonym) if name})


def _added(model: Model, effects: Sequence[WrittenEffect], points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Random effect -> sum of beta x of its parameter."""
    added = {p.eta: np.zeros(N_POINTS) for p in model.individual_parameters}
    eta_of = {p.name: p.eta for p in model.individual_parameters}
    for effect in effects:
        item = points[effect.candidate.covariate]
        for column, theta in zip(effect.candidate.columns, effect.thetas, strict=True):
            x = regressor(column, item)
            x = x if effect.candidate.missing_code is None else np.where(item == effect.candidate.missing_code, 0.0, x)
            added[eta_of[effect.candidate.parameter]] += points[theta] * x
    return added


def regressor(column: CandidateColumn, item: np.ndarray) -> np.ndarray:
    """x of one column, missing values aside."""
    with np.errstate(all="ignore"):
        match column.shape:
            case "log":
                return np.log(item / column.centre)
            case "linear":
                return item - column.centre
            case "indicator":
                return (item == column.level).astype(float)
    raise ValueError(f"unknown shape {column.shape!r}")


def _agree(before, after, added) -> bool:
    """after = before + added at enough points, wherever one of them has a value."""
    if before is None or after is None:
        return before is after
    expected, found, _ = np.broadcast_arrays(before + added, after, np.zeros(N_POINTS))
    finite = np.isfinite(expected) & np.isfinite(found)
    if finite.sum() < _MIN_POINTS or np.any(np.isnan(expected) != np.isnan(found)):
        return False
    expected, found = expected[finite], found[finite]
    size = np.abs(expected) + np.abs(found)
    return bool(np.all(np.abs(expected - found) <= _RELATIVE * (size + 1e-2 * np.median(size))))
