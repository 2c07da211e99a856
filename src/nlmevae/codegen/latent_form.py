"""The model as functions of the latent variables: what every decoder back end is generated from.

The program is executed symbolically. At the assignment that defines a mu-referenced individual
parameter, the right-hand side becomes h^-1(Z(k)): everything computed only to get there (typical
values, covariate effects) drops out, and the decoder depends on a THETA only if the code needs it
elsewhere. Those are the *structural* THETAs, extra decoder inputs on the natural scale. An ETA that makes
no single parameter random is a component of z itself, with mean 0: the code reads it as it stands. A parameter
that changes within a subject is h^-1(Z(k) + rest), see typical_split.py.

    decoder input  x = [Z(1) .. Z(d) | structural THETAs]
    individual     x, covariates, switches  -> p: the values the rest of the code reads
    initial        p                        -> A(1) .. A(n) at the first record
    rhs            T, A(1) .. A(n), p       -> DADT(1) .. DADT(n)
    output         T, A(1) .. A(n), p, record items -> prediction Y at EPS = 0, one per observed compartment
    mu             THETAs, covariates       -> mu(1) .. mu(d), the mean of Z
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.execute import Executor, substitute
from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.linear_equations import LinearEquations, linear_equations
from nlmevae.codegen.typical_split import Surroundings, split_typical
from nlmevae.data.events import EventTable
from nlmevae.data.switched_model import switched_model
from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.ir import (
    Assign,
    Compartment,
    IndividualParameter,
    Model,
    Transform,
    assignments,
    past_flags,
    status_name,
    time_of,
)

#: Compartments; the closed form of more, where modes are too close to be told apart, costs twice their integration.
_MOST_IN_CLOSED_FORM = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """One component of z. `name` is the individual parameter, `eta` its random effect; where both are the
    same, z is the ETA itself, with mean 0. `changing`: the parameter changes within a subject; z is then
    without its changing part."""

    name: str
    eta: str
    transform: Transform
    changing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DosingTarget:
    """Where doses into one input (ir.DoseInput) go. `bioavailability` and `lag` are output names of
    `individual` (None: 1 and 0); `duration` and `rate` too, of infusions that leave them to the model (None: the
    data have no such infusion into the input)."""

    compartment: int
    bioavailability: str | None = None
    lag: str | None = None
    duration: str | None = None
    rate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentForm:
    """All functions share one graph; argument orders are fixed here and nowhere else.

    Attributes:
        latents: z_1 .. z_d in ETA order, one for every ETA that is not fixed at zero, whatever it acts on;
            input names ``Z(1)`` ...
        structural: estimated THETAs that are decoder inputs, natural scale (fixed ones are constants).
        covariates: inputs of `individual` and `mu` after the above (EventTable.covariate_names).
        record_items: inputs of `output` (EventTable.record_names).
        parameters: output names of `individual` (p), the inputs of the functions below.
        n_compartments: 0 for a model given by a formula.
        observed: compartment number of each output of `output` (EventTable.ob_cmt selects).
        linear: `rhs` as a rate matrix, None where it is not linear in the amounts.
        dosing: one per dose input, in order of their numbers (EventTable.ev_cmt): first those of the compartments.
        switches: ``MPAST(i)`` that the code reads, inputs of `individual` after the covariates: 0, and 1 from the model
            time on that is the parameter `time_of(switch)` ("MTIME(i)"), which is constant in each subject.
    """

    model: Model
    latents: tuple[Latent, ...]
    structural: tuple[str, ...]
    covariates: tuple[str, ...]
    record_items: tuple[str, ...]
    parameters: tuple[str, ...]
    n_compartments: int
    observed: tuple[int, ...]
    linear: LinearEquations | None
    dosing: tuple[DosingTarget, ...]
    individual: Function
    initial: Function
    rhs: Function
    output: Function
    mu: Function
    switches: tuple[str, ...] = ()

    @property
    def model_times(self) -> tuple[str, ...]:
        """The parameter that is the time of each switch."""
        return tuple(time_of(switch) for switch in self.switches)

    @property
    def n_latents(self) -> int:
        return len(self.latents)

    @property
    def n_inputs(self) -> int:
        """Columns of the decoder input: latents, then structural THETAs."""
        return len(self.latents) + len(self.structural)

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(f"Z({k + 1})" for k in range(len(self.latents))) + self.structural

    def automatic_backend(self, table: EventTable) -> str:
        """The exact decoder back end where there is one (formula, closed form), else the compiled integrator; that also
        for many compartments, except for steady states, of which it would have to integrate many intervals."""
        if self.n_compartments == 0:
            return "formula"
        large = self.n_compartments > _MOST_IN_CLOSED_FORM and not table.ev_is_steady.any()
        return "compiled" if large or self.closed_form_obstacle(table) else "closed_form"

    def closed_form_obstacle(self, table: EventTable) -> str:
        """Why the amounts have no closed form, empty where they have one."""
        if self.linear is None:
            return "its differential equations are not linear in the amounts, or read the time"
        if self.switches:
            return "its parameters change at model event times (MTIME)"
        if table.ev_is_steady.any() and self.linear.keeps_drug(self.rhs.graph):
            return "the data ask for steady states, and the model has amounts that nothing leaves"
        return ""

    def dosed_states(self, inputs: np.ndarray) -> np.ndarray:
        """Index (from 0) of the compartment that each of `inputs` (EventTable.ev_cmt, from 1) enters."""
        states = np.array([target.compartment for target in self.dosing], dtype=np.int64) - 1
        return states[np.asarray(inputs, dtype=np.int64) - 1]


def latent_form(model: Model, table: EventTable) -> LatentForm:
    """Derive the functions of `model`; `table` says which covariates are constant in each subject.

    Raises:
        UnsupportedError: a modelled rate, or the bioavailability or modelled duration of a delayed dose, that changes
            within a subject; a model time that does.
        SemanticError: a name has no value, or a random effect acts where recognition did not find it.
    """
    return _Builder(model, table).build()


class _Builder:
    """Holds the graph while the five functions are derived from it."""

    def __init__(self, stated: Model, table: EventTable) -> None:
        self.stated = stated
        self.model = model = switched_model(stated, table)
        self.program = model.executed
        self.table = table
        self.graph = Graph()
        self.zero_etas = model.zero_etas
        self.latents = list(_latents(model))
        self.latent_of = {latent.name: k for k, latent in enumerate(self.latents)}
        self.parameters = {p.name: p for p in model.individual_parameters if p.name in self.latent_of}
        self.whole: dict[str, int] = {}  # Z(k) of a parameter that changes within a subject -> Z(k) + rest
        self.formula = not model.structural.compartments
        self.switches = past_flags(self.program)
        self.moving = set(table.record_names) if self.formula else _changing_covariates(table) | {*self.switches}
        self.thetas = {t.name for t in model.thetas}
        # a fixed THETA is a number: no input, no sensitivities
        self.fixed = {t.name: t.init for t in model.thetas if t.fixed}

    def build(self) -> LatentForm:
        individual_env = self._run_individual()
        output, output_reads = self._output(individual_env)
        rhs, rhs_reads = self._rhs(individual_env)
        initial, initial_reads = self._initial()
        dosing, dosing_reads = self._dosing()
        reads = output_reads | rhs_reads | initial_reads | dosing_reads
        reads |= {time_of(switch) for switch in self.switches}
        parameters = tuple(sorted(reads, key=self._parameter_order))
        nodes = [self._parameter_node(name, individual_env) for name in parameters]
        structural = tuple(sorted(self.graph.inputs_of(nodes) & self.thetas, key=_theta_number))
        latent_names = tuple(f"Z({k + 1})" for k in range(len(self.latents)))
        covariates = self.table.covariate_names
        self._check_no_stray_effects(nodes)
        self._check_changing_doses(individual_env, dosing)
        self._check_model_times(individual_env)
        self._check_switched_off(rhs)
        slopes = Function(name="rhs", graph=self.graph, inputs=("T", *self._amounts(), *parameters), outputs=rhs)
        return LatentForm(
            model=self.stated,
            latents=tuple(self.latents),
            structural=structural,
            covariates=covariates,
            record_items=self.table.record_names,
            parameters=parameters,
            n_compartments=len(self.model.structural.compartments),
            observed=self._observed(),
            linear=linear_equations(slopes, len(self._amounts())) if rhs else None,
            dosing=dosing,
            switches=self.switches,
            individual=Function(
                name="individual",
                graph=self.graph,
                inputs=latent_names + structural + covariates + self.switches,
                outputs=tuple(zip(parameters, nodes, strict=True)),
            ),
            initial=Function(name="initial", graph=self.graph, inputs=parameters, outputs=initial),
            rhs=slopes,
            output=Function(
                name="output",
                graph=self.graph,
                inputs=("T", *self._amounts(), *parameters, *self.table.record_names),
                outputs=output,
            ),
            mu=self._mu(individual_env),
        )

    # the individual level -------------------------------------------------------------------------
    def _run_individual(self) -> dict[str, int]:
        """$PK, or all of $PRED, with h^-1(Z) in place of the parameters that carry random effects."""
        program = self.program.error if self.formula else self.program.pk
        # NM-TRAN: A_0(n) is 0 where $PK assigns it under a condition that does not hold
        empty = {c.initial: self.graph.constant(0.0) for c in self.model.structural.compartments if c.initial}
        env = Executor(self.graph, self._resolve_individual, self._replace_by_latent).run(program, empty)
        return self._settle_means(env)

    def _resolve_individual(self, name: str) -> int | None:
        if name in self.zero_etas or name.startswith("EPS("):
            return self.graph.constant(0.0)
        if name in self.fixed:
            return self.graph.constant(self.fixed[name])
        if name in self.latent_of:  # an ETA that is a latent itself
            return self.graph.input(name if self.formula else f"Z({self.latent_of[name] + 1})")
        known = name in self.thetas or name in self.model.etas or name in self.table.covariate_names
        known = known or name in self.switches or (self.formula and name in self.table.record_names)
        return self.graph.input(name) if known else None

    def _defines(self, statement: Assign, value: int) -> IndividualParameter | None:
        """The individual parameter that gets its random effect here."""
        parameter = self.parameters.get(statement.target)
        carries = parameter is not None and parameter.eta in self.graph.inputs_of([value])
        return parameter if carries else None

    def _replace_by_latent(self, env: dict[str, int], statement: Assign, value: int) -> int:
        parameter = self._defines(statement, value)
        if parameter is None:
            return value
        k = self.latent_of[parameter.name]
        typical = substitute(self.graph, value, {parameter.eta: self.graph.constant(0.0)})
        env[_mu_name(k)] = _to_gaussian(self.graph, parameter.transform, typical)
        return _to_natural(self.graph, parameter.transform, self.graph.input(f"Z({k + 1})"))

    def _settle_means(self, env: dict[str, int]) -> dict[str, int]:
        """The environment with means that are constant within each subject, components of z with the rest added."""
        pending = {k: env[_mu_name(k)] for k in self.latent_of.values() if _mu_name(k) in env}
        pending = {k: mean for k, mean in pending.items() if self._changes(mean)}
        means = {}
        while pending:  # those first whose rest reads no other one that is still to be settled
            waiting = {f"Z({k + 1})" for k in pending}
            k = next(k for k, mean in pending.items() if not self.graph.inputs_of([mean]) & waiting)
            mean = pending.pop(k)
            split = split_typical(self.graph, mean, self._surroundings(env))
            rest, means[_mu_name(k)] = (mean, self.graph.constant(0.0)) if split is None else (split.rest, split.mu)
            eta = self.latents[k].eta
            itself = Latent(name=eta, eta=eta, transform=Transform(kind="identity"))
            self.latents[k] = itself if split is None else replace(self.latents[k], changing=True)
            z = f"Z({k + 1})"
            self.whole[z] = self.graph.add(self.graph.input(z), substitute(self.graph, rest, self.whole))
        return {name: substitute(self.graph, node, self.whole) for name, node in env.items()} | means

    def _changes(self, mean: int) -> bool:
        """It reads a data item that changes within a subject, or another component of z."""
        read = self.graph.inputs_of([mean])
        return bool(read & self.moving or any(name.startswith(("Z(", "ETA(")) for name in read))

    def _surroundings(self, env: dict[str, int]) -> Surroundings:
        table, formula = self.table, self.formula
        held = {n: table.cov[:, j] for j, n in enumerate(table.covariate_names) if n not in self.moving}
        moving = {n: table.cov[:, j] for j, n in enumerate(table.covariate_names) if n in self.moving}
        if formula:
            moving = {n: table.ob_data[:, j] for j, n in enumerate(table.record_names)}
        elif self.switches:
            moving = _with_switches(moving, self.switches, len(table.cov))
        free = {t.name: t for t in self.model.thetas if not t.fixed}
        usual = {f"Z({k + 1})": self._usual_mean(env, k, held) for k in range(len(self.latents))}
        usual |= {latent.eta: 0.0 for latent in self.latents}
        return Surroundings(held=held, moving=moving, latents=usual, thetas=free)

    def _usual_mean(self, env: dict[str, int], k: int, held: dict[str, np.ndarray]) -> float:
        """mu(k) at the initial estimates for the first subject; 0 if it is not known yet."""
        node = env.get(_mu_name(k))
        if node is None or not self.table.n_subjects:
            return 0.0
        values = {t.name: t.init for t in self.model.thetas} | {name: float(v[0]) for name, v in held.items()}
        value = self.graph.value_of(
            substitute(self.graph, node, {n: self.graph.constant(v) for n, v in values.items()})
        )
        return value if value is not None and math.isfinite(value) else 0.0

    def _mu(self, env: dict[str, int]) -> Function:
        names = tuple(_mu_name(k) for k in range(len(self.latents)))
        missing = [p for p in self.parameters.values() if _mu_name(self.latent_of[p.name]) not in env]
        if missing:
            raise SemanticError(
                f"{missing[0].name} does not get its random effect {missing[0].eta} on every path",
                hint=f"assign {missing[0].name} once, after the IF block that prepares its typical value",
                location=missing[0].at,
            )
        nodes = [env.get(n, self.graph.constant(0.0)) for n in names]
        thetas = sorted(self.graph.inputs_of(nodes) & self.thetas, key=_theta_number)
        return Function(
            name="mu",
            graph=self.graph,
            inputs=(*thetas, *self.table.covariate_names),
            outputs=tuple(zip(names, nodes, strict=True)),
        )

    # what the rest of the code reads --------------------------------------------------------------
    def _rhs(self, env: dict[str, int]) -> tuple[tuple[tuple[str, int], ...], set[str]]:
        if self.formula:
            return (), set()
        reads: set[str] = set()
        resolve = self._resolver(env, reads, state={"T", *self._amounts()}, items=())
        after = Executor(self.graph, resolve).run(self.program.des, {})
        count = len(self.model.structural.compartments)
        outputs = tuple((f"DADT({n})", after[f"DADT({n})"]) for n in range(1, count + 1))
        return outputs, reads & self.graph.inputs_of(node for _, node in outputs)

    def _output(self, env: dict[str, int]) -> tuple[tuple[tuple[str, int], ...], set[str]]:
        if self.formula:
            return self._formula_output()
        outputs = []
        reads: set[str] = set()
        for number in self._observed():
            compartment = self.model.structural.compartments[number - 1]
            resolve = self._resolver(env, reads, {"T", *self._amounts()}, self.table.record_names)
            start = {"F": self._scaled_amount(compartment, resolve)}
            after = Executor(self.graph, resolve).run(self.program.error, start)
            outputs.append((f"Y({number})", after["Y"]))
        return tuple(outputs), reads & self.graph.inputs_of(node for _, node in outputs)

    def _formula_output(self) -> tuple[tuple[tuple[str, int], ...], set[str]]:
        """Y of $PRED over p = the individual parameters, the structural THETAs and the constant covariates."""
        executor = Executor(self.graph, self._resolve_individual, self._replace_by_input)
        after = executor.run(self.program.error, {})
        if "Y" not in after:
            raise SemanticError("Y is not assigned on every path of $PRED", hint="assign Y in every branch")
        reads = self.graph.inputs_of([after["Y"]]) - set(self.table.record_names)
        return (("Y(0)", after["Y"]),), reads

    def _replace_by_input(self, env: dict[str, int], statement: Assign, value: int) -> int:
        parameter = self._defines(statement, value)
        if parameter is None:
            return value
        z = self.whole.get(f"Z({self.latent_of[parameter.name] + 1})")
        return self.graph.input(parameter.name) if z is None else _to_natural(self.graph, parameter.transform, z)

    def _scaled_amount(self, compartment: Compartment, resolve) -> int:
        amount = self.graph.input(f"A({compartment.number})")
        if compartment.scale is None:
            return amount
        return self.graph.div(amount, resolve(compartment.scale))

    def _initial(self) -> tuple[tuple[tuple[str, int], ...], set[str]]:
        outputs = []
        reads = set()
        for c in self.model.structural.compartments:
            outputs.append((f"A({c.number})", self.graph.input(c.initial) if c.initial else self.graph.constant(0.0)))
            reads |= {c.initial} if c.initial else set()
        return tuple(outputs), reads

    def _dosing(self) -> tuple[tuple[DosingTarget, ...], set[str]]:
        by_duration = set(self.table.ev_cmt[self.table.ev_rate == -2].tolist())
        by_rate = set(self.table.ev_cmt[self.table.ev_rate == -1].tolist())
        targets = tuple(
            DosingTarget(
                compartment=i.compartment,
                bioavailability=i.bioavailability,
                lag=i.lag,
                duration=i.duration if i.number in by_duration else None,
                rate=i.rate if i.number in by_rate else None,
            )
            for i in self.model.structural.dose_inputs
        )
        return targets, {n for t in targets for n in (t.bioavailability, t.lag, t.duration, t.rate) if n}

    def _resolver(self, env: dict[str, int], reads: set[str], state: set[str], items: tuple[str, ...]):
        """Names as inputs; those that come from the individual level are noted in `reads`."""

        def resolve(name: str) -> int | None:
            if name in self.zero_etas or name.startswith("EPS("):
                return self.graph.constant(0.0)
            if name in self.fixed:
                return self.graph.constant(self.fixed[name])
            if name in state or name in items:
                return self.graph.input(name)
            individual = name in env or name in self.thetas or name in self.latent_of
            if individual or name in self.table.covariate_names or name in self.switches:
                reads.add(name)
                return self.graph.input(name)
            return None

        return resolve

    def _parameter_node(self, name: str, env: dict[str, int]) -> int:
        k = self.latent_of.get(name)
        if k is not None and name.startswith("ETA("):
            return self.graph.input(f"Z({k + 1})")
        if k is not None and self.formula:
            return _to_natural(self.graph, self.latents[k].transform, self.graph.input(f"Z({k + 1})"))
        return env[name] if name in env and not self.formula else self.graph.input(name)

    def _parameter_order(self, name: str) -> tuple[int, str]:
        """Latents in ETA order first, then the rest by name."""
        return (self.latent_of.get(name, len(self.latents)), name)

    def _amounts(self) -> tuple[str, ...]:
        return tuple(f"A({c.number})" for c in self.model.structural.compartments)

    def _observed(self) -> tuple[int, ...]:
        if self.formula:
            return (0,)
        seen = sorted({int(c) for c in np.unique(self.table.ob_cmt)})
        return tuple(seen) or (self.model.structural.default_observation,)

    def _check_no_stray_effects(self, nodes: list[int]) -> None:
        stray = self.graph.inputs_of(nodes) & set(self.model.etas)
        if stray:
            name = sorted(stray)[0]
            raise SemanticError(
                f"{name} acts in a place other than the parameter it was recognised on",
                hint="give each ETA to one parameter, as in CL = TVCL*EXP(ETA(1))",
            )

    def _check_changing_doses(self, env: dict[str, int], dosing: tuple[DosingTarget, ...]) -> None:
        """NONMEM gives a lagged dose the F and D of the record after it arrives, and a running infusion the R of every
        record (help, $BIND and dose event record); decoders take those of the dose's own record."""
        for number, target in enumerate(dosing, 1):
            if target.lag:
                self._check_lag_of_additional_doses(env, number, target)
                self._check_constant(
                    env, target.bioavailability, f"{target.lag} delays the doses", "the fraction into AMT"
                )
                self._check_constant(env, target.duration, f"{target.lag} delays the doses", "the rate into RATE")
            self._check_constant(env, target.rate, "it would change while an infusion runs", "the rate into RATE")

    def _check_switched_off(self, rhs: tuple[tuple[str, int], ...]) -> None:
        """A compartment that is off stays without amount: by its status in the equation, or where nothing flows into
        it. What flows into it is lost, but may be counted by the output compartment."""
        numbers = [c.number for c in self.model.structural.compartments]
        held = {n for n in numbers if status_name(n) in self.table.covariate_names}
        for number in sorted(set(self.table.unfed) | held):
            on = {f"A({number})": self.graph.constant(0.0), status_name(number): self.graph.constant(1.0)}
            fed = self.graph.value_of(substitute(self.graph, rhs[number - 1][1], on)) != 0.0
            if fed and number not in held:
                raise UnsupportedError(
                    f"compartment {number} is off for a while, and whether something flows into it then could not be "
                    "settled",
                    hint="leave it on",
                    location=self._equation_place(number),
                )
            if fed:
                self._check_lost(number)

    def _check_lost(self, number: int) -> None:
        """Drug that flows into a compartment that is off: the mass balance would count it as eliminated."""
        output = self.stated.structural.output
        if output is None or not self.table.output or number == output.number:
            return
        names = self.table.covariate_names
        off = self.table.cov[:, names.index(status_name(number))] == 0.0
        if status_name(output.number) in names:
            off &= self.table.cov[:, names.index(status_name(output.number))] == 1.0
        if off.any():
            raise UnsupportedError(
                f"compartment {number} is off while the output compartment is on, and something flows into it: whether "
                "that counts as eliminated is not known",
                hint=f"turn {number} on whenever the output compartment ({output.number}) is on",
                location=self._equation_place(number),
            )

    def _equation_place(self, number: int) -> Location | None:
        found = [a.at for a in assignments(self.stated.program.des) if a.target == f"DADT({number})"]
        return found[0] if found else None

    def _check_lag_of_additional_doses(self, env: dict[str, int], number: int, target: DosingTarget) -> None:
        """NONMEM gives additional doses the lag of their record (help, dose event record), decoders that of their own
        time."""
        table = self.table
        own = table.ev_is_dose & (table.ev_cmt == number)
        subject = np.repeat(np.arange(table.n_subjects), np.diff(table.ev_ptr))[own]
        records = np.unique(np.stack([subject, table.ev_order[own]]), axis=1)
        if records.shape[1] < len(subject):
            self._check_constant(env, target.lag, "additional doses keep that of their record", "ADDL into records")

    def _check_constant(self, env: dict[str, int], name: str | None, why: str, remedy: str) -> None:
        reads = sorted(self.moving & self.graph.inputs_of([env[name]])) if name else []
        if reads:
            raise UnsupportedError(
                f"{name} depends on {reads[0]}, which changes within a subject, and {why}: not supported",
                hint=f"put {remedy}, or let {name} read a value that is constant in each subject",
            )

    def _check_model_times(self, env: dict[str, int]) -> None:
        """NONMEM takes the times of the first record, with MTDIFF the last ones before each advance (help, MTIME); one
        value per subject is both."""
        for name in (time_of(switch) for switch in self.switches):
            reads = sorted(self.moving & self.graph.inputs_of([env[name]]))
            if reads:
                places = [a.at for a in assignments(self.model.program.pk) if a.target == name]
                raise UnsupportedError(
                    f"{name} depends on {reads[0]}, which changes within a subject: not supported",
                    hint=f"let {name} read THETAs, ETAs and data items that are constant in each subject; a time after "
                    "every dose needs an MTIME(n) of its own for each",
                    location=places[-1] if places else None,
                )


