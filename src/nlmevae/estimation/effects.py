"""Candidate covariate effects as columns of the mean of z: beta c_i of the paper's equation 3.

Every coefficient is one more THETA behind the model's own, fixed at 0 outside the support. So all that
estimates THETAs estimates the effects of the support, and nothing else has to know about them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.ir import IndividualParameter, Model, PopulationParameter, SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """values (N, C) regressors; latent (C,) on which each acts; unit (C,) the candidate it belongs to; theta
    (C,) its index among all THETAs; names (C,)."""

    space: SearchSpace
    values: np.ndarray
    latent: np.ndarray
    unit: np.ndarray
    theta: np.ndarray
    names: tuple[str, ...]

    @property
    def n_units(self) -> int:
        return len(self.space.candidates)

    @property
    def forced(self) -> np.ndarray:
        """(n_units,) bool."""
        return np.array([c.forced for c in self.space.candidates], dtype=bool)

    @property
    def n_coefficients(self) -> np.ndarray:
        """(n_units,)."""
        return np.bincount(self.unit, minlength=self.n_units)

    @property
    def n_on_parameter(self) -> np.ndarray:
        """(n_units,) candidates on the same parameter."""
        counts = Counter(c.parameter for c in self.space.candidates)
        return np.array([counts[c.parameter] for c in self.space.candidates])

    def subset(self, subjects: np.ndarray) -> Effects:
        """Of some of the subjects."""
        return replace(self, values=np.ascontiguousarray(self.values[subjects]))

    def add_to(self, mean: np.ndarray, thetas: np.ndarray) -> np.ndarray:
        """`mean` (N, d) plus beta c_i, in place."""
        beta = thetas[self.theta]
        for c in np.flatnonzero(beta):
            mean[:, self.latent[c]] += self.values[:, c] * beta[c]
        return mean

    def beta(self, thetas: np.ndarray) -> np.ndarray:
        """(C,) coefficients."""
        return thetas[self.theta]

    def on_support(self, thetas: np.ndarray, support: np.ndarray) -> np.ndarray:
        """All THETAs with the coefficients outside the support (n_units,) at exactly 0."""
        result = thetas.copy()
        result[self.theta[~support[self.unit]]] = 0.0
        return result


def extended(model: Model, effects: Effects, support: np.ndarray) -> Model:
    """The model with one THETA per coefficient, fixed unless in the support."""
    base = without_effects(model, effects).thetas
    coefficients = tuple(
        PopulationParameter(name=name, label=name, init=0.0, fixed=not support[unit], role="covariate_effect")
        for name, unit in zip(effects.names, effects.unit, strict=True)
    )
    return replace(model, thetas=(*base, *coefficients))


def without_effects(model: Model, effects: Effects) -> Model:
    """The model's own THETAs only; the model itself if it has no others."""
    if not model.thetas or model.thetas[-1].name != effects.names[-1]:
        return model
    return replace(model, thetas=model.thetas[: -len(effects.names)])


def latent_of_parameter(parameters: tuple[IndividualParameter, ...], latents: tuple[str, ...]) -> dict[str, int]:
    """Individual parameter -> index among the latents."""
    return {p.name: latents.index(p.name) for p in parameters if p.name in latents}
