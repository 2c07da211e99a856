"""Profile likelihood intervals: -2LL maximised again over all other parameters, on common draws.

    rise(c) = min { -2LL(theta) : theta_k = c } - min -2LL(theta),       interval = { c : rise(c) <= chi2_1(level) }

Both minima are those of one sample, so what noise they have is mostly common. A side's sample is drawn half around the
maximum and half around the end of the interval that the first half found: balance-heuristic weights (pool.py) represent
the posteriors at both. Constrained maxima by Newton steps in the tangent plane of the constraint; sqrt(rise) is nearly
linear in the parameter, so secant steps find the ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.covariance_step import log_scale, vector_names
from nlmevae.estimation.guards import latent_scale, within_bounds
from nlmevae.estimation.information import without_bounds
from nlmevae.estimation.newton import Curvature, curvature
from nlmevae.estimation.pool import Pool
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import find_modes
from nlmevae.estimation.sample import Batch, Sample, draw_batch, solved_at
from nlmevae.estimation.uncertainty import natural_jacobian
from nlmevae.likelihood.importance import Weighted, mixture, weighted_moments
from nlmevae.results.fit_result import Estimate
from nlmevae.results.profile_result import ParameterProfile

SMALLEST_SHARE = 0.002  # of complete-data information: longest Newton steps
NEWTON_STEPS, SOLVES, HALVINGS = 30, 8, 8
SETTLED = 1e-5  # expected decrease of -2LL of a Newton step
ON_GOAL = 1e-7  # distance from the constraint, in standard errors
SECANTS, ROOT = 12, 0.004  # steps to an end; error of sqrt(rise) there, relative
LONGEST_LEAP = 2.0  # of a secant step, relative to the distance already covered
SMALLEST_SD = 0.01  # of a random effect, in units of the latent's scale: 0
SMALLEST_RESIDUAL = 1e-4  # of an estimated residual variance: 0
INNER = (1 / 3, 2 / 3)  # of the way to an end, points for a plot


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Parameter `index` of `Population.vector()` on the scale of the search: its logarithm or itself. `lower` and
    `upper` bound it on that scale; `zero`: the lower one stands for a variance of 0."""

    index: int
    name: str
    label: str
    log: bool
    lower: float
    upper: float
    zero: bool = False

    def value(self, population: Population) -> float:
        value = population.vector()[self.index]
        return float(np.log(value)) if self.log else float(value)

    def natural(self, value: float) -> float:
        return float(np.exp(value)) if self.log else value

    def gradient(self, problem: Problem, coordinates: Coordinates, population: Population) -> np.ndarray:
        """(p,) in the coordinates."""
        row = natural_jacobian(coordinates, problem, population)[self.index]
        return row / population.vector()[self.index] if self.log else row


