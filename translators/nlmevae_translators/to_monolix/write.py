"""A model with its data -> project, model file and data file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.ir import Model, names_read
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.absent_data import NOT_KNOWN, AbsentData, absent_entries
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.algebra import ZERO
from nlmevae_translators.to_monolix.correlations import correlation_lines
from nlmevae_translators.to_monolix.covariates import CovariateSection
from nlmevae_translators.to_monolix.data_text import DataText, data_text
from nlmevae_translators.to_monolix.doses import Doses
from nlmevae_translators.to_monolix.flatten import Flattened, needed_definitions
from nlmevae_translators.to_monolix.groups import OutcomeGroup, check_logarithms, outcome_groups
from nlmevae_translators.to_monolix.individual import IndividualSection, understood_forms
from nlmevae_translators.to_monolix.names import Names, is_plain
from nlmevae_translators.to_monolix.notes import (
    data_entries,
    event_entries,
    file_entry,
    occasion_entries,
    request_entries,
)
from nlmevae_translators.to_monolix.occasion_lines import check_order, times_restart
from nlmevae_translators.to_monolix.occasions import Occasions, find_occasions, partly_active
from nlmevae_translators.to_monolix.outcomes import NO_EFFECT_ON_ERROR, OutcomeSection
from nlmevae_translators.to_monolix.plain_events import with_plain_events
from nlmevae_translators.to_monolix.population import PopulationValue
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.regressors import Regressors
from nlmevae_translators.to_monolix.source_data import SourceData
from nlmevae_translators.to_monolix.structure import StructuralText, StructureWriter

_OTHER_FORM = "its form is none of Monolix's distributions: a parameter of its own with mean 0, which the model reads"
_SOME_RECORDS = (
    "it acts on some records and has a variance of its own: a parameter of its own with mean 0, which the model reads. "
    "Between occasions Monolix has one standard deviation (gamma) for all: write $OMEGA BLOCK SAME for that"
)
#: Doses before a steady-state dose: Monolix has no steady state, this is how it comes near.
STEADY_DOSES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`files`: name -> text; `effects`: ETA -> the name of its standard deviation in the project, occasions in their
    order; `unused`: ETAs that nothing in the data depends on; `steady`: doses come near to steady states; `times`:
    of the observations, where they are not those of the data."""

    files: dict[str, str] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    effects: dict[str, str] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()
    main: str = ""
    steady: bool = False
    times: np.ndarray | None = None


def to_monolix(
    run: PreparedRun, *, name: str, n_doses: int = STEADY_DOSES, absent: AbsentData | None = None
) -> Written:
    """The project `name`.mlxtran with its model and, unless the data are `absent`, its data file. Where it is refused
    there are no files."""
    try:
        return _write(run, name, n_doses, absent)
    except RefusedError as refusal:
        return Written(entries=(refusal.entry,))


def _write(run: PreparedRun, name: str, n_doses: int, absent: AbsentData | None) -> Written:
    data, names, model = SourceData(run), Names(), run.model
    if model.prior is not None:
        raise RefusedError(model.prior.stated_by, f"priors are not converted: {model.prior.remedy}", model.prior.at)
    occasions, column, source, made = _occasions(data, absent), "", data, ()
    if occasions is not None and occasions.effects:
        data = replace(data, occasion=occasions.values, restarts=times_restart(data, occasions))
        check_order(data)
        column = names.fresh(occasions.item or "OCC")
    else:
        run, made = with_plain_events(run, n_doses=n_doses)
        data = SourceData(run) if made else data
    doses = Doses(data)
    doses.check()
    groups = outcome_groups(data)
    check_logarithms(data, groups)
    doses.check_observed(groups, names_read(model.executed.error))
    covariates = CovariateSection(data, names)
    regressors = Regressors(data, names)
    individual = IndividualSection(data, names, covariates)
    _individual_level(data, individual, groups, occasions)
    individual.order()
    writer = StructureWriter(data, names, regressors, individual, doses, groups)
    structure, doses = writer.write(), writer.doses
    regressors.keep(structure.read)
    unused = individual.leave_out(structure.read)
    outcomes = OutcomeSection(model, names)
    for group, output in zip(groups, structure.outputs, strict=True):
        outcomes.add(group, output, alone=len(groups) == 1)
    outcomes.note_left_out()
    lines, correlations, entries = correlation_lines(model, individual)
    rows = data_text(data, doses, groups, covariates, regressors, n_doses=n_doses, occasion_column=column)
    text = _project(model, name, rows, covariates, individual, lines, correlations, outcomes)
    files = {f"{name}.mlxtran": text, f"{name}_model.txt": _model_file(model, individual, regressors, structure)}
    if absent is None:
        files[f"{name}_data.csv"] = rows.csv
    of_file = (
        [file_entry(source, rows)]
        if absent is None
        else absent_entries(absent, f"{name}_data.csv", ", ".join(rows.columns))
    )
    found = (
        *individual.entries, *entries, *structure.entries, *outcomes.entries, *of_file,
        *data_entries(data, doses, groups, regressors, rows, n_doses),
        *occasion_entries(data, occasions, rows), *(() if column else event_entries(source, made)),
        *request_entries(model),
    )  # fmt: skip
    return Written(
        files=files,
        entries=tuple(_placed(e, files) for e in found),
        effects=individual.effects,
        unused=unused if occasions is None else unused | occasions.unused,
        main=f"{name}.mlxtran",
        steady=any(e.steady for e in made) or bool(np.any(data.rows.of("ss")[doses.is_dose] > 0)),
        times=run.table.ob_time if made else None,
    )


