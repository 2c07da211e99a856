"""How a covariate search chooses its support, in the VAE and in the polish."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.estimation.comparison import Difference, difference
from nlmevae.estimation.complete_data import complete_data_program
from nlmevae.estimation.coordinates import Coordinates, omega_basis
from nlmevae.estimation.effects import Effects
from nlmevae.estimation.gaussian_likelihood import EffectDesign, GaussianLikelihood
from nlmevae.estimation.guards import OMEGA_SD_RANGE, latent_scale
from nlmevae.estimation.improve import improve
from nlmevae.estimation.newton import curvature
from nlmevae.estimation.observed_selection import (
    LEAST_SD,
    Choice,
    EffectSearch,
    Exploration,
    choose,
    frozen_latents,
    obeys,
    reverse,
    without_gains,
)
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import SufficientStatistics
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.profile import LinearMixedModel
from nlmevae.estimation.sample import FEW_DRAWS, Sample, few_draws
from nlmevae.estimation.settings import Method, SelectionSettings
from nlmevae.likelihood.importance import Weighted, weighted_moments
from nlmevae.selection.criterion import Criterion, parse_criterion
from nlmevae.selection.program import Budget, Program, Rules, Solution
from nlmevae.selection.solve import Solver

SUBJECTS_PER_EFFECT, FEWEST = 5, 4  # limit the size of the model
# Nodes, because a limit in seconds would give other results on a slower machine: of the programs on the way, whose
# neighbours are looked at too, and of the last one.
BUDGET, LAST_BUDGET = Budget(nodes=2_000, seconds=60.0), Budget(nodes=50_000, seconds=20.0)
# Of the criterion: on a ridge, the models on both sides of a decision nearer than this are estimated, first those
# without an effect (DOUBTFUL), so many of them.
TIE, DOUBTFUL, MOST_TIES = 1.5, 5.0, 1
MOST_DROPS = 12  # of effects in the model that are checked, the least certain first
REVIVED_SD = 0.2  # in units of the latent's scale
CLOSE = 6.0  # of the criterion: decisions nearer than this are checked on the exact likelihood
MOST_CHECKS = 6  # of the closest decisions at one convergence
CLEARLY_BETTER = 0.02  # of the criterion that a checked support must gain, against the noise of the draws
FAR = 40.0  # of the criterion: margins above this are those of a few draws
SURE = 3.0  # standard errors of a margin from which a few draws settle a decision


@dataclass(slots=True)
class SolveCount:
    """What the run's integer programs cost and whether each was solved to proven optimality."""

    solves: int = 0
    uncertified: int = 0
    largest_gap: float = 0.0
    seconds: float = 0.0
    last: tuple[Program, Solution] | None = None

    def add(self, program: Program, solution: Solution) -> None:
        self.solves += 1
        self.seconds += solution.seconds
        self.last = program, solution
        if not solution.certified:
            self.uncertified += 1
            self.largest_gap = max(self.largest_gap, solution.gap)


@dataclass(slots=True)
class SearchState:
    """What the polish carries about the search.

    unchanged: iterations in a row with this support; exact: observed information has settled and only checks
    on the exact likelihood move the support; margin (n_units,) rise of the criterion if the decision on one effect
    is reversed; checked: unit -> the same by the exact likelihood; settled: those of `checked` that no more draws or
    steps would reverse; challenged: the search was repeated from
    larger variances; rivals: supports that were estimated themselves, and how much worse they are; estimated: their
    keys; left: supports that were given up.
    """

    unchanged: int = 0
    exact: bool = False
    support: np.ndarray | None = None
    margin: np.ndarray | None = None
    checked: dict[int, float] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    challenged: bool = False
    rivals: list[tuple[np.ndarray, float]] = field(default_factory=list)
    sample: Sample | None = None
    estimated: set[bytes] = field(default_factory=set)
    left: set[bytes] = field(default_factory=set)

    def observe(self, found: Observed, *, changed: bool) -> None:
        self.unchanged = 0 if changed else self.unchanged + 1
        self.margin, self.support = found.choice.margins, found.choice.support

    def add(self, reversals: list[Reversal]) -> None:
        """What was found out on draws; later ones count."""
        for reversal in reversals:
            self.checked[reversal.unit] = reversal.margin.value
            (self.settled.add if reversal.settled else self.settled.discard)(reversal.unit)

    @property
    def compared(self) -> np.ndarray:
        """Units for which the model with the other decision was estimated itself."""
        differing = [np.flatnonzero(support != self.support) for support, _ in self.rivals]
        return np.array([units[0] for units in differing if len(units) == 1], dtype=int)

    @property
    def margins(self) -> np.ndarray | None:
        """(n_units,) the best known."""
        if self.margin is None:
            return None
        margins = self.margin.copy()
        margins[list(self.checked)] = list(self.checked.values())
        for support, worse in self.rivals:
            reversed_ = np.flatnonzero(support != self.support)
            if len(reversed_) == 1:
                margins[reversed_] = worse
        return margins


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The support chosen by observed information: `problem` on it (the same object when it did not change), and
    the population that goes with it."""

    problem: Problem
    population: Population
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another model to compare with, and where to start its estimation."""

    problem: Problem
    population: Population


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """The model in which the decision on `unit` is reversed, at its maximum on some draws; margin: of the criterion,
    how much worse it is than the model it was compared with on these draws; left: of -2LL that steps would still gain
    there."""

    unit: int
    problem: Problem
    population: Population
    margin: Difference
    left: float

    @property
    def settled(self) -> bool:
        """Whether neither more draws nor more steps could tell that it is the better one."""
        return self.margin.value > self.left + SURE * self.margin.noise

    @property
    def key(self) -> bytes:
        return self.problem.support.tobytes()


