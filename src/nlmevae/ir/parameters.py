"""Population parameters, random effects and their covariance blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location, SemanticError


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationParameter:
    """One THETA.

    `name` is the spelling used in programs (``THETA(3)``), `label` what to print (``TVCL`` from the
    comment, else the name). `scale` is the scale on which estimation moves it: "log" when the
    individual model is linear in its logarithm, else "identity".
    """

    name: str
    label: str
    init: float
    lower: float = -math.inf
    upper: float = math.inf
    fixed: bool = False
    scale: Literal["identity", "log"] = "identity"
    role: Literal["typical_value", "covariate_effect", "residual_error", "structural"] = "structural"
    at: Location | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.lower <= self.init <= self.upper:
            raise SemanticError(
                f"{self.label}: initial estimate {self.init:g} is outside its bounds ({self.lower:g}, {self.upper:g})",
                hint="put the initial estimate between the bounds",
                location=self.at,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CovarianceBlock:
    """A block of OMEGA or SIGMA: always variances and covariances, whatever the user wrote.

    `names` are effect names (``ETA(1)``, ``EPS(1)``), `matrix` the initial covariance, row-major
    nested tuples (n, n). A fixed block is not estimated. An initial covariance of 0 stays 0 (NONMEM's band
    matrices). `same_as` is the index of the block whose values it repeats (NONMEM's SAME). `idle`: nothing reads its
    effects, which are 0; its values stay as they are.
    """

    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    fixed: bool = False
    same_as: int | None = None
    idle: bool = False
    labels: tuple[str, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(self.matrix) != n or any(len(row) != n for row in self.matrix):
            raise SemanticError(f"covariance block of {', '.join(self.names)} is not {n} x {n}", location=self.at)


def free_elements(block: CovarianceBlock) -> tuple[tuple[bool, ...], ...]:
    """(n, n): which elements are estimated."""
    return tuple(
        tuple(not block.fixed and (i == j or value != 0.0) for j, value in enumerate(row))
        for i, row in enumerate(block.matrix)
    )


def zero_effects(blocks: tuple[CovarianceBlock, ...]) -> frozenset[str]:
    """Effects that are always 0: their variance is fixed at zero, or nothing reads them."""
    return frozenset(
        name
        for block in blocks
        if block.fixed
        for k, name in enumerate(block.names)
        if block.idle or block.matrix[k][k] == 0.0
    )
