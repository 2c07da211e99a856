"""Control stream -> ir.Model, on one page.

text --records--> records --options, code--> ir pieces --definitions--> checked --recognition--> Model
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.abbreviations import Abbreviations, read_abbreviations
from nlmevae.frontends.nonmem.carried_values import COUNTERS, data_variables
from nlmevae.frontends.nonmem.code import includes_declarations, once_per_individual, only_observations, parse_code
from nlmevae.frontends.nonmem.covariance import read_covariance
from nlmevae.frontends.nonmem.definitions import (
    CarriedOver,
    Names,
    Scope,
    carried_over,
    check_definitions,
    needed_names,
    settle_carried_over,
    skipped_code,
)
from nlmevae.frontends.nonmem.exits import with_exits
from nlmevae.frontends.nonmem.included import with_included
from nlmevae.frontends.nonmem.initial_conditions import initial_state
from nlmevae.frontends.nonmem.initialisation import initialisation_notes
from nlmevae.frontends.nonmem.input_data import read_columns, read_data
from nlmevae.frontends.nonmem.lower import check_no_statement, lower_with_remarks
from nlmevae.frontends.nonmem.model_times import check_model_times, check_repeatable, without_newind
from nlmevae.frontends.nonmem.once_per_individual import of_first_records
from nlmevae.frontends.nonmem.options import read_options
from nlmevae.frontends.nonmem.prior import read_prior
from nlmevae.frontends.nonmem.records import (
    ControlStream,
    Record,
    SourceText,
    printable,
    read_source,
    source_text,
    split_records,
)
from nlmevae.frontends.nonmem.request import (
    estimation_notes,
    read_covariance_request,
    read_estimation,
    unmet_requests,
)
from nlmevae.frontends.nonmem.simulation_request import read_simulation
from nlmevae.frontends.nonmem.stream import check_records, first_problem, one
from nlmevae.frontends.nonmem.structural import n_compartments, ode_model, structure
from nlmevae.frontends.nonmem.subroutines import (
    BUILT_IN_ADVANS,
    DES_ADVANS,
    DeclaredCompartment,
    Subroutines,
    read_model_record,
    read_subroutines,
)
from nlmevae.frontends.nonmem.table_request import TableNames, read_tables
from nlmevae.frontends.nonmem.thetas import read_thetas
from nlmevae.frontends.nonmem.unused_parameters import with_idle_blocks, with_idle_thetas
from nlmevae.frontends.nonmem.vocabulary import Skipped, Vocabulary
from nlmevae.ir import (
    Column,
    CovarianceBlock,
    DerivedItems,
    Diagnostic,
    Model,
    PopulationParameter,
    PriorRequest,
    Program,
    SourceReference,
    Statement,
    StructuralModel,
    constant_elements,
    model_times,
    names_assigned,
    names_read,
    past_flags,
)

#: Roles of items that are 0 on every observation of a compartmental model.
ZERO_ON_OBSERVATIONS = ("evid", "mdv", "amt", "rate", "addl", "ii", "ss")


def read_control_stream(path: str | Path) -> Model:
    """The model a NONMEM control stream states, individual parameters and residual error recognised.

    Raises:
        ModelError: the text is not legal (ModelSyntaxError), has no consistent meaning (SemanticError) or
            is not supported (UnsupportedError); with its place and what to do.
        OSError: the file cannot be read.
    """
    from nlmevae.frontends.nonmem.recognition import recognise

    return recognise(lower_control_stream(read_source(path)))


def parse_control_stream(text: str, path: str = "<text>") -> Model:
    """`read_control_stream` for text in memory; `path` is used in messages."""
    from nlmevae.frontends.nonmem.recognition import recognise

    return recognise(lower_control_stream(source_text(text, path)))


def lower_control_stream(source: SourceText) -> Model:
    """The model as stated: everything but recognition, whose fields are empty.

    Raises:
        ModelError: see `read_control_stream`.
    """
    source = with_included(source)
    stream, notes = first_problem(split_records(source))
    notes += check_records(stream)
    columns = read_columns(stream.named("INPUT"))
    parts = _Parts.read(stream, columns)
    structure = _structure(stream, parts)
    program = structure.program
    read = names_read(program.pk) | names_read(program.des) | names_read(program.error)
    output = structure.structural.output_names  # read where the data observe the output compartment
    parts, idle = parts.with_idle(needed_names(program, structure.structural, "Y", "F_FLAG", "YLO", *output))
    notes += idle
    read |= parts.data_items
    notes += initialisation_notes(stream.named("INFN"), read | structure.structural.program_names)
    parts = replace(parts, columns=structure.columns)
    estimation = read_estimation(stream.named("ESTIMATION"))
    covariance = read_covariance_request(stream.named("COVARIANCE"))
    tables = read_tables(stream.named("TABLE"), parts.table_names(program))
    asked = estimation_notes(estimation, covariance) + unmet_requests(stream.named("COVARIANCE"), tables)
    return Model(
        name=Path(source.path).stem,
        source=SourceReference(format="nonmem", path=source.path, text=source.text, included=source.included),
        problem=_title(one(stream, "PROBLEM")),
        data=replace(read_data(one(stream, "DATA"), columns), columns=structure.columns, derived=structure.derived),
        thetas=parts.thetas,
        omega=parts.omega,
        sigma=parts.sigma,
        structural=structure.structural,
        program=program,
        estimation=estimation,
        covariance=covariance,
        tables=tables,
        simulation=read_simulation(stream.named("SIMULATION")),
        prior=parts.prior or next((step.prior for step in estimation if step.prior is not None), None),
        diagnostics=tuple(notes + structure.notes + asked),
    )


def _title(record: Record) -> str:
    lines = record.source.text[record.body : record.end].splitlines()
    return printable(lines[0].strip()) if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What code refers to."""

    columns: tuple[Column, ...]
    thetas: tuple[PopulationParameter, ...]
    omega: tuple[CovarianceBlock, ...]
    sigma: tuple[CovarianceBlock, ...]
    replacements: dict[str, str]
    abbreviations: Abbreviations
    prior: PriorRequest | None

    @classmethod
    def read(cls, stream: ControlStream, columns: tuple[Column, ...]) -> _Parts:
        thetas, theta_names = read_thetas(stream.named("THETA"))
        omega, eta_names = read_covariance(stream.named("OMEGA"), "ETA")
        sigma, eps_names = read_covariance(stream.named("SIGMA"), "EPS")
        prior = read_prior(stream)
        if prior is not None:
            thetas, omega, sigma = prior.thetas(thetas), prior.blocks("OMEGA", omega), prior.blocks("SIGMA", sigma)
        if eps_names:
            eps_names |= {name.replace("EPS(", "ERR(", 1): number for name, number in eps_names.items()}
        named = theta_names | eta_names | eps_names
        items = frozenset(n for c in columns if c.role != "drop" for n in (c.name, c.synonym) if n)
        abbreviations = read_abbreviations(stream.named("ABBREVIATED"), items)
        replaced = abbreviations.replacements
        return cls(
            columns=columns,
            thetas=thetas,
            omega=omega,
            sigma=sigma,
            replacements=named | {left: named.get(right, right) for left, right in replaced.items()},
            abbreviations=abbreviations,
            prior=None if prior is None else prior.request,
        )

    def vocabulary(self, source: SourceText, section: str, compartments: int, *, internal: bool) -> Vocabulary:
        return Vocabulary(
            source=source,
            section=section,
            counts={
                "THETA": len(self.thetas),
                "ETA": sum(len(b.names) for b in self.omega),
                "EPS": sum(len(b.names) for b in self.sigma),
                "A": compartments,
            },
            synonyms={c.synonym: c.name for c in self.columns if c.synonym and c.role != "drop"},
            replacements=self.replacements,
            constants=constant_elements("OMEGA", self.omega) | constant_elements("SIGMA", self.sigma),
            lists=self.abbreviations.lists,
            arrays=self.abbreviations.arrays,
            internal=internal,
        )

    def with_idle(self, used: frozenset[str]) -> tuple[_Parts, list[Diagnostic]]:
        """What Y does not depend on is kept as it is."""
        thetas, notes = with_idle_thetas(self.thetas, used)
        omega, more = with_idle_blocks("OMEGA", self.omega, used)
        sigma, others = with_idle_blocks("SIGMA", self.sigma, used)
        return replace(self, thetas=thetas, omega=omega, sigma=sigma), notes + more + others

    def table_names(self, program: Program) -> TableNames:
        synonyms = {c.synonym: c.name for c in self.columns if c.synonym and c.role != "drop"}
        return TableNames(
            n_etas=sum(len(b.names) for b in self.omega),
            known=names_assigned(program.pk) | names_assigned(program.error) | self.data_items | set(synonyms),
            replacements=self.replacements | synonyms,
        )

    @property
    def data_items(self) -> frozenset[str]:
        return frozenset(c.name for c in self.columns if c.role != "drop")

    def items_of(self, *roles: str) -> frozenset[str]:
        """Data items with one of these roles."""
        return frozenset(n for c in self.columns if c.role in roles for n in (c.name, c.synonym) if n)

    @property
    def dropped(self) -> frozenset[str]:
        return frozenset(c.name for c in self.columns if c.role == "drop")


