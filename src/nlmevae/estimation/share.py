"""The subjects of this process, where several processes share those of a fit.

Draws, predictions and weights are made and kept for the own subjects only. Sums over subjects are taken by every
process, of numbers per subject that are gathered from all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.processes import Group, group

if TYPE_CHECKING:
    from nlmevae.estimation.problem import Problem

#: Shares begin at multiples of these: those of the parts that array operations work on. The smaller one where there
#: are not enough subjects for the other, and fewest subjects of a process.
USUAL, FEWEST = 512, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Process k of `group` has the subjects bounds[k]:bounds[k + 1] of the `whole` problem."""

    group: Group
    bounds: tuple[int, ...]
    whole: Problem

    @property
    def own(self) -> slice:
        return slice(self.bounds[self.group.rank], self.bounds[self.group.rank + 1])

    def everyone(self, own: np.ndarray, what: str) -> np.ndarray:
        """(N, ...) from the (n, ...) of the own subjects."""
        if not own[:1].size:  # nothing per subject
            return np.zeros((self.bounds[-1], *own.shape[1:]))
        return np.concatenate(self.group.gather(own, what))


@dataclass(frozen=True, slots=True)
class SharedRandom:
    """Random numbers of the own subjects, as one process would draw them for all."""

    share: Share
    rng: np.random.Generator

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform (n, ...) for the n own subjects."""
        n_subjects = self.share.bounds[-1]
        if shape[0] != self.share.own.stop - self.share.own.start:
            raise ValueError(f"{shape} is not of the own subjects")
        return self.rng.random((n_subjects, *shape[1:]))[self.share.own]


def own_part(problem: Problem) -> Problem:
    """The problem on the subjects of this process; `problem` itself where no others share it, or it is too small."""
    here = group()
    if here is None or here.at_work or here.alone or problem.share is not None or not problem.n_latents:
        return problem
    n = problem.n_subjects
    unit = next((unit for unit in (USUAL, FEWEST) if n >= unit * here.size), None)
    if unit is None:
        return problem
    n_units = -(-n // unit)
    bounds = tuple(min(k * n_units // here.size * unit, n) for k in range(here.size + 1))
    share = Share(group=here, bounds=bounds, whole=problem)
    return problem.part(np.arange(n)[share.own], share)


def own_random(problem: Problem, rng: np.random.Generator) -> np.random.Generator | SharedRandom:
    """What draws for the subjects of `problem`, a part or a whole."""
    return rng if problem.share is None else SharedRandom(problem.share, rng)
