"""Where covariate effects go in the user's code: four ways, each a plan of edits or None where it does not fit.

With h(psi) = mu + ETA(k), an effect is added on the Gaussian scale, beside ETA(k):

    mu        MU_k = LTVCL              ->  MU_k = LTVCL + THETA(4)*LOG(WT/70)
    factor    CL = TVCL*EXP(ETA(1))     ->  CL = TVCL*CLWT*EXP(ETA(1))
    summand   E0 = TVE0 + ETA(1)        ->  E0 = TVE0 + E0WT + ETA(1)
    beside    F1 = 1/(1+EXP(-L-ETA(1))) ->  F1 = 1/(1+EXP(-L-(ETA(1) + F1WT)))

The plans are written from the shape of the text and may be wrong: the caller verifies the text they give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nlmevae.frontends.nonmem.records import Record, SourceText
from nlmevae.ir import (
    Assign,
    Candidate,
    Expression,
    IndividualParameter,
    Model,
    Statement,
    Symbol,
    assignments,
    names_assigned,
    needed_names,
)
from nlmevae.writers.effect_code import EffectCode, Flavour, FreeNames, Spelling, effect_code
from nlmevae.writers.stream_edit import (
    AssignmentText,
    Edit,
    assignment_text,
    has_sum,
    insert_lines,
    insertion,
    offset_of,
)

Effects = Sequence[tuple[Candidate, tuple[str, ...]]]

_EXP_BEFORE = re.compile(r"\bD?EXP\s*\(\Z", re.IGNORECASE)
_ELEMENT = re.compile(r"[A-Za-z_]\w*(?:[ \t]*\([ \t]*\w+[ \t]*\))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one individual parameter is defined.

    Attributes:
        statements: of the record, those the user wrote.
        definitions: assignments to the parameter that bring the random effect in.
        carriers: other assignments on the way from the random effect to the parameter.
        typical: assignments to MU_k that do not build on an earlier MU_k.
        reads_mu: the parameter is computed from MU_k.
    """

    source: SourceText
    record: Record
    parameter: IndividualParameter
    statements: tuple[Statement, ...]
    definitions: tuple[Assign, ...]
    carriers: tuple[Assign, ...]
    typical: tuple[Assign, ...]
    reads_mu: bool

    def text(self, assign: Assign) -> AssignmentText:
        return assignment_text(self.source, assign.at)

    def spelling(self, assign: Assign) -> Spelling:
        text = self.text(assign)
        return Spelling.of(text.code, self.record.text)

    def lines_before(self, places: Sequence[Assign], lines: Sequence[str]) -> list[Edit]:
        """Lines before the first outermost statement that holds one of the assignments."""
        if not lines:
            return []
        first = min(offset_of(self.source, a.at) for a in places)
        starts = [offset_of(self.source, s.at) for s in self.statements]
        return [insert_lines(self.source, max(s for s in starts if s <= first), lines)]


def place_of(model: Model, source: SourceText, record: Record, parameter: IndividualParameter) -> Place:
    """Finds the assignments an effect on `parameter` has to do with; `record` is $PK or $PRED."""
    code = model.program.pk if model.structural.compartments else model.program.error
    statements = tuple(s for s in code if s.at is not None and record.body <= offset_of(source, s.at) < record.end)
    carried = _carriers(statements, parameter)
    needed = needed_names(statements, (parameter.name,))
    # loops and lists make several statements of one text
    assigned = tuple({a.at or id(a): a for a in assignments(statements)}.values())
    mu = f"MU_{re.sub(r'[^0-9]', '', parameter.eta)}"
    return Place(
        source=source,
        record=record,
        parameter=parameter,
        statements=statements,
        definitions=tuple(a for a in assigned if a.target == parameter.name and a.value.names() & carried),
        carriers=tuple(
            a for a in assigned if a.target in (carried & needed) - {parameter.name} and a.value.names() & carried
        ),
        typical=tuple(a for a in assigned if a.target == mu and mu not in a.value.names()),
        reads_mu=mu in needed and mu in names_assigned(statements),
    )


def _carriers(statements: tuple[Statement, ...], parameter: IndividualParameter) -> frozenset[str]:
    """The random effect and every variable that depends on it otherwise than through the parameter."""
    found = {parameter.eta}
    for assign in assignments(statements):
        if assign.target != parameter.name and assign.value.names() & found:
            found.add(assign.target)
    return frozenset(found)


# styles -------------------------------------------------------------------------------------------
def add_to_mu(place: Place, effects: Effects, names: FreeNames) -> list[Edit] | None:
    """To MU_k, and beside ETA(k) where the parameter does not read MU_k (MU_5 = LOG(TVCL) after the fact)."""
    if not place.typical:
        return None
    spelling = place.spelling(place.typical[0])
    code = _effect_codes(effects, "regressor", spelling, names)
    edits: list[Edit] = []
    for assign in place.typical:
        text = place.text(assign)
        edits.append(insertion(text.stop, _plus(spelling, code.terms)))
    touched = list(place.typical)
    if not place.reads_mu:
        beside = _beside(place, code.terms)
        if beside is None:
            return None
        edits += beside
        touched += [*place.definitions, *place.carriers]
    return [*place.lines_before(touched, code.lines), *edits]


