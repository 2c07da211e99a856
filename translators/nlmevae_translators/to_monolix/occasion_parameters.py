"""Parameters with an effect between occasions that recognition does not know: where it is the only effect, or where
branches of the code have the whole parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nlmevae.ir import Assign, IndividualParameter, Statement, Transform, assignments
from nlmevae_translators.to_monolix.occasions import OccasionEffect
from nlmevae_translators.to_monolix.parameter_forms import ParameterForm, form_of, formulas
from nlmevae_translators.to_monolix.source_data import SourceData

#: Tried in this order: a sum that an exponential reads later is the parameter only where nothing else is.
_TRANSFORMS = (Transform(kind="log"), Transform(kind="logit", lower=0.0, upper=1.0), Transform(kind="identity"))


def own_parameters(
    data: SourceData, effects: Sequence[OccasionEffect], others: Mapping[str, ParameterForm]
) -> list[IndividualParameter]:
    """For each effect the variable that it is a term of: the first with a typical value, else the first, as
    ``IOV`` is where several parameters share it. `others`: parameters that are understood."""
    found: list[IndividualParameter] = []
    for effect in effects:
        known = [*(f.parameter for f in others.values()), *found]
        candidates = list(_candidates(data, effect, known))
        chosen = next((p for p, form in candidates if form.base is not None), None)
        if chosen is None and candidates:
            chosen = candidates[0][0]
        if chosen is not None:
            found.append(chosen)
    return found


def _candidates(
    data: SourceData, effect: OccasionEffect, known: Sequence[IndividualParameter]
) -> Iterator[tuple[IndividualParameter, ParameterForm]]:
    last, names = _last_assignments(data), {p.name for p in known}
    plain = [_parameter(n, a, _TRANSFORMS[-1]) for n, a in last.items() if n not in names]
    stated = _without_cuts(data, known, plain)
    free = set(data.model.etas) - {p.eta for p in known} - set(effect.etas)
    for parameter in plain:
        formula = stated.get(parameter.name)
        if formula is None or formula.names().isdisjoint(effect.etas):
            continue
        tried = (
            _parameter(parameter.name, last[parameter.name], transform, eta)
            for transform in _TRANSFORMS
            for eta in (*sorted(free & formula.names()), "")
        )
        pairs = ((p, form_of(data, p, formula, (), [effect])) for p in tried)
        yield from ((p, form) for p, form in pairs if form is not None and form.occasion is effect)


def _without_cuts(data: SourceData, known: Sequence[IndividualParameter], plain: Sequence[IndividualParameter]):
    """Formulas in which only the parameters that are known are names of their own."""
    return {p.name: f for p in plain for n, f in formulas(data.model, [*known, p]).items() if n == p.name}


def _last_assignments(data: SourceData) -> dict[str, Assign]:
    program = data.model.executed
    code: tuple[Statement, ...] = program.pk if data.model.structural.compartments else program.error
    return {a.target: a for a in assignments(code) if "(" not in a.target and a.target != "Y"}


def _parameter(name: str, assignment: Assign, transform: Transform, eta: str = "") -> IndividualParameter:
    return IndividualParameter(name=name, eta=eta, transform=transform, mu_linear=True, thetas=(), at=assignment.at)
