"""The residual error of all endpoints with numbers: densities, and the vector of coefficients they share.

y = f + s sd(f) eps, eps ~ N(0, 1), with g = b |f|^p and s = exp(effect) where a random effect acts on the size:

    additive      sd = a
    proportional  sd = g
    combined1     sd = a + g
    combined2     sd = sqrt(a^2 + 2 rho a b f + g^2)

The coefficients c (q,) are what the model's text has: standard deviations (THETAs, or roots of SIGMA), exponents and
correlations. Each endpoint's a, b, p, rho is one of them times a number; endpoints may share them. Estimation moves
them in coordinates: log c for standard deviations, c for exponents, atanh c for correlations.

Where the model's own code substitutes a number for f = 0 (``IF (F.EQ.0) W = 1``) sd is that number there,
times the standard deviation of the EPS where that is what b stands for. Where sd is 0, the density is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nlmevae.decoder.residual_kernels import KINDS, SLOTS, ErrorNumbers, Observed, log_densities, spreads
from nlmevae.ir import CovarianceBlock, ErrorCoefficient, Model, ObservationModel, ResidualError

NO_MULTIPLIER = np.zeros((0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One number of the vector: |THETA|, root of a SIGMA variance, THETA as an exponent, or a SIGMA correlation.

    `places`: indices of the THETA or EPS, more than one EPS where SAME repeats a variance; both EPS for "correlation".
    """

    kind: Literal["theta", "sigma", "power", "correlation"]
    places: tuple[int, ...]
    fixed: bool

    def read(self, thetas: np.ndarray, sigma: np.ndarray) -> float:
        if self.kind in ("theta", "power"):
            value = float(thetas[self.places[0]])
            return abs(value) if self.kind == "theta" else value
        if self.kind == "sigma":
            return float(np.sqrt(sigma[self.places[0], self.places[0]]))
        i, j = self.places
        product = sigma[i, i] * sigma[j, j]
        return float(sigma[i, j] / np.sqrt(product)) if product > 0.0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One of a, b, power, correlation of an endpoint: `factor` times coefficient number `coefficient`."""

    coefficient: int
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`slots` by name; `effect` is the latent that acts on the size, -1 for none."""

    error: ResidualError
    slots: dict[str, Slot]
    effect: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualModel:
    """E endpoints over q coefficients. Array functions take predictions (..., M) of the M values in `observed`."""

    endpoints: tuple[Endpoint, ...]
    parts: tuple[Coefficient, ...]

    @classmethod
    def of(cls, model: Model, latents: Sequence[str] = ()) -> ResidualModel:
        """`latents`: the ETA of each latent, for random effects on the residual error."""
        return cls.build(model.observations, [t.name for t in model.thetas], model.sigma, latents)

    @classmethod
    def build(
        cls,
        observations: Sequence[ObservationModel],
        thetas: Sequence[str],
        sigma: Sequence[CovarianceBlock],
        latents: Sequence[str] = (),
    ) -> ResidualModel:
        parts: dict[tuple, Coefficient] = {}
        copies = _copies(sigma)
        eps = [name for block in sigma for name in block.names]

        def number(kind: str, places: tuple[int, ...], fixed: bool) -> int:
            key = (kind, *places)
            parts.setdefault(key, Coefficient(kind=kind, places=places, fixed=fixed))  # type: ignore[arg-type]
            return list(parts).index(key)

        def size(c: ErrorCoefficient) -> Slot:
            places = (thetas.index(c.parameter),) if c.kind == "theta" else copies[eps.index(c.parameter)]
            return Slot(coefficient=number(c.kind, places, c.fixed), factor=abs(c.scale))

        endpoints = []
        for observation in observations:
            error = observation.error
            slots = {name: size(c) for name, c in (("a", error.a), ("b", error.b)) if c is not None}
            if error.power is not None and error.power.parameter is not None:
                place = (thetas.index(error.power.parameter),)
                slots["power"] = Slot(coefficient=number("power", place, error.power.fixed), factor=error.power.scale)
            if error.correlation is not None:
                place = tuple(sorted(eps.index(name) for name in error.correlation.names))
                slots["correlation"] = Slot(
                    coefficient=number("correlation", place, error.correlation.fixed), factor=error.correlation.sign
                )
            effect = -1 if error.effect is None else list(latents).index(error.effect.eta)
            endpoints.append(Endpoint(error=error, slots=slots, effect=effect))
        return cls(endpoints=tuple(endpoints), parts=tuple(parts.values()))

    # coefficients -------------------------------------------------------------------------------------
    def coefficients(self, thetas: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """(q,) on their natural scale."""
        return np.array([part.read(thetas, sigma) for part in self.parts], dtype=float)

    def with_coefficients(
        self, thetas: np.ndarray, sigma: np.ndarray, coefficients: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Copies of (thetas, sigma) that have these coefficients; fixed ones stay what they are."""
        thetas, sigma = np.array(thetas, dtype=float), np.array(sigma, dtype=float)
        for part, value in zip(self.parts, coefficients, strict=True):
            if part.fixed:
                continue
            if part.kind == "theta":
                thetas[part.places[0]] = np.copysign(value, thetas[part.places[0]])
            elif part.kind == "power":
                thetas[part.places[0]] = value
            elif part.kind == "sigma":
                for k in part.places:
                    sigma[k, k] = value**2
        for part, value in zip(self.parts, coefficients, strict=True):  # variances first
            if part.kind == "correlation" and not part.fixed:
                i, j = part.places
                sigma[i, j] = sigma[j, i] = value * np.sqrt(sigma[i, i] * sigma[j, j])
        return thetas, sigma

    @property
    def free(self) -> np.ndarray:
        """(q,) bool, which coefficients are estimated."""
        return np.array([not part.fixed for part in self.parts], dtype=bool)

    @property
    def is_size(self) -> np.ndarray:
        """(q,) bool, standard deviations (the others are exponents and correlations)."""
        return np.array([part.kind in ("theta", "sigma") for part in self.parts], dtype=bool)

    def coordinates(self, coefficients: np.ndarray) -> np.ndarray:
        """(q,) log of standard deviations, exponents as they are, atanh of correlations."""
        moved = np.array(coefficients, dtype=float)
        rho = np.array([part.kind == "correlation" for part in self.parts], dtype=bool)
        with np.errstate(divide="ignore"):
            moved[self.is_size] = np.log(moved[self.is_size])
            moved[rho] = np.arctanh(moved[rho])
        return moved

    def from_coordinates(self, coordinates: np.ndarray) -> np.ndarray:
        """The inverse of `coordinates`."""
        moved = np.array(coordinates, dtype=float)
        rho = np.array([part.kind == "correlation" for part in self.parts], dtype=bool)
        moved[self.is_size] = np.exp(np.minimum(moved[self.is_size], 300.0))
        moved[rho] = np.tanh(moved[rho])
        return moved

    def of_endpoint(self, e: int, name: str, coefficients: np.ndarray) -> float:
        """a, b, power or correlation of endpoint e."""
        slot = self.endpoints[e].slots.get(name)
        if slot is not None:
            return float(slot.factor * coefficients[slot.coefficient])
        power = self.endpoints[e].error.power
        return (1.0 if power is None else power.scale) if name == "power" else 0.0

    def numbers(self, coefficients: np.ndarray) -> list[ErrorNumbers]:
        """What compiled loops need to know of each endpoint."""
        return [self._numbers(e, coefficients) for e in range(len(self.endpoints))]

    def _numbers(self, e: int, coefficients: np.ndarray) -> ErrorNumbers:
        point = self.endpoints[e]
        error = point.error
        a, b, power, correlation = (self.of_endpoint(e, name, coefficients) for name in SLOTS)
        replaces = error.at_zero is not None and error.kind != "additive"
        return ErrorNumbers(
            index=e if len(self.endpoints) > 1 else -1,
            kind=KINDS[error.kind],
            a=a,
            b=b,
            power=power,
            correlation=correlation,
            wide="power" in point.slots or "correlation" in point.slots,
            replaces_zero=replaces,
            at_zero=_sd_at_zero(error, b),
            zero_moves=replaces and _zero_moves(error),
            effect=point.effect,
            effect_scale=0.0 if error.effect is None else float(error.effect.scale),
        )

    def slot_map(self, e: int) -> np.ndarray:
        """(4, q) derivative of endpoint e's (log a, log b, p, atanh rho) in the coordinates of the coefficients."""
        matrix = np.zeros((len(SLOTS), len(self.parts)))
        for name, slot in self.endpoints[e].slots.items():
            factor = slot.factor if name in ("power", "correlation") else 1.0
            matrix[SLOTS.index(name), slot.coefficient] = factor
        return matrix

    # random effects on the size -----------------------------------------------------------------------
    @property
    def has_effects(self) -> bool:
        return any(point.effect >= 0 for point in self.endpoints)

    def multiplier(self, z: np.ndarray, observed: Observed, subject: np.ndarray) -> np.ndarray | None:
        """Logarithm (..., M) of what random effects z (..., N, d) multiply sd by; None where there are none.

        `subject` (M,) is the row of z of each observation.
        """
        if not self.has_effects:
            return None
        effect = np.array([point.effect for point in self.endpoints])[observed.endpoint]
        scale = [0.0 if point.error.effect is None else point.error.effect.scale for point in self.endpoints]
        values = z[..., subject, np.maximum(effect, 0)] * np.array(scale)[observed.endpoint]
        return np.where(effect >= 0, values, 0.0)

    # densities ----------------------------------------------------------------------------------------
    def sd(
        self, prediction: np.ndarray, observed: Observed, coefficients: np.ndarray, multiplier: np.ndarray | None = None
    ) -> np.ndarray:
        """Standard deviation (..., M) of y at predictions (..., M)."""
        f, more, out = _flat(prediction, multiplier)
        for error in self.numbers(coefficients):
            spreads(f, observed, error, more, out)
        return out.reshape(np.shape(prediction))

    def log_density(
        self, prediction: np.ndarray, observed: Observed, coefficients: np.ndarray, multiplier: np.ndarray | None = None
    ) -> np.ndarray:
        """log p(y | f) (..., M) with the 2 pi constant, of an interval its log probability; -inf where sd is 0, NaN
        where f is."""
        f, more, out = _flat(prediction, multiplier)
        for error in self.numbers(coefficients):
            log_densities(f, observed, error, more, out)
        return out.reshape(np.shape(prediction))


def _flat(prediction: np.ndarray, multiplier: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K, M) predictions and multipliers for compiled loops, and room for the result."""
    f = np.ascontiguousarray(prediction, dtype=float).reshape(-1, np.shape(prediction)[-1])
    return f, flat_multiplier(multiplier, f.shape), np.empty(f.shape)


def flat_multiplier(multiplier: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return NO_MULTIPLIER if multiplier is None else np.ascontiguousarray(multiplier, dtype=float).reshape(shape)


def _copies(sigma: Sequence[CovarianceBlock]) -> list[tuple[int, ...]]:
    """Per EPS, the indices of all EPS with the same variance (blocks that repeat one another)."""
    starts = np.concatenate([[0], np.cumsum([len(block.names) for block in sigma])]).astype(int)
    roots = [number if block.same_as is None else block.same_as for number, block in enumerate(sigma)]
    return [
        tuple(int(starts[other]) + k for other, root in enumerate(roots) if root == roots[number])
        for number, block in enumerate(sigma)
        for k in range(len(block.names))
    ]


def _zero_moves(error: ResidualError) -> bool:
    return error.b is not None and error.b.kind == "sigma"


def _sd_at_zero(error: ResidualError, b: float) -> float:
    if error.at_zero is None or error.kind == "additive":
        return 0.0
    return error.at_zero * b / abs(error.b.scale) if _zero_moves(error) else error.at_zero
