"""The fit of the data that a study starts from: made once, kept in its folder, or given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nlmevae.errors import DataError, SettingsError
from nlmevae.fitted_run import check_same_model
from nlmevae.pipeline import require_no_prior, run_fit
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult
from nlmevae.results.status import FitStatus
from nlmevae.resumption import Resumption, provenance_of
from nlmevae.writers.results_json import read_results_json, write_results_json

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.trace import ProgressEvent

#: Nothing can start from these estimates.
USELESS = {FitStatus.NUMERICAL_FAILURE, FitStatus.EVALUATED}


def given_fit(run: PreparedRun, fit: FitResult | str | os.PathLike[str]) -> FitResult:
    """A fit of this model, from its results.json.

    Raises:
        DataError: it cannot be read, is of another model or of other data, or ended without estimates.
    """
    found = fit if isinstance(fit, FitResult) else read_results_json(Path(fit))
    check_same_model(run, found)
    if found.individuals.labels != run.table.subject_labels or found.n_obs_total != run.table.n_obs_total:
        raise DataError(
            f"the fit of {found.source_path} is of other data", hint="fit this model first, or leave the fit out"
        )
    return usable(found)


def original_fit(
    run: PreparedRun,
    settings: FitSettings,
    path: Path,
    *,
    restart: bool = False,
    progress: Callable[[ProgressEvent], None] | None = None,
) -> FitResult:
    """The fit in `path`, which is made if it is not there; of a killed one its checkpoint is continued.

    Raises:
        KeyboardInterrupt: it was interrupted. DataError: it failed.
        OutputError: it cannot be written.
    """
    if path.exists() and not restart:
        return usable(read_results_json(path))
    checkpoint = path.with_name(path.name.replace(".results.json", ".checkpoint"))
    if restart:
        checkpoint.unlink(missing_ok=True)
    resumption = Resumption(checkpoint, provenance_of(run, settings), resume=checkpoint.exists())
    fit = run_fit(run, settings, progress=progress, resumption=resumption)
    if fit.status is FitStatus.INTERRUPTED:
        raise KeyboardInterrupt
    write_results_json(path, usable(fit))
    resumption.done(fit)
    return read_results_json(path)


def usable(fit: FitResult) -> FitResult:
    """The fit itself.

    Raises:
        DataError: it has no estimates to start from.
    """
    if fit.status in USELESS or fit.status is FitStatus.INTERRUPTED:
        raise DataError(
            f"the fit of the data ended without estimates to start from: {fit.message}",
            hint="make nlmevae fit converge first",
        )
    return fit


def require_estimation(run: PreparedRun, settings: FitSettings) -> None:
    """
    Raises:
        SettingsError: the model or the settings do not maximise the likelihood.
        UnsupportedError: the model has a prior distribution.
    """
    require_no_prior(run.model)
    if settings.method == "vae":
        raise SettingsError(
            "method vae does not maximise the likelihood, so its estimates cannot be continued on other data",
            hint="leave the method out",
        )
    if run.model.evaluates_only:
        raise SettingsError(
            "the model only evaluates its initial estimates (MAXEVAL=0): there is nothing to estimate",
            hint="remove MAXEVAL=0",
        )