class Selector:
    """One search: what each candidate costs, the rules between them, and the solver of its programs.

    Attributes:
        penalty: (n_units,) what the criterion charges for each candidate.
        rules: between the candidates.
        count: of the programs solved so far.
    """

    def __init__(self, criterion: Criterion, penalty: np.ndarray, rules: Rules, solver: str) -> None:
        self.criterion = criterion
        self.penalty = penalty
        self.rules = rules
        self.count = SolveCount()
        self._solver = Solver(solver)

    @classmethod
    def of(cls, problem: Problem, settings: SelectionSettings, method: Method = "vae+polish") -> Selector:
        """For the candidates of `problem`; `method` decides the criterion if the settings do not.

        Raises:
            SettingsError: a penalty for an effect that is not a candidate.
        """
        criterion = parse_criterion(settings.criterion_for(method))
        return cls(
            criterion,
            penalties_of(criterion, problem, settings),
            rules_of(problem.effects, problem.n_subjects),
            settings.solver,
        )

    def total_penalty(self, problem: Problem) -> float:
        return float(self.penalty[problem.support].sum())

    def solve(self, program: Program, warm: np.ndarray | None) -> Solution:
        """Solve and count."""
        solution = self._solver.solve(program, warm=warm, budget=BUDGET)
        self.count.add(program, solution)
        return solution

    def certify(self) -> None:
        """Prove the last decision with a larger budget, if it is not proven yet."""
        if self.count.last is None or self.count.last[1].certified:
            return
        program, solution = self.count.last
        again = self._solver.solve(program, warm=solution.support, budget=LAST_BUDGET)
        if again.objective <= solution.objective:
            self.count.last = program, again

    def complete_data(
        self, problem: Problem, population: Population, statistics: SufficientStatistics, penalty_factor: float
    ) -> Problem:
        """The support that the paper's M step chooses (equation 13)."""
        charges = penalty_factor * self.penalty
        program = complete_data_program(problem, population, statistics.z_mean, charges, self.rules)
        return problem.on_support(self.solve(program, problem.support).support)

    def observed(
        self,
        problem: Problem,
        population: Population,
        mean: np.ndarray,
        cov: np.ndarray,
        ok: np.ndarray,
        *,
        penalty_factor: float = 1.0,
    ) -> Observed:
        """The support by observed information, from posterior moments mean (N, d) and cov (N, d, d) at
        `population`; subjects that are not ok (N,) count as without data."""
        search = self.effect_search(problem, population, mean, cov, ok)
        search = replace(search, cost=penalty_factor * search.cost)
        omega = problem.latent_omega(population)
        choice = choose(search, omega, previous=problem.support, solver=self._count_program)
        moved = problem.on_support(choice.support)
        return Observed(problem=moved, population=self._at_profile(moved, population, choice), choice=choice)

    def effect_search(
        self, problem: Problem, population: Population, mean: np.ndarray, cov: np.ndarray, ok: np.ndarray
    ) -> EffectSearch:
        """The likelihood as Gaussian in z around the posterior, with every candidate column."""
        effects, scale = problem.effects, latent_scale(problem)
        omega = problem.latent_omega(population)
        seen = ok & (np.diff(problem.table.ob_ptr) > 0)
        likelihood = GaussianLikelihood.of(mean, cov, problem.mean.mean(population.thetas), omega, seen)
        none = np.zeros(effects.n_units, dtype=bool)
        offset = problem.mean.mean(effects.on_support(population.thetas, none))
        design = EffectDesign.of(offset, problem.mean.base_design(population.thetas), effects.latent, effects.values)
        model = LinearMixedModel.of(likelihood, design, omega_basis(problem), OMEGA_SD_RANGE[0] * scale)
        units = tuple(tuple(np.flatnonzero(effects.unit == u).tolist()) for u in range(effects.n_units))
        search = EffectSearch(model=model, units=units, cost=self.penalty, rules=self.rules)
        return without_gains(search, frozen_latents(model, omega, scale), problem.support)

    def _count_program(self, program: Program, *, warm: np.ndarray | None = None) -> Solution:
        return self.solve(program, warm)

    def _at_profile(self, problem: Problem, population: Population, choice: Choice) -> Population:
        """The population with the fixed effects and Omega that were profiled with the support."""
        found, effects = choice.profile, problem.effects
        thetas = problem.mean.base_step(population.thetas, found.gamma)
        thetas[effects.theta] = found.beta
        omega = population.omega.copy()
        omega[np.ix_(problem.latent_index, problem.latent_index)] = found.omega
        return replace(population, thetas=thetas, omega=omega)

    def better_neighbour(
        self, search: SearchState, here: Sample, population: Population
    ) -> tuple[Problem, Population] | None:
        """A support that differs in one close decision and has the better criterion by the exact likelihood of
        the draws `here`, with its maximum there; None if there is none.

        Of many subjects a few draws tell which decisions are far away; all of them measure the others.
        """
        problem = here.problem
        search.exact, search.checked, search.settled = True, {}, set()
        search.left.add(problem.support.tobytes())
        search.margin, search.support = self.margins(problem, population, search.sample), problem.support
        units = self._close_decisions(search, problem.support)
        if few_draws(problem.n_subjects) < FEW_DRAWS[1]:
            few = replace(here, batch=here.batch.first(few_draws(problem.n_subjects)))
            search.add(self._reversals(few, population, units))
            units = [unit for unit in search.checked if unit not in search.settled or search.checked[unit] < FAR]
        reversals = self._reversals(here, population, units)
        search.add(reversals)
        better = [r for r in reversals if r.margin.value < -CLEARLY_BETTER and r.key not in search.left]
        best = min(better, key=lambda r: r.margin.value, default=None)
        return None if best is None else (best.problem, best.population)

    def _reversals(self, sample: Sample, population: Population, units: list[int]) -> list[Reversal]:
        """The models in which the decision on one of `units` is reversed, where the rules allow that, each at its
        maximum on these draws, and how much worse each is than the sample's own."""
        problem, found = sample.problem, []
        if not units:
            return found
        _, base = improve(sample, population, sample.weigh(population))
        for unit in units:
            other = self._reversed(problem, unit)
            if other is None:
                continue
            own = replace(sample, problem=other, coordinates=Coordinates.of(other))
            charged = self.total_penalty(other) - self.total_penalty(problem)
            found.append(_reversal(own, unit, base, charged, reduced(problem, other, population)))
        return found

    def revived(self, problem: Problem, population: Population, small: np.ndarray) -> Rival | None:
        """The model without its effects on the parameters `small` (indices of latents), with larger variances of
        these; None if there are none."""
        scale = latent_scale(problem)
        if not len(small):
            return None
        effects, support = problem.effects, problem.support.copy()
        support[np.unique(effects.unit[np.isin(effects.latent, small)])] = False
        support |= effects.forced
        if not obeys(self.rules, support):
            return None
        without = problem.on_support(support)
        moved, index = without.restricted(population), problem.latent_index[small]
        grown = moved.omega.copy()
        grown[index, index] = (REVIVED_SD * scale[small]) ** 2
        return Rival(problem=without, population=replace(moved, omega=grown))

    def margins(self, problem: Problem, population: Population, sample: Sample) -> np.ndarray:
        """(n_units,) rise of the criterion by observed information when one decision is reversed."""
        weighted = sample.weigh(population)
        moments = weighted_moments(sample.draws(population).z, weighted.weight)
        search = self.effect_search(problem, population, *moments, np.isfinite(weighted.minus_two_ll))
        exploration = Exploration(search, problem.latent_omega(population), solver=self._count_program)
        exploration.profile(exploration.neighbours_of(problem.support), exploration.omega)
        return allowed_margins(exploration, problem.support)

    def ties(
        self,
        search: SearchState,
        problem: Problem,
        population: Population,
        small: np.ndarray,
        settled: Collection[int] = (),
    ) -> list[Problem]:
        """The models on the other side of the least certain decisions: first effects on the parameters `small`
        (indices of latents), whose margins cannot be trusted, then other effects in the model, and outside; not those
        on units that are `settled`."""
        effects = problem.effects
        sd = np.sqrt(np.diag(problem.latent_omega(population))) / latent_scale(problem)
        untrusted = {
            int(unit): float(sd[k]) for unit, k in zip(effects.unit, effects.latent, strict=True) if k in small
        }
        near = []
        for unit, value in search.checked.items():
            inside = bool(problem.support[unit])
            if inside and unit in untrusted:
                near.append((0, untrusted[unit], unit))
            elif unit not in settled and abs(value) < (DOUBTFUL if inside else TIE):
                near.append((1 if inside else 2, abs(value), unit))
        others = [self._reversed(problem, unit) for _, _, unit in sorted(near)[:MOST_TIES]]
        return [other for other in others if other is not None]

    def _close_decisions(self, search: SearchState, support: np.ndarray) -> list[int]:
        """Effects that are in (a rough margin can be far off where dropping one changes much else), and those
        outside that are near."""
        known = np.where(np.isnan(search.margin), np.inf, search.margin)
        inside = [int(u) for u in np.argsort(known) if support[u] and known[u] < np.inf][:MOST_DROPS]
        near = [int(u) for u in np.argsort(known) if not support[u] and known[u] < CLOSE]
        return inside + near[:MOST_CHECKS]

    def _reversed(self, problem: Problem, unit: int) -> Problem | None:
        """With the decision on one unit reversed, and what the rules demand then; None if they forbid it."""
        support = reverse(self.rules, problem.support, unit)
        return problem.on_support(support) if obeys(self.rules, support) else None


