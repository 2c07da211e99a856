"""Observation models: which prediction, with which residual error, and what is known of the value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location
from nlmevae.ir.expression import Expression

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
class ErrorPower:
    """The exponent p of the prediction: `scale` times the THETA `parameter`, or `scale` itself if that is None."""

    parameter: str | None = None
    scale: float = 1.0
    fixed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCorrelation:
    """Correlation of a's EPS and b's EPS (`names`) of one record: rho is `sign` times that of $SIGMA."""

    names: tuple[str, str]
    sign: float = 1.0
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEffect:
    """A random effect on the size of the residual error: sd is multiplied by exp(`scale` * `eta`)."""

    eta: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualError:
    """Var(Y | f) = sd(f)^2 with, for prediction f = Y at EPS = 0 and g = b|f|^p (p = 1 without `power`):

    additive a; proportional g; combined1 a + g; combined2 sqrt(a^2 + 2 rho a b f + g^2).

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
    power: ErrorPower | None = None
    correlation: ErrorCorrelation | None = None
    effect: ErrorEffect | None = None
    written_as: Literal["", "exponential", "log"] = ""
    at_zero: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Censoring:
    """Records whose likelihood is the probability of an interval, as the code says with F_FLAG = 1.

    P(lower < y < upper), given y > floor where that is not None. Limits are expressions of data items; None: no limit.

    Attributes:
        when: condition on data items.
        stand_in: data items and the values with which the same code gives the prediction f of such a record.
        places: the assignments to Y that are probabilities.
    """

    when: Expression
    lower: Expression | None = None
    upper: Expression | None = None
    floor: Expression | None = None
    stand_in: tuple[tuple[str, float], ...] = ()
    places: tuple[Location, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationModel:
    """One endpoint.

    Attributes:
        name: what to print.
        epsilons: the EPS that act on it.
        when: condition on data items that chooses its records; None: all of them.
        floor: values are known to lie above it, their density is conditional on that; None: no condition.
        scale: of Y: the prediction is its logarithm, or its logit between two bounds (log- and logit-normal outcomes).
        censoring: records of this endpoint that are known as intervals only; `when` does not hold there.
    """

    name: str
    error: ResidualError
    scale: Literal["natural", "log", "logit"] = "natural"
    epsilons: tuple[str, ...] = ()
    when: Expression | None = None
    floor: Expression | None = None
    censoring: tuple[Censoring, ...] = ()
