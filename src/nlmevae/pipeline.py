"""From a control stream to a result: the whole path, one step per function.

text -> read_model -> Model -> prepare (data, event table) -> run_fit -> FitResult -> files
text -> new_subjects (other data) -> predict (at a finished fit) -> PredictionResult
text -> prepare_selection (also the search space) -> run_selection (search, written model, its fit) -> SelectionResult
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.errors import DataError, ModelError, SettingsError, UnsupportedError
from nlmevae.fitted_run import table_files, write_tables
from nlmevae.ir import Candidate, Diagnostic, Expression, Model
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.prediction_result import PredictionResult
from nlmevae.results.run_folder import RunFolder
from nlmevae.results.selection_result import SelectionResult
from nlmevae.results_folder import open_project_folder, write_monolix_folder
from nlmevae.resumption import USUAL_SECONDS, Resumption, provenance_of, stages_of, with_warnings

if TYPE_CHECKING:
    from nlmevae.data.events import EventTable
    from nlmevae.data.search_space import Search
    from nlmevae.estimation.predict import NewSubjects
    from nlmevae.estimation.search import SearchOutcome, SelectedModel
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.estimation.trace import ProgressEvent
    from nlmevae.model_summary import ModelSummary
    from nlmevae.writers.run_files import RunFiles
    from nlmevae.writers.selection_files import SelectionFiles

ModelSource = str | os.PathLike[str] | Model


def read_model(path: str | os.PathLike[str]) -> Model:
    """Read a NONMEM control stream, or a Monolix project (.mlxtran).

    Raises:
        ModelError: the file is missing, not legal, or beyond this version; with file, line and column.
    """
    if Path(path).suffix.lower() in (".mlxtran", ".xmlx"):
        from nlmevae.frontends.monolix.lower import read_monolix_project as read
    else:
        from nlmevae.frontends.nonmem.read import read_control_stream as read
    try:
        return read(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}", hint="check the path of the model file") from None


def prepare(source: ModelSource, *, data: str | os.PathLike[str] | None = None) -> PreparedRun:
    """Read the model (unless it is one) and its data.

    Args:
        data: read this file instead of the one $DATA names.

    Raises:
        ModelError, DataError: as the readers say.
    """
    from nlmevae.data.event_table import event_table
    from nlmevae.data.observation_checks import check_observations
    from nlmevae.data.read import read_dataset

    model = source if isinstance(source, Model) else read_model(source)
    if data is not None:
        model = with_data(model, Path(data))
    dataset = read_dataset(model)
    table = event_table(model, dataset)
    notes = (*notes_with_data(model, table), *dataset.diagnostics, *check_observations(model, table, dataset))
    return PreparedRun(model=model, dataset=dataset, table=table, diagnostics=notes)


def notes_with_data(model: Model, table: EventTable) -> tuple[Diagnostic, ...]:
    """The model's notes, but those on parameters of the output compartment where the data observe it."""
    return tuple(d for d in model.diagnostics if not (table.output and d.code == "output-compartment"))


def with_data(model: Model, path: Path) -> Model:
    """The model with other data; DataError if there is no such file."""
    if not path.is_file():
        what = "is a folder, not a data file" if path.is_dir() else "does not exist"
        raise DataError(f"the data file {path} {what}", hint="correct the path; it is taken from the current folder")
    return dataclasses.replace(model, data=dataclasses.replace(model.data, path=str(path.resolve())))


def check(source: ModelSource, *, data: str | os.PathLike[str] | None = None) -> ModelSummary:
    """What nlmevae understands of a model and its data; nothing is fitted.

    Raises:
        ModelError, DataError: what would also stop a fit.
    """
    from nlmevae.model_summary import summarise

    return summarise(prepare(source, data=data))


