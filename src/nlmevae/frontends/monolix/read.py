"""A Monolix project -> `Project`: what the text states, checked for consistency.

text --split--> blocks --mlxtran.lark--> nodes --one file per section--> Project --consistency--> Project
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nlmevae.errors import Location, ModelError, ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.checks.consistency import consistency_notes
from nlmevae.frontends.monolix.checks.structural_names import names_defined, names_read_by
from nlmevae.frontends.monolix.project import (
    CategoricalCovariate,
    Covariate,
    DataFile,
    Fit,
    InitialValue,
    ObservationDefinition,
    Project,
    StructuralText,
)
from nlmevae.frontends.monolix.sections.colon import ColonProject
from nlmevae.frontends.monolix.sections.covariates import read_covariates
from nlmevae.frontends.monolix.sections.data_file import file_path, read_data_file
from nlmevae.frontends.monolix.sections.files import model_source
from nlmevae.frontends.monolix.sections.individual import IndividualSection, read_individual
from nlmevae.frontends.monolix.sections.observations import read_fit
from nlmevae.frontends.monolix.sections.parameters import read_parameters
from nlmevae.frontends.monolix.sections.structural_text import LongitudinalText, read_longitudinal
from nlmevae.frontends.monolix.sections.tasks import read_settings, read_tasks
from nlmevae.frontends.monolix.text.entries import key_of, unknown_key
from nlmevae.frontends.monolix.text.split import SECTIONS, Block, is_colon_project, read_text, split_blocks
from nlmevae.frontends.nonmem.records import SourceText
from nlmevae.ir import Diagnostic, PriorRequest


def read_project(path: str | Path) -> Project:
    """What a project file and its model file state.

    Raises:
        ModelError: not legal, not consistent or not something that can be executed; with its place and what to do.
    """
    path = Path(path)
    if path.suffix.lower() == ".xmlx":
        raise UnsupportedError(
            "settings and projects in .xmlx (Monolix 4) are not read",
            hint="give the .mlxtran file beside it, or save the project with a newer Monolix",
        )
    try:
        source = read_text(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", hint="check the path of the project") from None
    return project_of(source)


def project_of(source: SourceText) -> Project:
    """The project of a text; files it names are looked for relative to its path."""
    blocks = split_blocks(source)
    try:
        return _colon_project(source, blocks) if is_colon_project(source.text) else _project(source, blocks)
    except RecursionError:
        raise UnsupportedError(
            "an expression is too long, or nested too deeply, to be read",
            hint="give parts of it names of their own",
            location=source.location(0),
        ) from None


def _project(source: SourceText, blocks: Sequence[Block]) -> Project:
    """A project of 2016 or later."""
    _check_headings(blocks)
    tags = {tag: [b for b in blocks if b.tag == tag] for tag in ("DATAFILE", "MODEL", "FIT", "PARAMETER", "MONOLIX")}
    for tag in ("DATAFILE", "MODEL", "PARAMETER"):
        if not tags[tag]:
            raise ModelSyntaxError(
                f"no <{tag}>: this is not a whole Monolix project",
                hint="give the path of a .mlxtran project; its parts are <DATAFILE>, <MODEL>, <FIT>, <PARAMETER>",
                location=source.location(0),
            )
    _refuse(blocks)
    data = read_data_file(tags["DATAFILE"])
    model = tags["MODEL"]
    columns = [c.name for c in (*data.of("covariate"), *data.of("occasion"))]
    covariates = read_covariates([b for b in model if b.section == "COVARIATE"], columns)
    individual = read_individual([b for b in model if b.section == "INDIVIDUAL"])
    structural, observations, included, notes = _longitudinal(source, model)
    parameters = read_parameters(tags["PARAMETER"])
    project = Project(
        path=source.path,
        text=source.text,
        data=data,
        covariates=_with_declared(covariates, individual),
        individual=tuple(individual.definitions),
        correlations=tuple(individual.correlations),
        structural=structural,
        observations=observations,
        fit=read_fit(tags["FIT"]) or _only_fit(source, data, observations),
        parameters=parameters,
        tasks=read_tasks(tags["MONOLIX"]),
        settings=read_settings(tags["MONOLIX"]),
        description=_description(blocks),
        included=included,
        prior=_prior(blocks, parameters),
    )
    notes = (*notes, *consistency_notes(project, individual.used))
    return replace(project, parameters=_with_correlations(project), diagnostics=notes)


def _colon_project(source: SourceText, blocks: Sequence[Block]) -> Project:
    """A project of Monolix 4."""
    parts = ColonProject(source, blocks)
    observations = parts.observations()
    covariates = parts.covariates()
    text, included = parts.model_file()
    model, remarks = read_model_text(text)
    data = parts.data([str(i + 1) for i in range(len(observations))])
    project = Project(
        path=source.path,
        text=source.text,
        data=data,
        covariates=covariates,
        individual=parts.individual(covariates),
        correlations=parts.correlations(),
        structural=_without_outcomes(model, model.as_structural(text.path, text.text)),
        observations=observations,
        fit=parts.fit(data, observations),
        parameters=tuple(parts.values.values()),
        tasks=parts.tasks(),
        description="\n".join(b.text.strip() for b in blocks if b.label == "DESCRIPTION"),
        included=(included,),
    )
    notes = (*parts.notes, *remarks, *consistency_notes(project, None))
    return replace(project, parameters=_with_correlations(project), diagnostics=notes)


def _with_correlations(project: Project) -> tuple[InitialValue, ...]:
    """Correlations without an initial value start at 0: versions before 2018 do not write them."""
    known = {p.name for p in project.parameters}
    names = dict.fromkeys(c.value for c in project.correlations if isinstance(c.value, str) and c.value not in known)
    return (*project.parameters, *(InitialValue(name=name, value=0.0) for name in names))


def _check_headings(blocks: Sequence[Block]) -> None:
    """Every section stands in a part that has it, and nothing stands outside the parts."""
    for block in blocks:
        if block.tag == "" and block.section == block.label == "" and block.code.strip(" \t\r\n\ufeff"):
            offset = block.start + len(block.code) - len(block.code.lstrip(" \t\r\n\ufeff"))
            line = block.code.strip().splitlines()[0]
            raise ModelSyntaxError(
                "text before the first part of the project",
                hint="a Monolix project begins with <DATAFILE>",
                location=block.location(offset, offset + len(line)),
            )
        if block.tag == "" and block.section:
            raise ModelSyntaxError(
                f"[{block.section}] outside <MODEL>: this is a model file, or not a whole project",
                hint="give the path of the .mlxtran project that uses it",
                location=block.at,
            )
        if block.section and block.section not in SECTIONS[block.tag]:
            raise ModelSyntaxError(
                f"<{block.tag}> has no section [{block.section}]",
                hint="its sections are " + ", ".join(f"[{s}]" for s in SECTIONS[block.tag]),
                location=block.at,
            )
        bare = block.tag in ("DATAFILE", "MODEL") and not block.section and block.label != "DESCRIPTION"
        if bare and (block.label or block.code.strip()):
            raise ModelSyntaxError(
                f"text in <{block.tag}> outside its sections",
                hint="its sections are " + ", ".join(f"[{s}]" for s in SECTIONS[block.tag]),
                location=block.at,
            )


def _refuse(blocks: Sequence[Block]) -> None:
    """Parts that change what is fitted and cannot be executed."""
    for block in blocks:
        if not block.code.strip() or block.section == "COMMENTS":
            continue
        if block.tag == "DATA_FORMATTING":
            raise UnsupportedError(
                "<DATA_FORMATTING> changes the data before the fit, and is not supported",
                hint="use the formatted data set that Monolix saves as the data file",
                location=next(b for b in blocks if b.tag == block.tag).at,
            )


def _prior(blocks: Sequence[Block], parameters: Sequence[InitialValue]) -> PriorRequest | None:
    """The prior distribution that the project estimates with; what it is has no part in the model."""
    remedy = "to estimate without it remove [POPULATION], and write method=MLE or method=FIXED in <PARAMETER>"
    section = next((b for b in blocks if b.tag == "MODEL" and b.section == "POPULATION" and b.code.strip()), None)
    if section is not None:
        return PriorRequest(remedy=remedy, stated_by="a prior distribution ([POPULATION])", at=section.at)
    given = next((p for p in parameters if p.method == "map"), None)
    if given is None:
        return None
    return PriorRequest(remedy=remedy, stated_by=f"a prior distribution (method=MAP of {given.name})", at=given.at)


def _with_declared(covariates: tuple[Covariate, ...], individual: IndividualSection) -> tuple[Covariate, ...]:
    """[INDIVIDUAL] declares categorical covariates again; both declarations must agree, the order of categories too,
    which is the order of coefficients."""
    known = {c.name: c for c in covariates}
    added: list[Covariate] = []
    for declared in individual.declared:
        other = known.get(declared.name)
        if other is None:
            added.append(declared)
            known[declared.name] = declared
            continue
        before = (
            other.categories
            if isinstance(other, CategoricalCovariate)
            else tuple(group for group, _ in getattr(other, "groups", ()))
        )
        if before != declared.categories:
            raise SemanticError(
                f"{declared.name} has the categories {', '.join(declared.categories)} here, "
                f"but {', '.join(before) or 'none'} where it is defined",
                hint="give the same categories in the same order",
                location=declared.at,
            )
    return (*covariates, *added)


def _longitudinal(
    source: SourceText, model: Sequence[Block]
) -> tuple[StructuralText, tuple[ObservationDefinition, ...], tuple[str, ...], tuple[Diagnostic, ...]]:
    """The structural model and the outcomes, from the project and the model file it names."""
    blocks = [b for b in model if b.section == "LONGITUDINAL"]
    if not blocks:
        raise SemanticError(
            "<MODEL> has no [LONGITUDINAL]", hint="add it, with the model file: file = 'model.txt'",
            location=model[0].at,
        )  # fmt: skip
    inner = read_longitudinal(blocks)
    named = None
    for node in inner.head:
        if key_of(node, "[LONGITUDINAL]") != "file":
            raise unknown_key(node, "[LONGITUDINAL]", ("input", "file"))
        named = node
    if named is None:
        if not inner.states_a_model:
            raise SemanticError(
                "[LONGITUDINAL] has neither a model file nor a model",
                hint="add file = 'model.txt', or the model itself: PK:, EQUATION:, OUTPUT:",
                location=blocks[0].at,
            )
        text = "".join(b.text for b in blocks)
        structural = _without_outcomes(inner, inner.as_structural(source.path, text))
        return structural, tuple(inner.observations), (), ()
    if inner.states_a_model:
        raise UnsupportedError(
            "the project holds a structural model and names a model file",
            hint="keep one of them",
            location=named.at,
        )
    return _from_file(source, inner, file_path(named.value), named.value.at)


def _from_file(
    source: SourceText, inner: LongitudinalText, written: str, at: Location
) -> tuple[StructuralText, tuple[ObservationDefinition, ...], tuple[str, ...], tuple[Diagnostic, ...]]:
    if inner.regressors:
        raise UnsupportedError(
            f"the regressor {inner.regressors[0]} is declared in the project, the structural model stands in a file",
            hint="declare it in the model file",
            location=inner.at,
        )
    text, note = model_source(written, Path(source.path), at)
    model, remarks = read_model_text(text)
    structural = _without_outcomes(model, model.as_structural(text.path, text.text))
    own = {o.name for o in inner.observations}
    observations = (*inner.observations, *(o for o in model.observations if o.name not in own))
    notes = [*([note] if note is not None else []), *remarks]
    errors = _error_parameters(observations)
    unused = [name for name in inner.inputs if name not in errors]
    if unused:
        notes.append(
            Diagnostic(
                code="mlxtran",
                severity="note",
                message=f"{', '.join(unused)} in input of [LONGITUDINAL]: no error model uses "
                + ("it" if len(unused) == 1 else "them"),
                location=inner.at,
            )
        )
    return structural, observations, (() if written.startswith("lib:") else (text.path,)), tuple(notes)


def read_model_text(source: SourceText) -> tuple[LongitudinalText, tuple[Diagnostic, ...]]:
    """[LONGITUDINAL] of a model file, with notes on its other sections.

    Raises:
        ModelError: as for projects; no structural model in the file.
    """
    blocks = split_blocks(source)
    used, notes = [], []
    for block in blocks:
        if block.tag or (block.section and block.section not in SECTIONS[""]):
            what = f"[{block.section}]" if block.section else f"<{block.tag}>"
            raise ModelSyntaxError(
                f"{what} in a model file", hint="a model file holds [LONGITUDINAL]", location=block.at
            )
        if block.section in ("", "LONGITUDINAL"):
            used.append(block)
        elif block.section != "COMMENTS" and block.label == "" and block.code.strip():
            notes.append(
                Diagnostic(
                    code="unused-section",
                    severity="note",
                    message=f"[{block.section}] of the model file is not used: that of the project is",
                    location=block.at,
                )
            )
    model = read_longitudinal(used)
    for node in model.head:
        raise unknown_key(node, "[LONGITUDINAL]", ("input",))
    if not model.states_a_model:
        raise SemanticError(
            "the model file has no structural model", hint="add PK: or EQUATION:, and OUTPUT:",
            location=source.location(0),
        )  # fmt: skip
    return model, tuple(notes)


def _without_outcomes(model: LongitudinalText, structural: StructuralText) -> StructuralText:
    """The structural model alone, where outcomes stand beside it (2016, projects that hold their model): parameters of
    error models are no inputs of it, and an outcome among its outputs stands for its prediction."""
    errors = _error_parameters(model.observations)
    read = names_read_by(structural)
    defined = names_defined(structural)
    predictions = {o.name: o.prediction for o in model.observations if o.name not in defined}
    return replace(
        structural,
        inputs=tuple(n for n in structural.inputs if n not in errors or n in read),
        outputs=tuple(dict.fromkeys(predictions.get(n, n) for n in structural.outputs)),
        tables=tuple(dict.fromkeys(predictions.get(n, n) for n in structural.tables)),
    )


def _error_parameters(observations: Sequence[ObservationDefinition]) -> set[str]:
    return {n for o in observations for n in (o.error.a, o.error.b, o.error.power) if isinstance(n, str)}


def _only_fit(source: SourceText, data: DataFile, observations: Sequence[ObservationDefinition]) -> Fit:
    """Where <FIT> is absent: one kind of observation and one outcome belong together."""
    column = data.of("observation")[0]
    kinds = column.kinds or column.names or (column.name,)
    if len(kinds) == len(observations) == 1:
        return Fit(data=kinds, models=(observations[0].name,))
    raise SemanticError(
        "the project has no <FIT>: which data belong to which outcome is not said",
        hint="add <FIT> with data = {...} and model = {...}",
        location=source.location(0),
    )


def _description(blocks: Sequence[Block]) -> str:
    return "\n".join(b.text.strip() for b in blocks if b.label == "DESCRIPTION" and b.tag in ("", "MODEL")).strip()
