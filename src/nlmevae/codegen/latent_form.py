"""The model as functions of the latent variables: what every decoder back end is generated from.

The program is executed symbolically. At the assignment that defines a mu-referenced individual
parameter, the right-hand side becomes h^-1(Z(k)): everything computed only to get there (typical
values, covariate effects) drops out, and the decoder depends on a THETA only if the code needs it
elsewhere. Those are the *structural* THETAs, extra decoder inputs on the natural scale.

    decoder input  x = [Z(1) .. Z(d) | structural THETAs]
    individual     x, covariates            -> p: the values the rest of the code reads
    initial        p                        -> A(1) .. A(n) at the first record
    rhs            T, A(1) .. A(n), p       -> DADT(1) .. DADT(n)
    output         T, A(1) .. A(n), p, record items -> prediction Y at EPS = 0, one per observed compartment
    mu             THETAs, covariates       -> mu(1) .. mu(d), the mean of Z
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.execute import Executor, substitute
from nlmevae.codegen.graph import Function, Graph
from nlmevae.data.events import EventTable
from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.ir import Assign, Compartment, IndividualParameter, Model, Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """One component of z. `name` is the individual parameter, `eta` its random effect."""

    name: str
    eta: str
    transform: Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class DosingTarget:
    """Where doses into one compartment go. `bioavailability` and `lag` are output names of
    `individual` (None: 1 and 0)."""

    compartment: int
    bioavailability: str | None = None
    lag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentForm:
    """All functions share one graph; argument orders are fixed here and nowhere else.

    Attributes:
        latents: z_1 .. z_d in ETA order; input names ``Z(1)`` ...
        structural: estimated THETAs that are decoder inputs, natural scale (fixed ones are constants).
        covariates: inputs of `individual` and `mu` after the above (EventTable.covariate_names).
        record_items: inputs of `output` (EventTable.record_names).
        parameters: output names of `individual` (p), the inputs of the functions below.
        n_compartments: 0 for a model given by a formula.
        observed: compartment number of each output of `output` (EventTable.ob_cmt selects).
        closed_form: ir.StructuralModel.closed_form; `rate_constants` are then names in `parameters`.
        dosing: one per compartment, in order.
    """

    model: Model
    latents: tuple[Latent, ...]
    structural: tuple[str, ...]
    covariates: tuple[str, ...]
    record_items: tuple[str, ...]
    parameters: tuple[str, ...]
    n_compartments: int
    observed: tuple[int, ...]
    closed_form: str | None
    rate_constants: tuple[str, ...]
    dosing: tuple[DosingTarget, ...]
    individual: Function
    initial: Function
    rhs: Function
    output: Function
    mu: Function

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


def latent_form(model: Model, table: EventTable) -> LatentForm:
    """Derive the functions of `model`; `table` says which covariates are constant in each subject.

    Raises:
        UnsupportedError: a typical value depends on a covariate that changes within a subject.
        SemanticError: a name has no value, or a random effect acts where recognition did not find it.
    """
    return _Builder(model, table).build()


class _Builder:
    """Holds the graph while the five functions are derived from it."""

    def __init__(self, model: Model, table: EventTable) -> None:
        self.model = model
        self.program = model.executed
        self.table = table
        self.graph = Graph()
        zero_etas = _etas_fixed_at_zero(model)
        self.zero_etas = zero_etas
        self.parameters = [p for p in model.individual_parameters if p.eta not in zero_etas]
        self.latent_of = {p.name: k for k, p in enumerate(self.parameters)}
        self.formula = not model.structural.compartments
        self.thetas = {t.name for t in model.thetas}
        # a fixed THETA is a number: no input, no sensitivities
        self.fixed = {t.name: t.init for t in model.thetas if t.fixed}

    def build(self) -> LatentForm:
        _check_static(self.model, self.parameters, self.table)
        individual_env = self._run_individual()
        output, output_reads = self._output(individual_env)
        rhs, rhs_reads = self._rhs(individual_env)
        initial, initial_reads = self._initial()
        dosing, dosing_reads = self._dosing()
        rate_constants = self.model.structural.rate_constants if self.model.structural.closed_form else ()
        reads = output_reads | rhs_reads | initial_reads | dosing_reads | set(rate_constants)
        parameters = tuple(sorted(reads, key=self._parameter_order))
        nodes = [self._parameter_node(name, individual_env) for name in parameters]
        structural = tuple(sorted(self.graph.inputs_of(nodes) & self.thetas, key=_theta_number))
        latent_names = tuple(f"Z({k + 1})" for k in range(len(self.parameters)))
        covariates = self.table.covariate_names
        self._check_no_stray_effects(nodes)
        self._check_lagged_bioavailability(individual_env)
        return LatentForm(
            model=self.model,
            latents=tuple(Latent(name=p.name, eta=p.eta, transform=p.transform) for p in self.parameters),
            structural=structural,
            covariates=covariates,
            record_items=self.table.record_names,
            parameters=parameters,
            n_compartments=len(self.model.structural.compartments),
            observed=self._observed(),
            closed_form=self.model.structural.closed_form,
            rate_constants=rate_constants,
            dosing=dosing,
            individual=Function(
                name="individual",
                graph=self.graph,
                inputs=latent_names + structural + covariates,
                outputs=tuple(zip(parameters, nodes, strict=True)),
            ),
            initial=Function(name="initial", graph=self.graph, inputs=parameters, outputs=initial),
            rhs=Function(name="rhs", graph=self.graph, inputs=("T", *self._amounts(), *parameters), outputs=rhs),
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
        # a random effect that is no deviation of a parameter: it has mean 0
        own = [k for k, p in enumerate(self.parameters) if p.name == p.eta]
        empty |= {_mu_name(k): self.graph.constant(0.0) for k in own}
        return Executor(self.graph, self._resolve_individual, self._replace_by_latent).run(program, empty)

    def _resolve_individual(self, name: str) -> int | None:
        if name in self.zero_etas or name.startswith("EPS("):
            return self.graph.constant(0.0)
        if name in self.fixed:
            return self.graph.constant(self.fixed[name])
        known = name in self.thetas or name in self.model.etas or name in self.table.covariate_names
        known = known or (self.formula and name in self.table.record_names)
        return self.graph.input(name) if known else None

    def _replace_by_latent(self, env: dict[str, int], statement: Assign, value: int) -> int:
        k = self.latent_of.get(statement.target)
        if k is None or self.parameters[k].eta not in self.graph.inputs_of([value]):
            return value
        parameter = self.parameters[k]
        typical = substitute(self.graph, value, {parameter.eta: self.graph.constant(0.0)})
        env[_mu_name(k)] = _to_gaussian(self.graph, parameter.transform, typical)
        return _to_natural(self.graph, parameter.transform, self.graph.input(f"Z({k + 1})"))

    def _mu(self, env: dict[str, int]) -> Function:
        names = tuple(_mu_name(k) for k in range(len(self.parameters)))
        missing = [p for p, n in zip(self.parameters, names, strict=True) if n not in env]
        if missing:
            raise SemanticError(
                f"{missing[0].name} does not get its random effect {missing[0].eta} on every path",
                hint=f"assign {missing[0].name} once, after the IF block that prepares its typical value",
                location=missing[0].at,
            )
        nodes = [env[n] for n in names]
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
        k = self.latent_of.get(statement.target)
        if k is None or self.parameters[k].eta not in self.graph.inputs_of([value]):
            return value
        return self.graph.input(statement.target)

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
        targets = tuple(
            DosingTarget(compartment=c.number, bioavailability=c.bioavailability, lag=c.lag)
            for c in self.model.structural.compartments
        )
        return targets, {n for t in targets for n in (t.bioavailability, t.lag) if n}

    def _resolver(self, env: dict[str, int], reads: set[str], state: set[str], items: tuple[str, ...]):
        """Names as inputs; those that come from the individual level are noted in `reads`."""

        def resolve(name: str) -> int | None:
            if name in self.zero_etas or name.startswith("EPS("):
                return self.graph.constant(0.0)
            if name in self.fixed:
                return self.graph.constant(self.fixed[name])
            if name in state or name in items or (name in self.latent_of and name in self.model.etas):
                return self.graph.input(name)  # the last: an ETA on the residual error, which vanishes at EPS = 0
            if name in env or name in self.thetas or name in self.table.covariate_names:
                reads.add(name)
                return self.graph.input(name)
            return None

        return resolve

    def _parameter_node(self, name: str, env: dict[str, int]) -> int:
        if self.formula and name in self.latent_of:
            k = self.latent_of[name]
            return _to_natural(self.graph, self.parameters[k].transform, self.graph.input(f"Z({k + 1})"))
        return env[name] if name in env and not self.formula else self.graph.input(name)

    def _parameter_order(self, name: str) -> tuple[int, str]:
        """Individual parameters in ETA order first, then the rest by name."""
        return (self.latent_of.get(name, len(self.parameters)), name)

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

    def _check_lagged_bioavailability(self, env: dict[str, int]) -> None:
        """NONMEM gives a lagged dose the F of the record after it arrives (help, $BIND), decoders that of its own."""
        changing = _changing_covariates(self.table)
        for compartment in self.model.structural.compartments:
            fraction = compartment.bioavailability
            if not fraction or not compartment.lag:
                continue
            reads = sorted(changing & self.graph.inputs_of([env[fraction]]))
            if reads:
                raise UnsupportedError(
                    f"{fraction} depends on {reads[0]}, which changes within a subject, and {compartment.lag} delays "
                    "the doses: not supported",
                    hint=f"put the fraction into AMT, or let {fraction} read a value that is constant in each subject",
                )


def _mu_name(k: int) -> str:
    return f"mu({k + 1})"


def _theta_number(name: str) -> int:
    return int(name[name.index("(") + 1 : -1])


def _etas_fixed_at_zero(model: Model) -> set[str]:
    """Random effects that are no random effects: variance 0 FIX."""
    return {
        name for block in model.omega for j, name in enumerate(block.names) if block.fixed and block.matrix[j][j] == 0.0
    }


def _check_static(model: Model, parameters: list[IndividualParameter], table: EventTable) -> None:
    """Typical values must be constant within a subject, else z has no single mean."""
    moving = _changing_covariates(table)
    if not model.structural.compartments:
        moving |= set(table.record_names)
    for parameter in parameters:
        changing = sorted(moving & set(parameter.covariates))
        if changing:
            raise UnsupportedError(
                f"{changing[0]} changes within a subject and is part of the typical value of {parameter.name}",
                hint=f"use the baseline value of {changing[0]}, or apply its effect after the line that "
                f"gives {parameter.name} its random effect",
                location=parameter.at,
            )


def _changing_covariates(table: EventTable) -> set[str]:
    """Covariates that change within a subject."""
    if table.static:
        return set()
    first = np.repeat(table.cov[table.cov_ptr[:-1]], np.diff(table.cov_ptr), axis=0)
    return {n for j, n in enumerate(table.covariate_names) if not np.array_equal(first[:, j], table.cov[:, j])}


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
