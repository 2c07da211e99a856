"""The structural model in Mlxtran: $PK as definitions, compartments as macros or equations, predictions as outputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.errors import Location
from nlmevae.ir import (
    Binary,
    Expression,
    Model,
    Number,
    Symbol,
    Where,
    assignments,
    names_assigned,
    names_read,
    past_flags,
)
from nlmevae_translators.expression_parts import exchanged_in
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.algebra import ONE, ZERO, divide, is_number, multiply
from nlmevae_translators.to_monolix.doses import Administration, Doses
from nlmevae_translators.to_monolix.expression_text import definition_lines, expression_text
from nlmevae_translators.to_monolix.flatten import Definition, Flattened, needed_definitions
from nlmevae_translators.to_monolix.groups import OutcomeGroup
from nlmevae_translators.to_monolix.individual import IndividualSection
from nlmevae_translators.to_monolix.names import Names
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.regressors import Regressors
from nlmevae_translators.to_monolix.settled_branches import decided_for, settled
from nlmevae_translators.to_monolix.source_data import SourceData


@dataclass(slots=True)
class StructuralText:
    """Attributes:
    lines: of the model file behind its `input`.
    outputs: the prediction of each group, in order.
    read: names of parameters and regressors that the lines read.
    """

    lines: list[str]
    outputs: list[str]
    read: frozenset[str]
    entries: list[Entry]


#: Forms that pkmodel has.
_FORMS = ("one", "two", "three")


@dataclass(frozen=True, slots=True)
class PkModel:
    """`name`: of the concentration; `line`: its definition; `quotient`: what the code says for it besides F."""

    name: str
    line: str
    quotient: Expression


@dataclass(slots=True)
class StructureWriter:
    """Everything the model file needs."""

    data: SourceData
    names: Names
    regressors: Regressors
    individual: IndividualSection
    doses: Doses
    groups: list[OutcomeGroup]
    entries: list[Entry] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)
    concentration: PkModel | None = None

    @property
    def model(self) -> Model:
        return self.data.model

    def write(self) -> StructuralText:
        if past_flags(self.model.program):
            raise RefusedError(
                "MTIME",
                "model event times have no counterpart in Monolix. Make the switch a column of the data, with records "
                "at its times, or a branch on T in $DES",
                next((a.at for a in assignments(self.model.program.pk) if a.target.startswith("MTIME(")), None),
            )
        formula = not self.model.structural.compartments
        amounts = {
            f"A({c.number})": Symbol(self.names.fresh(f"A_{c.name.lower().removeprefix('a_')}"))
            for c in self.model.structural.compartments
        }
        dynamic = self._run_pk(ahead=True)
        record = self._run_pk(ahead=False)
        self.doses = replace(self.doses, dividing=self._dividing(dynamic))
        self.concentration = None if formula else self._pkmodel(dynamic, record)
        system = [] if formula else self._system(dynamic, record, amounts)
        pk = list(self.definitions)
        self.definitions.clear()
        predictions = [self._prediction(group, record, amounts) for group in self.groups]
        after = list(self.definitions)
        return self._text(pk, system, after, predictions)

    def _run_pk(self, *, ahead: bool, known: Mapping[str, float] | None = None) -> dict[str, Expression]:
        """`known`: values of data items."""
        read, known = names_read(self.model.executed.pk), known or {}
        canonical = self.data.canonical
        fixed = {n: Number(known[canonical[n]]) for n in read if canonical.get(n) in known}
        env = {**self._base(self._items(read - fixed.keys(), ahead=ahead)), **fixed}
        flat = self._flattened(env)
        flat.called = {f"S{c.number}": "SCALE" for c in self.model.structural.compartments}
        flat.run(self.model.executed.pk)
        return flat.env

    def _flattened(self, env: dict[str, Expression]) -> Flattened:
        return Flattened(
            names=self.names,
            env=env,
            cuts=self.individual.cuts,
            definitions=self.definitions,
            known=self.known,
        )

    def _base(self, items: Mapping[str, Expression]) -> dict[str, Expression]:
        zero = dict.fromkeys((*self.model.zero_etas, *self.model.epsilons), ZERO)
        return {**zero, **self.individual.env, **items}

    def _items(self, read: frozenset[str], *, ahead: bool) -> dict[str, Expression]:
        """Regressors for the data items among the names."""
        found = sorted(read & set(self.data.canonical))
        return {name: self.regressors.symbol(name, ahead=ahead) for name in found}

    # the system ------------------------------------------------------------------------------------------
    def _system(
        self, dynamic: dict[str, Expression], record: dict[str, Expression], amounts: dict[str, Symbol]
    ) -> list[tuple[str, Expression | None]]:
        """Lines, each with an expression that must be written before `{}` in it."""
        structural = self.model.structural
        read = frozenset().union(*(names_read(self.model.executed.error),))
        plain = structural.closed_form is not None and not any(c.initial for c in structural.compartments)
        if self.concentration is not None:
            return [self.concentration.line]
        if plain and structural.closed_form != "linear":
            hidden = self._hidden_depot(read)
            return self._closed(dynamic, amounts, hidden=hidden)
        if plain:
            return self._closed(dynamic, amounts, hidden=False)
        return self._equations(dynamic, record, amounts)

    def _hidden_depot(self, read: frozenset[str]) -> bool:
        """The depot can be that of an absorption macro: doses enter it at once, and nothing else reads it."""
        if not (self.model.structural.closed_form or "").endswith("_absorption"):
            return False
        into = [a for a in self.doses.administrations if a.input.compartment == 1]
        seen = "A(1)" in read or any(g.compartment == 1 for g in self.groups)
        emptied = 1 in self.doses.emptying
        return bool(into) and not seen and not emptied and not any(a.infusions or a.way != "record" for a in into)

    def _closed(self, env: dict[str, Expression], amounts: dict[str, Symbol], *, hidden: bool) -> list:
        """Compartments and flows as macros; all linear systems are executed exactly by both programs."""
        structural = self.model.structural
        number = {c.number: c.number for c in structural.compartments}
        if hidden:
            number = {c.number: c.number - 1 for c in structural.compartments}
        lines = []
        for c in structural.compartments:
            if number[c.number]:
                lines.append(f"compartment(cmt={number[c.number]}, amount={amounts[f'A({c.number})'].name})")
        rates = {
            flow: self._argument(env[name], name)
            for name, flow in zip(structural.rate_constants, structural.flows, strict=True)
        }
        for a in self.doses.administrations:
            ka = rates[1, 2] if hidden and a.input.compartment == 1 else None
            target = 1 if ka is not None else number[a.input.compartment]
            lines.append(self._dose(a, env, f"cmt={target}", ka=ka))
        lines += _flow_lines(rates, number, hidden=hidden)
        return lines + self._emptying(amounts)

    def _emptying(self, amounts: dict[str, Symbol]) -> list[str]:
        """Compartments that records turn off and on again."""
        return [f"empty(adm={k}, target={amounts[f'A({c})'].name})" for c, k in self.doses.emptying.items()]

    def _pkmodel(self, env: dict[str, Expression], record: dict[str, Expression]) -> PkModel | None:
        """`Cc = pkmodel(...)`, where the system is one that it has and only its concentration is read."""
        structural, doses = self.model.structural, self.doses.administrations
        form = (structural.closed_form or "").removesuffix("_absorption")
        if (
            form not in _FORMS
            or any(c.initial for c in structural.compartments)
            or len(doses) != 1
            or self.doses.emptying
        ):
            return None
        absorbed = form != structural.closed_form
        central = 2 if absorbed else 1
        read = names_read(self.model.executed.error)
        volume = self._volume(central, read, record)
        if volume is None or self.regressors.moving or env[volume] != record[volume]:
            return None
        if doses[0].input.compartment != 1 or (absorbed and not self._hidden_depot(read)):
            return None
        line = self._pkmodel_line(doses[0], env, record[volume], central, absorbed=absorbed)
        name = self.names.fresh("Cc")
        quotient = Binary("/", Symbol(f"A({central})"), Symbol(volume))
        return PkModel(name, f"{name} = {line}", quotient)

    def _volume(self, central: int, read: frozenset[str], record: Mapping[str, Expression]) -> str | None:
        """The variable of $PK by which all code divides the central amount, as F or itself (A(2)/V); None: there is
        more."""
        scale = self.model.structural.compartments[central - 1].scale
        amount, code = Symbol(f"A({central})"), self.model.executed.error
        if "F" in read and (scale is None or {g.compartment for g in self.groups} != {central}):
            return None
        named = sorted((read - names_assigned(code)) | ({scale} if "F" in read else set()))
        for volume in named:
            value = record.get(volume)
            if not isinstance(value, Symbol) or ("F" in read and value != record[scale]):
                continue
            rest = names_read(exchanged_in(code, Binary("/", amount, Symbol(volume)), Symbol("F")))
            if "F" in rest and not any(name.startswith("A(") for name in rest):
                return volume
        return None

    def _pkmodel_line(
        self, dose: Administration, env: dict[str, Expression], volume: Symbol, central: int, *, absorbed: bool
    ) -> str:
        structural = self.model.structural
        rates = {flow: env[n] for n, flow in zip(structural.rate_constants, structural.flows, strict=True)}
        found: list[tuple[str, str]] = []
        if absorbed:
            found.append(("ka", self._argument(rates[1, 2], "ka")))
        found += self._dose_options(dose, env)
        found.append(("V", volume.name))
        clearance = self._clearance(rates[central, 0], volume)
        found.append(("Cl", clearance) if clearance else ("k", self._argument(rates[central, 0], "k")))
        for k in range(1, len(structural.compartments) - central + 1):
            out, back = rates[central, central + k], rates[central + k, central]
            found += [(f"k1{k + 1}", self._argument(out, "k")), (f"k{k + 1}1", self._argument(back, "k"))]
        arguments = ", ".join(key if key == value else f"{key}={value}" for key, value in found)
        return f"pkmodel({arguments})"

    def _clearance(self, rate: Expression, volume: Symbol) -> str:
        """The clearance where the elimination rate is it over the volume; "": it is not."""
        value = next((d.value for d in self.definitions if rate == Symbol(d.name)), None)
        match value:
            case Binary(operator="/", left=Symbol(name), right=below) if below == volume:
                return name
        return ""

    def _argument(self, value: Expression, name: str) -> str:
        """An argument of a macro: a name or a number."""
        flat = self._flattened({})
        return expression_text(flat.variable(name, value))

    def _dose(self, a: Administration, env: dict[str, Expression], target: str, *, ka: str | None = None) -> str:
        parts = [f"adm={a.number}", target]
        parts += [f"{key}={value}" for key, value in self._dose_options(a, env)]
        if ka is not None:
            parts.append(f"ka={ka}")
        if target.startswith("target"):
            return f"depot({', '.join(parts)})"
        kind = "iv" if ka is None and a.way == "record" else "absorption"
        return f"{kind}({', '.join(parts)})"

    def _dividing(self, env: dict[str, Expression]) -> dict[int, tuple[str, ...]]:
        """Of every input of doses: categories that change within a subject, on which its F, ALAG, D or R depends."""
        found: dict[int, tuple[str, ...]] = {}
        for a in self.doses.administrations:
            used = (a.input.lag, a.input.bioavailability, a.input.duration, a.input.rate)
            moving = {n for name in used if name in env for n in self._moving(env[name])}
            items = sorted({self.regressors.columns[name][0] for name in moving})
            if items and all(self.data.categories(item) for item in items):
                found[a.input.number] = tuple(items)
        return found

    def _dose_options(self, a: Administration, env: dict[str, Expression]) -> list[tuple[str, str]]:
        """Tlag, p and Tk0 of an administration, where it has them."""
        found = []
        taken = a.input
        if a.items:
            env = self._run_pk(ahead=True, known=a.items)
        for name, key in ((taken.lag, "Tlag"), (taken.bioavailability, "p")):
            if name is None or is_number(env[name], ONE.value if key == "p" else 0.0):
                continue
            self._check_steady(env[name], name)
            if key == "p" and a.infusions:
                raise RefusedError(
                    name,
                    "F acts on the duration of an infusion in NONMEM and on its rate in Monolix. Give AMT in the data "
                    f"as what arrives, and leave {name} out",
                    self._place(name),
                )
            found.append((key, self._argument(env[name], name)))
        if a.way != "record":
            found.append(("Tk0", self._zero_order(a, env)))
        return found

    def _zero_order(self, a: Administration, env: dict[str, Expression]) -> str:
        name = {"duration": a.input.duration, "rate": a.input.rate}.get(a.way)
        if name is None:
            item = self.data.rows.columns[self.data.rows.index("rate")].name
            rate: Expression = self.regressors.symbol(item, ahead=False, wanted="infusion_rate")
        else:
            rate = env[name]
            self._check_steady(rate, name)
        if a.way == "duration":
            return self._argument(rate, name)
        share = ONE if a.input.bioavailability is None else env[a.input.bioavailability]
        duration = divide(multiply(Symbol("amtDose"), share), rate)
        return self._argument(duration, f"Tk0_{a.number}")

    def _check_steady(self, value: Expression, name: str) -> None:
        """Doses take their parameters from their own record."""
        moving = self._moving(value)
        if moving:
            raise RefusedError(
                name,
                f"it depends on {moving[0]}, which changes within a subject, and acts on doses. Use one per subject",
                self._place(name),
            )

    def _moving(self, value: Expression) -> list[str]:
        """Regressors that `value` depends on and that change within a subject."""
        definitions = needed_definitions(self.definitions, [value])
        read = {n for d in definitions for n in d.value.names()} | value.names()
        return sorted(n for n in read if self.regressors.columns.get(n, ("", False))[1])

    def _place(self, name: str) -> Location | None:
        """Of the last assignment in $PK."""
        return next((a.at for a in reversed(list(assignments(self.model.program.pk))) if a.target == name), None)

    def _equations(self, dynamic: dict[str, Expression], record: dict[str, Expression], amounts: dict) -> list:
        items = self._items(names_read(self.model.executed.des), ahead=True)
        env = {**dynamic, **items, **amounts, "T": Symbol("t")}
        lines: list = []
        for a in self.doses.administrations:
            target = amounts[f"A({a.input.compartment})"].name
            lines.append(self._dose(a, dynamic, f"target={target}"))
        lines += self._emptying(amounts)
        start = len(self.definitions)
        flat = self._flattened(env)
        flat.run(self.model.executed.des)
        moving = self.definitions[start:]
        del self.definitions[start:]
        lines.append("EQUATION:")
        if self.model.structural.stiff:
            lines.append("odeType = stiff")
        for c in self.model.structural.compartments:
            if c.initial is not None:
                name = amounts[f"A({c.number})"].name
                lines.append(Definition(f"{name}_0", self._simple(record[c.initial], f"{name}_INIT"), None))
        slopes = [(c, flat.env.get(f"DADT({c.number})", ZERO)) for c in self.model.structural.compartments]
        lines += moving
        for c, value in slopes:
            own = amounts[f"A({c.number})"].name
            if isinstance(value, Where):
                variable = self.names.fresh(f"SLOPE_{own}")
                lines.append(Definition(variable, value, None))
                value = Symbol(variable)
            lines.append(Definition(f"ddt_{own}", value, None))
        return lines

    def _simple(self, value: Expression, name: str) -> Expression:
        return self._flattened({}).variable(name, value) if isinstance(value, Where) else value

    # predictions -----------------------------------------------------------------------------------------
    def _prediction(self, group: OutcomeGroup, record: dict[str, Expression], amounts: dict) -> str:
        model = self.model
        formula = not model.structural.compartments
        known = {name: Number(value) for name, value in group.known.items()}
        code = settled(model.executed.error, decided_for(group, self.data.run.table))
        if self.concentration is not None:
            code = exchanged_in(code, self.concentration.quotient, Symbol("F"))
        read = names_read(code)
        items = {n: v for n, v in self._items_of_record(read, known).items() if formula or n not in record}
        env = {**(self._base(items) if formula else record), **items, **amounts, **known, "T": Symbol("t")}
        if not formula:
            amount = amounts[f"A({group.compartment})"]
            scale = next(c.scale for c in model.structural.compartments if c.number == group.compartment)
            env["F"] = amount if scale is None else Binary("/", amount, record[scale])
            if self.concentration is not None:
                env["F"] = Symbol(self.concentration.name)
        flat = self._flattened(env)
        flat.called = dict.fromkeys(("IPRED", group.wanted_name.upper()), group.wanted_name)
        flat.run(code)
        value = flat.env.get("Y")
        if value is None:
            raise RefusedError("Y", "the code gives no prediction for these records. Assign Y in every branch")
        if "DV" in value.names():
            reason = "the prediction reads DV. Write it without, or add the column to the data under another name"
            raise RefusedError("Y", reason)
        known_names = {d.name for d in self.definitions} | ({self.concentration.name} if self.concentration else set())
        if isinstance(value, Symbol) and value.name in known_names:
            return value.name
        name = self.names.fresh(group.wanted_name)
        self.definitions.append(Definition(name, value, None))
        return name

    def _items_of_record(self, read: frozenset[str], known: Mapping[str, Expression]) -> dict[str, Expression]:
        items = read & set(self.data.canonical) - set(known)
        times = {n for n in items if self.data.role(n) == "time" and np.all(self.data.values(n) == self.data.time)}
        found = self._items(frozenset(items - times), ahead=False)
        return {**found, **dict.fromkeys(times, Symbol("t"))}

    # text ------------------------------------------------------------------------------------------------
    def _text(self, pk: list, system: list, after: list, outputs: list[str]) -> StructuralText:
        words = _words(" ".join(s for s in system if isinstance(s, str)))
        roots = [d for d in system if isinstance(d, Definition) and _is_root(d.name)]
        everything = [*pk, *(d for d in system if isinstance(d, Definition)), *after]
        wanted = [*map(Symbol, (*outputs, *words)), *(d.value for d in roots)]
        kept = {d.name for d in needed_definitions(everything, wanted)} | {d.name for d in roots}
        pk, system, after = (
            [d for d in part if isinstance(d, str) or d.name in kept] for part in (pk, system, after)
        )  # fmt: skip
        lines = ["PK:" if self.model.structural.compartments else "EQUATION:"]
        lines += self._lines(pk) + self._lines(system)
        if after and self.model.structural.compartments and "EQUATION:" not in system:
            lines += ["", "EQUATION:"]
        lines += self._lines(after)
        shown = list(dict.fromkeys(outputs))
        lines += ["", "OUTPUT:", f"output = {shown[0] if len(shown) == 1 else '{' + ', '.join(shown) + '}'}"]
        read = {n for d in everything if d.name in kept for n in d.value.names()} | set(words)
        return StructuralText(lines, outputs, frozenset(read), self.entries)

    def _lines(self, parts: list) -> list[str]:
        lines: list[str] = []
        for part in parts:
            if isinstance(part, str):
                lines += ["", part] if part.endswith(":") else [part]
            else:
                lines += definition_lines(part.name, part.value, self.names.fresh)
        return lines


def _flow_lines(rates: dict[tuple[int, int], str], number: dict[int, int], *, hidden: bool) -> list[str]:
    lines, done = [], set()
    for (source, to), rate in sorted(rates.items(), key=lambda flow: (flow[0][1] == 0, flow[0])):
        if (hidden and source == 1) or (source, to) in done:
            continue
        back = rates.get((to, source))
        if to == 0:
            lines.append(f"elimination(cmt={number[source]}, k={rate})")
        elif back is not None:
            lines.append(f"transfer(from={number[source]}, to={number[to]}, kt={rate})")
            lines.append(f"transfer(from={number[to]}, to={number[source]}, kt={back})")
            done.add((to, source))
        else:
            lines.append(f"transfer(from={number[source]}, to={number[to]}, kt={rate})")
    return lines


def _is_root(name: str) -> bool:
    """A derivative or an initial value."""
    return name.startswith("ddt_") or name.endswith("_0")


def _words(text: str) -> list[str]:
    """Names that macros read: neither their own nor those of their arguments (V=V2)."""
    return re.findall(r"[A-Za-z]\w*\b(?!\s*[=(])", text)
