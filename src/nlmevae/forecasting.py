"""How long a fit or a search will take: control stream + data -> a few iterations -> TimeForecast."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nlmevae.pipeline import ModelSource, make_selection_settings, prepare, prepare_selection, with_stated_seed
from nlmevae.results.time_forecast import TimeForecast

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.pipeline import PreparedSelection
    from nlmevae.prepared_run import PreparedRun

#: Seconds that writing takes, and drawing the plots of a search (measured on two cores).
WRITING, DRAWING = 0.1, 1.2


def estimate_time(
    source: ModelSource,
    *,
    data: str | os.PathLike[str] | None = None,
    covariates: Any = None,
    settings_file: str | os.PathLike[str] | None = None,
    **options: Any,
) -> TimeForecast:
    """How long `fit` will take on this machine, or `select` if there are `covariates` or a `settings_file`.

    Args:
        source, data: as in `fit`.
        covariates, settings_file: as in `select`.
        options: fields of `FitSettings`, and for a search of `SelectionSettings`.

    Raises:
        ModelError, DataError, SettingsError: what would also stop the run.
    """
    chosen, selection = make_selection_settings(options)
    if covariates is None and settings_file is None:
        run = prepare(source, data=data)
        return fit_time(run, with_stated_seed(chosen, run.model, options))
    prepared = prepare_selection(source, data=data, covariates=covariates, settings_file=settings_file)
    return selection_time(prepared, with_stated_seed(chosen, prepared.model, options), selection)


def fit_time(prepared: PreparedRun, settings: FitSettings) -> TimeForecast:
    """Of `run_fit` with its command: start of the program, reading, and writing included."""
    from nlmevae.estimation.forecast import forecast

    return _with_rest(forecast(prepared.model, prepared.table, settings), WRITING)


def selection_time(prepared: PreparedSelection, settings: FitSettings, selection: SelectionSettings) -> TimeForecast:
    """Of `run_selection` with its command."""
    from nlmevae.estimation.forecast import forecast

    found = forecast(prepared.model, prepared.table, settings, prepared.search, selection)
    return _with_rest(found, WRITING + DRAWING)


def _with_rest(found: TimeForecast, writing: float) -> TimeForecast:
    """What comes before takes the time it has taken now: the processor's since the process began, less the trial's."""
    before = max(time.process_time() - found.trial, 0.0)
    return replace(
        found,
        parts={"start and reading": before, **found.parts, "writing": writing},
        low=found.low + before + writing,
        high=found.high + before + writing,
    )