def multiply(place: Place, effects: Effects, names: FreeNames) -> list[Edit] | None:
    """Before EXP(ETA(k)) in each definition, or the whole value of a definition that has none."""
    if place.parameter.transform.kind != "log" or not place.definitions:
        return None
    code = _effect_codes(effects, "factor", place.spelling(place.definitions[0]), names)
    edits: list[Edit] = []
    for assign in place.definitions:
        edit = _before_exponential(place, assign, code.terms) or _whole_value(place, assign, code.terms)
        if edit is None:
            return None
        edits += edit
    return [*place.lines_before(place.definitions, code.lines), *edits]


def _before_exponential(place: Place, assign: Assign, terms: Sequence[str]) -> list[Edit] | None:
    text = place.text(assign)
    spans = symbol_spans(place.source, assign.value, {place.parameter.eta})
    if len(spans) != 1:
        return None
    exp = _EXP_BEFORE.search(text.before(spans[0][0]))
    if exp is None or not text.after(spans[0][1]).startswith(")"):
        return None
    start = text.start + exp.start()
    before = text.before(start)
    if before.endswith(("/", "**")) or not before.endswith(("*", "=", "(", "+", "-")):
        return None
    return [insertion(start, "".join(f"{term}*" for term in terms))]


def _whole_value(place: Place, assign: Assign, terms: Sequence[str]) -> list[Edit] | None:
    if place.parameter.transform.lower != 0.0:
        return None
    text = place.text(assign)
    product = "".join(f"*{term}" for term in terms)
    if has_sum(text.code[text.value - text.start :]):
        return [insertion(text.value, "("), insertion(text.stop, ")" + product)]
    return [insertion(text.stop, product)]


def add(place: Place, effects: Effects, names: FreeNames) -> list[Edit] | None:
    """Before ETA(k) in each definition of a normal parameter, or after the value of one that has none."""
    if place.parameter.transform.kind != "identity" or not place.definitions:
        return None
    spelling = place.spelling(place.definitions[0])
    code = _effect_codes(effects, "summand", spelling, names)
    edits: list[Edit] = []
    for assign in place.definitions:
        text = place.text(assign)
        spans = symbol_spans(place.source, assign.value, {place.parameter.eta})
        if len(spans) == 1 and text.before(spans[0][0]).endswith(("+", "=")):
            edits.append(insertion(spans[0][0], "".join(term + spelling.plus for term in code.terms)))
        else:
            edits.append(insertion(text.stop, _plus(spelling, code.terms)))
    return [*place.lines_before(place.definitions, code.lines), *edits]


def add_beside(place: Place, effects: Effects, names: FreeNames) -> list[Edit] | None:
    """Beside every ETA(k) on the way to the parameter."""
    return _add_beside(place, effects, names, {place.parameter.eta}, (*place.definitions, *place.carriers))


def add_beside_carrier(place: Place, effects: Effects, names: FreeNames) -> list[Edit] | None:
    """Beside the variables that carry ETA(k) into the definitions."""
    carriers = {a.target for a in place.carriers}
    return _add_beside(place, effects, names, carriers, place.definitions)


def _add_beside(
    place: Place, effects: Effects, names: FreeNames, wanted: set[str], where: Sequence[Assign]
) -> list[Edit] | None:
    if not where:
        return None
    code = _effect_codes(effects, "summand", place.spelling(where[0]), names)
    edits = _beside(place, code.terms, wanted, where)
    return None if edits is None else [*place.lines_before(where, code.lines), *edits]


def _beside(
    place: Place,
    terms: Sequence[str],
    wanted: set[str] | None = None,
    where: Sequence[Assign] | None = None,
) -> list[Edit] | None:
    """``ETA(1)`` -> ``(ETA(1) + terms)``, without parentheses inside a sum."""
    where = (*place.definitions, *place.carriers) if where is None else where
    edits: list[Edit] = []
    for assign in where:
        text = place.text(assign)
        plus = _plus(place.spelling(assign), terms)
        for start, stop in symbol_spans(place.source, assign.value, wanted or {place.parameter.eta}):
            before, after = text.before(start), text.after(stop)
            if before.endswith(("(", "+", "=")) and (not after or after.startswith((")", "+", "-"))):
                edits.append(insertion(stop, plus))
            else:
                edits += [insertion(start, "("), insertion(stop, plus + ")")]
    return edits or None


#: In order of preference.
STYLES: dict[str, Callable[[Place, Effects, FreeNames], list[Edit] | None]] = {
    "mu": add_to_mu,
    "factor": multiply,
    "summand": add,
    "beside": add_beside,
    "beside_carrier": add_beside_carrier,
}


# pieces -------------------------------------------------------------------------------------------
def _effect_codes(effects: Effects, flavour: Flavour, spelling: Spelling, names: FreeNames) -> EffectCode:
    codes = [effect_code(candidate, thetas, flavour, spelling, names) for candidate, thetas in effects]
    return EffectCode(
        lines=tuple(line for code in codes for line in code.lines),
        terms=tuple(term for code in codes for term in code.terms),
    )


def _plus(spelling: Spelling, terms: Sequence[str]) -> str:
    return "".join(spelling.plus + term for term in terms)


def symbol_spans(source: SourceText, value: Expression, names: set[str]) -> list[tuple[int, int]]:
    """Where any of `names` stands in `value`, its index in parentheses included."""
    spans = []
    for node in value.walk():
        if isinstance(node, Symbol) and node.name in names and node.at is not None:
            start = offset_of(source, node.at)
            match = _ELEMENT.match(source.text, start)
            spans.append((start, match.end()))
    return sorted(spans)