def _occasions(data: SourceData, absent: AbsentData | None) -> Occasions | None:
    """
    Raises:
        RefusedError: the records that tell which effect acts when are not there.
    """
    if absent is not None:
        for block in data.model.omega:
            if block.same_as is not None and not set(block.names) <= data.model.zero_etas:
                what = f"SAME of {', '.join(block.names)}"
                reason = f"{NOT_KNOWN}on which records it acts; correct the path of the data file"
                raise RefusedError(what, reason, block.at)
    return find_occasions(data)


def _placed(entry: Entry, files: dict[str, str]) -> Entry:
    """With the file and line that has the name in `target`."""
    if not entry.target:
        return entry
    for file, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith((f"{entry.target} = ", f"{entry.target}=")):
                return replace(entry, target=f"{file}:{number}")
    return replace(entry, target="")


def _individual_level(
    data: SourceData, individual: IndividualSection, groups: list[OutcomeGroup], occasions: Occasions | None
) -> None:
    effects = () if occasions is None else occasions.effects
    if occasions is not None:
        individual.env |= dict.fromkeys(occasions.unused, ZERO)
    forms = understood_forms(data, lambda cuts: _needed(data, cuts, groups), effects)
    cuts = {n: (f.parameter.at, f.value) for n, f in forms.items()}
    needed = _needed(data, cuts, groups)
    for form in forms.values():
        individual.add_parameter(form)
    _add_latents(data, individual, occasions)
    for theta in data.model.thetas:
        if theta.name in needed:
            individual.add_constant(theta)
    _check_errors(data.model, needed | {t for f in forms.values() for t in f.thetas})


def _add_latents(data: SourceData, individual: IndividualSection, occasions: Occasions | None) -> None:
    """Random effects that no parameter has, as parameters of their own."""
    model = data.model
    names = {p.eta: p.name for p in model.individual_parameters}
    errors = {o.error.effect.eta for o in model.observations if o.error.effect is not None}
    effects = () if occasions is None else occasions.effects
    done = {*model.zero_etas, *individual.effects, *(eta for e in effects for eta in e.etas)}
    done |= frozenset() if occasions is None else occasions.unused
    left = [eta for eta in model.etas if eta not in done]
    partly = partly_active(data, left)
    for eta in left:
        if eta in errors:
            reason = NO_EFFECT_ON_ERROR
            raise RefusedError(eta, reason, next((b.at for b in model.omega if eta in b.names), None))
        wanted = f"eta_{names[eta]}" if eta in names else _latent_name(model, eta)
        individual.add_latent(eta, wanted, _SOME_RECORDS if eta in partly else _OTHER_FORM)
    for effect in effects:
        if effect.etas[0] not in individual.effects:
            individual.add_occasion_latent(effect)


