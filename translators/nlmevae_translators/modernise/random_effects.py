"""Every ETA of a control stream: MU-referenced by now, already before, or left as it is and why."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.errors import ModelError
from nlmevae.frontends.nonmem.code import expression_tree
from nlmevae.frontends.nonmem.lower import lower_expression
from nlmevae.frontends.nonmem.records import source_text
from nlmevae.frontends.nonmem.vocabulary import Vocabulary
from nlmevae.frontends.recognition.dependencies import place_of as first_read
from nlmevae.frontends.recognition.points import sample_items, sample_thetas
from nlmevae.ir import IndividualParameter, Model, initial_elements, names_assigned
from nlmevae.ir.evaluate import evaluate, run
from nlmevae.writers.effect_styles import Place, place_of
from nlmevae.writers.selected_model_check import N_POINTS
from nlmevae.writers.stream_edit import offset_of
from nlmevae_translators.modernise.draft import Draft
from nlmevae_translators.modernise.fixed_parts import FixedParts
from nlmevae_translators.modernise.mu_reference import Plan, plans
from nlmevae_translators.modernise.same_model import model_difference
from nlmevae_translators.report import Entry

_SEED = 20241
_RULES = {
    "log": "MU_{k} is the logarithm of the typical value, and EXP(MU_{k} + {eta}) stands in {name}; THETAs keep their "
    "scale",
    "identity": "MU_{k} is the typical value, and MU_{k} + {eta} stands in {name}",
    "logit": "MU_{k} is the typical value on the logit scale",
}


@dataclass(frozen=True, slots=True)
class Referenced:
    """`bounded`: THETAs without bounds whose logarithm MU takes; `changed`: the number of ETAs that were rewritten."""

    draft: Draft
    entries: tuple[Entry, ...]
    bounded: frozenset[str] = field(default=frozenset())
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Items:
    """`constant`: data items that do not change within subjects; `values`: of all items on `N_POINTS` records of the
    data; empty: there are no data."""

    constant: frozenset[str]
    values: Mapping[str, np.ndarray]


def referenced(draft: Draft, items: Items) -> Referenced:
    """The draft with all ETAs MU-referenced for which there is a way."""
    entries: list[Entry] = []
    bounded: set[str] = set()
    changed = 0
    for eta in draft.model.etas:
        model = draft.model
        parameter = next((p for p in model.individual_parameters if p.eta == eta), None)
        if eta in model.zero_etas:
            entries.append(_kept(draft, eta, "its variance is fixed at zero, or nothing reads it"))
        elif _is_mu(model, eta):
            entries.append(_kept(draft, eta, f"{_mu(eta)} is there already"))
        elif parameter is None:
            entries.append(_kept(draft, eta, _general_reason(model, eta)))
        else:
            made, entry = _rewritten(draft, parameter, items)
            entries.append(entry)
            if made is not None:
                bounded |= _unbounded(model, parameter)
                draft, changed = made, changed + 1
    return Referenced(draft, tuple(entries), frozenset(bounded), changed)


def _mu(eta: str) -> str:
    return f"MU_{re.sub(r'[^0-9]', '', eta)}"


def _code(model: Model):
    return model.program.pk if model.structural.compartments else model.program.error


def _is_mu(model: Model, eta: str) -> bool:
    return _mu(eta) in names_assigned(_code(model))


def _kept(draft: Draft, eta: str, reason: str) -> Entry:
    at = first_read(_code(draft.model), eta) or first_read(draft.model.program.error, eta)
    at = at or first_read(draft.model.program.des, eta)
    source = None if at is None else draft.place(at)
    return Entry(construct=eta, kind="lossless", reason=f"as it was: {reason}", source=source)


def _general_reason(model: Model, eta: str) -> str:
    """In the recogniser's words."""
    for observation in model.observations:
        if observation.error.effect is not None and observation.error.effect.eta == eta:
            return "it acts on the size of the residual error"
    for note in model.diagnostics:
        if note.code == "general-effect" and note.message.startswith(f"{eta} "):
            return note.message.partition("mu-referenced (")[2].rpartition("): ")[0] + ", which MU + ETA does not mean"
    return "it is no individual parameter's own"


def _unbounded(model: Model, parameter: IndividualParameter) -> frozenset[str]:
    return frozenset(
        t.name
        for t in model.thetas
        if t.name in parameter.thetas and t.scale == "log" and not t.fixed and math.isinf(t.lower)
    )