def _mu_name(k: int) -> str:
    return f"mu({k + 1})"


def _theta_number(name: str) -> int:
    return int(name[name.index("(") + 1 : -1])


def _latents(model: Model) -> tuple[Latent, ...]:
    parameter = {p.eta: p for p in model.individual_parameters}
    itself = Transform(kind="identity")
    return tuple(
        Latent(name=p.name, eta=eta, transform=p.transform)
        if (p := parameter.get(eta))
        else Latent(name=eta, eta=eta, transform=itself)
        for eta in model.etas
        if eta not in model.zero_etas
    )


def _changing_covariates(table: EventTable) -> set[str]:
    """Covariates that change within a subject."""
    if table.static:
        return set()
    first = np.repeat(table.cov[table.cov_ptr[:-1]], np.diff(table.cov_ptr), axis=0)
    return {n for j, n in enumerate(table.covariate_names) if not np.array_equal(first[:, j], table.cov[:, j])}


def _with_switches(moving: dict[str, np.ndarray], switches: tuple[str, ...], n_rows: int) -> dict[str, np.ndarray]:
    """`moving` (n_rows,) each, with the switches at 0, each alone at 1, and all at 1."""
    states = np.vstack([np.zeros(len(switches)), np.eye(len(switches)), np.ones(len(switches))])
    repeated = {name: np.tile(values, len(states)) for name, values in moving.items()}
    return repeated | {name: np.repeat(states[:, j], n_rows) for j, name in enumerate(switches)}


def _to_natural(graph: Graph, transform: Transform, z: int) -> int:
    """psi = h^-1(z)."""
    if transform.kind == "identity":
        return z
    if transform.kind == "log":
        return graph.add(graph.apply("exp", z), graph.constant(transform.lower))
    width = transform.upper - transform.lower
    if not math.isfinite(width):
        raise ValueError("a logit transform needs two finite bounds")
    # lower + width / (1 + exp(-z))
    one = graph.constant(1.0)
    share = graph.div(one, graph.add(one, graph.apply("exp", graph.apply("neg", z))))
    return graph.add(graph.constant(transform.lower), graph.mul(graph.constant(width), share))


def _to_gaussian(graph: Graph, transform: Transform, psi: int) -> int:
    """z = h(psi)."""
    if transform.kind == "identity":
        return psi
    above = graph.sub(psi, graph.constant(transform.lower))
    if transform.kind == "log":
        return graph.apply("log", above)
    return graph.apply("log", graph.div(above, graph.sub(graph.constant(transform.upper), psi)))
