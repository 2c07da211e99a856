"""The exact finish: Monte-Carlo EM on importance-sampling draws, to the maximum of the true likelihood.

    guarded Laplace EM (approach.py), then until fresh draws promise no further gain of the likelihood:
        modes -> draws from a mixture around them -> weights -> EM and Newton steps on the cached draws

Most draws of a pool have been fitted before, so a small gain on it proves little. It only calls for a test:
a larger batch of fresh draws, none of which produced the current estimate, and the gain that its score and
observed information promise, g'H^-1 g. The fit has converged when that is below the tolerance, or below
what the noise of the score is expected to give (newton.py, noise_gain), provided the noise is small itself.

In a covariate search every iteration first chooses the support on the observed information, until it is
stable; at convergence, close decisions are checked on the exact sample likelihood of both supports.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.estimation.approach import ADVANTAGE, Approach, Visited, approach
from nlmevae.estimation.comparison import Estimated, difference_of_models
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.guards import EM_LIMITS, latent_scale, limit_change
from nlmevae.estimation.improve import ESS_FLOOR, improve
from nlmevae.estimation.newton import NOISY_SHARE, SMALLEST_SHARE, curvature
from nlmevae.estimation.polish_outcome import PolishOutcome
from nlmevae.estimation.pool import Pool
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import Modes, best_start, prior_candidates, search_modes
from nlmevae.estimation.ridge import NEWTON_STEPS as RIDGE_STEPS
from nlmevae.estimation.ridge import SHARE as RIDGE_SHARE
from nlmevae.estimation.ridge import Ridge, batch_sizes
from nlmevae.estimation.sample import Sample, draw_batch, first_draws
from nlmevae.estimation.selector import SearchState, Selector, collapsed_latents, reduced
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.share import own_part, own_random
from nlmevae.estimation.stages import Stage
from nlmevae.estimation.subset import spread_subjects
from nlmevae.estimation.trace import Progress, ProgressEvent, tell_again
from nlmevae.estimation.uncertainty import variance_errors
from nlmevae.likelihood.importance import Weighted, mixture, weighted_moments
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.proposal import safe_cholesky
from nlmevae.results.fit_result import TraceRow
from nlmevae.results.status import FitStatus

NO_NOISE_TOLERANCE = 1e-5
TEST_DRAWS = 4  # times the draws of an ordinary iteration in one that tests convergence
TEST_NOISE = 0.4  # most that the noise of a test may promise
LARGEST_NOISE = 0.15  # expected gain from noise above which a test proves nothing; more draws are taken
SHARP_NOISE = 0.075  # up to which a batch of the usual size is a test already
POOL_BELOW = 1.0  # gain of -2LL below which earlier batches are still useful
RESOLVED = 0.3  # gain from noise up to which a test tells that nothing is left on a ridge either
CHALLENGE_ITS = 4  # Laplace-EM iterations of a search repeated because a variance collapsed
SMALL_SD, VAGUE = 0.1, 0.5  # of a random effect, in units of the latent's scale, and the relative error of its
# variance, that may have collapsed on a ridge
#: Numbers of a sample that are in memory (8 bytes each); with more subjects they get fewer draws, but not fewer than so
#: many. The noise of an estimate in units of its standard error depends on the draws per subject, not on the subjects.
LARGEST_SAMPLE, FEWEST_DRAWS = 3e8, 32
#: From so many subjects on, one of `SOME` of them iterates alone at first.
MANY_SUBJECTS, SOME = 20_000, 10
CLOSE = 8.0  # times its noise that an iteration of many subjects may gain before the next has more draws (decision 28)
STABLE_ITERATIONS = 2  # with an unchanged support before a search may stop
#: Of a run between two iterations; what is missing is made from the settings or from these.
_KEPT = (
    *("problem", "population", "rng", "n_draws", "last_draws", "starts", "known", "moments", "pool", "gain", "noise"),
    *("smallest_share", "near", "minus_two_ll", "n_outer", "trace", "search", "ridge", "approached"),
)


@dataclass(frozen=True, slots=True)
class _Approached:
    """The best start so far, and how many alternatives were tried; no start when all were."""

    best: Approach | None
    n_tried: int = 0

    @property
    def done(self) -> bool:
        return self.best is None


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
    selector: Selector | None = None,
    approach_on: Problem | None = None,
    stage: Stage | None = None,
) -> PolishOutcome:
    """Maximum likelihood from `population`; `posterior` (of any kind) gives extra starts for the modes.

    Where one of the `alternatives` leads to a clearly better likelihood, the polish goes on from there. The
    approach is made on the subjects of `approach_on`, to which `posterior` then belongs (default: all). With a
    `stage` that has a state it goes on from there.

    Never raises for numerical reasons or on Ctrl-C: the outcome's status and message say what happened.
    """
    run = _Run(problem, population, posterior, settings, rng, progress, tuple(alternatives), selector, approach_on)
    run.resume(stage)
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
    """What the loop carries from one iteration to the next; `some`: of the subjects, who make the approach."""

    problem: Problem
    population: Population
    posterior: Posterior | None
    settings: FitSettings
    rng: np.random.Generator
    progress: Progress | None
    alternatives: tuple[Population, ...]
    selector: Selector | None
    some: Problem | None = None
    own: Problem = field(init=False)  # on the subjects whose draws this process has
    coordinates: Coordinates = field(init=False)
    scale: np.ndarray = field(init=False)
    most_draws: int = field(init=False)
    usual_draws: int = field(init=False)
    many: bool = field(init=False)
    n_draws: int = field(init=False)
    last_draws: int = field(init=False, default=0)
    starts: list[np.ndarray] = field(init=False, default_factory=list)
    known: Modes | None = field(init=False, default=None)
    moments: tuple[np.ndarray, np.ndarray] | None = field(init=False, default=None)
    pool: Pool = field(init=False, default_factory=Pool)
    gain: float = field(init=False, default=float("inf"))
    noise: float = field(init=False, default=0.0)
    smallest_share: float = field(init=False, default=1.0)
    resolved: bool = field(init=False, default=False)
    near: bool = field(init=False, default=False)
    minus_two_ll: float = field(init=False, default=float("nan"))
    n_outer: int = field(init=False, default=0)
    trace: list[TraceRow] = field(init=False, default_factory=list)
    clock: float = field(init=False, default_factory=time.perf_counter)
    search: SearchState = field(init=False, default_factory=SearchState)
    ridge: Ridge | None = field(init=False, default=None)
    approached: _Approached | None = field(init=False, default=None)
    stage: Stage | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._move(self.problem, self.population)
        most = int(LARGEST_SAMPLE / (max(self.problem.n_subjects, 1) * self.problem.numbers_per_draw))
        self.most_draws = max(FEWEST_DRAWS, most // 8 * 8)
        self.usual_draws = min(self.settings.n_draws, self.most_draws)
        self.n_draws = first_draws(self.problem.n_subjects, self.usual_draws)
        self.many = self.n_draws < self.usual_draws
        self.scale = latent_scale(self.problem)
        self.starts = [] if self.posterior is None else [self.posterior.mean]

    def resume(self, stage: Stage | None) -> None:
        """Go on where the stage stands; its finished iterations are told again."""
        self.stage = stage
        if stage is None or stage.state is None:
            return
        state = dict(stage.state)
        self.clock = time.perf_counter() - state.pop("seconds")
        for name, value in state.items():
            setattr(self, name, value)
        self._move(self.problem, self.population)
        tell_again(self.progress, self.trace)

    def _reached(self) -> None:
        if self.stage is not None:
            self.stage.reached(
                lambda: {"seconds": time.perf_counter() - self.clock, **{name: getattr(self, name) for name in _KEPT}}
            )

    def approach(self) -> None:
        """Guarded Laplace EM from the given population, then from the alternatives; the best one stays."""
        if not self.problem.n_latents or (self.approached is not None and self.approached.done):
            return
        settings, rng, problem, some = self.settings, self.rng, self.problem, self.some
        if some is not None:
            problem = some if self.selector is None else some.on_support(self.problem.support)
        if self.approached is None:
            best = approach(
                problem, self.population, self.starts, settings, rng, seen=self._visited, selector=self.selector
            )
            self.approached = _Approached(best)
        while self.approached.n_tried < len(self.alternatives):
            self._reached()
            self._try_alternative(self.alternatives[self.approached.n_tried])
        best = self.approached.best
        self._move(self.problem.with_support_of(best.problem), best.population)
        self.starts, self.known = ([], None) if some is not None else self._own_starts(best)
        self.approached = _Approached(None)
        if self.selector is None and self.problem.n_subjects >= MANY_SUBJECTS:
            self._go_ahead_with_some()

    def _go_ahead_with_some(self) -> None:
        """A part of very many subjects goes most of the way, at that part of the cost of every iteration."""
        subjects = spread_subjects(self.problem.table, self.problem.n_subjects // SOME)
        part = self.problem.part(subjects)
        run = _Run(part, self.population, None, self.settings, self.rng, None, (), None)
        for _ in range(self.settings.max_outer):
            run._outer_iteration()
            if run.gain < POOL_BELOW and run.n_draws >= run.usual_draws:
                break
        self._move(self.problem, run.population)
        self._record("start", run.minus_two_ll, {"subjects": float(len(subjects))})

    def _try_alternative(self, other: Population) -> None:
        """On the support found: alternatives differ in the typical values."""
        best, settings = self.approached.best, self.settings
        found = approach(best.problem, other, [], settings, self.rng, to_beat=best.criterion, penalty=best.penalty)
        if found.criterion < best.criterion - ADVANTAGE:
            best = found
            for visited in found.visited:
                self._visited(visited)
        self.approached = _Approached(best, self.approached.n_tried + 1)

    def _move(self, problem: Problem, population: Population) -> None:
        self.problem, self.population = problem, population
        self.coordinates, self.own = Coordinates.of(problem), own_part(problem)

    def _own_starts(self, best: Approach) -> tuple[list[np.ndarray], Modes | None]:
        """Of the subjects of this process."""
        if self.own.share is None:
            return list(best.starts), best.known
        own = self.own.share.own
        return [s[own] for s in best.starts], None if best.known is None else best.known.of_subjects(own)

    def _visited(self, visited: Visited) -> None:
        self._move(self.problem.with_support_of(visited.problem), visited.population)
        self._record("start", visited.laplace, {"failed": float(visited.failed)})

    def iterate(self) -> tuple[FitStatus, str]:
        """Importance-sampling EM until a test on fresh draws finds nothing left to gain."""
        while self.ridge is not None or self.n_outer < self.settings.max_outer:
            if self.ridge is None:  # else this iteration had already come to its ridge
                self._reached()
                self.n_outer += 1
                if not self._outer_iteration():
                    continue
            if self._ridge_followed() and self._support_settled():
                return FitStatus.CONVERGED, FitStatus.CONVERGED.sentence
        if self.gain < max(POOL_BELOW, min(self.noise, LARGEST_NOISE)):
            return FitStatus.MONTE_CARLO_LIMITED, FitStatus.MONTE_CARLO_LIMITED.sentence
        return FitStatus.NOT_CONVERGED, FitStatus.NOT_CONVERGED.sentence

    def _outer_iteration(self) -> bool:
        """Draw, weigh, improve on the cached draws. True: nothing was left to gain on the fresh draws, which
        is asked after an iteration of small gain."""
        testing = self._testing()
        if testing and not self._sharp():
            self.n_draws = min(max(self.n_draws, TEST_DRAWS * self.usual_draws), self.most_draws)
        sample, before = self._sample(self.n_draws if self.problem.n_latents else 1)
        self._check_weights(before)
        if self.selector is not None and not self.search.exact:
            sample, before = self._select(sample, before)
        converged = testing and self._nothing_left(sample, before)
        population, after = improve(sample, self.population, before)
        self._check(population)
        self._accept(sample, population, before, after)
        self._more_draws()
        return converged

    def _testing(self) -> bool:
        """After a small gain; of many subjects a batch that is large enough is a test in any case."""
        if self.n_draws < self.usual_draws:
            return False
        large = self.n_draws >= TEST_DRAWS * self.usual_draws or self._sharp()
        return self.gain < self._threshold(self.noise) or (self.many and large)

    def _sharp(self) -> bool:
        """Of many subjects: whether the usual draws tell small gains from noise, by that of the last ones."""
        return self.many and self.noise * self.last_draws / self.n_draws <= SHARP_NOISE

    def _more_draws(self) -> None:
        """Where an iteration gained no more than its noise, or of many subjects a few times as much. Those get from few
        draws to the usual number, and from there at once to that of a test."""
        noise = CLOSE * self.noise if self.many else self.noise
        if self.n_draws < self.usual_draws:
            if self.gain < max(noise, self._tolerance()):
                self.n_draws = self.usual_draws
        elif self.gain < noise and self.noise > LARGEST_NOISE:
            factor = TEST_DRAWS if self.many else 2
            self.n_draws = min(factor * self.n_draws, TEST_DRAWS * self.usual_draws, self.most_draws)

    def _accept(self, sample: Sample, population: Population, before: Weighted, after: Weighted) -> None:
        """The population after an iteration, and what is known about it."""
        slopes = curvature(sample, population, after)
        self.gain = before.total - after.total
        self.noise, self.smallest_share = slopes.noise_gain(NOISY_SHARE), slopes.smallest_share
        self.minus_two_ll = after.total
        self.moments = weighted_moments(sample.draws(population).z, after.weight)
        khat = self.own.everyone(before.khat(), "k-hat")
        self._record("polish", before.total, _diagnostics(before, khat, self.gain, self.noise))
        self.population = population
        self.search.sample = sample

    def _ridge_followed(self) -> bool:
        """Along directions of little information every iteration gains less than its draws can show, and there
        may be many iterations to go. Large batches of fresh draws, none pooled, are followed there boldly until
        -2LL no longer falls from one batch to the next. Not needed where the test of convergence had little noise and
        counted all of the gain that is left (no direction with less information than Newton steps are trusted with)."""
        if self.ridge is None and (self.smallest_share >= RIDGE_SHARE or self.resolved):
            return True
        if self.ridge is None:
            test = min(TEST_DRAWS * self.usual_draws, self.most_draws)
            self.ridge = Ridge(batch_sizes(self.problem.n_subjects, usual=self.usual_draws, test=test))
        ridge = self.ridge
        while not ridge.done:
            self._reached()
            self.pool, self.search.sample = Pool(), None
            sample, before = self._sample(ridge.batches[0])
            self._check_weights(before)
            population, after = improve(sample, self.population, before, newton_steps=RIDGE_STEPS, bold=True)
            self._check(population)
            ridge.add(before.total)
            self._accept(sample, population, before, after)
        self.ridge = None
        return True

    def _select(self, sample: Sample, weighted: Weighted) -> tuple[Sample, Weighted]:
        """The support by observed information; the sample and its weights on it."""
        mean, cov = weighted_moments(sample.draws(self.population).z, weighted.weight)
        found = self.selector.observed(self.problem, self.population, mean, cov, np.ones(len(mean), dtype=bool))
        self.search.observe(found, changed=found.problem is not self.problem)
        if found.problem is self.problem:
            return sample, weighted
        moved = limit_change(self.population, found.population, found.problem, EM_LIMITS, self.scale)
        moved = found.problem.restricted(moved)
        changed = Sample.of(found.problem, Coordinates.of(found.problem), sample.batch)
        weighed = changed.weigh(moved)
        if not np.isfinite(weighed.total):
            return sample, weighted
        self._move(found.problem, moved)
        self.gain = float("inf")
        return changed, weighed

    def _support_settled(self) -> bool:
        """At convergence: no close decision is better reversed, by the exact likelihood of the cached draws."""
        if self.selector is None:
            return True
        if self.search.unchanged < STABLE_ITERATIONS:
            return False
        if self._challenged():
            return True
        last = Sample.of(self.problem, self.coordinates, self.pool.batches[-1])
        better = self.selector.better_neighbour(self.search, last, self.population)
        if better is None:
            return not self._overturned()
        self._move(*better)
        self.gain = float("inf")
        return False

    def _overturned(self) -> bool:
        """Whether a model that differs in one near tie is better when it is estimated itself.

        On a ridge the maximum with another support can be far away, where cached draws do not reach; not where these
        draws have settled the decision and the test of convergence had little noise.
        """
        if self.smallest_share >= RIDGE_SHARE:
            return False
        settled = self.search.settled if self.resolved else set()
        for other in self.selector.ties(self.search, self.problem, self.population, self._doubtful(), settled):
            key = other.support.tobytes()
            if key in self.search.estimated:
                continue
            self.search.estimated |= {key, self.problem.support.tobytes()}
            settings = replace(self.settings, its_iterations=0)
            start = reduced(self.problem, other, self.population)
            run = _Run(other, start, None, settings, self.rng, self._second_run(), (), None)
            run.starts, run.moments = list(self.starts), self.moments
            status, _ = run.iterate()
            worse = self._worse(run)
            if status is FitStatus.CONVERGED and worse < 0:
                self.search.sample, self.search.rivals = run.search.sample, [(self.problem.support, -worse)]
                run.search = self.search
                self._adopt(run)
                return True
            self.search.rivals.append((other.support, worse))
        return False

    def _challenged(self) -> bool:
        """Whether a search that starts with larger variances ends better.

        Where OMEGA is nearly 0 no decision on the parameter's effects can be trusted: those in the model are all
        it has to vary with, and others cannot enter. Cached draws cannot tell more, because none lies where a
        larger variance would need it. So the search is repeated once from the model without these effects.
        """
        if self.search.challenged:
            return False
        rival = self.selector.revived(self.problem, self.population, self._doubtful())
        if rival is None:
            return False
        settings = replace(self.settings, its_iterations=CHALLENGE_ITS)
        progress = self._second_run()
        run = _Run(rival.problem, rival.population, None, settings, self.rng, progress, (), self.selector, self.some)
        run.search.challenged = True
        run.approach()
        status, _ = run.iterate()
        self.search.challenged = True
        worse = self._worse(run)
        if status is not FitStatus.CONVERGED or not worse < 0:
            self.search.rivals.append((run.problem.support, worse))
            return False
        self._adopt(run)
        return True

    def _worse(self, run: _Run) -> float:
        """By how much the criterion is worse where another run ended."""
        if not run.pool.batches:
            return float("inf")
        there, here = run._estimated(), self._estimated()
        penalties = self.selector.total_penalty(run.problem) - self.selector.total_penalty(self.problem)
        return difference_of_models(there, here).value + penalties

    def _estimated(self) -> Estimated:
        return Estimated(problem=self.problem, population=self.population, batch=self.pool.batches[-1])

    def _second_run(self) -> Progress | None:
        """What shows the iterations of another model: its own phase, its own count."""
        progress = self.progress
        return None if progress is None else lambda event: progress(replace(event, phase="recheck"))

    def _doubtful(self) -> np.ndarray:
        """Indices of the latents whose variance is nearly 0, or on a ridge small and hardly distinguishable from 0; of
        many subjects, whose ridges no batch is large enough for, the former only."""
        sure = collapsed_latents(self.problem, self.population)
        if self.smallest_share >= RIDGE_SHARE or self.many:
            return sure
        small = collapsed_latents(self.problem, self.population, below=SMALL_SD)
        sample = replace(self.search.sample, problem=self.problem, coordinates=self.coordinates)
        vague = variance_errors(sample, self.population)[small] > VAGUE
        return small[vague | np.isin(small, sure)]

    def _adopt(self, run: _Run) -> None:
        """Go on where another run ended."""
        self._move(run.problem, run.population)
        self.starts, self.known, self.moments, self.pool = run.starts, run.known, run.moments, run.pool
        self.gain, self.noise, self.smallest_share = run.gain, run.noise, run.smallest_share
        self.minus_two_ll, self.search = run.minus_two_ll, run.search
        for row in run.trace:
            seconds = time.perf_counter() - self.clock
            self.trace.append(replace(row, iteration=len(self.trace), seconds=seconds))

    def _nothing_left(self, sample: Sample, weighted: Weighted) -> bool:
        """Whether the last batch, new to the current estimate, promises no gain beyond its noise.

        Subjects that this batch alone represents poorly enter with the whole pool's score; the information
        is the whole pool's.
        """
        fresh = Sample.of(self.own, self.coordinates, self.pool.batches[-1])
        weighted_fresh = fresh.weigh(self.population)
        alone = curvature(fresh, self.population, weighted_fresh)
        pooled = alone if len(self.pool.batches) == 1 else curvature(sample, self.population, weighted)
        represented = weighted_fresh.ess[:, None] >= ESS_FLOOR
        test = replace(pooled, scores=np.where(represented, alone.scores, pooled.scores), noise=alone.noise)
        noise = test.noise_gain()
        self.resolved = noise <= RESOLVED and test.smallest_share >= SMALLEST_SHARE
        return test.expected_gain() < max(self._tolerance(), min(noise, TEST_NOISE))

    def _threshold(self, noise: float) -> float:
        return max(self._tolerance(), min(noise, LARGEST_NOISE))

    def _tolerance(self) -> float:
        """Without random effects there is no Monte-Carlo error to wait for."""
        return self.settings.gain_tolerance if self.problem.n_latents else NO_NOISE_TOLERANCE

    def outcome(self, status: FitStatus, message: str) -> PolishOutcome:
        """The last complete population with the posteriors at it."""
        modes = weighted = None
        if self.moments is not None:
            chol, positive = safe_cholesky(self.moments[1])
            own = Posterior(mean=self.moments[0], chol=chol, kind="weighted", ok=positive)
            weighted = own.of_everyone(self.own.everyone)
        try:
            if self.starts and status is not FitStatus.NUMERICAL_FAILURE:
                joint = self.own.joint(self.population)
                found = self._modes(joint, max_iterations=30, tolerance=1e-8)[0].posterior
                modes = found.of_everyone(self.own.everyone)
        except KeyboardInterrupt:
            status, message = FitStatus.INTERRUPTED, FitStatus.INTERRUPTED.sentence
        return PolishOutcome(
            problem=self.problem,
            population=self.population,
            status=status,
            message=message,
            modes=modes,
            weighted=weighted,
            minus_two_ll=self.minus_two_ll,
            gain=self.gain,
            n_outer=self.n_outer,
            trace=tuple(self.trace),
            search=None if self.selector is None else self.search,
        )

    def _modes(self, joint: JointDensity, **options) -> tuple[Modes, Modes]:
        starts = [np.where(np.isfinite(s), s, joint.mean) for s in self.starts or [joint.mean]]
        return search_modes(joint, starts, scale=self.scale, **options)

    def _sample(self, n_draws: int) -> tuple[Sample, Weighted]:
        """Fresh draws at the current population, pooled with recent ones near the optimum; and their weights."""
        self.near = self.near or self.gain < max(POOL_BELOW, 2 * self.noise)
        keep = self._kept(n_draws) if self.near else 0
        if not keep:  # two samples are not in memory at once
            self.pool, self.search.sample = Pool(), None
        joint, rng = self.own.joint(self.population), own_random(self.own, self.rng)
        self.last_draws = n_draws
        if self.problem.n_latents:
            fresh = prior_candidates(joint, [], self.settings.n_starts, rng)
            self.starts.append(best_start(joint, fresh, known=self.known))
        modes, second = self._modes(joint, max_iterations=8)
        self.known = modes
        mode = np.where(modes.ok[:, None], modes.mean, np.nan)
        bimodal = self.own.everyone((second.mean != modes.mean).any(axis=1), "second modes").any()
        other = (second.mean, second.chol) if bimodal else None
        proposal = mixture(joint, mode, modes.chol, self.moments, other, wide=self.many)
        batch = draw_batch(self.own, joint, mode, proposal, n_draws, rng)
        self.pool = self.pool.add(batch, keep=keep)
        sample = Sample.of(self.own, self.coordinates, self.pool.merged())
        weighted = sample.weigh(self.population)
        self.starts = [_better_starts(sample, weighted, modes), modes.mean]
        if bimodal:
            self.starts.append(second.mean)
        return sample, weighted

    def _kept(self, n_draws: int) -> int:
        """Earlier batches that stay in the pool when one of `n_draws` comes. None of many subjects: a proposal is made
        from the batch before, and what depends on draws so closely cannot be averaged with them without a bias, which
        grows with the subjects (measured: 10 to 250 units of -2LL of 2425 neonates)."""
        if self.many:
            return 0
        pool = self.settings.pool
        usual, largest = pool * self.usual_draws, self.most_draws // 2  # in memory twice while it grows
        return max(min(pool, usual // n_draws, largest // n_draws) - 1, 0)

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
            support=None if self.problem.support is None else self.problem.support.copy(),
        )
        self.trace.append(row)
        if self.progress is not None:
            self.progress(ProgressEvent.of(row))


def _better_starts(sample: Sample, weighted: Weighted, modes: Modes) -> np.ndarray:
    """Modes, replaced by the best draw of a subject where that has the higher joint density."""
    best = weighted.best
    subject = np.arange(len(best))
    better = ~modes.ok | (weighted.log_joint[best, subject] > modes.log_joint + 1e-6)
    return np.where(better[:, None], sample.batch.draws.z[best, subject], modes.mean)


def _diagnostics(weighted: Weighted, khat: np.ndarray, gain: float, noise: float) -> dict[str, float]:
    return {
        "gain": gain,
        "noise": noise,
        "mc_se": weighted.mc_se,
        "min_ess": float(weighted.ess.min()),
        "max_khat": float(np.nanmax(khat, initial=-np.inf)),
    }
