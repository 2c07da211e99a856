"""Which THETA is the typical value of which individual parameter, on that parameter's natural scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.individual_parameters import to_natural
from nlmevae.estimation.problem import Problem
from nlmevae.ir import Transform

#: Relative, of numbers that are equal but for rounding.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalParameter:
    """`value` of the individual parameter `name` without random and covariate effects; `derivative` with respect to
    the THETA, `slope` that of the value on the Gaussian scale with respect to `value`."""

    name: str
    value: float
    derivative: float
    slope: float


def gaussian_slope(transform: Transform, value: float) -> float:
    """d z / d psi at psi = `value`."""
    if transform.kind == "log":
        return 1.0 / (value - transform.lower)
    if transform.kind == "logit":
        return (transform.upper - transform.lower) / ((value - transform.lower) * (transform.upper - value))
    return 1.0


def typical_parameters(problem: Problem, thetas: np.ndarray) -> dict[str, TypicalParameter]:
    """By name of the THETA; only where mu is exactly (the logarithm of) this THETA and terms of covariates, so that
    the name ``CL_pop`` is true. Units (``CL = 60*THETA(1)*EXP(ETA(1))``) count where there are no covariates: with
    them nothing says at which covariate a constant factor is 1.
    """
    design, mean = problem.mean.design(thetas), problem.mean.mean(thetas)
    names = [problem.model.thetas[i].name for i in problem.mean.indices]
    found = {}
    for k, latent in enumerate(problem.form.latents):
        if latent.name == latent.eta or latent.changing:
            continue
        acting = np.flatnonzero((design[:, k] != 0.0).any(axis=0))
        ones = [j for j in acting if np.allclose(design[:, k, j], 1.0, rtol=0.0, atol=_EQUAL)]
        if len(ones) != 1 or np.count_nonzero((design[:, :, ones[0]] != 0.0).any(axis=0)) != 1:
            continue
        rest = _rest(problem, thetas, k, ones[0])
        typical = _base(mean[:, k], rest, alone=len(acting) == 1)
        if typical is None:
            continue
        value = float(to_natural(latent.transform, np.float64(typical)))
        slope = gaussian_slope(latent.transform, value)
        theta = float(thetas[problem.mean.indices[ones[0]]])
        inner = 1.0 / theta if problem.mean.log_scale[ones[0]] else 1.0
        found[names[ones[0]]] = TypicalParameter(name=latent.name, value=value, derivative=inner / slope, slope=slope)
    return found


def _rest(problem: Problem, thetas: np.ndarray, k: int, j: int) -> tuple[float, np.ndarray | None]:
    """The term of THETA number `j` in mu_k, and (N,) that of the other estimated ones; None if they are not terms."""
    mean = problem.mean
    scaled = mean.scaled(thetas)
    if not mean.linear:
        return float(scaled[j]), None
    others = np.arange(len(scaled)) != j
    return float(scaled[j]), mean.design(thetas)[:, k, others] @ scaled[others]


def _base(mean: np.ndarray, rest: tuple[float, np.ndarray | None], *, alone: bool) -> float | None:
    """mu without terms of covariates; None where it is not known."""
    own, others = rest
    if others is None and not alone:
        return None
    constant = mean - own - (0.0 if others is None else others)
    size = _EQUAL * max(1.0, float(np.abs(mean).max()))
    if (np.abs(constant) <= size).all():
        return own
    return float(mean[0]) if alone and np.ptp(constant) <= size else None
