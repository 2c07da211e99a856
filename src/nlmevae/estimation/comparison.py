"""How much one model or population is worse than another on the same draws, and how sure that is.

The errors of two likelihoods of many subjects are far larger than what a decision needs (2425 neonates with 256 draws
each: 4.5 units of -2LL); on common draws nearly all of them cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.pool import Pool
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.sample import Batch, Sample
from nlmevae.likelihood.importance import Weighted


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """value: -2LL of the one less that of the other; noise: its Monte-Carlo standard error."""

    value: float
    noise: float


def difference(one: Weighted, other: Weighted) -> Difference:
    """Of two weightings of the same draws.

    Its noise as if draws were independent, by the delta method: log mean w - log mean v has the variance
    sum_k (w_k / sum w - v_k / sum v)^2.
    """
    change = one.weight - other.weight
    return Difference(value=one.total - other.total, noise=2.0 * float(np.sqrt(np.vdot(change, change))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """A model at its own estimates, and draws that represent its posteriors there."""

    problem: Problem
    population: Population
    batch: Batch


def difference_of_models(one: Estimated, other: Estimated) -> Difference:
    """On the draws of both together (balance heuristic): each represents one of the posteriors. The noise is an upper
    limit where the models are far apart: it takes for chance which draws are whose."""
    both = Pool().add(one.batch, keep=1).add(other.batch, keep=1).merged()
    weighed = [Sample.of(m.problem, Coordinates.of(m.problem), both).weigh(m.population) for m in (one, other)]
    return difference(*weighed)
