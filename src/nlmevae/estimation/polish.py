"""The exact finish: Monte-Carlo EM on importance-sampling draws, to the maximum of the true likelihood.

    guarded Laplace EM (approach.py), then until fresh draws promise no further gain of the likelihood:
        modes -> draws from a mixture around them -> weights -> EM and Newton steps on the cached draws

Most draws of a pool have been fitted before, so a small gain on it proves little. It only calls for a test:
a larger batch of fresh draws, none of which produced the current estimate, and the gain that its score and
observed information promise, g'H^-1 g. The fit has converged when that is below the tolerance, or below
what the noise of the score is expected to give (newton.py, noise_gain), provided the noise is small itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.estimation.approach import ADVANTAGE, Visited, approach
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.guards import EM_LIMITS, latent_scale, limit_change
from nlmevae.estimation.newton import NOISY_SHARE, SMALLEST_SHARE, curvature
from nlmevae.estimation.pool import Pool
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import Modes, best_start, prior_candidates, search_modes
from nlmevae.estimation.sample import Sample, draw_batch, em_step
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.trace import Progress, ProgressEvent
from nlmevae.likelihood.importance import Weighted, mixture, weighted_moments
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.proposal import safe_cholesky
from nlmevae.results.fit_result import TraceRow
from nlmevae.results.status import FitStatus

EM_STEPS, NEWTON_STEPS = 10, 3
NO_NOISE_TOLERANCE = 1e-5
TEST_DRAWS = 4  # times the draws of an ordinary iteration in one that tests convergence
LARGEST_POOL = 2  # times the draws of a pool of ordinary iterations, whatever the size of its batches
LARGEST_NOISE = 0.15  # expected gain from noise above which a test proves nothing; more draws are taken
SHARES = (SMALLEST_SHARE, 0.02, 0.1, 0.5)  # of Newton steps, from the boldest to nearly an EM step
EM_ENOUGH = 0.05  # gain of an EM step below which Newton steps are faster
POOL_BELOW = 1.0  # gain of -2LL below which earlier batches are still useful
ESS_FLOOR, ESS_SHARE = 0.1, 0.1  # cached draws are exhausted when a tenth of the subjects drop below


@dataclass(frozen=True, slots=True, kw_only=True)
class PolishOutcome:
    """`population` is the last complete one. `modes` and `weighted` (importance-weighted moments) are
    posteriors at it; None when the run ended before any were computed. `gain` is the last -2LL gain."""

    population: Population
    status: FitStatus
    message: str
    modes: Posterior | None
    weighted: Posterior | None
    minus_two_ll: float
    gain: float
    n_outer: int
    trace: tuple[TraceRow, ...]


class _Unusable(Exception):  # noqa: N818  (ends the loop, never leaves this module)
    """The model could not be evaluated; the text is the message of the outcome."""


def polish(
    problem: Problem,
    population: Population,
    posterior: Posterior | None,
    settings: FitSettings,
    rng: np.random.Generator,
    progress: Progress | None = None,
    *,
    alternatives: Sequence[Population] = (),
) -> PolishOutcome:
    """Maximum likelihood from `population`; `posterior` (of any kind) gives extra starts for the modes.

    Where one of the `alternatives` leads to a clearly better likelihood, the polish goes on from there.

    Never raises for numerical reasons or on Ctrl-C: the outcome's status and message say what happened.
    """
    run = _Run(problem, population, posterior, settings, rng, progress, tuple(alternatives))
    try:
        run.approach()
        status, message = run.iterate()
    except KeyboardInterrupt:
        status, message = FitStatus.INTERRUPTED, FitStatus.INTERRUPTED.sentence
    except _Unusable as error:
        status, message = FitStatus.NUMERICAL_FAILURE, str(error)
    except np.linalg.LinAlgError as error:
        status, message = FitStatus.NUMERICAL_FAILURE, f"A covariance matrix became singular ({error})."
    return run.outcome(status, message)


@dataclass(slots=True)
class _Run:
    """What the loop carries from one iteration to the next."""

    problem: Problem
    population: Population
    posterior: Posterior | None
    settings: FitSettings
    rng: np.random.Generator
    progress: Progress | None
    alternatives: tuple[Population, ...]
    coordinates: Coordinates = field(init=False)
    scale: np.ndarray = field(init=False)
    n_draws: int = field(init=False)
    starts: list[np.ndarray] = field(init=False, default_factory=list)
    known: Modes | None = field(init=False, default=None)
    moments: tuple[np.ndarray, np.ndarray] | None = field(init=False, default=None)
    pool: Pool = field(init=False, default_factory=Pool)
    gain: float = field(init=False, default=float("inf"))
    noise: float = field(init=False, default=0.0)
    near: bool = field(init=False, default=False)
    minus_two_ll: float = field(init=False, default=float("nan"))
    n_outer: int = field(init=False, default=0)
    trace: list[TraceRow] = field(init=False, default_factory=list)
    clock: float = field(init=False, default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.coordinates = Coordinates.of(self.problem)
        self.n_draws = self.settings.n_draws
        self.scale = latent_scale(self.problem)
        self.starts = [] if self.posterior is None else [self.posterior.mean]

    def approach(self) -> None:
        """Guarded Laplace EM from the given population, then from the alternatives; the best one stays."""
        if not self.problem.n_latents:
            return
        best = approach(self.problem, self.population, self.starts, self.settings, self.rng, seen=self._visited)
        for other in self.alternatives:
            found = approach(self.problem, other, [], self.settings, self.rng, to_beat=best.laplace)
            if found.laplace < best.laplace - ADVANTAGE:
                best = found
                for visited in found.visited:
                    self._visited(visited)
        self.population, self.starts, self.known = best.population, list(best.starts), best.known

    def _visited(self, visited: Visited) -> None:
        self.population = visited.population
        self._record("start", visited.laplace, {"failed": float(visited.failed)})

    def iterate(self) -> tuple[FitStatus, str]:
        """Importance-sampling EM until a test on fresh draws finds nothing left to gain."""
        for outer in range(self.settings.max_outer):
            self.n_outer = outer + 1
            if self._outer_iteration():
                return FitStatus.CONVERGED, FitStatus.CONVERGED.sentence
        if self.gain < max(POOL_BELOW, min(self.noise, LARGEST_NOISE)):
            return FitStatus.MONTE_CARLO_LIMITED, FitStatus.MONTE_CARLO_LIMITED.sentence
        return FitStatus.NOT_CONVERGED, FitStatus.NOT_CONVERGED.sentence

    def _outer_iteration(self) -> bool:
        """Draw, weigh, improve on the cached draws. True: nothing was left to gain on the fresh draws, which
        is asked after an iteration of small gain."""
        testing = self.gain < self._threshold(self.noise)
        if testing:
            self.n_draws = max(self.n_draws, TEST_DRAWS * self.settings.n_draws)
        sample = self._sample(self.n_draws if self.problem.n_latents else 1)
        before = sample.weigh(self.population)
        self._check_weights(before)
        converged = testing and self._nothing_left(sample, before)
        population, after = improve(sample, self.population, before)
        self._check(population)
        self.gain = before.total - after.total
        self.noise = curvature(sample, population, after).noise_gain(NOISY_SHARE)
        self.minus_two_ll = after.total
        self.moments = weighted_moments(sample.draws(population).z, after.weight)
        self._record("polish", before.total, _diagnostics(before, self.gain, self.noise))
        self.population = population
        if self.gain < self.noise > LARGEST_NOISE:
            self.n_draws = min(2 * self.n_draws, TEST_DRAWS * self.settings.n_draws)
        return converged

    def _nothing_left(self, sample: Sample, weighted: Weighted) -> bool:
        """Whether the last batch, new to the current estimate, promises no gain beyond its noise.

        Subjects that this batch alone represents poorly enter with the whole pool's score; the information
        is the whole pool's.
        """
        fresh = Sample.of(self.problem, self.coordinates, self.pool.batches[-1])
        weighted_fresh = fresh.weigh(self.population)
        alone = curvature(fresh, self.population, weighted_fresh)
        pooled = curvature(sample, self.population, weighted)
        represented = weighted_fresh.ess[:, None] >= ESS_FLOOR
        test = replace(pooled, scores=np.where(represented, alone.scores, pooled.scores), noise=alone.noise)
        return test.expected_gain() < self._threshold(test.noise_gain())

    def _threshold(self, noise: float) -> float:
        return max(self._tolerance(), min(noise, LARGEST_NOISE))

    def _tolerance(self) -> float:
        """Without random effects there is no Monte-Carlo error to wait for."""
        return self.settings.gain_tolerance if self.problem.n_latents else NO_NOISE_TOLERANCE

    def outcome(self, status: FitStatus, message: str) -> PolishOutcome:
        """The last complete population with the posteriors at it."""
        modes = weighted = None
        if self.starts and status is not FitStatus.NUMERICAL_FAILURE:
            modes = self._modes(self.problem.joint(self.population), max_iterations=30, tolerance=1e-8)[0].posterior
        if self.moments is not None:
            chol, positive = safe_cholesky(self.moments[1])
            weighted = Posterior(mean=self.moments[0], chol=chol, kind="weighted", ok=positive)
        return PolishOutcome(
            population=self.population,
            status=status,
            message=message,
            modes=modes,
            weighted=weighted,
            minus_two_ll=self.minus_two_ll,
            gain=self.gain,
            n_outer=self.n_outer,
            trace=tuple(self.trace),
        )

    def _modes(self, joint: JointDensity, **options) -> tuple[Modes, Modes]:
        starts = [np.where(np.isfinite(s), s, joint.mean) for s in self.starts or [joint.mean]]
        return search_modes(joint, starts, scale=self.scale, **options)

    def _sample(self, n_draws: int) -> Sample:
        """Fresh draws at the current population, pooled with recent ones near the optimum."""
        joint = self.problem.joint(self.population)
        if self.problem.n_latents:
            fresh = prior_candidates(joint, [], self.settings.n_starts, self.rng)
            self.starts.append(best_start(joint, fresh, known=self.known))
        modes, second = self._modes(joint, max_iterations=8)
        self.known = modes
        mode = np.where(modes.ok[:, None], modes.mean, np.nan)
        bimodal = (second.mean != modes.mean).any()
        proposal = mixture(joint, mode, modes.chol, self.moments, (second.mean, second.chol) if bimodal else None)
        batch = draw_batch(self.problem, joint, mode, proposal, n_draws, self.rng)
        self.near = self.near or self.gain < max(POOL_BELOW, 2 * self.noise)
        keep = min(self.settings.pool, LARGEST_POOL * self.settings.pool * self.settings.n_draws // n_draws) - 1
        self.pool = self.pool.add(batch, keep=keep if self.near else 0)
        sample = Sample.of(self.problem, self.coordinates, self.pool.merged())
        self.starts = [_better_starts(sample, self.population, modes), modes.mean]
        if bimodal:
            self.starts.append(second.mean)
        return sample

    def _check_weights(self, weighted: Weighted) -> None:
        lost = np.flatnonzero(~np.isfinite(weighted.minus_two_ll))
        if len(lost):
            label = self.problem.table.subject_labels[lost[0]]
            raise _Unusable(
                f"{FitStatus.NUMERICAL_FAILURE.sentence} No draw of the individual parameters of subject {label} "
                f"gives a finite likelihood ({len(lost)} of {self.problem.n_subjects} subjects)."
            )

    def _check(self, population: Population) -> None:
        if not np.isfinite(population.vector()).all():
            raise _Unusable(f"{FitStatus.NUMERICAL_FAILURE.sentence} An update gave parameters that are not finite.")

    def _record(self, phase: str, objective: float, extra: dict[str, float]) -> None:
        """Log the objective at the current population."""
        row = TraceRow(
            iteration=len(self.trace),
            phase=phase,
            objective=objective,
            parameters=self.population.vector(),
            seconds=time.perf_counter() - self.clock,
            extra=extra,
        )
        self.trace.append(row)
        if self.progress is not None:
            self.progress(ProgressEvent.of(row))


def improve(sample: Sample, population: Population, weighted: Weighted) -> tuple[Population, Weighted]:
    """EM, then Newton steps on the sample likelihood; it never increases -2LL of these draws.

    Stops early when the draws no longer represent the posteriors (effective sample sizes collapse).
    """
    start, reference = population, weighted
    scale = latent_scale(sample.problem)
    for _ in range(EM_STEPS):
        trial = limit_change(start, em_step(sample, population, weighted), sample.problem, EM_LIMITS, scale)
        new = sample.weigh(trial)
        if not _acceptable(new, weighted, reference):
            break
        gained = weighted.total - new.total
        population, weighted = trial, new
        if gained < EM_ENOUGH:
            break
    for _ in range(NEWTON_STEPS):
        accepted = _newton(sample, population, weighted, start, reference, scale)
        if accepted is None:
            break
        gained = weighted.total - accepted[1].total
        population, weighted = accepted
        if gained < 1e-3:
            break
    return population, weighted


def _newton(
    sample: Sample,
    population: Population,
    weighted: Weighted,
    start: Population,
    reference: Weighted,
    scale: np.ndarray,
) -> tuple[Population, Weighted] | None:
    """The boldest acceptable Newton step. Bolder ones go further along the directions of least information;
    what limits them is that the draws no longer represent the posteriors there."""
    slopes = curvature(sample, population, weighted)
    for share in SHARES:
        step = slopes.newton_step(share)
        if not np.isfinite(step).all():
            return None
        trial = sample.coordinates.move(sample.problem, population, step)
        trial = limit_change(start, trial, sample.problem, EM_LIMITS, scale)
        new = sample.weigh(trial)
        if _acceptable(new, weighted, reference):
            return trial, new
    return None


def _acceptable(new: Weighted, old: Weighted, reference: Weighted) -> bool:
    collapsed = (new.ess < ESS_FLOOR) & (reference.ess >= ESS_FLOOR)
    return bool(new.total <= old.total) and collapsed.sum() <= ESS_SHARE * len(new.ess)


def _better_starts(sample: Sample, population: Population, modes: Modes) -> np.ndarray:
    """Modes, replaced by the best draw of a subject where that has the higher joint density."""
    weighted = sample.weigh(population)
    best = weighted.log_joint.argmax(axis=0)
    subject = np.arange(len(best))
    better = ~modes.ok | (weighted.log_joint[best, subject] > modes.log_joint + 1e-6)
    return np.where(better[:, None], sample.batch.draws.z[best, subject], modes.mean)


def _diagnostics(weighted: Weighted, gain: float, noise: float) -> dict[str, float]:
    return {
        "gain": gain,
        "noise": noise,
        "mc_se": weighted.mc_se,
        "min_ess": float(weighted.ess.min()),
        "max_khat": float(np.nanmax(weighted.khat(), initial=-np.inf)),
    }