def _reversal(sample: Sample, unit: int, base: Weighted, charged: float, start: Population) -> Reversal:
    """The sample's model at its maximum, `charged` more than the one that `base` is of."""
    moved, weighted = improve(sample, start, sample.weigh(start))
    margin = difference(weighted, base)
    return Reversal(
        unit=unit,
        problem=sample.problem,
        population=moved,
        margin=replace(margin, value=margin.value + charged),
        left=curvature(sample, moved, weighted).expected_gain(),
    )


def rules_of(effects: Effects, n_subjects: int) -> Rules:
    """Forced and exclusive candidates, and a limit on the size of the model: with an effect for every few subjects
    every variance can be explained away."""
    forced = tuple(np.flatnonzero(effects.forced).tolist())
    most = max(n_subjects // SUBJECTS_PER_EFFECT, len(forced), FEWEST)
    return Rules(forced=forced, exclusive=effects.space.exclusive, at_most=most if most < effects.n_units else None)


def reduced(problem: Problem, other: Problem, population: Population) -> Population:
    """The population for a model with other effects: what those that leave explained becomes variance of their
    parameters."""
    effects = problem.effects
    leaving = np.flatnonzero((problem.support & ~other.support)[effects.unit])
    omega = population.omega.copy()
    beta = effects.beta(population.thetas)
    for k in np.unique(effects.latent[leaving]):
        own = leaving[effects.latent[leaving] == k]
        if problem.omega_mask[k, k]:
            eta = problem.latent_index[k]
            omega[eta, eta] += float(np.var(effects.values[:, own] @ beta[own]))
    return replace(other.restricted(population), omega=omega)


def collapsed_latents(problem: Problem, population: Population, *, below: float = LEAST_SD) -> np.ndarray:
    """Indices of the latents that are searched and whose estimated variance is nearly 0."""
    sd = np.sqrt(np.diag(problem.latent_omega(population)))
    free = np.isin(np.arange(problem.n_latents), problem.effects.latent) & np.diag(problem.omega_mask)
    return np.flatnonzero((sd < below * latent_scale(problem)) & free)


def allowed_margins(exploration: Exploration, support: np.ndarray) -> np.ndarray:
    """(n_units,) margins, NaN where the rules forbid the reversal; the limit on the size of the model is no rule."""
    rules, margins = replace(exploration.search.rules, at_most=None), exploration.margins(support)[0]
    for u in range(len(support)):
        if not obeys(rules, reverse(rules, support, u)):
            margins[u] = np.nan
    return margins


def penalties_of(criterion: Criterion, problem: Problem, settings: SelectionSettings) -> np.ndarray:
    """(n_units,) with the user's own penalties in place of the criterion's."""
    effects = problem.effects
    names = [c.name for c in effects.space.candidates]
    penalty = criterion.penalties(
        n_coefficients=effects.n_coefficients,
        random_effect=np.ones(effects.n_units, dtype=bool),
        n_subjects=problem.n_subjects,
        n_obs_total=problem.table.n_obs_total,
        n_candidates=effects.n_units,
        n_on_parameter=effects.n_on_parameter,
    ).astype(float)
    for name, value in settings.penalties:
        if name not in names:
            hint = f"candidates are {', '.join(names[:20])}"
            raise SettingsError(f"there is no candidate effect {name!r}", hint=hint)
        penalty[names.index(name)] = value
    return penalty
