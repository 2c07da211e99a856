"""From a finished fit to its report: read the run again, compute the diagnostics, draw, write one HTML file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.errors import DataError, NlmevaeError, SettingsError
from nlmevae.fitted_run import Steps, at_fit, check_same_model
from nlmevae.pipeline import ModelSource, prepare
from nlmevae.results.run_folder import RunFolder, check_replaceable, make_folder

if TYPE_CHECKING:
    from nlmevae.estimation.at_estimates import AtEstimates
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.report.page.contents import Contents
    from nlmevae.results.diagnostics import Diagnostics
    from nlmevae.results.effect_size import EffectSize
    from nlmevae.results.fit_result import FitResult
    from nlmevae.results.selection_result import SelectionResult

N_SUBJECTS, N_SIMULATIONS, THEME = 24, 500, "colour"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """`stratify`: data items that split the predictive checks. `subjects`: most subjects among the individual fits.
    `simulations`: data sets behind predictive checks and NPDE, 0 for neither. `theme`: colour or grey."""

    stratify: tuple[str, ...] = ()
    subjects: int = N_SUBJECTS
    simulations: int = N_SIMULATIONS
    theme: str = THEME

    def __post_init__(self) -> None:
        from nlmevae.report.style import theme_named

        for name in ("subjects", "simulations"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise SettingsError(f"{name} is {value!r}", hint="give a whole number that is not negative")
        theme_named(self.theme)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Computed:
    """`reason` is a sentence if there are no diagnostics."""

    diagnostics: Diagnostics | None
    effects: tuple[EffectSize, ...] = ()
    reason: str = ""


def write_report(
    source: ModelSource,
    *,
    fit: FitResult | str | os.PathLike[str] | None = None,
    selection: SelectionResult | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    stratify: str | Sequence[str] | None = None,
    subjects: int = N_SUBJECTS,
    simulations: int = N_SIMULATIONS,
    theme: str = THEME,
    data: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Steps | None = None,
) -> Path:
    """Write the report of a finished fit, one HTML file that works without a network.

    Args:
        source: the control stream that was fitted.
        fit: its result, or ``.results.json`` file (default: the one beside the control stream).
        selection: of a covariate search, or its ``.selection.json`` (default: the one beside the results, if any).
        out: the file (default: ``<run>.html`` beside the results).
        stratify: data items that split the predictive checks.
        subjects: most subjects among the individual fits.
        simulations: simulated data sets behind predictive checks and NPDE; 0: neither.
        theme: ``colour``, or ``grey`` for black-and-white print.
        data: read this file instead of the one that was fitted.
        overwrite: also replace a file that another program wrote.
        progress: told what is being done, how much of it, and the total.

    Returns:
        The file written.

    Raises:
        ModelError, DataError: model, data and result cannot be read or do not belong together.
        SettingsError: an option has an impossible value.
        MissingDependencyError: matplotlib or jinja2 is not installed.
        OutputError: the file cannot be written.
    """
    from nlmevae.report.page.page import page, require_packages
    from nlmevae.writers.atomic import write_atomically

    items = (stratify,) if isinstance(stratify, str) else tuple(stratify or ())
    options = ReportOptions(stratify=items, subjects=subjects, simulations=simulations, theme=theme)
    require_packages()
    found = _Results.find(source, fit, selection)
    run = _run_of(source, found.fit, data)
    path = _target(out, found, run, overwrite=overwrite)
    html = page(contents(run, found.fit, found.selection, options, steps=progress), steps=progress)
    write_atomically(path, html)
    return path


def contents(
    run: PreparedRun,
    fit: FitResult,
    selection: SelectionResult | None = None,
    options: ReportOptions | None = None,
    *,
    steps: Steps | None = None,
) -> Contents:
    """Everything the page shows, computed."""
    from nlmevae.report.page.contents import Contents
    from nlmevae.report.style import theme_named
    from nlmevae.run_description import describe

    chosen = options if options is not None else ReportOptions()
    computed = _diagnose(run, fit, chosen, steps)
    return Contents(
        fit=fit,
        run=describe(run, fit),
        diagnostics=computed.diagnostics,
        why_no_diagnostics=computed.reason,
        selection=selection,
        effects=computed.effects,
        n_subjects=chosen.subjects,
        theme=theme_named(chosen.theme),
    )


def _diagnose(run: PreparedRun, fit: FitResult, options: ReportOptions, steps: Steps | None) -> _Computed:
    """A model that cannot be evaluated at the estimates has a report without diagnostics, which says why."""
    import numpy as np

    values = np.concatenate([fit.thetas, fit.omega.ravel(), fit.sigma.ravel()])
    if not np.isfinite(values).all():
        return _Computed(diagnostics=None, reason="No diagnostics: some estimates are not finite numbers.")
    try:
        with at_fit(run, fit, threads=int(fit.settings.get("threads") or 1)) as here:
            return _computed_at(here, run, fit, options, steps)
    except SettingsError:
        raise
    except (NlmevaeError, np.linalg.LinAlgError) as error:
        return _Computed(diagnostics=None, reason=f"No diagnostics: {getattr(error, 'message', error)}.")


def _computed_at(
    here: AtEstimates, run: PreparedRun, fit: FitResult, options: ReportOptions, steps: Steps | None
) -> _Computed:
    from nlmevae.diagnostics.checks import predictive_checks
    from nlmevae.diagnostics.diagnose import diagnose
    from nlmevae.diagnostics.endpoints import endpoints
    from nlmevae.diagnostics.replicates import simulate_observations
    from nlmevae.diagnostics.vpc import CheckOptions

    n = options.simulations
    found = diagnose(here, run.dataset, n_simulations=n, seed=fit.seed, steps=steps)
    checks = (CheckOptions(), CheckOptions(prediction_corrected=True))
    if options.stratify and n:
        simulated = simulate_observations(here.joint, n, seed=fit.seed, steps=steps)
        kinds, pred = endpoints(here.problem), found.observations.pred
        split = [
            check
            for item in options.stratify
            for check in predictive_checks(here, run.dataset, simulated, kinds, pred, checks, stratify=item)
        ]
        found = dataclasses.replace(found, vpcs=(*found.vpcs, *split))
    return _Computed(diagnostics=found, effects=_effects(here, fit))


def _effects(here: AtEstimates, fit: FitResult) -> tuple[EffectSize, ...]:
    import numpy as np

    from nlmevae.diagnostics.effect_sizes import effect_sizes, theta_covariance

    n = len(fit.thetas)
    if fit.uncertainty is not None:
        return effect_sizes(here, fit.uncertainty.covariance[:n, :n])
    known = [np.nan if e.standard_error is None else e.standard_error for e in fit.estimates if e.kind == "theta"]
    return effect_sizes(
        here, theta_covariance(np.where([e.fixed for e in fit.estimates if e.kind == "theta"], 0.0, known))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Results:
    """The results and the folder and name they had, or would have."""

    fit: FitResult
    selection: SelectionResult | None
    folder: RunFolder

    @classmethod
    def find(cls, source: ModelSource, fit: Any, selection: Any) -> _Results:
        from nlmevae.results.fit_result import FitResult
        from nlmevae.writers.results_json import read_results_json

        folder = RunFolder.beside(_path_of(source))
        if fit is None:
            if not folder.results_json.exists():
                raise DataError(
                    f"there is no {folder.results_json}",
                    hint="fit the model first (nlmevae fit), or name its results with --fit",
                )
            fit = folder.results_json
        if not isinstance(fit, FitResult):
            path = Path(fit)
            stem = path.name.removesuffix(".json").removesuffix(".results")
            folder, fit = RunFolder(folder=path.parent, stem=stem), read_results_json(path)
        return cls(fit=fit, selection=_selection(selection, folder, fit), folder=folder)


def _selection(given: Any, folder: RunFolder, fit: FitResult) -> SelectionResult | None:
    """As given, else the one beside the results if it is of this fit."""
    from nlmevae.results.selection_result import SelectionResult
    from nlmevae.writers.selection_json import read_selection_json

    if isinstance(given, SelectionResult):
        return given
    beside = folder.folder / f"{folder.stem}.selection.json"
    if given is None and not beside.exists():
        return None
    found = read_selection_json(Path(given) if given is not None else beside)
    same = [e.value for e in found.fit.estimates] == [e.value for e in fit.estimates]
    if given is not None and not same:
        raise DataError(f"{given} is of another fit", hint="give the selection that ended with these results")
    return found if same else None


def _path_of(source: ModelSource) -> str:
    from nlmevae.ir import Model

    return (source.source.path or source.name) if isinstance(source, Model) else os.fspath(source)


def _run_of(source: ModelSource, fit: FitResult, data: str | os.PathLike[str] | None) -> PreparedRun:
    """Model and data, checked to be those of the fit."""
    used = data if data is not None else fit.data_path if os.path.isfile(fit.data_path) else None
    run = prepare(source, data=used)
    check_same_model(run, fit)
    if run.table.subject_labels != fit.individuals.labels or run.table.n_obs_total != fit.n_obs_total:
        raise DataError(
            f"the results are of {fit.n_subjects} subjects with {fit.n_obs_total} observations, not of the "
            f"{run.table.n_subjects} subjects with {run.table.n_obs_total} observations in {run.dataset.path}",
            hint="give the model file, data (--data) and results (--fit) of one run",
        )
    return run


def _target(out: Any, found: _Results, run: PreparedRun, *, overwrite: bool) -> Path:
    path = Path(out) if out is not None else found.folder.report
    if path.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"the report {path} is not called .html", hint="give a file name that ends in .html")
    make_folder(path.parent)
    inputs = [p for p in (run.model.source.path, run.dataset.path) if p]
    check_replaceable([path], overwrite=overwrite, inputs=inputs)
    return path