def _code(
    stream: ControlStream, section: str, parts: _Parts, compartments: int, skipped: list[Skipped]
) -> tuple[Statement, ...]:
    record, *more = stream.named(section)
    internal = any(includes_declarations(r) for r in (record, *more))
    vocabulary = parts.vocabulary(stream.source, section, compartments, internal=internal)
    statements, left_out = lower_with_remarks(parse_code(record, *more), vocabulary)
    check_no_statement(statements, section, record.head)
    skipped += left_out
    return statements


@dataclass(frozen=True, slots=True, kw_only=True)
class _Structure:
    """Compartments and code; `columns` and `derived` with the data items that code derives from others."""

    structural: StructuralModel
    program: Program
    columns: tuple[Column, ...]
    derived: DerivedItems | None
    notes: list[Diagnostic]


def _structure(stream: ControlStream, parts: _Parts) -> _Structure:
    skipped: list[Skipped] = []
    if stream.named("PRED"):
        program = with_exits(Program(error=_code(stream, "PRED", parts, 0, skipped)))
        structural = StructuralModel(at=stream.named("PRED")[0].head)
        return _settled(parts, program, structural, _check_formula(stream, parts, program), [], skipped)
    subroutines = read_subroutines(stream.named("SUBROUTINES"), stream.named("TOL"))
    declared = _declared(stream, subroutines)
    compartments = n_compartments(subroutines, declared)
    by_equations = subroutines.advan in DES_ADVANS
    start = initial_state(_code(stream, "PK", parts, compartments, skipped))
    program = Program(
        pk=start.pk,
        des=_code(stream, "DES", parts, compartments, skipped) if by_equations else (),
        error=_code(stream, "ERROR", parts, compartments, skipped),
    )
    check_model_times(program, stream.named("PK"))
    program = with_exits(without_newind(program))
    once = next((at for record in stream.named("PK") if (at := once_per_individual(record)) is not None), None)
    if once is not None:
        program = replace(program, pk=of_first_records(program.pk, parts.data_items, once))
    scope, carried = _check_compartmental(stream, parts, program)
    modelled_rate = any(c.role == "rate" for c in parts.columns)
    if by_equations:
        head = one(stream, "DES").head
        structural, notes = ode_model(subroutines, declared, program, head, modelled_rate=modelled_rate)
    else:
        structural, program, notes = structure(subroutines, declared, program, modelled_rate=modelled_rate)
    start.check_unread(structural.program_names, "the structural model")
    for section, statements in (("$DES", program.des), ("$ERROR", program.error)):
        start.check_unread(names_read(statements), section)
    start.check_unread((o.key for record in stream.named("TABLE") for o in read_options(record)), "$TABLE")
    for name in sorted({*structural.program_names, *model_times(program)} & set(scope.maybe)):
        carried.append(replace(carried_over(name, scope, None), certain=False))
    return _settled(parts, program, structural, carried, notes, skipped)