def profile_targets(problem: Problem, population: Population, estimates: Sequence[Estimate]) -> list[Target]:
    """One for each estimate, which must be estimated on its own (not fixed, not SAME).

    A variance is searched down to a random effect that is negligible, a residual error down to a hundredth.
    """
    names = vector_names(problem.model)
    log = log_scale(problem, population)
    small = np.zeros(len(population.omega))
    small[problem.latent_index] = (SMALLEST_SD * latent_scale(problem)) ** 2
    targets = []
    for e in estimates:
        index = names.index(e.name)
        lower, upper = e.lower, e.upper
        if e.kind != "theta" and e.row == e.column:
            lower = min(small[e.row - 1], 1e-2 * e.value) if e.kind == "omega" else SMALLEST_RESIDUAL * e.value
        if log[index]:
            with np.errstate(divide="ignore"):
                lower, upper = float(np.log(max(lower, 0.0))), float(np.log(upper))
        zero = e.kind != "theta"
        targets.append(
            Target(index=index, name=e.name, label=e.label, log=bool(log[index]), lower=lower, upper=upper, zero=zero)
        )
    return targets


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A constrained maximum: `goal` on the scale of the search."""

    goal: float
    population: Population
    weighted: Weighted

    @property
    def minus_two_ll(self) -> float:
        return self.weighted.total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draws:
    """Batches of draws that stay the same (common random numbers) while parameters move."""

    problem: Problem
    coordinates: Coordinates
    batches: tuple[Batch, ...]

    def sample(self, population: Population) -> Sample:
        """All draws; those that move with structural THETAs are solved at the population's."""
        joint, pool = self.problem.joint(population), Pool()
        for batch in self.batches:
            pool = pool.add(solved_at(batch, joint), keep=len(self.batches))
        return Sample.of(self.problem, self.coordinates, pool.merged())

    def moved(self, sample: Sample, population: Population) -> bool:
        """Whether the sample's predictions are only of first order at `population`."""
        return bool((sample.batch.structural != population.thetas[self.problem.structural_index]).any())

    def around(self, population: Population, start: np.ndarray, n_draws: int, rng: np.random.Generator) -> _Draws:
        """With one more batch, drawn around the posteriors at `population`; `start` (N, d) for their modes."""
        joint = self.problem.joint(population)
        modes = find_modes(joint, start, scale=latent_scale(self.problem), max_iterations=50)
        mode = np.where(modes.ok[:, None], modes.mean, np.nan)
        pilot = draw_batch(self.problem, joint, mode, mixture(joint, mode, modes.chol), max(n_draws // 8, 64), rng)
        weighted = Sample.of(self.problem, self.coordinates, pilot).weigh(population)
        moments = weighted_moments(pilot.draws.z, weighted.weight)
        proposal = mixture(joint, mode, modes.chol, moments)
        return replace(self, batches=(*self.batches, draw_batch(self.problem, joint, mode, proposal, n_draws, rng)))


def profile_parameter(
    problem: Problem,
    population: Population,
    target: Target,
    *,
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    tell: Callable[[int], None] = lambda n: None,
) -> ParameterProfile:
    """The profile of one parameter around `population`, the maximum of the likelihood.

    Args:
        n_draws: per subject and batch; two batches for each end.
        tell: called after every constrained maximum with their number.
    """
    search = _Search(problem=problem, target=target, critical=float(np.sqrt(chdtri(1, 1 - level))), tell=tell)
    draws = _Draws(problem=problem, coordinates=Coordinates.of(problem), batches=())
    start = problem.joint(population).mean
    draws = draws.around(population, start, n_draws if problem.n_latents else 1, rng)
    sides = [search.side(draws, population, direction, n_draws, rng) for direction in (-1, 1)]
    points = [*sides[0].points, *sides[1].points[1:]]
    value = np.array([target.natural(p.goal) for p, _ in points])
    order = np.argsort(value)
    return ParameterProfile(
        name=target.name,
        label=target.label,
        estimate=float(population.vector()[target.index]),
        low=sides[0].end,
        high=sides[1].end,
        mc_error=(sides[0].mc_error, sides[1].mc_error),
        value=value[order],
        rise=np.array([rise for _, rise in points])[order],
        parameters=np.array([p.population.vector() for p, _ in points])[order],
        note=" ".join(s.note for s in sides if s.note),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One end of the interval on the natural scale, and the points (with their rise) from the maximum to it."""

    end: float
    mc_error: float
    points: tuple[tuple[_Point, float], ...]
    note: str


@dataclass(slots=True, kw_only=True)
class _Search:
    """`critical`: sqrt(rise) at the ends."""

    problem: Problem
    target: Target
    critical: float
    tell: Callable[[int], None]
    n_maxima: int = 0

    def side(
        self, draws: _Draws, population: Population, direction: int, n_draws: int, rng: np.random.Generator
    ) -> _Side:
        """First on draws around the maximum alone, then with as many around the end that they give."""
        best = self.maximum(draws, population, None)
        end, _ = self.end(draws, best, direction, self._wald(draws, best, direction))
        if self.problem.n_latents:
            modes = best.weighted.weight.argmax(axis=0)
            start = draws.batches[0].draws.z[modes % len(draws.batches[0].draws.z), np.arange(len(modes))]
            draws = draws.around(end.population, start, n_draws, rng)
            best = self.maximum(draws, best.population, None)
            end, _ = self.end(draws, best, direction, end.goal, start=end.population)
        return self._side(draws, best, end, direction)

    def _side(self, draws: _Draws, best: _Point, end: _Point, direction: int) -> _Side:
        points = [(best, 0.0), (end, end.minus_two_ll - best.minus_two_ll)]
        for share in INNER:
            inner = self.maximum(draws, best.population, best.goal + share * (end.goal - best.goal))
            points.append((inner, max(inner.minus_two_ll - best.minus_two_ll, 0.0)))
        rise = max(end.minus_two_ll - best.minus_two_ll, 0.0)
        reached = abs(np.sqrt(rise) - self.critical) < 10 * ROOT * self.critical
        bound = self.target.upper if direction > 0 else self.target.lower
        at_bound = np.isfinite(bound) and end.goal == bound
        error, note = _noise(best.weighted, end.weighted), ""
        slope = 2 * np.sqrt(rise) * self.critical / max(abs(end.goal - best.goal), 1e-300)
        natural, word = self.target.natural(end.goal), "upper" if direction > 0 else "lower"
        if not reached and at_bound:
            natural = 0.0 if self.target.zero and direction < 0 else natural
            note = f"The {word} end is the bound {natural:.4g}, where -2LL has risen by {rise:.2f} only."
        elif not reached:
            note = f"The {word} end was not found: -2LL had risen by {rise:.2f} at {natural:.4g}."
            natural = float("nan")
        scale = self.target.natural(end.goal) if self.target.log else 1.0
        return _Side(
            end=natural,
            mc_error=float(error / slope * scale) if reached else float("nan"),
            points=tuple(points),
            note=note,
        )

    def _wald(self, draws: _Draws, best: _Point, direction: int) -> float:
        """Where the curvature puts the end."""
        sample = draws.sample(best.population)
        solve = _inverse(curvature(sample, best.population, best.weighted))
        gradient = self.target.gradient(self.problem, draws.coordinates, best.population)
        return best.goal + direction * self.critical * float(np.sqrt(gradient @ solve @ gradient))

    def end(
        self, draws: _Draws, best: _Point, direction: int, guess: float, start: Population | None = None
    ) -> tuple[_Point, float]:
        """The point whose sqrt(rise) is critical, or the last one tried; and its sqrt(rise)."""
        low, high = self.target.lower, self.target.upper
        known = [(best.goal, 0.0)]
        goal, population = float(np.clip(guess, low, high)), start or best.population
        for _ in range(SECANTS):
            point = self.maximum(draws, population, goal)
            root = float(np.sqrt(max(point.minus_two_ll - best.minus_two_ll, 0.0)))
            if abs(root - self.critical) < ROOT * self.critical:
                break
            if goal in (low, high) and root < self.critical:
                break
            known.append((goal, root))
            population = point.population
            goal = float(np.clip(self._next(known, direction), low, high))
        return point, root

    def _next(self, known: list[tuple[float, float]], direction: int) -> float:
        """By the secant through the two points nearest to the critical value, never leaping too far."""
        nearest = sorted(known, key=lambda pair: abs(pair[1] - self.critical))[:2]
        (a, s), (b, t) = nearest
        origin = known[0][0]
        furthest = max(abs(g - origin) for g, _ in known)
        step = (self.critical - s) * (b - a) / (t - s) if t != s else direction * furthest
        distance = direction * (a + step - origin)
        return origin + direction * float(np.clip(distance, 0.05 * furthest, (1 + LONGEST_LEAP) * furthest))

    def maximum(self, draws: _Draws, population: Population, goal: float | None) -> _Point:
        """Of the sample likelihood, where `goal` is given among populations whose target has this value."""
        sample = draws.sample(population)
        for _ in range(SOLVES):
            population, weighted = self._on_sample(sample, population, goal)
            if not draws.moved(sample, population):
                break
            before, sample = weighted.total, draws.sample(population)
            weighted = sample.weigh(population)
            if abs(weighted.total - before) < SETTLED:
                break
        self.n_maxima += 1
        self.tell(self.n_maxima)
        return _Point(
            goal=self.target.value(population) if goal is None else goal, population=population, weighted=weighted
        )

    def _on_sample(self, sample: Sample, population: Population, goal: float | None) -> tuple[Population, Weighted]:
        weighted = sample.weigh(population)
        for _ in range(NEWTON_STEPS):
            step, price, gain, missing = self._newton(sample, population, weighted, goal)
            if gain < SETTLED and missing < ON_GOAL:
                break
            found = self._along(sample, population, weighted, step, goal, price)
            if found is None:
                break
            population, weighted = found
        return population, weighted

    def _newton(
        self, sample: Sample, population: Population, weighted: Weighted, goal: float | None
    ) -> tuple[np.ndarray, float, float, float]:
        """Step (p,), price of the constraint in -2LL, expected gain, and distance from the goal in standard errors."""
        slopes = curvature(sample, population, weighted)
        inverse = _inverse(slopes)
        free = inverse @ slopes.score
        if goal is None:
            return free, 0.0, float(slopes.score @ free), 0.0
        gradient = self.target.gradient(self.problem, sample.coordinates, population)
        along = inverse @ gradient
        variance = float(gradient @ along)
        missing = goal - self.target.value(population)
        price = (float(gradient @ free) - missing) / variance
        tangent = free - float(gradient @ free) / variance * along
        return free - price * along, 2 * abs(price), float(slopes.score @ tangent), abs(missing) / np.sqrt(variance)

    def _along(
        self,
        sample: Sample,
        population: Population,
        weighted: Weighted,
        step: np.ndarray,
        goal: float | None,
        price: float,
    ) -> tuple[Population, Weighted] | None:
        """The longest of the step and its halves that lowers -2LL plus the price of missing the goal."""
        problem = without_bounds(self.problem)

        def merit(where: Population, total: float) -> float:
            return total if goal is None else total + 2.0 * price * abs(self.target.value(where) - goal)

        now = merit(population, weighted.total)
        for _ in range(HALVINGS):
            trial = sample.coordinates.move(problem, population, step)
            trial = replace(trial, thetas=within_bounds(trial.thetas, self.problem))
            new = sample.weigh(trial)
            if np.isfinite(new.total) and merit(trial, new.total) < now:
                return trial, new
            step = 0.5 * step
        return None


def _inverse(slopes: Curvature) -> np.ndarray:
    """(p, p) inverse observed information, nowhere less than a small share of the complete-data information."""
    scale = np.sqrt(np.maximum(np.diag(slopes.complete), 1e-300))
    values, vectors = np.linalg.eigh(slopes.observed / np.outer(scale, scale))
    root = vectors / np.sqrt(np.maximum(values, SMALLEST_SHARE)) / scale[:, None]
    return root @ root.T


def _noise(one: Weighted, other: Weighted) -> float:
    """Monte-Carlo error of the difference of two -2LL on the same draws, as if these were independent."""
    return float(2.0 * np.sqrt(((one.weight - other.weight) ** 2).sum()))
