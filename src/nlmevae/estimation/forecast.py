"""How long a fit or a search will take: a few iterations of each of its parts, on this machine, and a count of how many
there usually are.

The VAE's iterations are known beforehand. Those of the approach and of the polish end by a stopping rule; how many they
are was measured. Costs of subjects add up, so of many subjects some are tried.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.data.search_space import Search
from nlmevae.decoder.base import Decoder
from nlmevae.estimation.assemble import Estimation
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.covariance_step import CovarianceStep
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.evaluate import final_draws
from nlmevae.estimation.fit import MANY_SUBJECTS, START_SUBJECTS, estimate
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.schedule import Schedule
from nlmevae.estimation.search import effects_of
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.estimation.stages import Stages
from nlmevae.estimation.subset import restricted, spread_subjects
from nlmevae.ir import Model
from nlmevae.results.fit_result import TraceRow
from nlmevae.results.time_forecast import TimeForecast
from nlmevae.threads import shared_by

TRIED_ITERATIONS = 3  # of each phase of the VAE
TRIED_DRAWS = 64  # per subject, of the likelihood


@dataclass(frozen=True, slots=True)
class Usual:
    """How many iterations of a part there are: usually, and in nine of ten runs at least and at most."""

    low: float
    usual: float
    high: float


# Counted in fits of the fixtures and of the reference data (`python -m tests.benchmarks.time_forecast`).
#: Iterations of the approach: from the VAE's end, and from the alternatives until they are given up.
APPROACH = Usual(8, 14, 25)
#: Of the polish.
POLISH = Usual(2, 5, 12)
#: Times the draws of the likelihood that are taken in all: of subjects whose posterior is hard to draw, many more.
LIKELIHOOD = Usual(1.1, 1.3, 6)
#: Seconds of the covariance step in those of an iteration of the polish.
COVARIANCE = Usual(2, 4, 20)


def forecast(
    model: Model,
    table: EventTable,
    settings: FitSettings,
    requested: Search | None = None,
    selection: SelectionSettings | None = None,
) -> TimeForecast:
    """Of a fit, or of a search for `requested` effects, without what comes before and after it (reading, writing).

    Raises:
        ModelError: as `fit_model` and `search_effects` say.
    """
    settings = settings.on(table)
    with shared_by(settings.threads):
        return _forecast(model, table, settings, requested, selection)


def _forecast(
    model: Model,
    table: EventTable,
    settings: FitSettings,
    requested: Search | None,
    selection: SelectionSettings | None,
) -> TimeForecast:
    began = time.process_time()
    subjects = spread_subjects(table, START_SUBJECTS)
    if len(np.flatnonzero(np.diff(table.ob_ptr) > 0)) <= MANY_SUBJECTS:
        subjects = np.arange(table.n_subjects)
    some = restricted(table, subjects)
    form = latent_form(model, some)
    decoders = Decoders.of(form, some, settings)
    try:
        problem = make_problem(model, form, some, decoders.exact)
        first_use = _first_use(problem, (decoders.exact, decoders.draws, decoders.rough))
        selector = None
        if requested is not None:
            problem = problem.searching(effects_of(model, problem, requested).subset(subjects))
            selector = Selector.of(problem, selection or SelectionSettings(), settings.method)
        estimation = estimate(problem, decoders, _short(settings), None, Stages(), selector)
        likelihood = _likelihood_seconds(estimation, settings)
    finally:
        decoders.close()
    scale = table.n_obs_total / max(some.n_obs_total, 1)
    parts = _parts(problem, settings, estimation.trace, likelihood, table.n_subjects, scale)
    low, usual, high = ({name: getattr(part, at) for name, part in parts.items()} for at in ("low", "usual", "high"))
    return TimeForecast(
        parts=usual,
        low=sum(low.values()),
        high=sum(high.values()),
        first_use=first_use,
        trial=time.process_time() - began,
        n_subjects=table.n_subjects,
        n_tried=len(subjects),
        n_observations=table.n_obs_total,
    )


def _short(settings: FitSettings) -> FitSettings:
    """A run of the same parts with few iterations."""
    return replace(
        settings,
        burn_in_iterations=TRIED_ITERATIONS,
        training_iterations=TRIED_ITERATIONS,
        its_iterations=min(settings.its_iterations, 1),
        n_alternatives=0,
        max_outer=min(settings.max_outer, 2),
    )


def _first_use(problem: Problem, decoders: Iterable[Decoder]) -> float:
    """Seconds until every decoder has its code."""
    began = time.perf_counter()
    inputs = problem.joint(problem.initial).inputs(problem.mean.mean(problem.initial.thetas))
    for decoder in {id(d): d for d in decoders}.values():
        decoder.predict(inputs)
        decoder.linearise(inputs)
    return time.perf_counter() - began


def _likelihood_seconds(estimation: Estimation, settings: FitSettings) -> tuple[float, float]:
    """Of the likelihood: the search for the modes, and a draw of every subject."""
    problem, rng = estimation.problem, np.random.default_rng(settings.seed)
    began = time.perf_counter()
    joint = at_estimates(problem, estimation.population, n_starts=settings.n_starts, rng=rng).joint
    modes = time.perf_counter() - began
    z = joint.mean + rng.standard_normal((TRIED_DRAWS, *joint.mean.shape)) @ np.linalg.cholesky(joint.omega).T
    began = time.perf_counter()
    joint.log_joint(z, joint.predict(z))
    return modes, (time.perf_counter() - began) / TRIED_DRAWS


def _parts(
    problem: Problem,
    settings: FitSettings,
    trace: tuple[TraceRow, ...],
    likelihood: tuple[float, float],
    n_subjects: int,
    scale: float,
) -> dict[str, Usual]:
    """Name -> seconds. `scale`: how much more data there are than were tried; the VAE and the approach see no more
    than those."""
    schedule = Schedule.of(settings, n_latents=problem.n_latents, n_subjects=n_subjects)
    each = _seconds_per_iteration(trace)
    vae = schedule.burn_in_iterations * each.get("burn-in", 0.0) + schedule.training_iterations * each.get("vae", 0.0)
    if settings.method == "vae":
        parts = {"vae": Usual(vae, vae, vae * scale)}
    else:
        approach, polish = each.get("start", 0.0), each.get("polish", 0.0) * scale
        parts = {
            "vae": Usual(vae, vae, vae),
            "approach": _times(APPROACH, approach),
            "polish": _times(POLISH, polish),
        }
        if CovarianceStep.of(problem.model, settings).method is not None:
            parts["covariance"] = _times(COVARIANCE, polish)
    fixed, draw = likelihood
    draws = _times(LIKELIHOOD, draw * final_draws(n_subjects, settings.final_draws))
    parts["likelihood"] = Usual(*(scale * (fixed + seconds) for seconds in (draws.low, draws.usual, draws.high)))
    return parts


def _times(usual: Usual, seconds: float) -> Usual:
    return Usual(*(seconds * n for n in (usual.low, usual.usual, usual.high)))


def _seconds_per_iteration(trace: tuple[TraceRow, ...]) -> dict[str, float]:
    """Phase -> seconds of a typical iteration; the first of the run is left out, it also loads code."""
    spent = np.diff([0.0, *(row.seconds for row in trace)])
    phases = [row.phase for row in trace]
    found: dict[str, float] = {}
    for phase in dict.fromkeys(phases):
        seconds = [s for s, p in zip(spent, phases, strict=True) if p == phase]
        found[phase] = float(np.median(seconds[1:] or seconds))
    return found
