"""The structural model as written to compartments, programs and dose inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.names import fresh, program_name
from nlmevae.frontends.monolix.project import StructuralText
from nlmevae.frontends.monolix.structural.closed_forms import LinearForm, NamedFlow, linear_form
from nlmevae.frontends.monolix.structural.equations import (
    Arranged,
    arrange,
    check_expression,
    check_functions,
    check_line,
    surely_assigned,
)
from nlmevae.frontends.monolix.structural.expansion import expand_macros
from nlmevae.frontends.monolix.structural.renaming import renamed
from nlmevae.frontends.monolix.structural.system import Dosing, Flow, System, TransitDosing, names_of, slopes
from nlmevae.frontends.monolix.structural.written import Written, written
from nlmevae.ir import (
    Assign,
    Binary,
    Compartment,
    Expression,
    Number,
    Statement,
    StructuralModel,
    Symbol,
    names_assigned,
    names_read,
    needed_for,
    needed_names,
)

#: Of the last dose of any kind: its time, amount and duration; 0 before the first.
STEP_FUNCTIONS = ("tDose", "amtDose", "inftDose")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseInput:
    """One way of doses into the system, number k + 1 as the k-th of `Structure.inputs`.

    Attributes:
        adm: administration identifier of the doses that take it. Doses of one `adm` take all inputs that have it.
        compartment: number of the one they enter.
        zero_order: at a constant rate over `duration`, which is a parameter of the model.
        infusion: a record's own rate or duration counts; else a record that has one is an error.
        fraction, lag, duration: variables of `Structure.pk`; None: 1, 0, none.
    """

    adm: int
    compartment: int
    zero_order: bool = False
    infusion: bool = False
    fraction: str | None = None
    lag: str | None = None
    duration: str | None = None
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitInput:
    """Doses of `adm` that arrive through transit compartments: the right-hand side has their rate.

    It reads two step functions as data items: `time` and `amount` of the last dose of this `adm`, 0 before the first;
    they are tDose and amtDose where the macros have one adm. The rate is that of one dose: what Monolix makes of a
    second one, of a reset while the dose arrives (EVID 3 and 4), or of a change of one of the data items `constant`,
    which its parameters are computed from, is not certain, so that a subject with any of these must be refused.

    compartment: number of the depot they come to. places: variables of `Structure.pk`, times after a dose at which
    integration must stop, as it does at a dose: else a step may pass over all of it. nothing: a variable that is 0.
    """

    adm: int
    time: str
    amount: str
    compartment: int
    places: tuple[str, ...]
    nothing: str
    constant: tuple[str, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptying:
    """The doses of `adm` set `compartments` to 0 (empty) or to their initial amounts (reset); nothing is given."""

    adm: int
    compartments: tuple[int, ...]
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What the structural model computes, in names of programs (`names.program_name`).

    Attributes:
        structural: compartments have names and initial amounts; how doses enter them is in `inputs`. None at all: the
            model is a formula of time and data items.
        pk: of the individual level. Reads the parameters and regressors of `input`, which it does not assign.
        des: right-hand sides, of closed-form models too.
        error: what of the outputs changes with time.
        outputs: of OUTPUT and its table, and what was asked for besides: name in the text -> variable after `error`.
        transit: doses that enter no compartment themselves.
        initial_time: t_0; None: the first record.
        regressors: data items in order of declaration.
        steps: which of STEP_FUNCTIONS are read, as data items of this name.
    """

    structural: StructuralModel
    pk: tuple[Statement, ...]
    des: tuple[Statement, ...]
    error: tuple[Statement, ...]
    outputs: Mapping[str, str]
    inputs: tuple[DoseInput, ...] = ()
    transit: tuple[TransitInput, ...] = ()
    empties: tuple[Emptying, ...] = ()
    resets: tuple[Emptying, ...] = ()
    initial_time: float | None = None
    regressors: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What is known once definitions are in order: states by their number, flows with the variables of their rates."""

    text: StructuralText
    source: Written
    system: System
    flows: tuple[NamedFlow, ...]
    doses: tuple[DoseInput, ...]
    places: tuple[tuple[str, ...], ...]
    arranged: Arranged
    known: frozenset[str]
    number: Mapping[str, int]

    @property
    def valued(self) -> frozenset[str]:
        """Names that have a value whichever arms of ifs are taken."""
        statements = (*self.arranged.individual, *self.arranged.moving)
        return (self.known - names_assigned(statements)).union(*map(surely_assigned, statements))

    @property
    def initial(self) -> dict[str, str]:
        """A_0 of the text -> ``A_0(1)``."""
        return {f"{name}_0": f"A_0({k})" for name, k in self.number.items()}

    def names(self, time: str) -> dict[str, str]:
        """Names with a spelling of their own where amounts and time may be read."""
        return self.initial | {name: f"A({k})" for name, k in self.number.items()} | {"t": time}


def structure(text: StructuralText, *, predictions: Iterable[str] = ()) -> Structure:
    """Programs of a structural model.

    Args:
        predictions: variables that observations are compared with and that OUTPUT may leave out.

    Raises:
        SemanticError: a name without value, arguments of a macro that mean nothing, definitions in a circle.
        UnsupportedError: what cannot be executed exactly, or whose meaning in Monolix is not certain.
    """
    parts = _parts(text)
    linear = _linear(parts)
    if linear is not None:
        parts.system.flows[:] = [Flow(Symbol(f.rate), f.source, f.to, f.rate) for f in linear.flows]
    right = _right_hand_sides(parts)
    moving = parts.arranged.moving
    wanted = tuple(dict.fromkeys((*text.outputs, *text.tables, *predictions)))
    _check_outputs(parts, wanted)
    shown = tuple(Assign(program_name(name), Symbol(f"A({parts.number[name]})")) for name in wanted
                  if name in parts.number)  # fmt: skip
    des = needed_for((*moving, *right), names_assigned(right))
    read = names_read((*parts.arranged.individual, *moving, *right)) | {t for t in wanted if t in STEP_FUNCTIONS}
    return Structure(
        structural=_structural(parts, linear),
        pk=renamed(parts.arranged.individual, parts.initial),
        des=renamed(des, parts.names("T") | {s.target: s.target for s in right}) if parts.number else (),
        error=renamed(needed_for(moving, wanted), parts.names("TIME")) + shown,
        outputs={name: parts.initial.get(name, program_name(name)) for name in wanted},
        inputs=parts.doses,
        transit=tuple(_transit_input(parts, t, p) for t, p in zip(parts.system.transit, parts.places, strict=True)),
        empties=_emptyings(parts, reset=False),
        resets=_emptyings(parts, reset=True),
        initial_time=parts.source.initial_time,
        regressors=tuple(program_name(name) for name in text.regressors),
        steps=tuple(name for name in STEP_FUNCTIONS if name in read),
    )


def _parts(text: StructuralText) -> _Parts:
    source = written(text.equations, text.inputs)
    taken = _names(text)
    system = expand_macros(text.macros, {name: s.at for name, s in source.slopes.items()}, taken)
    given = frozenset((*text.inputs, *text.regressors, *STEP_FUNCTIONS))
    given |= {name for t in system.transit for name in (t.time, t.amount)}
    moving = frozenset(s.name for s in system.states) | {"t"}
    _check_given(text, system, given)
    items = frozenset((*text.regressors, *STEP_FUNCTIONS))
    flows, rates = _rates(system, taken, items)
    entries, dosing = _dosing(system, taken, items)
    places, arrivals = _places(system, taken)
    definitions = _as_they_stand(source.definitions, system.definitions)
    for macro in text.macros:
        check_line(names_of(macro.arguments.values()), macro.at, definitions)
    for slope in source.slopes.values():
        check_line(slope.value.names(), slope.at, definitions)
    arranged = arrange((*definitions, *rates, *dosing, *arrivals), given=given, moving=moving)
    known = given | moving | names_assigned(arranged.individual) | names_assigned(arranged.moving)
    number = {s.name: k for k, s in enumerate(system.states, start=1)}
    doses = tuple(_dose_input(dose, entry, number) for dose, entry in zip(system.dosing, entries, strict=True))
    parts = _Parts(text=text, source=source, system=system, flows=flows, doses=doses, places=places, arranged=arranged,
                   known=known, number=number)  # fmt: skip
    _check_individual(parts, entries)
    return parts


def _as_they_stand(equations: Iterable[Statement], macros: Iterable[Assign]) -> list[Statement]:
    """Equations and what macros define, by their lines: the order decides where a name is defined more than once."""
    merged = sorted(macros, key=lambda m: 0 if m.at is None else m.at.line)
    lines = [0 if m.at is None else m.at.line for m in merged]
    position = 0
    found: list[Statement] = []
    for statement in equations:
        line = None if statement.at is None else statement.at.line
        while position < len(merged) and (line is None or lines[position] <= line):
            found.append(merged[position])
            position += 1
        found.append(statement)
    return [*found, *merged[position:]]


def _names(text: StructuralText) -> set[str]:
    """Every name of the text."""
    found = {*text.inputs, *text.regressors, *text.outputs, *text.tables, *STEP_FUNCTIONS, "t"}
    found |= names_assigned(text.equations) | names_read(text.equations)
    for macro in text.macros:
        found.update(macro.results)
        for value in macro.arguments.values():
            found |= value.names()
    return found


def _check_given(text: StructuralText, system: System, given: frozenset[str]) -> None:
    for name in text.inputs:
        if name == "t" or name in STEP_FUNCTIONS:
            raise SemanticError(
                f"{name} is a name of Mlxtran and stands in input", hint="give it another name", location=text.at
            )
    for state in system.states:
        if state.name in given:
            raise SemanticError(
                f"{state.name} is an input of the model and an amount", hint="give one another name", location=state.at
            )
        if f"{state.name}_0" in given:
            raise UnsupportedError(
                f"{state.name}_0 stands in input and is the initial value of {state.name}: whether Monolix starts from "
                "it is not certain",
                hint=f"give the input another name, X0 for example, and write {state.name}_0 = X0",
                location=state.at,
            )


def _rates(system: System, taken: set[str], items: frozenset[str]) -> tuple[tuple[NamedFlow, ...], list[Assign]]:
    """The flows with a variable each for their rates, none of them a data item, and what computes those.

    Flows between the same two states add up.
    """
    merged: dict[tuple[str, str | None], Flow] = {}
    for flow in system.flows:
        pair = (flow.source, flow.to)
        if pair in merged:
            earlier = merged[pair]
            rate = Binary("+", earlier.rate, flow.rate, at=flow.at)
            flow = Flow(rate, flow.source, flow.to, earlier.title, at=earlier.at)
        merged[pair] = flow
    used: set[str] = {s.name for s in system.states} | {"t"} | items
    flows, computed = [], []
    for flow in merged.values():
        if isinstance(flow.rate, Symbol) and flow.rate.name not in used:
            name = flow.rate.name
        else:
            name = fresh(flow.title, taken)
            computed.append(Assign(name, flow.rate, at=flow.at))
        used.add(name)
        flows.append(NamedFlow(name, flow.source, flow.to))
    system.flows[:] = [Flow(Symbol(f.rate), f.source, f.to, f.rate, at=m.at)
                       for f, m in zip(flows, merged.values(), strict=True)]  # fmt: skip
    return tuple(flows), computed


def _dosing(system: System, taken: set[str], items: frozenset[str]) -> tuple[list[dict[str, str]], list[Assign]]:
    """For each dosing the variables of its fraction, lag and duration, and what computes those."""
    entries, computed = [], []
    for dose in system.dosing:
        entry = {}
        for kind, title in (("fraction", "p"), ("lag", "Tlag"), ("duration", "Tk0")):
            value: Expression | None = getattr(dose, kind)
            if value is None:
                continue
            if isinstance(value, Symbol) and value.name not in items:
                entry[kind] = value.name
            else:
                entry[kind] = fresh(title, taken)
                computed.append(Assign(entry[kind], value, at=dose.at))
        entries.append(entry)
    return entries, computed


def _places(system: System, taken: set[str]) -> tuple[tuple[tuple[str, ...], ...], list[Assign]]:
    """For every transit dosing the variables of its places and one that is 0, and what computes those."""
    names, computed = [], []
    for dose in system.transit:
        own = [Assign(fresh("Tarrival", taken), place, at=dose.at) for place in dose.places]
        own.append(Assign(fresh("none_of_it", taken), Number(0.0), at=dose.at))
        names.append(tuple(a.target for a in own))
        computed += own
    return tuple(names), computed


def _dose_input(dose: Dosing, entry: dict[str, str], number: Mapping[str, int]) -> DoseInput:
    return DoseInput(
        adm=dose.adm, compartment=number[dose.state], zero_order=dose.duration is not None, infusion=dose.infusion,
        at=dose.at, **{kind: program_name(name) for kind, name in entry.items()},
    )  # fmt: skip


def _emptyings(parts: _Parts, *, reset: bool) -> tuple[Emptying, ...]:
    return tuple(
        Emptying(adm=e.adm, compartments=tuple(parts.number[s] for s in e.states), at=e.at)
        for e in parts.system.emptyings
        if e.reset == reset
    )


def _transit_input(parts: _Parts, dose: TransitDosing, places: tuple[str, ...]) -> TransitInput:
    """`places`: the last one is the variable that is 0."""
    names = needed_names(parts.arranged.individual, names_of(dose.parameters))
    constant = tuple(program_name(n) for n in (*parts.text.regressors, *STEP_FUNCTIONS) if n in names)
    *stops, nothing = (program_name(n) for n in places)
    return TransitInput(
        adm=dose.adm, time=dose.time, amount=dose.amount, compartment=parts.number[dose.state], places=tuple(stops),
        nothing=nothing, constant=constant, at=dose.at,
    )  # fmt: skip


def _check_individual(parts: _Parts, entries: list[dict[str, str]]) -> None:
    """What doses and the start of a subject need must not change between records."""
    changing = names_assigned(parts.arranged.moving) | set(parts.number) | {"t"}
    everything = (*parts.arranged.individual, *parts.arranged.moving)
    for dose, entry in zip(parts.system.dosing, entries, strict=True):
        for kind, name in entry.items():
            check_expression(Symbol(name), parts.valued, everything, dose.at)
            if name in changing:
                what = {"fraction": "p", "lag": "Tlag", "duration": "Tk0"}[kind]
                raise UnsupportedError(
                    f"{what} of these doses changes with time or with an amount",
                    hint="compute it from parameters and regressors; empty(adm, target) sets an amount to 0",
                    location=dose.at,
                )
    for dose in parts.system.transit:
        if names_of(dose.parameters) & changing:
            raise UnsupportedError(
                "p, Tlag, Ktr or Mtt of these doses changes with time or with an amount",
                hint="compute them from parameters and regressors",
                location=dose.at,
            )
    for name in parts.initial:
        if name in changing:
            at = next((s.at for s in parts.arranged.moving if name in names_assigned((s,))), None)
            raise UnsupportedError(
                f"the initial value {name} is computed from the time or an amount",
                hint="compute it from parameters and other initial values (A_0)",
                location=at,
            )


def _linear(parts: _Parts) -> LinearForm | None:
    """The closed form; None where the right-hand side is more than flows with rates of the individual level."""
    system = parts.system
    changing = names_assigned(parts.arranged.moving) | {"t"}
    plain = not system.terms and not any(s.by_equation for s in system.states)
    if not parts.flows or not plain or any(flow.rate in changing for flow in parts.flows):
        return None
    return linear_form(system.states, parts.flows)


def _right_hand_sides(parts: _Parts) -> tuple[Assign, ...]:
    written_slopes = parts.source.slopes
    everything = (*parts.arranged.individual, *parts.arranged.moving)
    found = []
    for name, value in slopes(parts.system, {n: s.value for n, s in written_slopes.items()}).items():
        at = written_slopes[name].at if name in written_slopes else parts.text.at
        check_functions(value)
        check_expression(value, parts.valued, everything, at)
        found.append(Assign(f"DADT({parts.number[name]})", value, at=at))
    return tuple(found)


def _check_outputs(parts: _Parts, wanted: tuple[str, ...]) -> None:
    for name in wanted:
        if name == "t" or name not in parts.known:
            what = "the time" if name == "t" else "not defined"
            raise SemanticError(
                f"{name} is an output and is {what}", hint="name a variable of the model in OUTPUT",
                location=parts.text.at,
            )  # fmt: skip
        check_expression(Symbol(name), parts.valued, (*parts.arranged.individual, *parts.arranged.moving),
                         parts.text.at)  # fmt: skip


def _structural(parts: _Parts, linear: LinearForm | None) -> StructuralModel:
    assigned = names_assigned(parts.arranged.individual)
    compartments = tuple(
        Compartment(
            name=state.title, number=k,
            initial=f"A_0({k})" if f"{state.name}_0" in assigned else None,
        )
        for k, state in enumerate(parts.system.states, start=1)
    )  # fmt: skip
    if linear is None:
        return StructuralModel(compartments=compartments, stiff=bool(parts.text.stiff), at=parts.text.at)
    return StructuralModel(
        compartments=compartments,
        closed_form=linear.name,
        rate_constants=tuple(program_name(flow.rate) for flow in linear.flows),
        flows=tuple((parts.number[f.source], 0 if f.to is None else parts.number[f.to]) for f in linear.flows),
        default_observation=parts.number[linear.central],
        stiff=bool(parts.text.stiff),
        at=parts.text.at,
    )