def _rewritten(draft: Draft, parameter: IndividualParameter, items: Items) -> tuple[Draft | None, Entry]:
    model = draft.model
    negative = [t for t in model.thetas if t.name in parameter.thetas and t.scale == "log" and _may_be_negative(t)]
    found: list[Plan] = []
    reason = ""
    place = _place(draft, parameter)
    if negative:
        reason = f"the bounds let {negative[0].name} be negative, which has no logarithm"
    elif place is not None:
        parts = FixedParts(model, draft.source, _code(model), items.constant)
        found, reason = plans(place, parts)
        negative_parts = _not_positive(parts, found, items)
        if negative_parts:  # they stay where they are
            less, _ = plans(place, replace(parts, refused=negative_parts))
            found = [*found, *less]
            reason = f"{' and '.join(sorted(negative_parts))} may be negative, which has no logarithm"
    for plan in found:
        made, why = _attempt(draft, plan, items)
        if made is not None:
            return made, _entry(draft, made, parameter, plan, items)
        reason = reason or why
    reason = reason or "it is not written in a form that is known"
    return None, _kept(draft, parameter.eta, f"{parameter.name}: {reason}")


def _not_positive(parts: FixedParts, found: Sequence[Plan], items: Items) -> frozenset[str]:
    """Factors whose logarithm is taken and that are not positive at all points tried."""
    texts = {text for plan in found for text in plan.logarithms}
    return frozenset(text for text in texts if not _is_positive(parts, text, items))


def _is_positive(parts: FixedParts, text: str, items: Items) -> bool:
    """A name, or an expression of the language; what has no value is left aside."""
    model = parts.model
    rng = np.random.default_rng(_SEED)
    points = {
        **sample_thetas(model, N_POINTS, rng, fixed="held"),
        **sample_items(model, N_POINTS, rng),
        **items.values,
        **dict.fromkeys(model.etas, np.zeros(N_POINTS)),
        **initial_elements(model),
        **dict.fromkeys(model.epsilons, np.zeros(N_POINTS)),
    }
    with np.errstate(all="ignore"):
        known = run(_code(model), points)
        value = known.get(text.upper(), points.get(text.upper()))
        if value is None:
            value = _evaluated(model, text, {**points, **known})
    return value is None or not np.any(np.asarray(value) <= 0.0)


def _evaluated(model: Model, text: str, values: dict) -> np.ndarray | None:
    """An expression of the code; None where it holds names that only $ABBREVIATED explains."""
    vocabulary = Vocabulary(
        source=source_text(text, "<text>"),
        section="PK" if model.structural.compartments else "PRED",
        counts={"THETA": len(model.thetas), "ETA": len(model.etas)},
    )
    try:
        expression = lower_expression(expression_tree(text), vocabulary)
        return np.asarray(evaluate(expression, values), dtype=float)
    except (ModelError, KeyError):
        return None


def _may_be_negative(theta) -> bool:
    return not theta.fixed and math.isfinite(theta.lower) and theta.lower < 0.0


def _place(draft: Draft, parameter: IndividualParameter) -> Place | None:
    """In the record that holds the definition."""
    if parameter.at is None:
        return None
    offset = offset_of(draft.source, parameter.at)
    for record in draft.stream.named("PK", "PRED"):
        if record.body <= offset < record.end:
            return place_of(draft.model, draft.source, record, parameter)
    return None


def _attempt(draft: Draft, plan: Plan, items: Items) -> tuple[Draft | None, str]:
    """The draft with the plan, if it reads back as the same model."""
    try:
        made = draft.edited(plan.edits)
        why = model_difference(draft.model, made.model, items=items.values)
    except ModelError as error:
        return None, error.message
    except ValueError:
        return None, "it stands in one expression with another"
    return (
        (made, "") if not why else (None, "its typical value is not positive everywhere, or it is used in another way")
    )


def _entry(draft: Draft, made: Draft, parameter: IndividualParameter, plan: Plan, items: Items) -> Entry:
    number = _mu(parameter.eta)[3:]
    rule = _RULES[parameter.transform.kind].format(k=number, name=parameter.name, eta=parameter.eta)
    mus = " or ".join(dict.fromkeys(plan.mu))
    return Entry(
        construct=f"{parameter.name}, {parameter.eta}",
        kind="rule",
        reason=f"{rule} ({_mu(parameter.eta)} = {mus}){_outside(made, parameter, items)}",
        source=draft.place(parameter.at),
    )


def _outside(draft: Draft, parameter: IndividualParameter, items: Items) -> str:
    """THETAs of the typical value that MU does not have; covariates it has that no data show to be constant."""
    model = draft.model
    parts = FixedParts(model, draft.source, _code(model), items.constant)
    inside = parts.inputs.get(_mu(parameter.eta), frozenset())
    left = [t.label for t in model.thetas if t.name in parameter.thetas and t.name not in inside]
    text = f"; {', '.join(left)} act{'' if len(left) > 1 else 's'} outside it, as before" if left else ""
    read = sorted(inside & items.constant) if not items.values else []
    return f"{text}; taken as constant within subjects, without data: {', '.join(read)}" if read else text
