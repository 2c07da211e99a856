"""Kinds of observations: what a plot must keep apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.problem import Problem
from nlmevae.results.diagnostics import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """`kinds`, and which of them each observation is: `of` (M,)."""

    kinds: tuple[Endpoint, ...]
    of: np.ndarray

    @property
    def log_scale(self) -> np.ndarray:
        """(M,) bool: DV and predictions are logarithms."""
        return np.array([kind.log_scale for kind in self.kinds], dtype=bool)[self.of]


def endpoints(problem: Problem) -> Endpoints:
    """One kind for each observed compartment."""
    observation = problem.model.observations[0]
    log_scale = observation.scale == "log"
    compartments, of = np.unique(problem.table.ob_cmt, return_inverse=True)
    if len(compartments) < 2:
        kinds = (Endpoint(name=observation.name, log_scale=log_scale),)
        return Endpoints(kinds=kinds, of=np.zeros(problem.table.n_obs_total, dtype=int))
    names = {c.number: c.name for c in problem.model.structural.compartments}
    kinds = tuple(
        Endpoint(name=f"{observation.name} in {names.get(int(c), int(c))}", log_scale=log_scale) for c in compartments
    )
    return Endpoints(kinds=kinds, of=of.reshape(-1))
