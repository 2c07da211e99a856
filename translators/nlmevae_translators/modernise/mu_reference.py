"""A parameter with its random effect -> MU_k and MU_k + ETA(k), in the user's own statement.

    CL = TVCL*EXP(ETA(1))                    MU_1 = LOG(TVCL)
                                             CL = EXP(MU_1 + ETA(1))
    E0 = TVE0 + ETA(2)                       MU_2 = TVE0
                                             E0 = MU_2 + ETA(2)
    F1 = 1/(1 + EXP(-(THETA(5) + ETA(3))))   MU_3 = THETA(5)
                                             F1 = 1/(1 + EXP(-(MU_3 + ETA(3))))

Factors and terms that change within a subject stay where they are: MU_k has one value per subject (NONMEM Users Guide,
Introduction to NONMEM 7, "MU-referencing"). The plans follow the shape of the text; the caller reads the result back
and compares it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nlmevae.ir import Assign, Call, Symbol
from nlmevae.writers.effect_styles import Place, symbol_spans
from nlmevae.writers.stream_edit import (
    AssignmentText,
    Edit,
    assignment_text,
    insert_lines,
    insertion,
    line_end_of,
    line_start,
    offset_of,
)
from nlmevae_translators.modernise.code_parts import (
    enclosing,
    exponential,
    factors,
    joined,
    terms,
    trimmed,
    unwrapped,
)
from nlmevae_translators.modernise.fixed_parts import FixedParts, Piece

_LOGICAL_IF = re.compile(r"[ \t]*(?:ELSE[ \t]*)?IF[ \t]*\(.*\)[ \t]*\Z", re.IGNORECASE)
_WHOLE_EXP = re.compile(r"D?EXP[ \t]*\((?P<inside>.*)\)\Z", re.IGNORECASE)
_COMMENT = re.compile(r";[^\r\n]*")


class NoPlanError(Exception):
    """The text has no shape that is known; the sentence says which it has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`mu`: what MU_k is assigned, of each place; `logarithms`: the factors in its logarithm."""

    edits: tuple[Edit, ...]
    mu: tuple[str, ...]
    logarithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rewriting:
    """One occurrence: what MU_k is, and the new text of code[start:stop]."""

    mu: str
    start: int
    stop: int
    text: str
    logarithms: tuple[str, ...] = ()


def plans(place: Place, parts: FixedParts) -> tuple[list[Plan], str]:
    """Ways to write the parameter, best first, and why others are none."""
    eta = place.parameter.eta
    direct = [a for a in (*place.carriers, *place.definitions) if eta in a.value.names()]
    carriers = {a.target for a in place.carriers}
    found, reason = [], ""
    for assigns, names in ((direct, {eta}), (list(place.definitions), carriers)):
        assigns = [a for a in assigns if a.value.names() & names]
        if not assigns:
            continue
        try:
            found.append(_plan(place, parts, assigns, names))
        except NoPlanError as no:
            reason = reason or str(no)
    return found, reason


def _plan(place: Place, parts: FixedParts, assigns: list[Assign], names: set[str]) -> Plan:
    edits: list[Edit] = []
    mus: list[str] = []
    logarithms: list[str] = []
    number = re.sub(r"[^0-9]", "", place.parameter.eta)
    for assign in sorted(assigns, key=lambda a: offset_of(place.source, a.at)):
        changing = parts.changes_with(assign)
        if changing:
            raise NoPlanError(f"its definition changes within subjects with {', '.join(sorted(changing))}")
        text = assignment_text(place.source, assign.at)
        spelling = place.spelling(assign)
        mu_name = spelling.cased(f"MU_{number}")
        writer = _Writer(place, parts, assign, text, mu_name, spelling.plus)
        made = [
            writer.rewritten(start - text.start, stop - text.start)
            for start, stop in symbol_spans(place.source, assign.value, names)
        ]
        if len({m.mu for m in made}) != 1:
            raise NoPlanError(f"{place.parameter.eta} stands in {assign.target} more than once, beside different terms")
        line = spelling.assign(mu_name, made[0].mu)
        edits += _line_before(place, text.start, [*_comments_within(place, text, made), line])
        edits += [Edit(text.start + m.start, text.start + m.stop, m.text) for m in made]
        mus.append(made[0].mu)
        logarithms += made[0].logarithms
    return Plan(tuple(edits), tuple(mus), tuple(logarithms))


def _line_before(place: Place, start: int, lines: list[str]) -> list[Edit]:
    """The lines before the statement, behind the same condition where it is behind one of its own line."""
    begin = line_start(place.source, start)
    prefix = place.source.text[begin:start]
    if not prefix.strip():
        return [insert_lines(place.source, start, lines)]
    if _LOGICAL_IF.fullmatch(prefix):
        end = line_end_of(place.source.text)
        indent = prefix[: len(prefix) - len(prefix.lstrip())]
        return [insertion(begin, "".join(f"{indent if x.startswith(';') else prefix}{x}{end}" for x in lines))]
    if begin == line_start(place.source, place.record.body - 1) and prefix.strip().startswith("$"):
        return [insert_lines(place.source, start, lines)]
    raise NoPlanError("its statement starts in the middle of a line")


def _comments_within(place: Place, text: AssignmentText, made: list[_Rewriting]) -> list[str]:
    """Comments of continued lines that the new text takes the place of."""
    return [
        comment
        for m in made
        for comment in _COMMENT.findall(place.source.text[text.start + m.start : text.start + m.stop])
    ]


@dataclass(frozen=True, slots=True)
class _Writer:
    """One assignment. Offsets are those in `text.code`."""

    place: Place
    parts: FixedParts
    assign: Assign
    text: AssignmentText
    mu: str
    plus: str

    def rewritten(self, start: int, stop: int) -> _Rewriting:
        """Around the random effect, or a variable that carries it, at code[start:stop]."""
        begin, end = self.text.value - self.text.start, self.text.stop - self.text.start
        code = self.text.code
        effect = " ".join(code[start:stop].split())
        carried = self._carried_exponential(effect)
        if carried is not None:
            return self._product(start, stop, [], carried, begin, end)
        start, stop = unwrapped(code, start, stop, begin, end)
        left, right = enclosing(code, start, stop, begin, end)
        summands = terms(code, left, right)
        own = next(p for p in summands if p.start <= start and stop <= p.stop)
        if (own.start, own.stop) != (start, stop):
            raise NoPlanError(f"{effect} is multiplied: {own.text(code)}")
        others = [p for p in summands if p is not own]
        pieces = self.parts.pieces(self.text, self.assign.value, others)
        opening = exponential(code, left) if left > begin else None
        log = self.place.parameter.transform.kind == "log"
        if opening is not None and own.operator == "+" and log:
            return self._product(opening, right + 1, pieces, effect, begin, end)
        return self._sum(left, right, pieces, effect, own.operator)

    def _carried_exponential(self, name: str) -> str | None:
        """The random effect where the variable is nothing but EXP(ETA(k))."""
        eta = self.place.parameter.eta
        own = [a for a in self.place.carriers if a.target == name.upper()]
        if own and all(a.value == Call("EXP", (Symbol(eta),)) for a in own):
            return self.place.spelling(self.assign).cased(eta)
        return None

    def _sum(self, left: int, right: int, pieces: list[Piece], effect: str, sign: str) -> _Rewriting:
        fixed = [p for p in pieces if self.parts.may_have(p)]
        rest = [(p.operator, p.text) for p in pieces if p not in fixed]
        flip = {"+": "-", "-": "+"} if sign == "-" else {"+": "+", "-": "-"}
        mu = joined([(flip[p.operator], p.text) for p in fixed], plus=self.plus)
        self._check(fixed, pieces)
        inner = f"{self.mu}{self.plus}{effect}"
        text = joined([("+", inner), *rest] if sign == "+" else [("-", f"({inner})"), *rest], plus=self.plus)
        return _Rewriting(mu, *trimmed(self.text.code, left, right), text)

    def _product(self, opening: int, stop: int, inner: list[Piece], effect: str, begin: int, end: int) -> _Rewriting:
        """Around EXP( ... + effect) at code[opening:stop], or a variable that is it; `inner` are its other terms."""
        code = self.text.code
        left, right = enclosing(code, opening, stop, begin, end)
        term = next(p for p in terms(code, left, right) if p.start <= opening and stop <= p.stop)
        found = factors(code, term.start, term.stop)
        atom = next(p for p in found if p.start <= opening and stop <= p.stop)
        if (atom.start, atom.stop) != (opening, stop) or atom.operator == "/":
            raise NoPlanError(f"the exponential of {effect} is not a factor: {atom.text(code)}")
        before = self.parts.pieces(self.text, self.assign.value, [p for p in found if p.start < opening])
        after = self.parts.pieces(self.text, self.assign.value, [p for p in found if p.start > opening])
        fixed = [p for p in (*before, *after, *inner) if self.parts.may_have(p)]
        self._check(fixed, [*before, *after, *inner])
        mu = joined([*_logarithm([p for p in fixed if p.operator in "*/"], self), *_sums(fixed)], plus=self.plus)
        rest = [(p.operator, p.text) for p in inner if p not in fixed]
        exp = self.place.spelling(self.assign).cased("EXP")
        core = f"{exp}({joined([('+', f'{self.mu}{self.plus}{effect}'), *rest], plus=self.plus)})"
        kept = [(p.operator, p.text) for p in before if p not in fixed]
        kept += [("*", core), *((p.operator, p.text) for p in after if p not in fixed)]
        logarithms = tuple(p.text for p in fixed if p.operator in "*/")
        return _Rewriting(mu, term.start, term.stop, joined(kept), logarithms)

    def _check(self, fixed: list[Piece], pieces: list[Piece]) -> None:
        """MU_k has a THETA of its own."""
        if any(n.startswith("THETA(") for p in fixed for n in p.inputs):
            return
        changing = self.parts.changing(frozenset().union(*(p.inputs for p in pieces)))
        if changing:
            raise NoPlanError(f"its typical value changes within subjects with {', '.join(sorted(changing))}")
        raise NoPlanError("no THETA that MU could have stands beside it")


def _sums(fixed: list[Piece]) -> list[tuple[str, str]]:
    return [(p.operator, p.text) for p in fixed if p.operator in "+-"]


def _logarithm(pieces: list[Piece], writer: _Writer) -> list[tuple[str, str]]:
    if not pieces:
        return []
    whole = _WHOLE_EXP.match(pieces[0].text) if len(pieces) == 1 and pieces[0].operator == "*" else None
    if whole is not None and _balanced(whole.group("inside")):
        return [("+", whole.group("inside").strip())]
    log = writer.place.spelling(writer.assign).cased("LOG")
    return [("+", f"{log}({joined([(p.operator, p.text) for p in pieces])})")]


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0
