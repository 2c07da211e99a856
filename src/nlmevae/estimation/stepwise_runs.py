"""Candidate models of a stepwise search, each estimated from the estimates of the one it comes from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.estimation.assemble import Estimation
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.evaluate import evaluate
from nlmevae.estimation.fit import ENDED_EARLY, estimate
from nlmevae.estimation.polish import polish
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.selector import reduced
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.stages import Stages
from nlmevae.estimation.trace import Progress
from nlmevae.selection.stepwise import Support

#: Of the conditional distribution of every subject, for correlation tests and regressions.
N_SAMPLES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCandidate:
    """minus_two_ll by importance sampling; samples (S, N, d) of z given the data, `mean` (N, d) what the model predicts
    for it without random effects."""

    support: Support
    estimation: Estimation
    minus_two_ll: float
    samples: np.ndarray
    mean: np.ndarray


@dataclass(slots=True)
class CandidateRuns:
    """`problem` has the candidates (`Problem.searching`). The first model is estimated as any fit is, the others by the
    polish from their parent's estimates. All are evaluated with the same random numbers, so that Monte-Carlo errors of
    differences are smaller than those of -2LL."""

    problem: Problem
    decoders: Decoders
    settings: FitSettings
    progress: Progress | None = None
    told: Callable[[int, FittedCandidate], None] | None = None
    n_runs: int = 0
    start: float = field(default_factory=time.perf_counter)
    _known: dict[Support, FittedCandidate] = field(default_factory=dict)

    def fit(self, support: Support, parent: FittedCandidate | None) -> FittedCandidate:
        """A model that was fitted before is not fitted again.

        Raises:
            KeyboardInterrupt: Ctrl-C; what is known is no result of the search.
        """
        if support not in self._known:
            self.n_runs += 1
            self._known[support] = self._fitted(support, parent)
            if self.told is not None:
                self.told(self.n_runs, self._known[support])
        return self._known[support]

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def _fitted(self, support: Support, parent: FittedCandidate | None) -> FittedCandidate:
        problem = self.problem.on_support(np.array(support, dtype=bool))
        estimation = self._first(problem) if parent is None else self._from(problem, parent.estimation)
        if estimation.status in ENDED_EARLY:
            if estimation.status.name == "INTERRUPTED":
                raise KeyboardInterrupt
            return self._failed(support, estimation)
        evaluation = evaluate(estimation.problem, estimation, self.settings)
        importance = evaluation.importance
        samples = importance.draws.resample(N_SAMPLES, np.random.default_rng([self.settings.seed, 11]))
        return FittedCandidate(
            support=support,
            estimation=estimation,
            minus_two_ll=float(np.sum(importance.minus_two_ll)),
            samples=samples,
            mean=problem.mean.mean(estimation.population.thetas),
        )

    def _failed(self, support: Support, estimation: Estimation) -> FittedCandidate:
        mean = self.problem.mean.mean(self.problem.initial.thetas)
        return FittedCandidate(
            support=support, estimation=estimation, minus_two_ll=float("nan"), samples=mean[None], mean=mean
        )

    def _first(self, problem: Problem) -> Estimation:
        return estimate(problem, self.decoders, self.settings, self.progress, Stages())

    def _from(self, problem: Problem, parent: Estimation) -> Estimation:
        """What effects that leave explained becomes variance; effects that enter begin at 0."""
        outcome = polish(
            replace(problem, decoder=self.decoders.draws),
            reduced(parent.problem, problem, parent.population),
            next(iter(parent.posteriors), None),
            self.settings,
            np.random.default_rng([self.settings.seed, 1]),
        )
        return Estimation(
            problem=replace(outcome.problem, decoder=self.decoders.exact),
            population=outcome.population,
            posteriors=tuple(q for q in (outcome.weighted, outcome.modes) if q is not None),
            status=outcome.status,
            message=outcome.message,
            trace=outcome.trace,
        )
