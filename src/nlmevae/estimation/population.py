"""Population parameters as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nlmevae.ir import CovarianceBlock, Model, free_elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """theta of the paper's section 2.1, in NONMEM's own coordinates.

    thetas (n_theta,) natural scale; omega (n_eta, n_eta) covariance; sigma (n_eps, n_eps) covariance.
    """

    thetas: np.ndarray
    omega: np.ndarray
    sigma: np.ndarray

    @classmethod
    def initial(cls, model: Model) -> Population:
        """The initial estimates the model text states."""
        return cls(
            thetas=np.array([t.init for t in model.thetas], dtype=float),
            omega=assemble(model.omega),
            sigma=assemble(model.sigma),
        )

    def vector(self) -> np.ndarray:
        """All parameters in result-file order: THETA, SIGMA lower triangle, OMEGA lower triangle."""
        return np.concatenate([self.thetas, lower_triangle(self.sigma), lower_triangle(self.omega)])


def assemble(blocks: tuple[CovarianceBlock, ...]) -> np.ndarray:
    """Block-diagonal covariance matrix of all blocks, in order."""
    n = sum(len(b.names) for b in blocks)
    full = np.zeros((n, n))
    start = 0
    for block in blocks:
        stop = start + len(block.names)
        full[start:stop, start:stop] = np.array(block.matrix, dtype=float)
        start = stop
    return full


def block_mask(blocks: tuple[CovarianceBlock, ...]) -> np.ndarray:
    """True where the covariance matrix is estimated (inside a block that is not fixed, not kept at 0)."""
    n = sum(len(b.names) for b in blocks)
    mask = np.zeros((n, n), dtype=bool)
    start = 0
    for block in blocks:
        stop = start + len(block.names)
        mask[start:stop, start:stop] = free_elements(block)
        start = stop
    return mask


def repeated_blocks(blocks: tuple[CovarianceBlock, ...]) -> list[list[list[int]]]:
    """Effect indices of every estimated block, together with those of the blocks that repeat it (SAME)."""
    groups: dict[int, list[list[int]]] = {}
    start = 0
    for number, block in enumerate(blocks):
        effects = list(range(start, start + len(block.names)))
        start += len(effects)
        if not block.fixed:
            groups.setdefault(number if block.same_as is None else block.same_as, []).append(effects)
    return list(groups.values())


def lower_triangle(matrix: np.ndarray) -> np.ndarray:
    """(1,1), (2,1), (2,2), ... row by row."""
    return matrix[_triangle(len(matrix))]


@lru_cache(maxsize=32)
def _triangle(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tril_indices(n)
