"""The whole fit on one page: initial estimates -> VAE -> polish -> likelihood -> result."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import UnsupportedError
from nlmevae.estimation.assemble import Estimation, Evaluation, assemble_result
from nlmevae.estimation.evaluate import evaluate
from nlmevae.estimation.polish import polish
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.screen import scattered_starts
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.trace import Progress, ProgressEvent
from nlmevae.estimation.vae import run_vae
from nlmevae.ir import Model
from nlmevae.results.fit_result import FitResult
from nlmevae.results.status import FitStatus

#: The status says the estimates are not worth a likelihood, or the user does not want to wait for one.
_ENDED_EARLY = {FitStatus.INTERRUPTED, FitStatus.NUMERICAL_FAILURE}

_INTEGRATORS = {"compiled", "torchode"}
#: Measured: a target-mediated model takes 1855 steps at 1e-8, 124 at 1e-5, and ends at the same optimum.
ROUGH_RTOL = 1e-5


def fit_model(
    model: Model, dataset: Dataset, table: EventTable, settings: FitSettings, *, progress: Progress | None = None
) -> FitResult:
    """Fit one model to one data set.

    A numerical failure and Ctrl-C are statuses of the result, with the last complete estimates.

    Raises:
        ModelError: the model cannot be executed (code generation, no random effect for "vae").
    """
    clock = _Clock()
    form = latent_form(model, table)
    decoder = make_decoder(form, table, backend=settings.backend, rtol=settings.rtol, threads=settings.threads)
    rough = _rough_decoder(decoder, settings)
    try:
        problem = make_problem(model, form, table, decoder)
        clock.lap("setup")
        estimation = estimate(problem, replace(problem, decoder=rough), settings, progress, clock)
        evaluation = None
        if estimation.status not in _ENDED_EARLY:
            estimation, evaluation = _evaluate(problem, estimation, settings)
            clock.lap("likelihood")
        return assemble_result(problem, dataset, settings, estimation, evaluation, clock.seconds)
    finally:
        decoder.close()
        rough.close()


def estimate(
    problem: Problem, rough: Problem, settings: FitSettings, progress: Progress | None, clock: _Clock
) -> Estimation:
    """The VAE, on the `rough` problem (`problem` itself, or its decoder at a lower accuracy); by default
    followed by the exact finish."""
    estimation = Estimation.initial(problem)
    if problem.n_latents:
        vae = run_vae(rough, settings, progress)
        estimation = replace(
            estimation,
            population=vae.population,
            posteriors=() if vae.posterior is None else (vae.posterior,),
            status=vae.status,
            message=vae.message,
            trace=vae.trace,
        )
        clock.lap("vae")
    elif settings.method == "vae":
        raise UnsupportedError(
            "the model has no random effects, so there is nothing to encode",
            hint="use method vae+polish",
        )
    if settings.method == "vae" or estimation.status is FitStatus.INTERRUPTED:
        return estimation
    rows = estimation.trace
    rng = np.random.default_rng([settings.seed, 1])
    seconds = rows[-1].seconds if rows else 0.0
    outcome = polish(
        problem,
        estimation.population,
        next(iter(estimation.posteriors), None),
        settings,
        rng,
        _continued(progress, len(rows), seconds),
        alternatives=scattered_starts(rough, rng, keep=settings.n_alternatives),
    )
    clock.lap("polish")
    return Estimation(
        population=outcome.population,
        posteriors=tuple(q for q in (outcome.weighted, outcome.modes, *estimation.posteriors) if q is not None),
        status=outcome.status,
        message=outcome.message,
        trace=(*rows, *(ProgressEvent.shifted(row, len(rows), seconds) for row in outcome.trace)),
    )


def _rough_decoder(decoder: Decoder, settings: FitSettings) -> Decoder:
    """For a VAE that only starts the polish, integrators need not be accurate; a tolerance the user chose
    holds everywhere."""
    if decoder.backend not in _INTEGRATORS or settings.method == "vae" or settings.rtol is not None:
        return decoder
    return make_decoder(decoder.form, decoder.table, backend=decoder.backend, rtol=ROUGH_RTOL, threads=settings.threads)


def _evaluate(problem: Problem, estimation: Estimation, settings: FitSettings) -> tuple[Estimation, Evaluation | None]:
    try:
        return estimation, evaluate(problem, estimation, settings)
    except KeyboardInterrupt:
        stopped = replace(
            estimation,
            status=FitStatus.INTERRUPTED,
            message="The fit was interrupted while the likelihood was computed; the estimates are final.",
        )
        return stopped, None


def _continued(progress: Progress | None, n_rows: int, seconds: float) -> Progress | None:
    """Events of a later part of the fit, their rows numbered after the earlier ones."""
    if progress is None:
        return None
    return lambda event: progress(replace(event, row=ProgressEvent.shifted(event.row, n_rows, seconds)))


class _Clock:
    """Seconds spent in each part."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.parts: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.parts[name] = self.parts.get(name, 0.0) + now - self.last
        self.last = now

    @property
    def seconds(self) -> dict[str, float]:
        return {**self.parts, "total": time.perf_counter() - self.start}
