"""The way to the neighbourhood of the optimum: guarded Laplace EM from one or several starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.guards import latent_scale, widened
from nlmevae.estimation.its import its_iteration
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import Modes
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings

SETTLED, EXTENSION = 3.0, 3  # extra iterations while Laplace's -2LL still falls by this much
ADVANTAGE = 3.0  # of Laplace's -2LL that another start must have: less may be the approximation's error
FIRST_CHOICE = 2  # iteration in which a search first chooses: before, OMEGA is far too wide
HOPELESS = 20.0  # a start is given up when this many of its last gains would not make it the best


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """A population on the way, Laplace's -2LL there, and how many subjects had no mode."""

    problem: Problem
    population: Population
    laplace: float
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """Where one start led. `problem` has the support found there; `starts` (list of (N, d)) and `known` are modes
    to go on from; `criterion` is Laplace's last -2LL plus the penalties of the support (inf if nothing could be
    evaluated)."""

    problem: Problem
    population: Population
    starts: tuple[np.ndarray, ...]
    known: Modes | None
    criterion: float
    penalty: float
    visited: tuple[Visited, ...]


def approach(
    problem: Problem,
    population: Population,
    starts: Sequence[np.ndarray],
    settings: FitSettings,
    rng: np.random.Generator,
    *,
    seen: Callable[[Visited], None] | None = None,
    to_beat: float = float("-inf"),
    selector: Selector | None = None,
    penalty: float = 0.0,
) -> Approach:
    """ITS iterations from `population`; more than asked for while -2LL still falls fast.

    Args:
        starts: (N, d) arrays from which modes are sought besides prior draws.
        seen: called after each iteration.
        to_beat: the best criterion of other starts; a start that cannot reach it is given up early.
        selector: chooses the support, once the first iterations have found the neighbourhood; without one,
            `penalty` is that of the problem's support.
    """
    scale = latent_scale(problem)
    if settings.its_iterations:
        population = widened(population, problem, scale)
    known: Modes | None = None
    visited: list[Visited] = []
    last = float("inf")
    for iteration in range(settings.its_iterations * EXTENSION):
        state = its_iteration(
            problem,
            Coordinates.of(problem),
            population,
            list(starts),
            known,
            rng,
            n_starts=settings.n_starts,
            max_refine=15 if iteration == 0 else 8,
            selector=selector if iteration >= FIRST_CHOICE else None,
        )
        if selector is not None:
            penalty = selector.total_penalty(problem)
        criterion = state.laplace + penalty
        gain = last - criterion
        if iteration >= settings.its_iterations and gain < SETTLED:
            break
        last = criterion
        starts, known = (state.modes.mean, state.second.mean), state.modes
        if not np.isfinite(state.population.vector()).all():
            break
        failed = int((~state.modes.ok).sum())
        visited.append(Visited(problem=problem, population=population, laplace=state.laplace, failed=failed))
        if seen is not None:
            seen(visited[-1])
        problem, population = state.problem, state.population
        if iteration >= 2 and criterion - HOPELESS * max(gain, 0.0) > to_beat > float("-inf"):
            break
    if selector is not None:
        penalty = selector.total_penalty(problem)
    return Approach(
        problem=problem,
        population=population,
        starts=tuple(starts),
        known=known,
        criterion=last,
        penalty=penalty,
        visited=tuple(visited),
    )
