"""Observations of which only an interval is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.events import EventTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Censoring:
    """`hidden` (M,) bool: the value is not known, only an interval. `below` (M,) bool: those of them that lie below a
    limit of quantification. `limit` (M,): the limit that would apply to each observation, -inf where none is known: its
    own, else the one that all censored observations of its endpoint have."""

    hidden: np.ndarray
    below: np.ndarray
    limit: np.ndarray

    @property
    def present(self) -> bool:
        return bool(self.below.any())


def censoring(table: EventTable) -> Censoring:
    """From the event table; nothing is censored where it says nothing."""
    n, hidden = table.n_obs_total, table.censored
    limit = np.full(n, -np.inf)
    if table.ob_limits is None:
        return Censoring(hidden=hidden, below=hidden, limit=limit)
    upper = table.ob_limits[:, 1]
    below = hidden & np.isfinite(upper)
    endpoint = np.zeros(n, dtype=int) if table.ob_endpoint is None else table.ob_endpoint
    for e in np.unique(endpoint[below]):
        common = np.unique(upper[below & (endpoint == e)])
        if len(common) == 1:
            limit[endpoint == e] = common[0]
    limit[below] = upper[below]
    return Censoring(hidden=hidden, below=below, limit=limit)
