"""What the macros of PK say as a system: states, flows between them, other terms of their slopes, doses, definitions.

Everything is in Mlxtran's own names; a state is called by its amount's name or, without one, by a name no text can
have. Expressions of macros may be any; what Monolix itself would not take does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.ir import Assign, Binary, Call, Compare, Expression, Negate, Number, Symbol, Where

#: ln of the smallest argument of a logarithm below: what it stands for is not computed there.
_SMALLEST = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One amount. `number` is that of the macros' compartment (None: a depot or an equation's variable); `volume` turns
    it into a concentration; `by_equation`: its slope is written as ddt_."""

    name: str
    title: str
    number: int | None = None
    volume: Expression | None = None
    depot: bool = False
    by_equation: bool = False
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Flow:
    """`rate` times the amount in `source` leaves it, and arrives in `to` (None: leaves the system)."""

    rate: Expression
    source: str
    to: str | None
    title: str
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Term:
    """`value` is part of the slope of `state`."""

    state: str
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Dosing:
    """How the doses of one `adm` enter `state`. `duration`: of a zero-order absorption; `infusion`: a record's own rate
    or duration counts."""

    adm: int
    state: str
    fraction: Expression | None = None
    lag: Expression | None = None
    duration: Expression | None = None
    infusion: bool = False
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitDosing:
    """Doses of `adm` that arrive through transit compartments: the data give the last one's time and amount as the
    variables `time` and `amount`. `parameters`: its fraction, lag, Ktr and Mtt, as far as they are there; `state`: the
    depot they come to; `places`: see `transit_places`."""

    adm: int
    state: str
    time: str
    amount: str
    parameters: tuple[Expression, ...] = ()
    places: tuple[Expression, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyingMacro:
    """empty or reset: the doses of `adm` set `states` to 0 or to their initial values."""

    adm: int
    states: tuple[str, ...]
    reset: bool
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class System:
    """Filled by `expansion.expand_macros`; states in the order of their numbers in the model. `adms`: those of all
    macros."""

    adms: set[int] = field(default_factory=set)
    states: list[State] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    dosing: list[Dosing] = field(default_factory=list)
    transit: list[TransitDosing] = field(default_factory=list)
    emptyings: list[EmptyingMacro] = field(default_factory=list)
    definitions: list[Assign] = field(default_factory=list)

    def state(self, name: str) -> State | None:
        return next((s for s in self.states if s.name == name), None)

    def compartment(self, number: int, macro: str, at: Location | None) -> State:
        """Raises:
        SemanticError: no macro makes it.
        """
        found = next((s for s in self.states if s.number == number), None)
        if found is None:
            raise SemanticError(
                f"{macro} needs compartment {number}, and there is none",
                hint=f"define it: compartment(cmt={number}, amount=A{number})",
                location=at,
            )
        return found

    def add(self, state: State) -> None:
        """Raises:
        SemanticError: its number or name is taken.
        """
        if state.number is not None and any(s.number == state.number for s in self.states):
            raise SemanticError(
                f"compartment {state.number} is defined twice", hint="give each its own number", location=state.at
            )
        if self.state(state.name) is not None:
            raise SemanticError(
                f"two compartments have the amount {state.name}", hint="give each its own name", location=state.at
            )
        self.states.append(state)

    def add_flow(self, flow: Flow, macro: str) -> None:
        """Raises:
        UnsupportedError: to or from a compartment whose equation is written.
        """
        for name in (flow.source, flow.to):
            state = None if name is None else self.state(name)
            if state is not None and state.by_equation and macro not in ("depot", "absorption", "oral"):
                raise equation_and_macro(macro, state, flow.at)
        self.flows.append(flow)


def equation_and_macro(macro: str, state: State, at: Location | None) -> UnsupportedError:
    """A compartment with ddt_ only takes doses from macros."""
    return UnsupportedError(
        f"{macro} acts on {state.name}, whose equation ddt_{state.name} is written: whether Monolix adds the two is "
        "not certain",
        hint=f"write what {macro} does into ddt_{state.name} and remove the macro",
        location=at,
    )


def concentration(state: State, volume: Expression | None = None) -> Expression:
    """Amount over volume; the amount where there is no volume."""
    volume = state.volume if volume is None else volume
    amount = Symbol(state.name, at=state.at)
    return amount if volume is None else Binary("/", amount, volume, at=state.at)


def transit_rate(
    *, fraction: Expression | None, amount: str, since: Expression, rate: Expression, mean_time: Expression
) -> Expression:
    """p D Ktr (Ktr tau)^n exp(-Ktr tau) / Gamma(n + 1), n = Mtt Ktr - 1, at tau = `since` the dose; 0 up to tau = 0
    (Savic et al. 2007, eq. 5; Mlxtran documentation, transit compartments)."""
    dose: Expression = Symbol(amount)
    if fraction is not None:
        dose = Binary("*", fraction, dose)
    n = Binary("-", Binary("*", mean_time, rate), Number(1.0))
    passed = Binary("*", rate, since)
    log_passed = Call("LOG", (Call("MAX", (passed, Number(_SMALLEST))),))
    exponent = Binary(
        "-", Binary("-", Binary("*", n, log_passed), passed), Call("GAMLN", (Binary("+", n, Number(1.0)),))
    )
    density = Binary("*", rate, Call("EXP", (exponent,)))
    return Where(Compare(">", since, Number(0.0)), Binary("*", dose, density), Number(0.0))


def transit_places(*, lag: Expression | None, rate: Expression, mean_time: Expression) -> list[Expression]:
    """Times after a dose at which integration must stop, so that no step passes over its arrival: at the lag, at the
    mean arrival and 2 and 4 standard deviations sqrt(Mtt / Ktr) before and after it. Doses of nothing are given there.
    """
    sd = Call("SQRT", (Binary("/", mean_time, rate),))
    places: list[Expression] = [] if lag is None else [lag]
    for distance in (-4.0, -2.0, 0.0, 2.0, 4.0):
        place: Expression = mean_time
        if distance:
            place = Binary("+", place, Binary("*", Number(distance), sd))
        if distance < 0:
            place = Call("MAX", (place, Number(0.0)))
        places.append(place if lag is None else Binary("+", lag, place))
    return places


def slopes(system: System, written: dict[str, Expression]) -> dict[str, Expression]:
    """State -> its slope: ddt_ where `written`, flows and terms."""
    return {state.name: _slope(system, state.name, written.get(state.name)) for state in system.states}


def _slope(system: System, name: str, written: Expression | None) -> Expression:
    total = written
    for flow in system.flows:
        if name not in (flow.source, flow.to):
            continue
        part = Binary("*", flow.rate, Symbol(flow.source, at=flow.at), at=flow.at)
        if total is None:
            total = part if flow.to == name else Negate(part, at=flow.at)
        else:
            total = Binary("+" if flow.to == name else "-", total, part, at=flow.at)
    for term in system.terms:
        if term.state == name:
            total = term.value if total is None else Binary("+", total, term.value, at=term.value.at)
    return total or Number(0.0)


def names_of(expressions: Iterable[Expression | None]) -> frozenset[str]:
    """Every name they read."""
    return frozenset(name for e in expressions if e is not None for name in e.names())
