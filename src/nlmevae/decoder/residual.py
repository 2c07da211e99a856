"""The residual error model with numbers: densities, their derivatives, and updates of (a, b).

y = f + sd(f) eps, eps ~ N(0, 1), v = sd^2:

    additive      sd = a
    proportional  sd = b |f|
    combined1     sd = a + b |f|
    combined2     sd = sqrt(a^2 + b^2 f^2)

Where the model's own code substitutes a number for f = 0 (``IF (F.EQ.0) W = 1``) sd is that number there,
times the standard deviation of the EPS where that is what b stands for. Where sd is 0, the density is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlmevae.decoder.residual_kernels import KINDS, ErrorNumbers
from nlmevae.ir import ErrorCoefficient, Model, ResidualError

N_SCORING_STEPS = 3
_LARGEST_STEP = 2.0  # of log a and log b in one scoring step
_LOG_TWO_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualModel:
    """`where` holds, for a and b, (THETA or EPS index) of the coefficient, None if there is none.

    All array functions broadcast y and f and keep their common shape, called (...) below.
    """

    error: ResidualError
    where: tuple[int | None, int | None]

    @classmethod
    def of(cls, model: Model) -> ResidualModel:
        error = model.observations[0].error
        names = {"theta": [t.name for t in model.thetas], "sigma": list(model.epsilons)}
        places = [None if c is None else names[c.kind].index(c.parameter) for c in (error.a, error.b)]
        return cls(error=error, where=(places[0], places[1]))

    # coefficients -------------------------------------------------------------------------------------
    def coefficients(self, thetas: np.ndarray, sigma: np.ndarray) -> tuple[float, float]:
        """(a, b) as standard deviations; 0 for one the model does not have."""
        values = [
            0.0 if c is None else abs(c.scale * _read(c, at, thetas, sigma))
            for c, at in zip((self.error.a, self.error.b), self.where, strict=True)
        ]
        return values[0], values[1]

    def with_coefficients(
        self, thetas: np.ndarray, sigma: np.ndarray, a: float, b: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Copies of (thetas, sigma) that have these coefficients; fixed ones stay what they are."""
        thetas, sigma = np.array(thetas, dtype=float), np.array(sigma, dtype=float)
        for c, at, value in zip((self.error.a, self.error.b), self.where, (a, b), strict=True):
            if c is None or c.fixed:
                continue
            if c.kind == "theta":
                thetas[at] = np.copysign(value / abs(c.scale), thetas[at])
            else:
                sigma[at, at] = (value / c.scale) ** 2
        return thetas, sigma

    @property
    def free(self) -> tuple[bool, bool]:
        """Which of (a, b) are estimated."""
        a, b = self.error.a, self.error.b
        return a is not None and not a.fixed, b is not None and not b.fixed

    def numbers(self, a: float, b: float) -> ErrorNumbers:
        """What compiled loops need to know."""
        at_zero = self.error.at_zero is not None and self.error.kind != "additive"
        return ErrorNumbers(
            kind=KINDS[self.error.kind],
            a=float(a),
            b=float(b),
            replaces_zero=at_zero,
            at_zero=float(self._sd_at_zero(b)) if at_zero else 0.0,
            zero_moves=at_zero and self.error.b is not None and self.error.b.kind == "sigma",
        )

    # densities ----------------------------------------------------------------------------------------
    def sd(self, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """Standard deviation of y at predictions f (...)."""
        f = np.asarray(f, dtype=float)
        kind = self.error.kind
        if kind == "additive":
            return np.where(np.isnan(f), np.nan, a)
        size = np.abs(f)
        if kind == "proportional":
            sd = b * size
        elif kind == "combined1":
            sd = a + b * size
        else:
            sd = np.sqrt(a * a + (b * size) ** 2)
        return sd if self.error.at_zero is None else np.where(f == 0.0, self._sd_at_zero(b), sd)

    def log_density(self, y: np.ndarray, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """log p(y | f) (...) with the 2 pi constant; -inf where sd is 0, NaN where f is."""
        with np.errstate(all="ignore"):
            sd = self.sd(f, a, b)
            value = -0.5 * (_LOG_TWO_PI + ((y - f) / sd) ** 2) - np.log(sd)
        return np.where(sd == 0.0, -np.inf, value)

    def dlogp_df(self, y: np.ndarray, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """d log p / df (...), f acting on mean and variance: r/v + (g'/g) (r^2/v - 1), g = sd; NaN where sd is 0."""
        with np.errstate(all="ignore"):
            sd, slope = self.sd(f, a, b), self._sd_slope(f, a, b)
            scaled = (y - f) / sd
            return scaled / sd + slope / sd * (scaled**2 - 1.0)

    def expected_information(self, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """E[-d^2 log p / df^2] (...) = 1/v + 2 (g'/g)^2."""
        with np.errstate(all="ignore"):
            sd = self.sd(f, a, b)
            return 1.0 / sd**2 + 2.0 * (self._sd_slope(f, a, b) / sd) ** 2

    def score(self, y: np.ndarray, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """d log p / d(log a, log b): (..., 2); 0 for a coefficient the model does not have."""
        with np.errstate(all="ignore"):
            surplus = ((y - f) / self.sd(f, a, b)) ** 2 - 1.0
            return surplus[..., None] * self._log_slopes(f, a, b)

    def information(self, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """E[-d^2 log p / d(log a, log b)^2]: (..., 2, 2) = 2 s s', s = d log sd / d(log a, log b)."""
        with np.errstate(all="ignore"):
            slopes = self._log_slopes(f, a, b)
        return 2.0 * slopes[..., :, None] * slopes[..., None, :]

    # updates ------------------------------------------------------------------------------------------
    def update(self, y: np.ndarray, f: np.ndarray, weights: np.ndarray, a: float, b: float) -> tuple[float, float]:
        """(a, b) that maximise sum of weights * log_density, fixed ones unchanged.

        Closed form for one coefficient (a^2 = sum w r^2 / sum w, r / f for b); three Fisher scoring steps
        in (log a, log b) from the given values for two, none of which lowers the sum.

        Args:
            y: (M,); f: (K, M) or (M,) predictions; weights: the shape of f, not negative. Terms of
                weight 0, with a NaN prediction or with sd 0 whatever (a, b) do not count.
        """
        weights = np.broadcast_to(weights, np.shape(f))
        with np.errstate(all="ignore"):
            used = (weights > 0.0) & np.isfinite(f) & (self.sd(f, 1.0, 1.0) > 0.0)
        if not used.any() or not any(self.free):
            return a, b
        y, f, weights = np.broadcast_to(y, used.shape)[used], f[used], weights[used]
        if self.error.kind in ("additive", "proportional"):
            return self._solve_one(y, f, weights, a, b)
        return self._score_two(y, f, weights, *_positive_start(y, f, weights, a, b, self.free))

    def _solve_one(self, y: np.ndarray, f: np.ndarray, weights: np.ndarray, a: float, b: float) -> tuple[float, float]:
        unit = self.sd(f, 1.0, 1.0)
        counts = self._log_slopes(f, 1.0, 1.0).sum(axis=-1) > 0.0  # a constant sd at f = 0 says nothing about b
        total = weights[counts].sum()
        if total <= 0.0:
            return a, b
        size = float(np.sqrt((weights * ((y - f) / unit) ** 2)[counts].sum() / total))
        return (size, b) if self.error.kind == "additive" else (a, size)

    def _score_two(self, y: np.ndarray, f: np.ndarray, weights: np.ndarray, a: float, b: float) -> tuple[float, float]:
        def evaluate(a: float, b: float) -> tuple[float, np.ndarray, np.ndarray]:
            value = (weights * self.log_density(y, f, a, b)).sum()
            score = np.einsum("m,mi->i", weights, self.score(y, f, a, b))
            return value, score, np.einsum("m,mij->ij", weights, self.information(f, a, b))

        return scoring_steps(evaluate, self.free, a, b)

    # pieces -------------------------------------------------------------------------------------------
    def _sd_at_zero(self, b: float) -> float:
        coefficient = self.error.b
        if coefficient is not None and coefficient.kind == "sigma":
            return self.error.at_zero * b / abs(coefficient.scale)
        return self.error.at_zero

    def _sd_slope(self, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """d sd / df."""
        f = np.asarray(f, dtype=float)
        match self.error.kind:
            case "additive":
                return np.zeros_like(f)
            case "proportional" | "combined1":
                slope = b * np.sign(f)
            case _:
                slope = b * b * f / np.sqrt(a * a + (b * f) ** 2)
        return slope if self.error.at_zero is None else np.where(f == 0.0, 0.0, slope)

    def _log_slopes(self, f: np.ndarray, a: float, b: float) -> np.ndarray:
        """d log sd / d(log a, log b): (..., 2)."""
        f = np.asarray(f, dtype=float)
        slopes = np.zeros((*f.shape, 2))
        match self.error.kind:
            case "additive":
                slopes[..., 0] = 1.0
            case "proportional":
                slopes[..., 1] = 1.0
            case "combined1":
                size = b * np.abs(f)
                slopes[..., 0], slopes[..., 1] = a / (a + size), size / (a + size)
            case _:
                square = (b * f) ** 2
                slopes[..., 0], slopes[..., 1] = a * a / (a * a + square), square / (a * a + square)
        if self.error.at_zero is not None and self.error.kind != "additive":
            moves = self.error.b is not None and self.error.b.kind == "sigma"
            slopes[f == 0.0] = (0.0, 1.0) if moves else (0.0, 0.0)
        return slopes


def scoring_steps(
    evaluate: Callable[[float, float], tuple[float, np.ndarray, np.ndarray]],
    free: tuple[bool, bool],
    a: float,
    b: float,
) -> tuple[float, float]:
    """(a, b) after three Fisher scoring steps in (log a, log b), none of which lowers the value.

    `evaluate(a, b)`: value, score (2,) and expected information (2, 2) there.
    """
    used = np.flatnonzero(free)
    value, gradient, expected = evaluate(a, b)
    for _ in range(N_SCORING_STEPS):
        score, information = gradient[used], expected[np.ix_(used, used)]
        scale = np.sqrt(np.diag(information)) + 1e-150  # a coefficient near 0 has a tiny information: keep its step
        matrix = information / np.outer(scale, scale) + 1e-10 * np.eye(len(used))
        step = np.zeros(2)
        step[used] = np.linalg.solve(matrix, score / scale) / scale
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step).max(), 1e-300))
        for _ in range(12):  # halve until the value does not fall
            trial = a * float(np.exp(step[0])), b * float(np.exp(step[1]))
            new = evaluate(*trial)
            if new[0] >= value:
                (a, b), (value, gradient, expected) = trial, new
                break
            step *= 0.5
        else:
            break
    return a, b


def _read(coefficient: ErrorCoefficient, at: int, thetas: np.ndarray, sigma: np.ndarray) -> float:
    return float(thetas[at]) if coefficient.kind == "theta" else float(np.sqrt(sigma[at, at]))


def _positive_start(
    y: np.ndarray, f: np.ndarray, weights: np.ndarray, a: float, b: float, free: tuple[bool, bool]
) -> tuple[float, float]:
    """Free coefficients as they are, or a thousandth of what the residuals suggest where they are 0."""
    rms = float(np.sqrt((weights * (y - f) ** 2).sum() / weights.sum())) or 1e-12
    size = float((weights * np.abs(f)).sum() / weights.sum()) or 1.0
    return (
        max(a, 1e-3 * rms) if free[0] and a <= 0.0 else a,
        max(b, 1e-3 * rms / size) if free[1] and b <= 0.0 else b,
    )
