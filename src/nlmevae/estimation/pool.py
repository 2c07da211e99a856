"""Recent batches of draws as one sample.

Every draw is weighed against the mixture of all proposals in the pool (balance heuristic of Veach and
Guibas 1995), not only against the one it came from: a draw from the far tail of an old proposal that
lies in the middle of a new one gets an ordinary weight instead of dominating its subject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.sample import Batch
from nlmevae.likelihood.importance import Draws
from nlmevae.likelihood.proposal import log_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """densities[i][j] (K_i, N): log density of proposal j at the draws of batch i. `together`: all draws, each with
    the density it was drawn from; the batches' arrays are parts of it, so that draws are in memory once (None where
    they move with structural THETAs)."""

    batches: tuple[Batch, ...] = ()
    densities: tuple[tuple[np.ndarray, ...], ...] = ()
    together: Draws | None = None

    def add(self, batch: Batch, *, keep: int) -> Pool:
        """The last `keep` batches and a new one, all carried to the structural THETAs of the new one."""
        first = max(len(self.batches) - keep, 0)
        batches = (*self.batches[first:], batch)
        if batch.shift is not None:
            return Pool(batches=batches, densities=_all_densities(batches))
        rows = [
            (*row[first:], batch.proposal.log_density(old.draws.z))
            for old, row in zip(self.batches[first:], self.densities[first:], strict=True)
        ]
        last = [old.proposal.log_density(batch.draws.z) for old in batches[:-1]]
        together = Draws.concat([b.draws for b in batches])
        return Pool(batches=_parts(batches, together), densities=(*rows, (*last, batch.draws.log_q)), together=together)

    def merged(self) -> Batch:
        """All draws as one batch; the derivative along the mode is the last batch's for all of them."""
        last = self.batches[-1]
        sizes = np.array([len(b.draws.z) for b in self.batches])
        draws = self.together
        if draws is None:
            draws = Draws.concat([b.at(last.structural) for b in self.batches])
        log_q = np.concatenate([log_mean(list(row), sizes / sizes.sum()) for row in self.densities])
        jacobian = None if last.jacobian is None else np.concatenate([b.jacobian for b in self.batches])
        return Batch(
            draws=replace(draws, log_q=log_q),
            proposal=None,
            structural=last.structural,
            shift=last.shift,
            jacobian=jacobian,
        )


def _parts(batches: tuple[Batch, ...], together: Draws) -> tuple[Batch, ...]:
    """The batches, their draws as views of `together`."""
    ends = np.cumsum([len(b.draws.z) for b in batches])
    parts = [slice(end - len(b.draws.z), end) for end, b in zip(ends, batches, strict=True)]
    return tuple(
        replace(b, draws=Draws(z=together.z[p], prediction=together.prediction[p], log_q=together.log_q[p]))
        for b, p in zip(batches, parts, strict=True)
    )


def _all_densities(batches: tuple[Batch, ...]) -> tuple[tuple[np.ndarray, ...], ...]:
    """Draws and proposals move with the structural THETAs, so nothing can be kept from earlier."""
    target = batches[-1].structural
    places = [b.at(target).z for b in batches]
    return tuple(tuple(b.log_density(z, target) for b in batches) for z in places)
