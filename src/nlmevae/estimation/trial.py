"""What one step of every part of a fit or a search takes on this machine: a short run of each, on its model and data.

The VAE and the approach are tried on the subjects that a run gives them, parts that draw on some of those, with
different numbers of draws: seconds = fixed + draws x slope. All is done by the functions of a run itself, on one
thread; seconds are of the processor, so that what else the machine does is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from nlmevae.estimation.approach import Approach, approach
from nlmevae.estimation.assemble import Estimation
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.covariance_step import CovarianceStep, exact_enough
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.evaluate import ALWAYS
from nlmevae.estimation.information import Posteriors, information_at
from nlmevae.estimation.likelihoods import likelihoods_at, why_not
from nlmevae.estimation.newton import curvature
from nlmevae.estimation.polish import polish
from nlmevae.estimation.polish_outcome import PolishOutcome
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refined_posterior import largest_error
from nlmevae.estimation.ridge import SHARE as RIDGE_SHARE
from nlmevae.estimation.sample import Sample, draw_batch
from nlmevae.estimation.screen import scattered_starts
from nlmevae.estimation.search import SearchOutcome
from nlmevae.estimation.search_evidence import evidence_of
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.estimation.stages import Stages
from nlmevae.estimation.subset import spread_subjects
from nlmevae.estimation.trace import ProgressEvent
from nlmevae.estimation.uncertainty import Uncertainty, collapsed_variances, uncertainty
from nlmevae.estimation.vae import run_vae
from nlmevae.likelihood.importance import importance_likelihood, mixture
from nlmevae.results.status import FitStatus

T = TypeVar("T")

VAE_ITERATIONS = 3  # of each phase, the first of which also loads code
POLISH_DRAWS, COVARIANCE_DRAWS = (64, 256), (64, 256)
SETTLING = 4  # times the draws of the trial that settle what it left undecided (warfarin, target-mediated disposition)
POSTERIOR_DRAWS, FEWER_DRAWS, SLOW = (256, 1024), (64, 256), 1e-3  # fewer where a draw of all takes so many seconds
RESAMPLES = 5  # of subjects, in a search
OBSERVATIONS, FEWEST = 400, 12  # of the subjects on which what draws is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Seconds of a step against its draws per subject."""

    fixed: float
    slope: float

    @classmethod
    def through(cls, draws: tuple[int, int], seconds: tuple[float, float]) -> Line:
        """Noise may make neither part negative."""
        slope = max((seconds[1] - seconds[0]) / (draws[1] - draws[0]), 0.5 * seconds[1] / draws[1])
        return cls(fixed=max(seconds[1] - slope * draws[1], 0.0), slope=slope)

    def at(self, draws: float) -> float:
        return self.fixed + draws * self.slope


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorTrial:
    """What is computed at the estimates: `modes` and `others` (methods of -2LL besides importance sampling) once,
    `draws` of all subjects. error (n,): Monte-Carlo errors of the moments with `at` draws."""

    modes: float
    others: float
    draws: Line
    error: np.ndarray
    at: int

    def rough(self, draws: int, n_subjects: int, *, integrated: bool = False) -> float:
        """Share of `n_subjects` whose moments are not known well enough from so many draws."""
        error = self.error * np.sqrt(self.at / draws)
        return float((error > largest_error(n_subjects, integrated=integrated)).mean()) if len(error) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CovarianceTrial:
    """A round of the covariance step; `known` is from `at` draws of each of `n_subjects`, `collapsed` whether it is
    done again without some random effects."""

    round: Line
    known: Uncertainty | None
    at: int
    n_subjects: int
    collapsed: bool

    def enough(self, draws: int, n_subjects: int) -> bool:
        """Whether so many draws suffice, as the Monte-Carlo error falls with their root. What the trial cannot tell
        from no information is mostly noise of its few draws."""
        if self.known is None:
            return True
        more = draws * n_subjects / (self.at * self.n_subjects)
        undecided = self.known.flat_share if more < SETTLING else ()
        return exact_enough(replace(self.known, mc_error=self.known.mc_error / np.sqrt(more), flat_share=undecided))


@dataclass(slots=True, kw_only=True)
class Trial:
    """Seconds of one step of each part, on the subjects it was tried on: `tried` for what draws, those of the start
    for the rest. `small`: what draws on fewer subjects, which tells what a step takes whatever its data; None where all
    subjects were tried. `loading`: of code, which a step does not repeat."""

    problem: Problem
    tried: Problem
    loading: float = 0.0
    first_use: float = 0.0
    burn_in: float = 0.0
    training: float = 0.0
    screen: float = 0.0
    approach: float = 0.0
    polish: Line = field(default_factory=lambda: Line(fixed=0.0, slope=0.0))
    ridge: bool = False
    posterior: PosteriorTrial | None = None
    covariance: CovarianceTrial | None = None
    outcome: PolishOutcome | None = None
    decisions: float = 0.0
    small: Trial | None = None

    def of_all(self, seconds: Callable[[Trial], float], n_obs: int) -> float:
        """What `seconds` of this trial will be with so many observations: a part does not depend on them."""
        here, scale = seconds(self), n_obs / max(self.tried.table.n_obs_total, 1)
        if self.small is None:
            return scale * here
        share = self.small.tried.table.n_obs_total / max(self.tried.table.n_obs_total, 1)
        return here + (scale - 1.0) * max(here - seconds(self.small), 0.5 * (1.0 - share) * here) / (1.0 - share)