def _latent_name(model: Model, eta: str) -> str:
    """Of a random effect without a parameter: by the label of its variance, else by its number."""
    labels = {n: label for b in model.omega for n, label in zip(b.names, b.labels or b.names, strict=True)}
    label = labels[eta]
    return f"eta_{label[6:]}" if is_plain(label) and label.startswith("omega_") else f"eta{eta[4:-1]}"


def _check_errors(model: Model, read: frozenset[str] | set[str]) -> None:
    """A THETA of the residual error is a parameter of errorModel, which nothing else can read."""
    for observation in model.observations:
        for part in (observation.error.a, observation.error.b, observation.error.power):
            if part is not None and part.parameter in read:
                at = next((t.at for t in model.thetas if t.name == part.parameter), None)
                reason = "it is part of the residual error and of the prediction, and errorModel shares no parameter. "
                reason += "Give each a THETA"
                raise RefusedError(part.parameter, reason, at)


def _needed(data: SourceData, cuts, groups: list[OutcomeGroup]) -> frozenset[str]:
    """Names of the source that structure and predictions read, with individual parameters cut off."""
    model = data.model
    program = model.executed
    env = dict.fromkeys((*model.zero_etas, *model.epsilons), ZERO)
    flat = Flattened(names=Names(), env=env, cuts=cuts)
    flat.run(program.pk)
    wanted = [flat.env[n] for n in model.structural.program_names if n in flat.env]
    flat.run(program.des)
    wanted += [v for n, v in flat.env.items() if n.startswith("DADT(")]
    flat.run(program.error)
    wanted.append(flat.env.get("Y", ZERO))
    kept = needed_definitions(flat.definitions, wanted)
    return frozenset(n for value in (*wanted, *(d.value for d in kept)) for n in value.names())


def _model_file(model: Model, individual: IndividualSection, regressors: Regressors, structure: StructuralText) -> str:
    inputs = [d.name for d in individual.definitions if d.name in structure.read] + list(regressors.columns)
    lines = []
    if model.problem:
        lines += ["DESCRIPTION:", model.problem.strip(), ""]
    lines += ["[LONGITUDINAL]", f"input = {{{', '.join(inputs)}}}"]
    lines += [f"{name} = {{use=regressor}}" for name in regressors.columns]
    return "\n".join([*lines, "", *structure.lines]) + "\n"


def _project(
    model: Model,
    name: str,
    rows: DataText,
    covariates: CovariateSection,
    individual: IndividualSection,
    correlation: list[str],
    correlations: list[PopulationValue],
    outcomes: OutcomeSection,
) -> str:
    definitions = individual.definitions
    parameters = [p for d in definitions for p in d.parameters]
    inputs = [p.name for p in (*parameters, *correlations)]
    used = list(dict.fromkeys(u.covariate for d in definitions for u in d.uses))
    declared = [covariates.category_line(c) for c in used if covariates.is_categorical(c)]
    errors = list(outcomes.parameters.values())
    data = outcomes.outcomes
    listed = data[0] if len(data) == 1 else f"{{{', '.join(data)}}}"
    parts = [
        "<DATAFILE>", "", "[FILEINFO]", f"file='{name}_data.csv'", "delimiter = comma",
        f"header = {{{', '.join(rows.columns)}}}", "", "[CONTENT]",
        *(f"{column} = {{use={use}}}" for column, use in rows.uses.items()),
        "", "<MODEL>", "", *([covariates.text] if covariates.text else []),
        "[INDIVIDUAL]", f"input = {{{', '.join([*inputs, *used])}}}",
        *(["", *declared] if declared else []),
        "", "DEFINITION:", *(d.text for d in definitions), *correlation,
        "", "[LONGITUDINAL]", f"input = {{{', '.join(p.name for p in errors)}}}", "",
        f"file = '{name}_model.txt'", "", "DEFINITION:", *outcomes.lines,
        "", "<FIT>", f"data = {listed}", f"model = {listed}",
        "", "<PARAMETER>", *(p.text for p in dict.fromkeys((*parameters, *correlations, *errors))),
        "", "<MONOLIX>", "", "[TASKS]", "populationParameters()",
        "individualParameters(method = {conditionalMean, conditionalMode })",
        *(["fim(method = StochasticApproximation)"] if model.covariance and not model.covariance.omitted else []),
        "logLikelihood(method = ImportanceSampling)", "", "[SETTINGS]", "GLOBAL:", f"exportpath = '{name}'",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"
