"""Kinds of observations: what a plot must keep apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.value_scales import IDENTITY
from nlmevae.estimation.problem import Problem
from nlmevae.ir import ObservationModel
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
    """One kind for each observation model and observed compartment that has observations."""
    table, models = problem.table, problem.model.observations
    model = np.zeros(table.n_obs_total, dtype=int) if table.ob_endpoint is None else table.ob_endpoint
    pairs, of = np.unique(np.column_stack([model, table.ob_cmt]), axis=0, return_inverse=True)
    if not len(pairs):
        return Endpoints(kinds=(_kind(models[0], "", moved=False),), of=np.zeros(0, dtype=int))
    compartments = {c.number: c.name for c in problem.model.structural.compartments}
    kinds = []
    for k, compartment in pairs:
        several = (pairs[:, 0] == k).sum() > 1
        shown = str(compartments.get(int(compartment), int(compartment))) if several else ""
        moved = table.ob_scale is not None and bool((table.ob_scale[model == k, 0] != IDENTITY).any())
        kinds.append(_kind(models[k], shown, moved=moved))
    return Endpoints(kinds=tuple(kinds), of=of.reshape(-1))


def _kind(model: ObservationModel, compartment: str, *, moved: bool) -> Endpoint:
    """`moved`: the scale is that of the distribution only, values in the data and predictions shown are natural."""
    name = f"{model.name} in {compartment}" if compartment else model.name
    return Endpoint(name=name, log_scale=model.scale == "log" and not moved)
