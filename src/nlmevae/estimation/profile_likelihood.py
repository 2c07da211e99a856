"""Profile likelihood intervals: -2LL maximised again over all other parameters, on common draws.

    rise(c) = min { -2LL(theta) : theta_k = c } - min -2LL(theta),       interval = { c : rise(c) <= chi2_1(level) }

Both minima are those of one sample, so what noise they have is mostly common. A sample is drawn half around the
maximum and half around the value that is judged: balance-heuristic weights (pool.py) represent the posteriors at both.
Constrained maxima by Newton steps in the tangent plane of the constraint; sqrt(rise) is nearly linear in the parameter,
so secant steps find the ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.covariance_step import log_scale, vector_names
from nlmevae.estimation.guards import latent_scale, within_bounds
from nlmevae.estimation.improve import ESS_FLOOR, ESS_SHARE
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
LEAST_INFORMATION = 1e-6  # complete-data information about a coordinate that moves
LONGEST_STEP = 2.0  # of a Newton step in a logarithm
NEWTON_STEPS, SOLVES, HALVINGS = 30, 8, 8
SETTLED = 1e-5  # expected decrease of -2LL of a Newton step
ON_GOAL = 1e-7  # distance from the constraint, in standard errors
SECANTS, ROOT = 12, 0.004  # steps to an end; error of sqrt(rise) there, relative
LONGEST_LEAP = 2.0  # of a secant step, relative to the distance already covered
INSIDE = 0.05  # least part of a bracket on either side of the next value
FIRST_LEAP = 1.0  # of a logarithm
TINY = 1e-300
REFRESHES, NEAR = 2, 0.2  # batches drawn for one value; distance, relative to that from the maximum, that needs none
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
        value = float(population.vector()[self.index])
        return float(np.log(max(value, TINY))) if self.log else value

    def natural(self, value: float) -> float:
        return float(np.exp(value)) if self.log else value

    def gradient(self, problem: Problem, coordinates: Coordinates, population: Population) -> np.ndarray:
        """(p,) in the coordinates."""
        row = natural_jacobian(coordinates, problem, population)[self.index]
        return row / max(float(population.vector()[self.index]), TINY) if self.log else row


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
            lower = small[e.row - 1] if e.kind == "omega" else SMALLEST_RESIDUAL * e.value
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
        """Secant steps to the end; the sample always holds a batch drawn near the point that is judged."""
        base, best = draws, self.best(draws, population)
        known = [(best.goal, 0.0)]
        goal, drawn_at, point = self._clipped(self._first(draws, best, direction)), None, best
        if not np.isfinite(goal):
            note = f"{self.target.name} is estimated at 0, from where -2LL has no profile on the logarithmic scale."
            return _Side(end=float("nan"), mc_error=float("nan"), points=((best, 0.0),), note=note)
        if goal == best.goal:
            end = 0.0 if self.target.zero else self.target.natural(goal)
            return _Side(end=end, mc_error=float("nan"), points=((best, 0.0),), note="The estimate is at its bound.")
        for _ in range(SECANTS):
            point = self.maximum(draws, point.population, goal)
            for _ in range(REFRESHES if self.problem.n_latents else 0):
                near = drawn_at is not None and abs(goal - drawn_at) < NEAR * abs(goal - best.goal)
                if not np.isfinite(point.minus_two_ll) or (near and not _poor(point.weighted)):
                    break
                draws, drawn_at = base.around(point.population, self._modes_at(base, point), n_draws, rng), goal
                best, point = self.best(draws, best.population), self.maximum(draws, point.population, goal)
            root = float(np.sqrt(max(point.minus_two_ll - best.minus_two_ll, 0.0)))
            ended = goal in (self.target.lower, self.target.upper) and root < self.critical
            if not np.isfinite(root) or ended or abs(root - self.critical) < ROOT * self.critical:
                break
            known.append((goal, root))
            goal = self._clipped(self._next(known, direction))
        return self._side(draws, best, point, direction)

    def best(self, draws: _Draws, population: Population) -> _Point:
        """The maximum; held at the smallest value where the parameter is at 0."""
        at_zero = self.target.zero and not self.target.value(population) > self.target.lower
        return self.maximum(draws, population, self.target.lower if at_zero else None)

    def _clipped(self, goal: float) -> float:
        return float(np.clip(goal, self.target.lower, self.target.upper))

    def _modes_at(self, draws: _Draws, point: _Point) -> np.ndarray:
        """(N, d) the likeliest of the first batch's draws at a point: starts for the modes there."""
        first = draws.sample(point.population)
        best = first.weigh(point.population).log_joint.argmax(axis=0)
        return first.draws(point.population).z[best, np.arange(len(best))]

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

    def _first(self, draws: _Draws, best: _Point, direction: int) -> float:
        """Where the curvature puts the end, on the logarithmic scale not further than a factor."""
        sample = draws.sample(best.population)
        solve = _inverse(curvature(sample, best.population, best.weighted))
        gradient = self.target.gradient(self.problem, draws.coordinates, best.population)
        variance = float(gradient @ solve @ gradient)
        distance = self.critical * float(np.sqrt(variance)) if variance > 0 else float("nan")
        return best.goal + direction * (min(distance, FIRST_LEAP) if self.target.log else distance)

    def _next(self, known: list[tuple[float, float]], direction: int) -> float:
        """By the secant through the points on both sides of the critical value; beyond the furthest point, if all are
        below, never leaping too far."""
        below = max((pair for pair in known if pair[1] < self.critical), key=lambda pair: pair[1])
        above = min((pair for pair in known if pair[1] >= self.critical), key=lambda pair: pair[1], default=None)
        if above is not None:
            share = (self.critical - below[1]) / (above[1] - below[1])
            return below[0] + float(np.clip(share, INSIDE, 1 - INSIDE)) * (above[0] - below[0])
        origin = known[0][0]
        goal, root = max(known, key=lambda pair: direction * pair[0])
        covered = abs(goal - origin)
        distance = covered * self.critical / max(root, 1e-300)
        return origin + direction * float(np.clip(distance, 1.05 * covered, (1 + LONGEST_LEAP) * covered))

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
        logs = np.r_[sample.coordinates.log, np.ones(sum(sample.coordinates.sizes[1:]), dtype=bool)]

        def merit(where: Population, total: float) -> float:
            return total if goal is None else total + 2.0 * price * abs(self.target.value(where) - goal)

        now = merit(population, weighted.total)
        step = step / max(1.0, np.abs(step[logs]).max(initial=0.0) / LONGEST_STEP)
        for _ in range(HALVINGS):
            trial = sample.coordinates.move(problem, population, step)
            trial = replace(trial, thetas=within_bounds(trial.thetas, self.problem))
            new = sample.weigh(trial)
            if np.isfinite(new.total) and merit(trial, new.total) < now:
                return trial, new
            step = 0.5 * step
        return None


def _inverse(slopes: Curvature) -> np.ndarray:
    """(p, p) inverse observed information, nowhere less than a small share of the complete-data information; 0 for
    what has no information at all, as a residual error at 0."""
    inverse = np.zeros_like(slopes.complete)
    moving = np.flatnonzero(np.diag(slopes.complete) > LEAST_INFORMATION)
    index = np.ix_(moving, moving)
    scale = np.sqrt(np.diag(slopes.complete)[moving])
    values, vectors = np.linalg.eigh(slopes.observed[index] / np.outer(scale, scale))
    root = vectors / np.sqrt(np.maximum(values, SMALLEST_SHARE)) / scale[:, None]
    inverse[index] = root @ root.T
    return inverse


def _poor(weighted: Weighted) -> bool:
    """The draws do not represent the posteriors of too many subjects."""
    return bool((weighted.ess < ESS_FLOOR).mean() > ESS_SHARE)


def _noise(one: Weighted, other: Weighted) -> float:
    """Monte-Carlo error of the difference of two -2LL on the same draws, as if these were independent."""
    return float(2.0 * np.sqrt(((one.weight - other.weight) ** 2).sum()))