def fit(
    source: ModelSource,
    *,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    write: bool = False,
    overwrite: bool = False,
    derive: Iterable[str] = (),
    resume: bool = False,
    checkpoint_every: float = USUAL_SECONDS,
    progress: Callable[[ProgressEvent], None] | None = None,
    **settings: Any,
) -> FitResult:
    """Fit a model.

    Args:
        source: control stream, Monolix project or a model read earlier.
        data: read this file instead of the one $DATA names.
        out: folder for ``<run>.ext``, ``<run>.phi``, ``<run>.results.json`` and the files of $TABLE; created if
            missing.
        write: write these files beside the model file. Without `out` or `write` nothing is written. A Monolix project
            also gets its results folder.
        overwrite: also replace files that another program wrote.
        derive: functions of the parameters, as ``"LOG(2)*V/CL"``, to be given with standard errors (`derived`).
        resume: go on from ``<run>.checkpoint`` where the same run was killed or interrupted; the result is that of
            an undisturbed run, bit for bit. From the beginning if there is none.
        checkpoint_every: seconds between checkpoints of a run that writes files; 0: none.
        progress: called after every iteration, and while likelihood and standard errors are computed (`row` None).
        settings: fields of `FitSettings` (method, seed, backend, ...).

    Returns:
        The result. A numerical failure is a status in it, not an exception.

    Raises:
        ModelError, DataError, SettingsError, OutputError: before anything is fitted.
    """
    chosen = make_settings(settings)
    prepared = prepare(source, data=data)
    chosen = with_stated_seed(chosen, prepared.model, settings)
    chosen = with_stated_samples(chosen, prepared.model, settings)
    expressions = parse_derived(prepared.model, derive)
    if not write and out is None:
        return run_fit(prepared, chosen, progress=progress, derive=expressions)
    files = open_files(prepared, out=out, overwrite=overwrite)
    tables = table_files(prepared, out=out, overwrite=overwrite)
    folder = open_project_folder(prepared, out=out)
    resumption = fit_resumption(prepared, chosen, files, resume=resume, every=checkpoint_every)
    result = run_fit(prepared, chosen, files=files, progress=progress, derive=expressions, resumption=resumption)
    files.finish(result)
    threads = chosen.on(prepared.table).threads
    write_tables(prepared, result, tables, threads=threads)
    if folder is not None:
        write_monolix_folder(prepared, result, folder[0], threads=threads)
    resumption.done(result)
    return result


def parse_derived(model: Model, texts: Iterable[str]) -> dict[str, Expression]:
    """Functions of the model's parameters, by their text.

    Raises:
        ModelError: not an expression, or one that reads something else; with its place in the text.
    """
    from nlmevae.frontends.nonmem.parameter_expression import parse_parameter_expression
    from nlmevae.ir import parameter_names

    if isinstance(texts, str):
        texts = (texts,)
    names = parameter_names(model)
    if model.project is not None:  # omega_V is a standard deviation there, OMEGA(2,2) its square
        names = {own: name for own, name in names.items() if own == name or not name.startswith("OMEGA")}
    return {text: parse_parameter_expression(text, names) for text in texts}


def make_settings(options: dict[str, Any], *, also: tuple[str, ...] = ()) -> FitSettings:
    """Settings from names and values; `also`: other names that the caller knows, for suggestions.

    Raises:
        SettingsError: an unknown name (the nearest known one is named) or an impossible value.
    """
    import difflib

    from nlmevae.estimation.settings import FitSettings

    known = [f.name for f in dataclasses.fields(FitSettings)]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, (*known, *also), n=1)
            hint = f"did you mean {near[0]}?" if near else f"known settings: {', '.join((*also, *known))}"
            raise SettingsError(f"there is no setting {name!r}", hint=hint)
    return FitSettings(**options)


def require_no_prior(model: Model) -> None:
    """
    Raises:
        UnsupportedError: the text states a prior distribution of the parameters, and asks to estimate.
    """
    if model.prior is not None and not model.evaluates_only:
        raise UnsupportedError(
            f"{model.prior.stated_by} is not supported in estimation, which maximises the likelihood alone",
            hint=f"{model.prior.remedy}; tables, likelihood, simulate and the others compute the model at given values",
            location=model.prior.at,
        )