class Laps:
    """Seconds of the iterations of a part, by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.last = time.process_time()

    def __call__(self, event: ProgressEvent | None = None, phase: str = "") -> None:
        now = time.process_time()
        self.seconds.setdefault(event.phase if event else phase, []).append(now - self.last)
        self.last = now

    def usual(self, phase: str) -> float:
        """Of one iteration but the first, which also loads code."""
        found = self.seconds.get(phase, [0.0])
        return float(np.median(found[1:] or found))

    @property
    def loading(self) -> float:
        return sum(max(s[0] - self.usual(phase), 0.0) for phase, s in self.seconds.items())


def timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def try_parts(
    problem: Problem,
    decoders: Decoders,
    settings: FitSettings,
    selector: Selector | None = None,
    selection: SelectionSettings | None = None,
) -> Trial:
    """`problem` has the subjects of the start."""
    counts = np.diff(problem.table.ob_ptr)
    few = max(FEWEST, int(OBSERVATIONS / max(counts.mean(), 1.0)))
    subjects = spread_subjects(problem.table, few)
    whole = len(subjects) >= (counts > 0).sum()
    trial = Trial(problem=problem, tried=problem if whole else problem.part(subjects))
    trial.first_use = first_use(problem, decoders)
    start = replace(problem, decoder=decoders.rough)
    population = _try_start(trial, start, settings, selector)
    draws = _part(replace(problem, decoder=decoders.draws), None if whole else subjects)
    exact = trial.tried
    if settings.method != "vae":
        population = _try_polish(trial, draws, population, settings, selector)
    exact = exact.with_support_of(problem if trial.outcome is None else trial.outcome.problem)
    _try_end(trial, exact, population, settings)
    if not whole:
        trial.small = _small(trial, draws, exact, population, settings)
    if selector is not None and trial.outcome is not None:
        trial.decisions = _decisions_seconds(exact, trial.outcome, settings, selector, selection or SelectionSettings())
    return trial


def _decisions_seconds(
    problem: Problem, found: PolishOutcome, settings: FitSettings, selector: Selector, selection: SelectionSettings
) -> float:
    """How sure the decisions of a search are, with few resamples and with all that are asked for."""
    estimation = Estimation(
        problem=problem,
        population=found.population,
        posteriors=tuple(q for q in (found.weighted, found.modes) if q is not None),
        status=FitStatus.CONVERGED,
        message="",
        trace=(),
        search=found.search,
    )

    def seconds(resamples: int) -> float:
        few = replace(selection, resamples=resamples, audit="")
        outcome = SearchOutcome(
            estimation=estimation, selector=selector, settings=settings, selection=few, stages=Stages()
        )
        return timed(lambda: evidence_of(outcome))[1]

    without, few = seconds(0), min(RESAMPLES, selection.resamples)
    return without if not few else without + max(seconds(few) - without, 0.0) * selection.resamples / few


def _small(trial: Trial, draws: Problem, exact: Problem, population: Population, settings: FitSettings) -> Trial | None:
    """What draws, on the fewest subjects."""
    subjects = spread_subjects(exact.table, FEWEST)
    if 2 * len(subjects) > exact.n_subjects:
        return None
    small = Trial(problem=trial.problem, tried=exact.part(subjects))
    if settings.method != "vae":
        _try_polish(small, draws.part(subjects), population, settings, None)
    _try_end(small, small.tried, population, settings)
    return small


def _part(problem: Problem, subjects: np.ndarray | None) -> Problem:
    return problem if subjects is None else problem.part(subjects)


def first_use(problem: Problem, decoders: Decoders) -> float:
    """Seconds until every decoder has its code."""
    began = time.process_time()
    inputs = problem.joint(problem.initial).inputs(problem.mean.mean(problem.initial.thetas))
    for decoder in {id(d): d for d in (decoders.exact, decoders.draws, decoders.rough)}.values():
        decoder.predict(inputs)
        decoder.linearise(inputs)
    return time.process_time() - began


def _try_start(trial: Trial, start: Problem, settings: FitSettings, selector: Selector | None) -> Population:
    """The VAE, scattered starts and the approach."""
    population = start.initial
    if start.n_latents:
        short = replace(settings, burn_in_iterations=VAE_ITERATIONS, training_iterations=VAE_ITERATIONS)
        laps = Laps()
        outcome = run_vae(start, short, laps, selector)
        trial.burn_in, trial.training = laps.usual("burn-in"), laps.usual("vae")
        trial.loading += laps.loading
        population = outcome.population
        start = start.with_support_of(outcome.problem)
    if settings.method == "vae" or not start.n_latents:
        trial.problem = start
        return population
    rng = np.random.default_rng(settings.seed)
    _, trial.screen = timed(lambda: scattered_starts(start, rng, keep=settings.n_alternatives))
    laps = Laps()
    found: Approach = approach(
        start, population, [], settings, rng, seen=lambda _: laps(phase="start"), selector=selector
    )
    trial.approach = laps.usual("start")
    trial.loading += laps.loading
    trial.problem = found.problem
    return found.population


def _try_polish(
    trial: Trial, problem: Problem, population: Population, settings: FitSettings, selector: Selector | None
) -> Population:
    """An iteration with few draws, then one with more."""
    problem = problem.with_support_of(trial.problem)
    rng = np.random.default_rng(settings.seed)
    seconds = []
    for n_draws in POLISH_DRAWS:
        one = replace(settings, n_draws=n_draws, max_outer=1, its_iterations=0)
        laps = Laps()
        outcome = polish(problem, population, None, one, rng, laps, selector=selector)
        seconds.append(laps.seconds.get("polish", [0.0])[0])
        problem, population = outcome.problem, outcome.population
    trial.outcome = outcome
    trial.polish = Line.through(POLISH_DRAWS, (seconds[0], seconds[1]))
    if problem.n_latents and outcome.weighted is not None and outcome.modes is not None:
        trial.ridge = _on_ridge(problem, population, outcome, rng)
    return population


def _on_ridge(problem: Problem, population: Population, outcome: PolishOutcome, rng: np.random.Generator) -> bool:
    """Whether the data say so little about some direction that the polish follows it with large batches."""
    joint = problem.joint(population)
    moments = outcome.weighted.mean, outcome.weighted.chol @ np.swapaxes(outcome.weighted.chol, -1, -2)
    mode = np.where(outcome.modes.ok[:, None], outcome.modes.mean, np.nan)
    proposal = mixture(joint, mode, outcome.modes.chol, moments)
    batch = draw_batch(problem, joint, mode, proposal, POLISH_DRAWS[-1], rng)
    sample = Sample.of(problem, Coordinates.of(problem), batch)
    return curvature(sample, population, sample.weigh(population)).smallest_share < RIDGE_SHARE


def _try_end(trial: Trial, problem: Problem, population: Population, settings: FitSettings) -> None:
    """Likelihood and standard errors at the population that was reached."""
    rng = np.random.default_rng(settings.seed)
    here, modes = timed(lambda: at_estimates(problem, population, n_starts=settings.n_starts, rng=rng))
    mode = np.where(here.modes.ok[:, None], here.modes.mean, np.nan)
    second = np.where(here.second.ok[:, None], here.second.mean, np.nan), here.second.chol
    seconds, draws = [], FEWER_DRAWS if trial.polish.slope > SLOW else POSTERIOR_DRAWS
    for n_draws in draws:
        found, spent = timed(
            lambda n=n_draws: importance_likelihood(
                here.joint, mode, here.modes.chol, second=second, n_draws=n, rng=rng
            )
        )
        seconds.append(spent)
    censored = bool(problem.table.censored.any())
    asked = [m for m in (*ALWAYS, *settings.likelihoods) if m != "is"]
    methods = [m for m in asked if not why_not(m, problem.n_latents, censored=censored)]
    _, others = timed(lambda: likelihoods_at(here, methods, n_draws=draws[0], rng=rng))
    trial.posterior = PosteriorTrial(
        modes=modes,
        others=others,
        draws=Line.through(draws, (seconds[0], seconds[1])),
        error=found.moment_error[np.diff(problem.table.ob_ptr) > 0] if problem.n_latents else np.empty(0),
        at=draws[-1],
    )
    method = CovarianceStep.of(problem.model, settings).method
    if method is None or settings.method == "vae":
        return
    posteriors = Posteriors(mode=here.mode, mean=found.mean, cov=found.cov)
    seconds = []
    for n_draws in COVARIANCE_DRAWS:
        information, spent = timed(
            lambda n=n_draws: information_at(problem, population, posteriors, n_draws=n, rng=rng)
        )
        seconds.append(spent)
    known, collapsed = None, False
    if np.isfinite(information.observed).all() and np.isfinite(information.product).all():
        collapsed = bool(collapsed_variances(problem, population, information).any())
        known = uncertainty(problem, population, information, method)
    trial.covariance = CovarianceTrial(
        round=Line.through(COVARIANCE_DRAWS, (seconds[0], seconds[1])),
        known=known,
        at=COVARIANCE_DRAWS[-1],
        n_subjects=problem.n_subjects,
        collapsed=collapsed,
    )
