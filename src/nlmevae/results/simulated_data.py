"""Simulated data sets: what changes from one to the next, and the design they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Columns behind those of the data.
ADDED = ("REP", "IPRED", "PRED")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedData:
    """One data set.

    Attributes:
        number: of the replicate, from 1.
        dv, ipred, pred (M,): simulated value, prediction at the simulated random effects, prediction at ETA = 0.
        psi (N, d): individual parameters, in the order of the latents.
    """

    number: int
    dv: np.ndarray
    ipred: np.ndarray
    pred: np.ndarray
    psi: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignText:
    """What is the same in every replicate, as text.

    Attributes:
        names: columns of the data file; cells: of every row; dv: the index of DV among them.
        observations: (M,) rows of the simulated values; subject: (n_rows,) index of each row's subject.
        parameters: names of the individual parameters.
    """

    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    dv: int
    observations: np.ndarray
    subject: np.ndarray
    parameters: tuple[str, ...]

    @property
    def header(self) -> str:
        """Added columns get a "_" where the data have one of their name."""
        names = list(self.names)
        for name in (*ADDED, *self.parameters):
            while name in names:
                name += "_"
            names.append(name)
        return ",".join(names) + "\n"
