"""Observation models: which prediction, with which residual error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ErrorKind = Literal["additive", "proportional", "combined1", "combined2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCoefficient:
    """One residual error coefficient, always used as a standard deviation.

    It is ``scale`` times: the THETA named `parameter` (kind "theta"), or the square root of the
    variance of the EPS named `parameter` (kind "sigma"). `fixed` means it is not estimated.
    """

    parameter: str
    kind: Literal["theta", "sigma"]
    scale: float = 1.0
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualError:
    """Var(Y | f) = sd(f)^2 with, for prediction f = Y at EPS = 0:

    additive a; proportional b|f|; combined1 a + b|f|; combined2 sqrt(a^2 + b^2 f^2).

    `written_as` keeps how the user stated it ("exponential" Y = F*EXP(EPS), which NONMEM and we
    linearise in EPS and is then proportional; "log" for Y = LOG(F) + EPS, additive on the log scale).
    `at_zero` is the standard deviation factor the code itself substitutes when f = 0
    (``IF (F.EQ.0) W = 1``), None if it substitutes none: sd(0) is `at_zero` times the square root of
    the variance of b's EPS where b is a sigma (b's scale does not apply), and `at_zero` itself where b
    is a THETA.
    """

    kind: ErrorKind
    a: ErrorCoefficient | None = None
    b: ErrorCoefficient | None = None
    written_as: Literal["", "exponential", "log"] = ""
    at_zero: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationModel:
    """One endpoint. `name` is what to print; `error` its residual error model."""

    name: str
    error: ResidualError
    scale: Literal["natural", "log"] = "natural"
