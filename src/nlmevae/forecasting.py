"""How long a command will take: control stream + data -> a short run of every part -> TimeForecast."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nlmevae.errors import SettingsError
from nlmevae.pipeline import ModelSource, make_selection_settings, prepare, prepare_selection, with_stated_seed
from nlmevae.results.time_forecast import PartTime, TimeForecast
from nlmevae.threads import usable_cores

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.pipeline import PreparedSelection
    from nlmevae.prepared_run import PreparedRun

#: Seconds, measured on two cores (`python -m tests.benchmarks.time_forecast --commands`, `tests.benchmarks.many_fits`):
#: of a command's end, beside its fit; of the plots of a search; until workers have started; of dask per sample.
WRITING, DRAWING, WORKERS, EACH = (0.1, 0.15, 0.5), (0.5, 1.5, 3.0), (2.0, 3.0, 5.0), 0.02


def estimate_time(
    source: ModelSource,
    *,
    data: str | os.PathLike[str] | None = None,
    covariates: Any = None,
    settings_file: str | os.PathLike[str] | None = None,
    bootstrap: int = 0,
    workers: int | None = None,
    **options: Any,
) -> TimeForecast:
    """How long `fit` will take on this machine, or `select` if there are `covariates` or a `settings_file`.

    Args:
        source, data: as in `fit`.
        covariates, settings_file: as in `select`.
        bootstrap: samples of a bootstrap of it, with so many `workers` (None: one per core; 0: this process).
        options: fields of `FitSettings`, and for a search of `SelectionSettings`.

    Raises:
        ModelError, DataError, SettingsError: what would also stop the run.
    """
    began = time.process_time()
    chosen, selection = make_selection_settings(options)
    if covariates is None and settings_file is None:
        run = prepare(source, data=data)
        found = fit_time(run, with_stated_seed(chosen, run.model, options), began=began, samples=bool(bootstrap))
    else:
        prepared = prepare_selection(source, data=data, covariates=covariates, settings_file=settings_file)
        settings = with_stated_seed(chosen, prepared.model, options)
        found = selection_time(prepared, settings, selection, began=began, samples=bool(bootstrap))
    return bootstrap_time(found, bootstrap, workers) if bootstrap else found


def fit_time(
    prepared: PreparedRun, settings: FitSettings, *, began: float = 0.0, samples: bool = False
) -> TimeForecast:
    """Of `run_fit` with its command: start of the program, reading, and writing included.

    Args:
        began: processor seconds of this process when the reading of the model began; 0: the program's start counts.
        samples: also of the fit of a sample.
    """
    from nlmevae.estimation.forecast import forecast

    before = time.process_time() - began
    found = forecast(prepared.model, prepared.table, settings, samples=samples)
    return _with_rest(found, before, PartTime("writing", *WRITING))


def selection_time(
    prepared: PreparedSelection,
    settings: FitSettings,
    selection: SelectionSettings,
    *,
    began: float = 0.0,
    samples: bool = False,
) -> TimeForecast:
    """Of `run_selection` with its command; `began`, `samples` as in `fit_time`."""
    from nlmevae.estimation.forecast import forecast

    before = time.process_time() - began
    found = forecast(prepared.model, prepared.table, settings, prepared.search, selection, samples=samples)
    both = (w + d for w, d in zip(WRITING, DRAWING, strict=True))
    return _with_rest(found, before, PartTime("writing and plots", *both))


def _with_rest(found: TimeForecast, before: float, writing: PartTime) -> TimeForecast:
    """What comes before takes the time it has taken now, with the loading of code that the trial has met."""
    start = before + found.loading
    return replace(found, parts=(PartTime("start and reading", start, start, start), *found.parts, writing))


def bootstrap_time(fit: TimeForecast, samples: int, workers: int | None) -> TimeForecast:
    """Of `nlmevae bootstrap`: the fit of the data, then its samples shared by the workers.

    Raises:
        SettingsError: no possible number of samples or workers.
    """
    if samples < 1:
        raise SettingsError(f"bootstrap is {samples!r}", hint="give a whole number of samples, 1 or more")
    if workers is not None and workers < 0:
        raise SettingsError(f"workers is {workers!r}", hint="give a whole number; 0: no other process")
    each, here = fit.sample, workers == 0
    n = max(1, min(samples, usable_cores() if workers is None else workers))
    dask = 0.0 if here else EACH
    start = [] if here else [PartTime("start of the workers", *WORKERS)]
    shared = PartTime("samples", *(samples * (seconds + dask) / n for seconds in (each.low, each.usual, each.high)))
    return replace(fit, parts=(*fit.parts, *start, shared), workers=n)