def _settled(
    parts: _Parts,
    program: Program,
    structural: StructuralModel,
    carried: list[CarriedOver],
    notes: list[Diagnostic],
    skipped: list[Skipped],
) -> _Structure:
    """Values of earlier records as derived data items."""
    derived, more = settle_carried_over(carried, program, structural, parts.data_items)
    check_repeatable(program, () if derived is None else derived.items.statements)
    return _Structure(
        structural=structural,
        program=program if derived is None else derived.program,
        columns=parts.columns if derived is None else (*parts.columns, *derived.columns),
        derived=derived.items if derived is not None and derived.columns else None,
        notes=notes + more + skipped_code(skipped, program, structural),
    )


def _declared(stream: ControlStream, subroutines: Subroutines) -> tuple[DeclaredCompartment, ...]:
    """$MODEL and $DES go with some ADVANs and not with the others."""
    name, built_in = f"ADVAN{subroutines.advan}", subroutines.advan in BUILT_IN_ADVANS
    for section, needed in (("MODEL", not built_in), ("DES", subroutines.advan in DES_ADVANS)):
        records = stream.named(section)
        if not needed and records:
            why = "whose equations are built in" if built_in else "whose equations follow from its rate constants"
            raise SemanticError(
                f"${section} does not go with {name}, {why}",
                hint=f"remove ${section}, or use ADVAN13 to solve your own equations",
                location=records[0].head,
            )
        if needed and not records:
            hint = "add $MODEL COMP=(NAME) ..." if section == "MODEL" else "add $DES with DADT(n) = ..."
            raise SemanticError(f"{name} needs ${section}", hint=hint, location=subroutines.at)
    return () if built_in else read_model_record(stream.named("MODEL"))