def with_stated_seed(settings: FitSettings, model: Model, given: Iterable[str]) -> FitSettings:
    """The settings with the seed that the model's text states ($ESTIMATION SEED, seed of a Monolix project), unless it
    is among those `given`."""
    if model.seed is None or "seed" in given:
        return settings
    return dataclasses.replace(settings, seed=model.seed)


def with_stated_samples(settings: FitSettings, model: Model, given: Iterable[str]) -> FitSettings:
    """The settings with as many samples as the tasks of a Monolix project ask for, unless they are among those
    `given`."""
    if model.project is None or "samples" in given:
        return settings
    return dataclasses.replace(settings, samples=model.project.samples)


def open_files(
    prepared: PreparedRun, *, out: str | os.PathLike[str] | None = None, overwrite: bool = False
) -> RunFiles:
    """The run's files, checked before anything is fitted.

    Raises:
        OutputError: they cannot be written, or a file that is not ours would be lost.
    """
    from nlmevae.writers.run_files import RunFiles
    from nlmevae.writers.table_files import TableFiles

    model = prepared.model
    require_no_prior(model)
    folder = RunFolder.beside(model.source.path or model.name, out)
    inputs = [model.source.path, prepared.dataset.path, *model.source.included]
    folder.prepare(overwrite=overwrite, inputs=inputs)
    files = RunFiles(folder, model, n_obs_total=prepared.table.n_known)
    tables = TableFiles(folder, model.tables)
    files.raw_output.prepare(overwrite=overwrite, inputs=inputs, tables=(*tables.paths, tables.manifest))
    return files


def run_fit(
    prepared: PreparedRun,
    settings: FitSettings,
    *,
    files: RunFiles | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
    derive: dict[str, Expression] | None = None,
    resumption: Resumption | None = None,
) -> FitResult:
    """Estimate; iterations go to `files` as they come, and checkpoints where `resumption` says. The caller writes
    the result (`files.finish`), then ends the resumption (`resumption.done`)."""
    from nlmevae.estimation.fit import fit_model
    from nlmevae.results.derived import with_derived

    def report(event: ProgressEvent) -> None:
        if files is not None and event.row is not None:
            files.add_iteration(event.row)
        if progress is not None:
            progress(event)

    require_no_prior(prepared.model)
    try:
        with stages_of(resumption) as stages:
            result = fit_model(
                prepared.model, prepared.dataset, prepared.table, settings, progress=report, stages=stages
            )
        return with_derived(with_warnings(result, resumption), derive or {})
    except BaseException:
        if files is not None:
            files.close()
        raise


def predict(
    source: ModelSource,
    *,
    fit: FitResult | str | os.PathLike[str],
    data: str | os.PathLike[str],
    encoder: str | os.PathLike[str] | None = None,
    samples: int | None = None,
    route: str = "refined",
    seed: int = 1,
    backend: str = "auto",
    device: str = "cpu",
    steps: Callable[[str, int, int], None] | None = None,
) -> PredictionResult:
    """Posteriors and predictions for subjects of another data set, at the estimates of a fit; nothing is fitted.

    Args:
        source: the control stream that was fitted, or the model.
        fit: its result, or its ``results.json``.
        data: the subjects, in the columns $INPUT names. Records of EVID 2 and MDV 1 are predicted, too.
        encoder: the ``.encoder`` file of the fit. Its posteriors are compared with the refined ones.
        samples: keep so many draws per subject in the result (None: 1000 are used for the intervals and forgotten).
        route: "refined" (mode search, then importance sampling) or "encoder" (the network alone: milliseconds).
        backend, device: as in `FitSettings`.
        steps: called with what is done, the steps done and the steps in all.

    Raises:
        ModelError, DataError, SettingsError: the model, data, fit or encoder cannot be used, or not with each other.
    """
    from nlmevae.estimation.predict import PredictSettings, predict_subjects
    from nlmevae.writers.encoder_file import read_encoder
    from nlmevae.writers.results_json import read_results_json

    chosen = {} if samples is None else {"n_samples": samples, "keep_samples": True}
    settings = PredictSettings(seed=seed, route=route, backend=backend, device=device, **chosen)  # type: ignore[arg-type]
    result = fit if isinstance(fit, FitResult) else read_results_json(Path(fit))
    network = result.encoder if encoder is None else read_encoder(Path(encoder))
    return predict_subjects(new_subjects(source, data=data), result, settings, network, steps)


