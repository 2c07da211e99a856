"""Residual error models on EPS(1), EPS(2) with their standard deviations written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.decoder.residual import ResidualModel
from nlmevae.ir import (
    CovarianceBlock,
    ErrorCoefficient,
    ErrorCorrelation,
    ErrorPower,
    ObservationModel,
    ResidualError,
)

A, B, POWER, RHO = 0.4, 0.15, 0.7, 0.5

_A = ErrorCoefficient(parameter="EPS(1)", kind="sigma")
_B = ErrorCoefficient(parameter="EPS(2)", kind="sigma")
_POWER = ErrorPower(parameter="THETA(1)", fixed=False)

#: Name -> (error, sd at predictions f).
FORMS = {
    "additive": (ResidualError(kind="additive", a=_A), lambda f, a, b, p, r: np.full_like(f, a)),
    "proportional": (ResidualError(kind="proportional", b=_B), lambda f, a, b, p, r: b * abs(f)),
    "combined1": (ResidualError(kind="combined1", a=_A, b=_B), lambda f, a, b, p, r: a + b * abs(f)),
    "combined2": (
        ResidualError(kind="combined2", a=_A, b=_B),
        lambda f, a, b, p, r: np.sqrt(a**2 + b**2 * f**2),
    ),
    "power": (
        ResidualError(kind="proportional", b=_B, power=_POWER),
        lambda f, a, b, p, r: b * abs(f) ** p,
    ),
    "combined1 power": (
        ResidualError(kind="combined1", a=_A, b=_B, power=_POWER),
        lambda f, a, b, p, r: a + b * abs(f) ** p,
    ),
    "combined2 power": (
        ResidualError(kind="combined2", a=_A, b=_B, power=_POWER),
        lambda f, a, b, p, r: np.sqrt(a**2 + b**2 * abs(f) ** (2 * p)),
    ),
    "correlated": (
        ResidualError(kind="combined2", a=_A, b=_B, correlation=ErrorCorrelation(names=("EPS(1)", "EPS(2)"))),
        lambda f, a, b, p, r: np.sqrt(a**2 + 2 * r * a * b * f + b**2 * f**2),
    ),
}


def eps_blocks(n: int, correlation: float = 0.0) -> tuple[CovarianceBlock, ...]:
    """$SIGMA of n EPS with variance 1: one block of two with a correlation, else one each."""
    if correlation:
        return (CovarianceBlock(names=("EPS(1)", "EPS(2)"), matrix=((1.0, correlation), (correlation, 1.0))),)
    return tuple(CovarianceBlock(names=(f"EPS({k + 1})",), matrix=((1.0,),)) for k in range(n))


def residual_model(form: str, **changes) -> tuple[ResidualModel, np.ndarray]:
    """The model with one endpoint, and its coefficients at A, B, POWER, RHO."""
    error = replace(FORMS[form][0], **changes)
    blocks = eps_blocks(2, RHO if error.correlation else 0.0)
    model = ResidualModel.build([ObservationModel(name="Y", error=error)], ["THETA(1)"], blocks)
    covariance = RHO * A * B if error.correlation else 0.0
    sigma = np.array([[A**2, covariance], [covariance, B**2]])
    return model, model.coefficients(np.array([POWER]), sigma)


def by_hand(form: str, f: np.ndarray, a: float = A, b: float = B, p: float = POWER, r: float = RHO) -> np.ndarray:
    return FORMS[form][1](np.asarray(f, dtype=float), a, b, p, r)


def theta_error(kind: str, **changes) -> tuple[ResidualModel, np.ndarray]:
    """a = THETA(1), b = THETA(2) / 2, so that scales matter; SIGMA fixed to 1."""
    a = ErrorCoefficient(parameter="THETA(1)", kind="theta") if kind != "proportional" else None
    b = ErrorCoefficient(parameter="THETA(2)", kind="theta", scale=0.5) if kind != "additive" else None
    error = replace(ResidualError(kind=kind, a=a, b=b), **changes)
    model = ResidualModel.build([ObservationModel(name="Y", error=error)], ["THETA(1)", "THETA(2)"], eps_blocks(1))
    return model, model.coefficients(np.array([A, 2 * B]), np.eye(1))
