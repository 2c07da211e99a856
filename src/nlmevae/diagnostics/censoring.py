"""Observations that are only known to lie below a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.events import EventTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Censoring:
    """`below` (M,) bool: DV is a limit of quantification and the value lies below it. `limit` (M,): the limit that
    would apply to each observation, -inf where none is known."""

    below: np.ndarray
    limit: np.ndarray

    @property
    def present(self) -> bool:
        return bool(self.below.any())


def censoring(table: EventTable) -> Censoring:
    """From the event table; nothing is censored where it has no such column."""
    n = table.n_obs_total
    return Censoring(below=np.zeros(n, dtype=bool), limit=np.full(n, -np.inf))
