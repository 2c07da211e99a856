"""Macros of PK to a system of states, flows, terms and doses."""

from __future__ import annotations

from collections.abc import Callable

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.names import fresh
from nlmevae.frontends.monolix.project import Macro
from nlmevae.frontends.monolix.structural.macros import (
    ARGUMENTS,
    absorption_kind,
    check_arguments,
    elimination_kind,
    exchange,
    variable,
    whole_number,
)
from nlmevae.frontends.monolix.structural.pkmodel import expand
from nlmevae.frontends.monolix.structural.system import (
    Dosing,
    EmptyingMacro,
    Flow,
    State,
    System,
    Term,
    TransitDosing,
    concentration,
    equation_and_macro,
    transit_places,
    transit_rate,
)
from nlmevae.ir import Assign, Binary, Expression, Negate, Number, Symbol

_PERIPHERAL_TITLE = "PERIPHERAL"


def expand_macros(macros: tuple[Macro, ...], equations: dict[str, Location | None], taken: set[str]) -> System:
    """The system of all macros and of the states with an equation.

    Args:
        equations: variables with a ddt_ equation, in order, and where it is.
        taken: every name of the text; names made here are added.

    Raises:
        SemanticError: arguments that have no meaning.
        UnsupportedError: what Monolix makes of it is not certain.
    """
    parts: list[Macro] = []
    for macro in macros:
        check_arguments(macro)
        parts += expand(macro) if macro.name == "pkmodel" else [macro]
    system = System(adms={whole_number(m, "adm", "type") for m in parts if "adm" in ARGUMENTS[m.name]})
    for macro in parts:
        if macro.name == "compartment":
            _compartment(system, macro, equations)
    for macro in parts:
        if macro.name == "peripheral":
            _peripheral(system, macro, equations)
    for name, at in equations.items():
        if system.state(name) is None:
            system.add(State(name=name, title=name, by_equation=True, at=at))
    for macro in parts:
        if macro.name in _EXPANSIONS:
            _EXPANSIONS[macro.name](system, macro, taken)
    for macro in parts:  # last: target=all is every state
        if macro.name in ("empty", "reset"):
            _emptying(system, macro)
    system.states.sort(key=_order)
    return system


def _order(state: State) -> tuple[int, int]:
    """Depots, the macros' compartments by number, the equations' variables; each as they stand."""
    if state.depot:
        return (0, 0)
    return (2, 0) if state.number is None else (1, state.number)


def _compartment(system: System, macro: Macro, equations: dict[str, Location | None]) -> None:
    number = whole_number(macro, "cmt")
    amount = variable(macro, "amount")
    central = not system.states
    state = State(
        name=amount or f"amount in compartment {number}",
        title=amount or ("CENTRAL" if central else f"COMPARTMENT{number}"),
        number=number,
        volume=macro.arguments.get("volume"),
        by_equation=amount in equations,
        at=macro.at,
    )
    system.add(state)
    _define_concentration(system, macro, state)


def _define_concentration(system: System, macro: Macro, state: State) -> None:
    name = variable(macro, "concentration")
    if name is not None:
        system.definitions.append(Assign(name, concentration(state), at=macro.at))


def _peripheral(system: System, macro: Macro, equations: dict[str, Location | None]) -> None:
    rates = exchange(macro)
    source = system.compartment(rates.i, macro.name, macro.at)
    amount = variable(macro, "amount")
    if amount in equations:
        raise equation_and_macro(macro.name, State(name=amount, title=amount), macro.at)
    state = State(
        name=amount or f"amount in compartment {rates.j}",
        title=amount or f"{_PERIPHERAL_TITLE}{rates.j}",
        number=rates.j,
        volume=macro.arguments.get("volume"),
        at=macro.at,
    )
    system.add(state)
    joined = f"{rates.i}{rates.j}", f"{rates.j}{rates.i}"
    system.add_flow(Flow(rates.out, source.name, state.name, f"k{joined[0]}", at=macro.at), macro.name)
    system.add_flow(Flow(rates.back, state.name, source.name, f"k{joined[1]}", at=macro.at), macro.name)
    _define_concentration(system, macro, state)


def _elimination(system: System, macro: Macro, taken: set[str]) -> None:
    state = system.compartment(whole_number(macro, "cmt"), macro.name, macro.at)
    kind = elimination_kind(macro)
    given = macro.arguments
    volume = given.get("v", state.volume)
    match kind:
        case "none":
            raise SemanticError("elimination needs k, or Cl, or Vm and Km", hint="write elimination(cmt=1, k)",
                                location=macro.at)  # fmt: skip
        case "rate":
            system.add_flow(Flow(given["k"], state.name, None, "k", at=macro.at), macro.name)
        case "clearance":
            rate = given["cl"] if volume is None else Binary("/", given["cl"], volume, at=macro.at)
            system.add_flow(Flow(rate, state.name, None, "k", at=macro.at), macro.name)
        case "michaelis_menten":
            if state.by_equation:
                raise equation_and_macro(macro.name, state, macro.at)
            reached = concentration(state, volume)
            speed = Binary("*", given["vm"], reached, at=macro.at)
            slope = Binary("/", speed, Binary("+", given["km"], reached, at=macro.at), at=macro.at)
            system.terms.append(Term(state.name, Negate(slope, at=macro.at)))


def _into_compartment(system: System, macro: Macro, taken: set[str]) -> None:
    """absorption, oral and iv."""
    state = system.compartment(whole_number(macro, "cmt"), macro.name, macro.at)
    if macro.name != "iv" and absorption_kind(macro) == "direct":
        raise SemanticError(
            f"{macro.name} needs Tk0 or ka", hint="a bolus or an infusion is iv(adm=1, cmt=1)", location=macro.at
        )
    _give(system, macro, state.name, taken)


