"""Which PREDPP model a formula in $PRED is: found by its values at random points, whatever it looks like.

    ADVAN1: F1 D/V EXP(-K t)
    ADVAN2: F1 D KA/(V (KA - K)) (EXP(-K t) - EXP(-KA t))

with t = TIME, V, K (or CL/V), KA and F1 variables of the code, D the dose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nlmevae.frontends.recognition.points import sample_etas, sample_items, sample_thetas
from nlmevae.ir import Assign, Model, assignments, names_assigned
from nlmevae.ir.evaluate import run
from nlmevae_translators.modernise.fixed_parts import FixedParts

N_POINTS = 200
_SEED = 77
_RELATIVE = 1e-9
#: More variables than these are not tried in all roles.
_MOST = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedForm:
    """`statement` assigns the prediction; `parameters`: PREDPP's name -> variable of the code that is it.

    `dose`: variable or data item that is the dose.
    """

    advan: int
    trans: int
    statement: Assign
    dose: str
    parameters: Mapping[str, str]


def find_closed_form(model: Model, parts: FixedParts) -> ClosedForm | None:
    """Of a model that is one formula; None: none of those that are known."""
    time = next((c.name for c in model.data.columns if c.role == "time"), None)
    if time is None or model.structural.compartments:
        return None
    values = _values(model)
    times = values[time]
    for statement in _predictions(model, parts, time):
        names = _parameters(model, parts, statement, values)
        for dose in _doses(model, parts, values):
            with np.errstate(all="ignore"):  # a dose of 0 tells nothing
                scaled = values[statement.target] / values[dose]
            found = next(_forms(scaled, times, {n: values[n] for n in names}), None)
            if found is not None:
                advan, trans, parameters = found
                return ClosedForm(advan=advan, trans=trans, statement=statement, dose=dose, parameters=parameters)
    return None


def _values(model: Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(_SEED)
    points = {
        **sample_thetas(model, N_POINTS, rng, fixed="held"),
        **sample_items(model, N_POINTS, rng, record="observation"),
        **sample_etas(model, N_POINTS, rng),
        **dict.fromkeys(model.epsilons, np.zeros(N_POINTS)),
    }
    with np.errstate(all="ignore"):
        found = run(model.program.error, points)
    return {n: np.broadcast_to(np.asarray(v, dtype=float), (N_POINTS,)) for n, v in {**points, **found}.items()}


def _predictions(model: Model, parts: FixedParts, time: str) -> Iterator[Assign]:
    """Assignments outside conditions to variables that depend on time and random effects, and on no EPS."""
    code = model.program.error
    for statement in code:
        if not isinstance(statement, Assign) or sum(a.target == statement.target for a in assignments(code)) > 1:
            continue
        inputs = parts.inputs_of(statement.value.names())
        if time in inputs and any(n.startswith("THETA(") for n in inputs) and not inputs & set(model.epsilons):
            yield statement


def _parameters(model: Model, parts: FixedParts, statement: Assign, values: Mapping[str, np.ndarray]) -> list[str]:
    """Variables before the statement with a THETA in them that do not change within subjects."""
    before = model.program.error[: model.program.error.index(statement)]
    found = []
    for name in sorted(names_assigned(before), key=lambda n: (n not in ("CL", "V", "K", "KA"), n)):
        inputs = parts.inputs.get(name, frozenset())
        kept = not parts.changing(inputs) and any(n.startswith("THETA(") for n in inputs)
        if kept and not name.startswith("MU_") and not inputs & set(model.epsilons) and name in values:
            found.append(name)
    return found[:_MOST]


def _doses(model: Model, parts: FixedParts, values: Mapping[str, np.ndarray]) -> list[str]:
    """Data items and variables of data items and numbers alone, what is called a dose first."""
    items = [c.name for c in model.data.columns if c.role in ("covariate", "derived")]
    variables = [n for n, i in parts.inputs.items() if not any("(" in x for x in i) and n in values]
    found = dict.fromkeys((*variables, *items))
    return sorted((n for n in found if np.mean(values[n] != 0.0) > 0.5), key=lambda n: (n[:2] not in ("DO", "AM"), n))


def _forms(
    scaled: np.ndarray, t: np.ndarray, values: Mapping[str, np.ndarray]
) -> Iterator[tuple[int, int, dict[str, str]]]:
    """The roles in which the variables give the prediction per unit of dose."""
    factors: dict[str | None, np.ndarray] = {None: np.ones_like(scaled), **values}
    rates = [((k,), value) for k, value in values.items()]
    with np.errstate(all="ignore"):
        rates = [((a, v), values[a] / values[v]) for v in values for a in values if a != v] + rates
        for bio, factor in factors.items():
            for names, k in rates:
                for v in [names[1]] if len(names) == 2 else [v for v in values if v != names[0]]:
                    if bio in (*names, v):
                        continue
                    unit = scaled * values[v] / factor
                    for advan, ka in _absorptions(unit, t, k, values, {bio, *names, v}):
                        yield advan, len(names), _roles(names, v, ka, bio)


def _absorptions(
    unit: np.ndarray, t: np.ndarray, k: np.ndarray, values: Mapping[str, np.ndarray], taken: set[str | None]
) -> Iterator[tuple[int, str | None]]:
    if _equal(unit, np.exp(-k * t)):
        yield 1, None
    for name, ka in values.items():
        if name not in taken and _equal(unit, ka / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t))):
            yield 2, name


def _roles(names: tuple[str, ...], v: str, ka: str | None, bio: str | None) -> dict[str, str]:
    roles = {"CL": names[0], "V": v} if len(names) == 2 else {"K": names[0], "V": v}
    if ka is not None:
        roles["KA"] = ka
    if bio is not None:
        roles["F1"] = bio
    return roles


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Where both have values; far out the difference of two exponentials has no digits left."""
    usable = np.isfinite(a) & np.isfinite(b) & (np.abs(b) > 1e-6)
    return bool(usable.sum() > 0.2 * N_POINTS and np.all(np.abs(a - b)[usable] <= _RELATIVE * 1e3 * np.abs(b)[usable]))
