"""The second pass over a project: every name means something, lists have the lengths they must have, every parameter
has an initial value. What is harmless becomes a note."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import combinations

from nlmevae.errors import Location, ModelError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import (
    CategoricalCovariate,
    ComputedCovariate,
    Covariate,
    CovariateTerm,
    IndividualDefinition,
    InitialValue,
    NameOrNumber,
    Project,
    RegroupedCovariate,
    StructuralText,
)
from nlmevae.ir import Diagnostic, assignments, names_assigned, names_read

#: Names of the language: time, and the last dose before it.
RESERVED = ("t", "tDose", "amtDose", "inftDose")
#: Arguments of macros that give a name to what the macro defines, or name a compartment.
_NAMING_ARGUMENTS = ("amount", "concentration", "target")


def consistency_notes(project: Project, individual_inputs: Sequence[str] | None) -> tuple[Diagnostic, ...]:
    """Notes on what is stated and not used. `individual_inputs`: `input` of [INDIVIDUAL],
    None where there is none (Monolix 4).

    Raises:
        SemanticError: what the functions below look for.
    """
    _check_covariates(project)
    _check_individual(project, individual_inputs)
    _check_correlations(project)
    _check_structure(project)
    _check_outcomes(project)
    return (*_parameter_notes(project), *_unused_notes(project, individual_inputs))


def _note(message: str, at: Location | None, *, hint: str = "") -> Diagnostic:
    return Diagnostic(code="mlxtran", severity="note", message=message, hint=hint, location=at)


def _nearest(name: str, known: Sequence[str], otherwise: str) -> str:
    close = [k for k in known if k.lower() == name.lower()] or get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else otherwise


# covariates ----------------------------------------------------------------------------------------------------------


def _data_covariates(project: Project) -> dict[str, bool]:
    """Columns that are covariates, by name: whether they are categorical."""
    return {c.name: c.categorical for c in project.data.of("covariate")}


def _check_covariates(project: Project) -> None:
    """Every covariate that is used comes from a column or from covariates before it."""
    known = set(_data_covariates(project))
    used = _used_covariates(project)
    for covariate in project.covariates:
        for name in _sources(covariate):
            if name not in known and covariate.name in used:
                raise _no_covariate(project, name, sorted(known), covariate.at)
        known.add(covariate.name)
        if isinstance(covariate, RegroupedCovariate):
            _check_members(project, covariate)


def _no_covariate(project: Project, name: str, known: Sequence[str], at: Location | None) -> ModelError:
    """OCC and sOCC are covariates that Monolix makes of the occasions."""
    occasions = project.data.of("occasion")
    if occasions and name.lstrip("s").upper().startswith("OCC"):
        return UnsupportedError(
            f"{name} is the occasion as a covariate, which is not supported",
            hint=f"add a copy of the column {occasions[0].name} to the data, with use=covariate, type=categorical",
            location=at,
        )
    return SemanticError(
        f"{name} is not a covariate",
        hint=_nearest(name, known, f"add {name} = {{use=covariate, type=...}} to [CONTENT]"),
        location=at,
    )


def _sources(covariate: Covariate) -> Sequence[str]:
    """What a covariate is computed from; a declared one: the column of its name."""
    if isinstance(covariate, CategoricalCovariate):
        return (covariate.name,)
    if isinstance(covariate, RegroupedCovariate):
        return (covariate.source,)
    return sorted(covariate.value.names())


def _used_covariates(project: Project) -> set[str]:
    """Covariates that act on a parameter, and those they are computed from."""
    used = {t.covariate for d in project.individual for t in d.terms}
    for covariate in reversed(project.covariates):
        if covariate.name in used:
            used |= set(_sources(covariate))
    return used


def _check_members(project: Project, covariate: RegroupedCovariate) -> None:
    source = categories_of(project, covariate.source)
    members = [m for _, group in covariate.groups for m in group]
    if source is None:
        return
    for member in members:
        if member not in source:
            raise SemanticError(
                f"{member} is not a category of {covariate.source}",
                hint="its categories are " + ", ".join(source),
                location=covariate.at,
            )
    missing = [c for c in source if c not in members]
    if missing:
        raise SemanticError(
            f"{covariate.name} has no group for the category {missing[0]} of {covariate.source}",
            hint="put every category into one group",
            location=covariate.at,
        )


def categories_of(project: Project, name: str) -> tuple[str, ...] | None:
    """Categories of a covariate in declared order, None where none are declared."""
    for covariate in project.covariates:
        if covariate.name == name and isinstance(covariate, CategoricalCovariate):
            return covariate.categories
        if covariate.name == name and isinstance(covariate, RegroupedCovariate):
            return tuple(group for group, _ in covariate.groups)
    return None


# individual parameters -----------------------------------------------------------------------------------------------


def _check_individual(project: Project, inputs: Sequence[str] | None) -> None:
    for definition in project.individual:
        for term in definition.terms:
            _check_term(project, definition, term)
        for name in _population_names(definition):
            if inputs is not None and name not in inputs:
                raise SemanticError(
                    f"{name} is not in input of [INDIVIDUAL]",
                    hint=f"write input = {{..., {name}}}",
                    location=definition.at,
                )
        for variability in definition.variability:
            _check_level(project, variability.level, definition.at)


def _check_term(project: Project, definition: IndividualDefinition, term: CovariateTerm) -> None:
    columns = _data_covariates(project)
    known = {*columns, *(c.name for c in project.covariates)}
    if term.covariate not in known:
        raise SemanticError(
            f"{term.covariate} is not a covariate",
            hint=_nearest(term.covariate, sorted(known), "define it in [COVARIATE] or [CONTENT]"),
            location=term.at,
        )
    categories = categories_of(project, term.covariate)
    computed = any(isinstance(c, ComputedCovariate) and c.name == term.covariate for c in project.covariates)
    if categories is None and columns.get(term.covariate, False) and not computed:
        raise SemanticError(
            f"the categories of {term.covariate} are not declared",
            hint=f"add {term.covariate} = {{type=categorical, categories={{...}}}} to [COVARIATE]",
            location=term.at,
        )
    count = 1 if categories is None else len(categories)
    if len(term.coefficients) != count:
        what = f"its {count} categories" if categories is not None else "a continuous covariate"
        raise SemanticError(
            f"{len(term.coefficients)} coefficients of {term.covariate} on {definition.name} for {what}",
            hint="give one per category, 0 for the reference" if categories is not None else "give one",
            location=term.at,
        )


def _population_names(definition: IndividualDefinition) -> Iterator[str]:
    """Population parameters of one individual parameter."""
    values: list[NameOrNumber] = [definition.typical]
    values += [c for term in definition.terms for c in term.coefficients]
    values += [v.value for v in definition.variability]
    return (v for v in values if isinstance(v, str))


def _check_level(project: Project, level: tuple[str, ...], at: Location | None) -> None:
    occasions = project.data.of("occasion")
    if level[0] != "id":
        raise SemanticError(f"the level {'*'.join(level)} does not begin with id", hint="write id*occ", location=at)
    by_event = not occasions and bool(project.data.of("eventidentifier"))  # event identifier 4 begins an occasion
    if len(level) - 1 > len(occasions) + by_event:
        raise SemanticError(
            f"the level {'*'.join(level)} needs {len(level) - 1} column(s) with use=occasion, "
            f"the data have {len(occasions)}",
            hint="add COLUMN = {use=occasion} to [CONTENT]",
            location=at,
        )


def _check_correlations(project: Project) -> None:
    levels: dict[tuple[str, ...], dict[frozenset[str], Location | None]] = {}
    for correlation in project.correlations:
        _check_level(project, correlation.level, correlation.at)
        for name in correlation.parameters:
            definition = next((d for d in project.individual if d.name == name), None)
            if definition is None:
                raise SemanticError(
                    f"{name} in a correlation is not an individual parameter",
                    hint=_nearest(name, [d.name for d in project.individual], "name two parameters of DEFINITION:"),
                    location=correlation.at,
                )
            if correlation.level not in [v.level for v in definition.variability]:
                raise SemanticError(
                    f"{name} has no random effect at the level {'*'.join(correlation.level)}",
                    hint="remove the correlation, or give the parameter a standard deviation",
                    location=correlation.at,
                )
        pairs = levels.setdefault(correlation.level, {})
        pair = frozenset(correlation.parameters)
        if len(pair) == 1 or pair in pairs:
            what = "of a parameter with itself" if len(pair) == 1 else "given twice"
            raise SemanticError(
                f"the correlation r({', '.join(correlation.parameters)}) is {what}",
                hint="remove it",
                location=correlation.at,
            )
        pairs[pair] = correlation.at
    for pairs in levels.values():
        _check_blocks(pairs)


def _check_blocks(pairs: dict[frozenset[str], Location | None]) -> None:
    """Parameters that are correlated, directly or by others, form a block, in which every pair is correlated."""
    groups: list[set[str]] = []
    for pair in pairs:
        joined = [g for g in groups if g & pair]
        groups = [g for g in groups if not g & pair] + [set(pair).union(*joined)]
    for group in groups:
        for first, second in combinations(sorted(group), 2):
            if frozenset((first, second)) not in pairs:
                at = next(at for pair, at in pairs.items() if pair & {first, second})
                raise SemanticError(
                    f"the correlations of {', '.join(sorted(group))} do not hold r({first}, {second})",
                    hint="give the correlation of every pair of a group",
                    location=at,
                )


# structural model ----------------------------------------------------------------------------------------------------


def names_defined(structural: StructuralText) -> set[str]:
    """Names that the structural model gives a value: variables, states, results and amounts of macros."""
    defined = set(names_assigned(structural.equations))
    defined |= {n.removeprefix("ddt_") for n in defined if n.startswith("ddt_")}
    for macro in structural.macros:
        defined |= set(macro.results)
        for argument in ("amount", "concentration"):
            if argument in macro.arguments:
                defined |= macro.arguments[argument].names()
    return defined


def names_read_by(structural: StructuralText) -> set[str]:
    read = set(names_read(structural.equations))
    for macro in structural.macros:
        for argument, value in macro.arguments.items():
            if argument not in _NAMING_ARGUMENTS:
                read |= value.names()
    return read


def _check_structure(project: Project) -> None:
    structural = project.structural
    defined = names_defined(structural) | set(structural.inputs) | set(RESERVED)
    for name, at in _places(structural):
        if name not in defined:
            raise SemanticError(
                f"{name} is not defined in the structural model",
                hint=_nearest(name, sorted(defined), f"define {name}, or add it to input"),
                location=at,
            )
    for name in (*structural.outputs, *structural.tables):
        if name not in defined:
            raise SemanticError(
                f"the output {name} is not defined in the structural model",
                hint=_nearest(name, sorted(defined), "define it in PK: or EQUATION:"),
                location=structural.at,
            )
    parameters = {d.name for d in project.individual}
    columns = {c.name for c in project.data.columns}
    for name in structural.inputs:
        if name in structural.regressors or name in parameters:
            continue
        raise SemanticError(
            f"the input {name} of the structural model is neither an individual parameter nor a regressor",
            hint=f"declare it in the model: {name} = {{use=regressor}}"
            if name in columns
            else _nearest(name, sorted(parameters), f"define {name} in [INDIVIDUAL]"),
            location=structural.at,
        )
    regressors = project.data.of("regressor")
    if len(regressors) != len(structural.regressors):
        raise SemanticError(
            f"the structural model has {len(structural.regressors)} regressors, the data have {len(regressors)}",
            hint="columns with use=regressor are taken in their order, one for each regressor of the model",
            location=(regressors[0].at if regressors else structural.at),
        )


def _places(structural: StructuralText) -> Iterator[tuple[str, Location | None]]:
    """Every name the structural model reads, with a place."""
    wanted = names_read_by(structural)
    places: dict[str, Location | None] = {}
    for statement in structural.equations:
        for node in _expressions(statement):
            for symbol in node.walk():
                name = getattr(symbol, "name", None)
                if name in wanted:
                    places.setdefault(name, symbol.at)
    for macro in structural.macros:
        for name in wanted:
            if any(name in value.names() for value in macro.arguments.values()):
                places.setdefault(name, macro.at)
    return iter(sorted(places.items()))


def _expressions(statement) -> Iterator:
    arms = getattr(statement, "arms", None)
    if arms is None:
        yield statement.value
        return
    for condition, _ in arms:
        yield condition
    for inner in assignments((statement,)):
        yield inner.value
    for _, body in arms:
        for inner in body:
            if getattr(inner, "arms", None):
                yield from _expressions(inner)
    for inner in statement.orelse:
        if getattr(inner, "arms", None):
            yield from _expressions(inner)


# outcomes ------------------------------------------------------------------------------------------------------------


def _check_outcomes(project: Project) -> None:
    structural = project.structural
    defined = names_defined(structural) | set(structural.inputs)
    names: set[str] = set()
    for observation in project.observations:
        if observation.name in names:
            raise SemanticError(
                f"the observation {observation.name} is defined twice", hint="keep one", location=observation.at
            )
        names.add(observation.name)
        if observation.prediction not in defined:
            raise SemanticError(
                f"the prediction {observation.prediction} is not a variable of the structural model",
                hint=_nearest(observation.prediction, sorted(structural.outputs), "name one of its outputs"),
                location=observation.at,
            )
    for model in project.fit.models:
        if model not in names:
            raise SemanticError(
                f"{model} in <FIT> is not an observation that the model defines",
                hint=_nearest(model, sorted(names), "define it under DEFINITION: of [LONGITUDINAL]"),
                location=project.fit.at,
            )
    column = project.data.of("observation")[0]
    known = [*column.kinds, *column.names, *([] if len(column.kinds) > 1 else [column.name])]
    for data in project.fit.data:
        if data not in known:
            raise SemanticError(
                f"{data} in <FIT> is no kind of observation of {column.name}",
                hint=_nearest(data, known, f"{column.name} has " + ", ".join(known)),
                location=project.fit.at,
            )
    for data in project.fit.data:
        _check_type_of(project, data)


def _check_type_of(project: Project, data: str) -> None:
    """What is fitted is continuous."""
    column = project.data.of("observation")[0]
    position = next((names.index(data) for names in (column.kinds, column.names) if data in names), 0)
    kind = (column.types * (position + 1))[position] if len(column.types) == 1 else dict(
        enumerate(column.types)
    ).get(position, "continuous")  # fmt: skip
    if kind != "continuous":
        raise SemanticError(
            f"{data} in <FIT> is of type={kind}, its model is continuous",
            hint="correct the type in [CONTENT], or take it out of <FIT>",
            location=project.fit.at,
        )


# initial values ------------------------------------------------------------------------------------------------------


def _referenced(project: Project) -> dict[str, Location | None]:
    """Every population parameter the model uses, with the place of its use."""
    found: dict[str, Location | None] = {}
    for definition in project.individual:
        for name in _population_names(definition):
            found.setdefault(name, definition.at)
    for correlation in project.correlations:
        if isinstance(correlation.value, str):
            found.setdefault(correlation.value, correlation.at)
    for observation in project.observations:
        if observation.name in project.fit.models:
            error = observation.error
            for value in (error.a, error.b, error.power):
                if isinstance(value, str):
                    found.setdefault(value, observation.at)
    return found


def _parameter_notes(project: Project) -> Iterator[Diagnostic]:
    referenced = _referenced(project)
    values = {p.name: p for p in project.parameters}
    correlations = {c.value for c in project.correlations}
    for name, at in referenced.items():
        if name not in values and name in correlations:
            # versions before 2018 do not write them
            yield _note(f"{name} has no initial value: it starts at 0", at)
        elif name not in values:
            raise SemanticError(
                f"{name} has no initial value",
                hint=_nearest(
                    name,
                    [n for n in values if n not in referenced],
                    f"add {name} = {{value=..., method=MLE}} to <PARAMETER>",
                ),
                location=at,
            )
    _check_values(project, values)
    unused = [p for p in project.parameters if p.name not in referenced]
    if unused:
        yield _note(
            f"{', '.join(p.name for p in unused)} in <PARAMETER>: the model does not use {_them(unused)}",
            unused[0].at,
        )


def _them(names: Sequence) -> str:
    return "it" if len(names) == 1 else "them"


def _check_values(project: Project, values: dict[str, InitialValue]) -> None:
    def value_of(given: NameOrNumber) -> tuple[float, Location | None]:
        if isinstance(given, str):
            return (values[given].value, values[given].at) if given in values else (0.0, None)
        return given, None

    for definition in project.individual:
        value, at = value_of(definition.typical)
        if not definition.gaussian and not _is_inside(definition, value):
            raise SemanticError(
                f"the typical value {value:g} of {definition.name} is outside its {definition.distribution} "
                "distribution",
                hint="give a value inside it",
                location=at or definition.at,
            )
        for variability in definition.variability:
            value, at = value_of(variability.value)
            if value < 0:
                raise SemanticError(
                    f"a standard deviation of {definition.name} is negative",
                    hint="give a value above 0",
                    location=at or definition.at,
                )
    for correlation in project.correlations:
        value, at = value_of(correlation.value)
        if not -1 < value < 1:
            raise SemanticError(
                f"the correlation of {' and '.join(correlation.parameters)} is not between -1 and 1",
                hint="give a value between them",
                location=at or correlation.at,
            )
    for observation in project.observations:
        for given in (observation.error.a, observation.error.b):
            if given is None or observation.name not in project.fit.models:
                continue
            value, at = value_of(given)
            if value < 0:
                raise SemanticError(
                    f"a parameter of the error model of {observation.name} is negative",
                    hint="give a value above 0",
                    location=at or observation.at,
                )


def _is_inside(definition: IndividualDefinition, value: float) -> bool:
    if definition.distribution == "normal":
        return True
    if definition.distribution == "lognormal":
        return value > 0
    lower = 0.0 if definition.lower is None else definition.lower
    upper = 1.0 if definition.upper is None else definition.upper
    return lower < value < upper


def _unused_notes(project: Project, inputs: Sequence[str] | None) -> Iterator[Diagnostic]:
    """What is stated and not used."""
    terms = {t.covariate for d in project.individual for t in d.terms}
    used = {n for d in project.individual for n in _population_names(d)} | terms
    used |= {c.value for c in project.correlations if isinstance(c.value, str)}
    left = [name for name in inputs or () if name not in used]
    if left:
        yield _note(f"{', '.join(left)} in input of [INDIVIDUAL]: no parameter uses {_them(left)}", None)
    structural = project.structural
    read = names_read_by(structural) | set(structural.outputs) | {o.prediction for o in project.observations}
    left = [name for name in structural.inputs if name not in read]
    if left:
        yield _note(f"{', '.join(left)} in input: the structural model does not use {_them(left)}", structural.at)
    left = [d.name for d in project.individual if d.name not in structural.inputs]
    if left:
        yield _note(
            f"{', '.join(left)} of [INDIVIDUAL]: the structural model does not have {_them(left)}",
            next(d.at for d in project.individual if d.name == left[0]),
        )
    left = [o.name for o in project.observations if o.name not in project.fit.models]
    if left:
        yield _note(
            f"{', '.join(left)}: not fitted, <FIT> does not name {_them(left)}",
            next(o.at for o in project.observations if o.name == left[0]),
        )