def _depot(system: System, macro: Macro, taken: set[str]) -> None:
    target = variable(macro, "target")
    if target is None or system.state(target) is None:
        raise SemanticError(
            f"depot has the target {target}, which is no amount of the model",
            hint=f"write its equation: ddt_{target} = ...",
            location=macro.at,
        )
    _give(system, macro, target, taken)


def _give(system: System, macro: Macro, target: str, taken: set[str]) -> None:
    """Doses into `target`, or into a depot that empties into it."""
    given = macro.arguments
    adm = whole_number(macro, "adm", "type")
    fraction, lag = _unless(given.get("p"), 1.0), _unless(given.get("tlag"), 0.0)
    kind = absorption_kind(macro)
    if kind in ("direct", "zero_order"):
        system.dosing.append(
            Dosing(adm=adm, state=target, fraction=fraction, lag=lag, duration=given.get("tk0"),
                   infusion=kind == "direct", at=macro.at)
        )  # fmt: skip
        return
    n_depots = sum(s.depot for s in system.states) + 1
    depot = State(
        name=f"amount in depot {n_depots}", title="DEPOT" if n_depots == 1 else f"DEPOT{n_depots}", depot=True,
        at=macro.at,
    )  # fmt: skip
    system.add(depot)
    system.add_flow(Flow(given["ka"], depot.name, target, "ka", at=macro.at), macro.name)
    if kind == "first_order":
        system.dosing.append(Dosing(adm=adm, state=depot.name, fraction=fraction, lag=lag, at=macro.at))
        return
    time, amount = _step_functions(system, adm, taken)
    parameters = tuple(v for v in (fraction, lag, given["ktr"], given["mtt"]) if v is not None)
    places = tuple(transit_places(lag=lag, rate=given["ktr"], mean_time=given["mtt"]))
    doses = TransitDosing(
        adm=adm, state=depot.name, time=time, amount=amount, parameters=parameters, places=places, at=macro.at
    )
    since: Expression = Binary("-", Symbol("t"), Symbol(doses.time))
    if lag is not None:
        since = Binary("-", since, lag)
    rate = transit_rate(fraction=fraction, amount=doses.amount, since=since, rate=given["ktr"], mean_time=given["mtt"])
    system.terms.append(Term(depot.name, rate))
    system.transit.append(doses)


def _step_functions(system: System, adm: int, taken: set[str]) -> tuple[str, str]:
    """Time and amount of the last dose of one adm: Mlxtran's own names where the model has no other."""
    if len(system.adms) == 1:
        return "tDose", "amtDose"
    known = next((t for t in system.transit if t.adm == adm), None)
    if known is not None:
        return known.time, known.amount
    return fresh(f"tDose_{adm}", taken), fresh(f"amtDose_{adm}", taken)


def _unless(value: Expression | None, nothing: float) -> Expression | None:
    """None where it is the number that changes nothing."""
    return None if isinstance(value, Number) and value.value == nothing else value


def _effect(system: System, macro: Macro, taken: set[str]) -> None:
    """Ce' = ke0 (Cc - Ce); the state is the concentration itself."""
    source = system.compartment(whole_number(macro, "cmt"), macro.name, macro.at)
    name = variable(macro, "concentration")
    state = State(name=name, title=name, at=macro.at)
    system.add(state)
    difference = Binary("-", concentration(source), Symbol(name, at=macro.at), at=macro.at)
    system.terms.append(Term(name, Binary("*", macro.arguments["ke0"], difference, at=macro.at)))


def _transfer(system: System, macro: Macro, taken: set[str]) -> None:
    source, to = whole_number(macro, "from"), whole_number(macro, "to")
    if source == to:
        raise SemanticError(
            f"transfer leads from compartment {source} into itself", hint="give from= and to=", location=macro.at
        )
    ends = [system.compartment(number, macro.name, macro.at).name for number in (source, to)]
    system.add_flow(Flow(macro.arguments["kt"], *ends, "kt", at=macro.at), macro.name)


def _emptying(system: System, macro: Macro) -> None:
    target = variable(macro, "target")
    if target == "all" and system.state("all") is None:
        states = tuple(s.name for s in system.states)
    elif target is None or system.state(target) is None:
        raise SemanticError(
            f"{macro.name} has the target {target}, which is no amount of the model",
            hint="name the variable of a ddt_ equation or a compartment's amount, or all",
            location=macro.at,
        )
    else:
        states = (target,)
    if not states:
        raise SemanticError(f"{macro.name} has nothing to act on", hint="remove it", location=macro.at)
    adm = whole_number(macro, "adm", "type")
    slow = [s.name for s in system.states if s.depot and any(term.state == s.name for term in system.terms)]
    if set(slow) & set(states) or any(t.adm == adm for t in system.transit):
        raise UnsupportedError(
            f"{macro.name} acts while a dose is in transit compartments: whether Monolix removes it is not certain",
            hint="write the transit compartments as equations, or name the amounts to act on as targets",
            location=macro.at,
        )
    system.emptyings.append(EmptyingMacro(adm=adm, states=states, reset=macro.name == "reset", at=macro.at))


_EXPANSIONS: dict[str, Callable[[System, Macro, set[str]], None]] = {
    "elimination": _elimination,
    "absorption": _into_compartment,
    "oral": _into_compartment,
    "iv": _into_compartment,
    "depot": _depot,
    "effect": _effect,
    "transfer": _transfer,
}
