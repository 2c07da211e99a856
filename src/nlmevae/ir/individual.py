"""How individual parameters come from typical values, covariates and random effects."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """h of the paper's equation 3: z = h(psi), `to_gaussian`; psi = h^-1(z), `to_natural`.

    "log": z = log(psi - lower) (lower is 0 unless the log-normal is shifted).
    "logit": z = log((psi - lower) / (upper - psi)).
    """

    kind: Literal["identity", "log", "logit"]
    lower: float = 0.0
    upper: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualParameter:
    """psi_k, mu-referenced: h(psi_k) = mu_k(THETA, covariates) + ETA(k).

    Attributes:
        name: the program variable that first carries the random effect (``CL``).
        eta: its random effect (``ETA(1)``).
        transform: h.
        mu_linear: mu_k is linear in the (scaled) THETAs it reads.
        thetas: names of the THETAs mu_k reads.
        covariates: data items mu_k reads.
        verified: relation checked numerically at random points; False never reaches estimation.
        at: the assignment that defines it.
    """

    name: str
    eta: str
    transform: Transform
    mu_linear: bool
    thetas: tuple[str, ...]
    covariates: tuple[str, ...] = ()
    verified: bool = True
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CovariateEffect:
    """A covariate effect found in the model text."""

    parameter: str
    covariate: str
    form: Literal["power", "exponential", "linear", "categorical", "custom"]
    coefficients: tuple[str, ...]
    state: Literal["in_model", "candidate", "selected", "excluded"] = "in_model"