def new_subjects(source: ModelSource, *, data: str | os.PathLike[str]) -> NewSubjects:
    """A model with data of subjects that may have no observations.

    Raises:
        ModelError, DataError: as the readers say.
    """
    from nlmevae.data.event_table import event_table
    from nlmevae.data.observation_checks import check_observations
    from nlmevae.data.prediction_rows import predicted_dataset
    from nlmevae.data.read import read_dataset
    from nlmevae.estimation.predict import NewSubjects

    model = with_data(source if isinstance(source, Model) else read_model(source), Path(data))
    dataset = read_dataset(model)
    observed = event_table(model, dataset)
    notes = dataset.diagnostics
    if observed.n_obs_total:
        notes = (*notes, *check_observations(model, observed, dataset))
    predicted = event_table(model, predicted_dataset(model, dataset))
    return NewSubjects(model=model, dataset=dataset, observed=observed, predicted=predicted, diagnostics=notes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSelection:
    """A run with its search space; `diagnostics` are the run's and those of the covariates."""

    run: PreparedRun
    search: Search
    diagnostics: tuple[Diagnostic, ...]

    @property
    def model(self) -> Model:
        return self.run.model

    @property
    def table(self) -> EventTable:
        return self.run.table


def select(
    source: ModelSource,
    *,
    covariates: Any = None,
    categorical: Any = None,
    parameters: Any = None,
    effects: Any = None,
    force: Any = None,
    forbid: Any = None,
    forms: Any = None,
    centre: Any = None,
    missing: float | None = None,
    levels: str | None = None,
    reference: Any = None,
    settings_file: str | os.PathLike[str] | None = None,
    scm_file: str | os.PathLike[str] | None = None,
    mfl: str | None = None,
    linear_as: str | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    write: bool = False,
    overwrite: bool = False,
    final_estimates: bool = False,
    resume: bool = False,
    checkpoint_every: float = USUAL_SECONDS,
    progress: Callable[[ProgressEvent], None] | None = None,
    **settings: Any,
) -> SelectionResult:
    """Fit a model and select its covariate effects in the same run.

    Args:
        source: control stream or a model read earlier; effects that are in it already stay.
        covariates, categorical, parameters, effects, force, forbid, forms, centre, missing, levels, reference,
            settings_file: what is searched (`SearchSpec`; docs/covariates.md). Lists may be text with commas.
        scm_file, mfl: what is searched, as a configuration file of PsN's scm or in Pharmpy's MFL; `linear_as`: the
            form in place of a linear effect that has no counterpart.
        data, out, write, overwrite, resume, checkpoint_every, progress: as in `fit`; the files are those of
            ``<run>_selected``.
        final_estimates: all estimates become initial values of the selected model's text; without it only the
            coefficients of the new effects do.
        settings: fields of `SelectionSettings` (criterion, audit, ...) and of `FitSettings` (method, seed, ...).

    Returns:
        The result; its `fit` is that of the selected model. A numerical failure is a status in it.

    Raises:
        ModelError, DataError, SettingsError, OutputError: before anything is fitted.
    """
    from nlmevae.data.search.decision import decision_of_file

    stated = decision_of_file(settings_file).criterion
    chosen, selection = make_selection_settings({**({"criterion": stated} if stated else {}), **settings})
    prepared = prepare_selection(
        source, data=data, settings_file=settings_file, covariates=covariates, categorical=categorical,
        parameters=parameters, effects=effects, force=force, forbid=forbid, forms=forms, centre=centre,
        missing=missing, levels=levels, reference=reference, scm_file=scm_file, mfl=mfl, linear_as=linear_as,
    )  # fmt: skip
    chosen = with_stated_seed(chosen, prepared.model, settings)
    if not write and out is None:
        return run_selection(prepared, chosen, selection, progress=progress, final_estimates=final_estimates)
    files = open_selection_files(prepared, out=out, overwrite=overwrite)
    resumption = selection_resumption(prepared, chosen, selection, files, resume=resume, every=checkpoint_every)
    result = run_selection(
        prepared, chosen, selection, files=files, progress=progress, resumption=resumption,
        final_estimates=final_estimates,
    )  # fmt: skip
    files.finish(result)
    resumption.done(result.fit)
    return result


def selection_resumption(
    prepared: PreparedSelection,
    settings: FitSettings,
    selection: SelectionSettings,
    files: SelectionFiles,
    *,
    resume: bool,
    every: float,
) -> Resumption:
    """Of a search; the checkpoint stands beside its files."""
    provenance = provenance_of(prepared.run, settings, search=prepared.search, selection=selection)
    return Resumption(files.folder.run.checkpoint, provenance, resume=resume, every=every)


def fit_resumption(
    prepared: PreparedRun, settings: FitSettings, files: RunFiles, *, resume: bool, every: float
) -> Resumption:
    """Of a fit; the checkpoint stands beside its files."""
    return Resumption(files.folder.checkpoint, provenance_of(prepared, settings), resume=resume, every=every)


def make_selection_settings(options: dict[str, Any]) -> tuple[FitSettings, SelectionSettings]:
    """Settings of the fit and of the selection from names and values.

    Raises:
        SettingsError: an unknown name or an impossible value.
    """
    from nlmevae.estimation.settings import SelectionSettings

    names = {f.name for f in dataclasses.fields(SelectionSettings)}
    own = {name: value for name, value in options.items() if name in names and value is not None}
    if isinstance(own.get("penalties"), dict):
        own["penalties"] = tuple(own["penalties"].items())
    rest = {name: value for name, value in options.items() if name not in names}
    return make_settings(rest, also=tuple(names)), SelectionSettings(**own)


def prepare_selection(
    source: ModelSource,
    *,
    data: str | os.PathLike[str] | None = None,
    scm_file: str | os.PathLike[str] | None = None,
    mfl: str | None = None,
    linear_as: str | None = None,
    **options: Any,
) -> PreparedSelection:
    """Read the model, its data and the covariates to be searched.

    Args:
        options: of the search, as `select` takes them.

    Raises:
        ModelError, DataError, SettingsError: as the readers say.
    """
    from nlmevae.data.search.foreign_space import with_foreign_space
    from nlmevae.data.search_space import search_space
    from nlmevae.data.search_spec import SearchSpec
    from nlmevae.writers.selected_model import check_can_be_written

    spec = SearchSpec.from_options(**options)
    run = prepare(source, data=data)
    require_no_prior(run.model)
    if run.model.evaluates_only:
        asks, remove = "$ESTIMATION asks", "MAXEVAL=0 or EONLY=1"
        if run.model.project is not None:
            asks, remove = "populationParameters is not run: the project asks", "run=false, or write the task,"
        raise UnsupportedError(
            f"{asks} to evaluate the model without estimating, so there is no search",
            hint=f"remove {remove} to select covariates",
            location=run.model.estimation[0].at,
        )
    path = "" if isinstance(source, Model) else str(source)
    spec, notes = with_foreign_space(
        spec, run.model, run.dataset, scm_file=scm_file, mfl=mfl, linear_as=linear_as, model_path=path
    )
    search = search_space(run.model, run.dataset, run.table, spec)
    check_can_be_written(run.model, _kinds(run.model, search.space.candidates))
    found = (*run.diagnostics, *notes, *search.diagnostics)
    return PreparedSelection(run=run, search=search, diagnostics=found)


def _kinds(model: Model, candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate for each parameter, and every one whose covariate the code reads already: what can be written
    for one of them can be written for the others."""
    from nlmevae.ir import names_read

    read = names_read(model.program.pk) | names_read(model.program.error)
    first: dict[tuple[str, str], Candidate] = {}
    for candidate in candidates:
        known = candidate.covariate if candidate.covariate in read else ""
        first.setdefault((candidate.parameter, known), candidate)
    return list(first.values())


def open_selection_files(
    prepared: PreparedSelection, *, out: str | os.PathLike[str] | None = None, overwrite: bool = False
) -> SelectionFiles:
    """The run's files, checked before anything is fitted.

    Raises:
        OutputError: they cannot be written, or a file that is not ours would be lost.
    """
    from nlmevae.results.selection_folder import SelectionFolder
    from nlmevae.writers.selection_files import SelectionFiles

    model = prepared.model
    folder = SelectionFolder.beside(model.source.path or model.name, out)
    folder.prepare(overwrite=overwrite, inputs=[model.source.path, prepared.run.dataset.path])
    return SelectionFiles(folder, draw=_draw)


def _draw(result: SelectionResult) -> Any:
    from nlmevae.report.selection_plots import draw_selection

    return draw_selection(result)


def run_selection(
    prepared: PreparedSelection,
    settings: FitSettings,
    selection: SelectionSettings,
    *,
    files: SelectionFiles | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
    resumption: Resumption | None = None,
    final_estimates: bool = False,
) -> SelectionResult:
    """Search, write the selected model, fit it as written. The caller writes the files (`files.finish`), then ends
    the resumption (`resumption.done`)."""
    from nlmevae.estimation.search import fit_of_selected, search_effects
    from nlmevae.estimation.search_evidence import Evidence, evidence_of
    from nlmevae.estimation.search_report import search_report
    from nlmevae.writers.selected_model import text_at_fit

    run = prepared.run
    with stages_of(resumption) as stages:
        outcome = search_effects(
            run.model, run.table, prepared.search, settings, selection, progress=progress, stages=stages
        )
        selected, text = selected_model(prepared, outcome, files)
        fit = with_warnings(fit_of_selected(outcome, selected, progress), resumption)
        if final_estimates:
            text, fit = text_at_fit(text, selected.model, fit)

    def report(evidence: Evidence, *, audit: str) -> SelectionResult:
        exchangeable = prepared.search.exchangeable
        return search_report(outcome, evidence, fit, selected.thetas, text, exchangeable, audit=audit)

    if files is not None:
        files.keep(report(Evidence.unknown(outcome), audit=""))
    return report(evidence_of(outcome), audit=selection.audit)


def selected_model(
    prepared: PreparedSelection, outcome: SearchOutcome, files: SelectionFiles | None
) -> tuple[SelectedModel, str]:
    """The selected model as text, read back and with its data: what is fitted last is what the file says."""
    from nlmevae.estimation.search import SelectedModel
    from nlmevae.writers.selected_model import SelectedEffect, read_selected, selected_text

    model = prepared.run.model
    path = Path(model.source.path)
    if files is not None:
        path = files.folder.control_stream
    effects = [SelectedEffect(candidate=candidate, beta=beta) for candidate, beta in outcome.selected]
    written = selected_text(model, effects, path=path)
    read = read_selected(model, written, path)
    run = prepare(read, data=prepared.run.dataset.path)
    chosen = SelectedModel(
        model=run.model, dataset=run.dataset, table=run.table, thetas=written.thetas, base=written.base
    )
    return chosen, written.text
