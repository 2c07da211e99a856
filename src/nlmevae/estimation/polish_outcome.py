"""What the polish ends with."""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.selector import SearchState
from nlmevae.results.fit_result import TraceRow
from nlmevae.results.status import FitStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PolishOutcome:
    """`population` is the last complete one. `modes` and `weighted` (importance-weighted moments) are
    posteriors at it; None when the run ended before any were computed. `gain` is the last -2LL gain.
    `problem` has the final support, `search` what a covariate search knows about it."""

    problem: Problem
    population: Population
    status: FitStatus
    message: str
    modes: Posterior | None
    weighted: Posterior | None
    minus_two_ll: float
    gain: float
    n_outer: int
    trace: tuple[TraceRow, ...]
    search: SearchState | None = None
