"""OMEGA(i,j) and SIGMA(i,j) as names in code: NONMEM gives the current estimate.

Programs spell them with the row not below the column's number: ``SIGMA(2,1)``.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.ir.model import Model
from nlmevae.ir.parameters import CovarianceBlock


def is_variance_element(name: str) -> bool:
    return name.startswith(("OMEGA(", "SIGMA("))


def element_names(word: str, count: int) -> tuple[str, ...]:
    """The lower triangle of a matrix of `count` rows, row by row."""
    return tuple(f"{word}({i},{j})" for i in range(1, count + 1) for j in range(1, i + 1))


def matrix_elements(word: str, matrix: Sequence[Sequence[float]]) -> dict[str, float]:
    """Name -> value of the lower triangle."""
    return {f"{word}({i + 1},{j + 1})": float(matrix[i][j]) for i in range(len(matrix)) for j in range(i + 1)}


def initial_elements(model: Model) -> dict[str, float]:
    """Every element at its initial estimate."""
    return stated_elements("OMEGA", model.omega) | stated_elements("SIGMA", model.sigma)


def stated_elements(word: str, blocks: Sequence[CovarianceBlock]) -> dict[str, float]:
    """Name -> initial estimate; 0 between blocks."""
    found = dict.fromkeys(element_names(word, sum(len(b.names) for b in blocks)), 0.0)
    start = 0
    for block in blocks:
        for i in range(len(block.names)):
            found |= {f"{word}({start + i + 1},{start + j + 1})": block.matrix[i][j] for j in range(i + 1)}
        start += len(block.names)
    return found


def constant_elements(word: str, blocks: Sequence[CovarianceBlock]) -> dict[str, float]:
    """Those that no fit changes: of fixed blocks, and 0 between blocks and in a band matrix."""
    found = stated_elements(word, blocks)
    start = 0
    for block in blocks:
        for i in range(len(block.names)):
            for j in range(i + 1):
                if not block.fixed and (i == j or block.matrix[i][j] != 0.0):
                    del found[f"{word}({start + i + 1},{start + j + 1})"]
        start += len(block.names)
    return found