def _check_formula(stream: ControlStream, parts: _Parts, program: Program) -> list[CarriedOver]:
    given = COUNTERS
    names = Names(data_items=parts.data_items, dropped=parts.dropped, given=given, zero=parts.items_of("mdv"))
    _, carried = check_definitions(program.error, "PRED", names, Scope(set()))
    _check_prediction(program, one(stream, "PRED").head)
    return carried


def _check_compartmental(stream: ControlStream, parts: _Parts, program: Program) -> tuple[Scope, list[CarriedOver]]:
    """Definitions through $PK, $DES and $ERROR, in the order they run."""
    data, dropped = parts.data_items, parts.dropped
    always = COUNTERS | frozenset(past_flags(program))
    pk, carried = check_definitions(
        program.pk, "PK", Names(data_items=data, dropped=dropped, given=always), Scope(set())
    )
    if program.des:
        names = Names(
            data_items=data - {"TIME"},
            dropped=dropped,
            given=always | {"T"},
            hints={"TIME": "inside $DES the time is T"},
        )
        _, more = check_definitions(program.des, "DES", names, pk)
        carried += more
    only_des = names_assigned(program.des) - names_assigned(program.pk)
    hints = {n: f"{n} is assigned in $DES only; compute it here, or in $PK" for n in only_des}
    names = Names(
        data_items=data, dropped=dropped, given=always | {"F"}, hints=hints, zero=parts.items_of(*ZERO_ON_OBSERVATIONS)
    )
    _, more = check_definitions(program.error, "ERROR", names, pk)
    if more and any(only_observations(record) for record in stream.named("ERROR")):
        _check_kept_at_observations(more, data_variables(program, data))
    _check_prediction(program, one(stream, "ERROR").head)
    return pk, carried + more


def _check_kept_at_observations(carried: list[CarriedOver], of_data: frozenset[str]) -> None:
    """Where $ERROR is not evaluated at doses; what is not assigned under conditions on covariates is not kept."""
    for item in carried:
        if item.certain or item.name in of_data:
            raise UnsupportedError(
                f"{item.name} keeps its value between records in $ERROR, which is evaluated at observations only",
                hint="remove ONLY OBSERVATIONS or CALLFL=0 if doses are to set it, or compute it as a data item",
                location=item.at,
            )


def _check_prediction(program: Program, at: Location) -> None:
    if "Y" not in names_assigned(program.error):
        raise SemanticError(
            "Y is never assigned", hint="assign the prediction with its residual error: Y = F + F*EPS(1)", location=at
        )
