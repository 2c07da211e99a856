"""Population parameters of the project and the definitions of [INDIVIDUAL]."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nlmevae.errors import Location
from nlmevae.ir import PopulationParameter, Transform
from nlmevae_translators.to_monolix.expression_text import number_text
from nlmevae_translators.to_monolix.occasions import LEVEL, OccasionEffect

#: NONMEM takes bounds from here on as none.
NO_BOUND = 1e6


def rounded(value: float) -> float:
    """What is computed from a stated number: its last digit is rounding."""
    return float(f"{value:.15g}")


@dataclass(frozen=True, slots=True)
class PopulationValue:
    """One line of <PARAMETER>."""

    name: str
    value: float
    fixed: bool = False

    @property
    def text(self) -> str:
        return f"{self.name} = {{value={number_text(self.value)}, method={'FIXED' if self.fixed else 'MLE'}}}"


@dataclass(frozen=True, slots=True)
class CovariateUse:
    """One covariate of one parameter. `coefficients`: one, or one per category; None is 0."""

    covariate: str
    coefficients: tuple[PopulationValue | None, ...]

    @property
    def coefficient_text(self) -> str:
        names = ["0" if c is None else c.name for c in self.coefficients]
        return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One line of [INDIVIDUAL]. `eta` is the source's random effect, `theta` the parameter of its typical value, "" for
    none; `sd` its line of <PARAMETER>. `occasion` and `gamma`: the same between occasions."""

    name: str
    transform: Transform
    typical: PopulationValue
    eta: str = ""
    theta: str = ""
    sd: PopulationValue | None = None
    uses: tuple[CovariateUse, ...] = ()
    at: Location | None = None
    occasion: OccasionEffect | None = None
    gamma: PopulationValue | None = None

    @property
    def etas(self) -> tuple[str, ...]:
        """The source's random effects, between subjects and between occasions."""
        return (*filter(None, (self.eta,)), *(() if self.occasion is None else self.occasion.etas))

    @property
    def distribution(self) -> str:
        return {"identity": "normal", "log": "logNormal", "logit": "logitNormal"}[self.transform.kind]

    @property
    def text(self) -> str:
        parts = [f"distribution={self.distribution}", f"typical={self.typical.name}"]
        if self.transform.kind == "logit" and (self.transform.lower, self.transform.upper) != (0.0, 1.0):
            parts += [f"min={number_text(self.transform.lower)}", f"max={number_text(self.transform.upper)}"]
        if len(self.uses) == 1:
            use = self.uses[0]
            parts.append(f"covariate={use.covariate}, coefficient={use.coefficient_text}")
        elif self.uses:
            names = ", ".join(use.covariate for use in self.uses)
            coefficients = ", ".join(use.coefficient_text for use in self.uses)
            parts.append(f"covariate={{{names}}}, coefficient={{{coefficients}}}")
        parts.append(self._variability)
        return f"{self.name} = {{{', '.join(parts)}}}"

    @property
    def _variability(self) -> str:
        if self.gamma is None:
            return "no-variability" if self.sd is None else f"sd={self.sd.name}"
        if self.sd is None:
            return f"varlevel={LEVEL}, sd={self.gamma.name}"
        return f"varlevel={{id, {LEVEL}}}, sd={{{self.sd.name}, {self.gamma.name}}}"

    @property
    def parameters(self) -> tuple[PopulationValue, ...]:
        """Typical value, coefficients, standard deviations."""
        coefficients = (c for use in self.uses for c in use.coefficients if c is not None)
        return (self.typical, *coefficients, *filter(None, (self.sd, self.gamma)))


def to_natural(transform: Transform, gaussian: float) -> float:
    if transform.kind == "identity":
        return gaussian
    if transform.kind == "log":
        return transform.lower + _exp(gaussian)
    return transform.lower + (transform.upper - transform.lower) / (1.0 + _exp(-gaussian))


def _exp(value: float) -> float:
    """Infinite where it is too large for a number."""
    return math.exp(value) if value < 709.0 else math.inf


def to_gaussian(transform: Transform, value: float) -> float:
    """NaN outside the range."""
    if transform.kind == "identity":
        return value
    if transform.kind == "log":
        return math.log(value - transform.lower) if value > transform.lower else math.nan
    inside = transform.lower < value < transform.upper
    return math.log((value - transform.lower) / (transform.upper - value)) if inside else math.nan


def bounds_of(theta: PopulationParameter) -> tuple[float, float]:
    """Infinite where NONMEM takes them so."""
    lower = -math.inf if theta.lower <= -NO_BOUND else theta.lower
    return lower, math.inf if theta.upper >= NO_BOUND else theta.upper


def distribution_for(theta: PopulationParameter) -> tuple[Transform, bool]:
    """Of a parameter without variability: a distribution that keeps its bounds, and whether it keeps them all."""
    lower, upper = bounds_of(theta)
    free = math.isinf(lower) and math.isinf(upper)
    if theta.fixed or free or not lower < theta.init < upper:
        return _fixed_distribution(theta), theta.fixed or free
    if math.isfinite(lower) and math.isfinite(upper):
        return Transform(kind="logit", lower=lower, upper=upper), True
    if lower >= 0.0:
        return Transform(kind="log"), lower == 0.0
    return Transform(kind="identity"), False


def _fixed_distribution(theta: PopulationParameter) -> Transform:
    """A fixed parameter bounded from 0 reads as a positive one; its value is a number either way."""
    positive = theta.fixed and theta.lower >= 0.0 and theta.init > 0.0
    return Transform(kind="log" if positive else "identity")
