"""Covariate selection by observed information: the support that minimises -2LL, profiled over everything else, plus
penalties, in the Gaussian model of gaussian_likelihood.py.

For given Omega, -2LL is a quadratic form in (gamma, beta) whose matrix is the observed information, so the best
support there is one integer program. Omega depends on the support, so

1. the program is solved at the Omega profiled on the previous support, on none and on all candidates; Omega is
   profiled again on every support found, until the program returns the support its Omega came from
2. of all supports found the one with the best profile criterion wins
3. single drops and the most promising additions and exchanges are profiled; if one is better the search moves there
   and goes back to 1

In a small study with few candidates all supports are profiled instead.

A support that leaves this loop minimises the criterion at its own Omega (with the integer program's certificate) and
has no better neighbour among those profiled. It is kept unless another one is better by more than HYSTERESIS.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.estimation.gaussian_likelihood import normal_equations
from nlmevae.estimation.profile import TOLERANCE, LinearMixedModel, Profile, profile_all
from nlmevae.estimation.support_screening import Quadratic
from nlmevae.selection.program import Budget, Program, Rules, Solution

HYSTERESIS = 1e-3  # of the criterion
NEIGHBOUR_TOLERANCE = 3e-4  # of -2LL, for supports that are only compared
ROUNDS = 6  # of program and Omega in turn
MOVES = 30
ADDITIONS, EXCHANGES = 10, 4  # profiled exactly around the best support
SMALL_STUDY, SHAKES = 100, (0.2, 0.5, 2.0)  # subjects; factors on Omega
MOST_UNITS, MOST_SUPPORTS = 8, 64  # that are all profiled in a small study
HOPELESS = 10.0  # of the criterion that profiling Omega will not make up for
LEAST_SD, MOST_SHRINKAGE = 0.05, 0.9  # in units of the latent's scale; of standard deviations
# Of path, frequencies and the supports of other criteria: where a table of all supports is too large, the local
# search from neighbouring supports must do.
BUDGET = Budget(nodes=0, seconds=60.0)

Solver = Callable[..., Solution]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSearch:
    """units: columns of each candidate, a partition of all columns; cost (n_units,): penalty of each on -2LL."""

    model: LinearMixedModel
    units: tuple[tuple[int, ...], ...]
    cost: np.ndarray
    rules: Rules = field(default_factory=Rules)

    @property
    def n_units(self) -> int:
        return len(self.units)

    def columns(self, support: np.ndarray) -> np.ndarray:
        """(C,) bool."""
        used = np.zeros(self.model.design.n_columns, dtype=bool)
        for u in np.flatnonzero(support):
            used[list(self.units[u])] = True
        return used


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen support.

    Attributes:
        support: (n_units,) bool.
        profile: everything else at its optimum.
        criterion: -2LL (up to the constant of the Gaussian likelihood) plus penalties.
        margins: (n_units,) how much the criterion rises if the decision on one unit is reversed (with what the rules
            demand: an exclusive form takes the place of the other); NaN for forced and forbidden units.
        exact: (n_units,) bool, True where Omega was profiled for the margin; elsewhere it is held, which makes the
            margin of an addition too large.
        solution: of the integer program at the chosen support's Omega; its constant is -2LL's.
        n_programs, n_uncertified, largest_gap: over all programs of this choice.
    """

    support: np.ndarray
    profile: Profile
    criterion: float
    margins: np.ndarray
    exact: np.ndarray
    solution: Solution
    n_programs: int
    n_uncertified: int
    largest_gap: float


def choose(
    search: EffectSearch,
    omega: np.ndarray,
    *,
    previous: np.ndarray | None = None,
    scale: np.ndarray | None = None,
    solver: Solver | None = None,
) -> Choice:
    """The best support.

    Args:
        omega: (d, d) current, to start from; fixed elements stay.
        previous: (n_units,) bool, kept unless another one is better by more than HYSTERESIS.
        scale: (d,) size of one unit of each latent (guards.latent_scale); if given, frozen latents gain no effects.
        solver: called as solver(program, warm=support) (default: the built-in exact one).
    """
    if scale is not None:
        search = without_gains(search, frozen_latents(search.model, omega, scale), previous)
    run = Exploration(search, omega, solver=solver)
    start = run.smallest if previous is None or not obeys(search.rules, previous) else previous.copy()
    best = run.explore(start)
    margins, exact = run.margins(best)
    found = run.profiles[best.tobytes()]
    return Choice(
        support=best,
        profile=found,
        criterion=run.criterion(best),
        margins=margins,
        exact=exact,
        solution=run.solution(best),
        n_programs=len(run.solutions),
        n_uncertified=sum(not s.certified for s in run.solutions),
        largest_gap=max((s.gap for s in run.solutions if not s.certified), default=0.0),
    )


def frozen_latents(model: LinearMixedModel, omega: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(d,) latents whose variance has collapsed or about which the data say next to nothing, scale (d,) as from
    guards.latent_scale.

    Where Omega is nearly 0 the noise of C_i^-1 - Omega^-1 is as large as the information in many data, and every
    effect looks significant.
    """
    sd = np.sqrt(np.diag(omega))
    collapsed = (sd < LEAST_SD * scale) | (sd <= 1.01 * model.floor)
    return collapsed | (model.likelihood.shrinkage(omega) > MOST_SHRINKAGE)


def without_gains(search: EffectSearch, frozen: np.ndarray, previous: np.ndarray | None) -> EffectSearch:
    """The search in which frozen latents (d,) gain no effects; those they have or must have may stay."""
    latent = search.model.design.latent
    keep = set(search.rules.forced) | (set() if previous is None else set(np.flatnonzero(previous).tolist()))
    banned = [u for u, unit in enumerate(search.units) if frozen[latent[list(unit)]].any() and u not in keep]
    rules = replace(search.rules, banned=tuple(sorted({*search.rules.banned, *banned})))
    return replace(search, rules=rules)


def obeys(rules: Rules, support: np.ndarray) -> bool:
    """Whether a support (n_units,) is allowed."""
    return (
        all(support[u] for u in rules.forced)
        and not any(support[u] for u in rules.banned)
        and all(sum(support[u] for u in group) <= 1 for group in rules.exclusive)
        and all(support[b] or not support[a] for a, b in rules.requires)
        and (rules.at_most is None or support.sum() <= rules.at_most)
    )


def reverse(rules: Rules, support: np.ndarray, unit: int) -> np.ndarray:
    """`support` with the decision on one unit reversed and whatever the rules demand then."""
    result = support.copy()
    result[unit] = not support[unit]
    entering = [unit] if result[unit] else []
    while entering:
        u = entering.pop()
        for group in rules.exclusive:
            if u in group:
                result[[v for v in group if v != u]] = False
        missing = [b for a, b in rules.requires if a == u and not result[b]]
        result[missing] = True
        entering += missing
    orphans = [a for a, b in rules.requires if result[a] and not result[b]]
    while orphans:
        result[orphans] = False
        orphans = [a for a, b in rules.requires if result[a] and not result[b]]
    return result


class Exploration:
    """What one search knows: supports with their profiles, programs solved. Each is worked out once."""

    def __init__(self, search: EffectSearch, omega: np.ndarray, *, solver: Solver | None = None) -> None:
        self.search = search
        self.omega = omega
        self.solver = solver or _built_in
        self.profiles: dict[bytes, Profile] = {}
        self.rough: set[bytes] = set()
        self.solutions: list[Solution] = []
        self._solved: dict[bytes, Solution] = {}
        self._quadratics: dict[bytes, Quadratic] = {}
        self.smallest = np.zeros(search.n_units, dtype=bool)
        for u in search.rules.forced:
            if not self.smallest[u]:
                self.smallest = reverse(search.rules, self.smallest, u)

    def at(self, cost: np.ndarray) -> Exploration:
        """The same search with other penalties, sharing what does not depend on them."""
        other = Exploration(replace(self.search, cost=cost), self.omega, solver=self.solver)
        other.profiles, other.rough, other.solutions = self.profiles, self.rough, self.solutions
        other._quadratics = self._quadratics
        return other

    def criterion(self, support: np.ndarray) -> float:
        return self.profiles[support.tobytes()].minus_two_ll + float(self.search.cost[support].sum())

    def profile(self, supports: Iterable[np.ndarray], omega: np.ndarray, *, tolerance: float = TOLERANCE) -> None:
        """Profile what has not been yet, from omega (d, d); rough profiles are refined if asked for."""
        wanted = {}
        for support in supports:
            key = support.tobytes()
            if key not in self.profiles or (tolerance <= TOLERANCE and key in self.rough):
                wanted[key] = support
        if not wanted:
            return
        starts = [self.profiles[key].omega if key in self.profiles else omega for key in wanted]
        columns = [self.search.columns(s) for s in wanted.values()]
        found = profile_all(self.search.model, columns, np.array(starts), tolerance=tolerance)
        self.profiles.update(zip(wanted, found, strict=True))
        for key in wanted:
            self._solved.pop(key, None)
        change = self.rough.difference_update if tolerance <= TOLERANCE else self.rough.update
        change(wanted)

    def quadratic(self, omega: np.ndarray) -> Quadratic:
        """-2LL at omega as a function of beta."""
        key = omega.tobytes()
        if key not in self._quadratics:
            if len(self._quadratics) > 4:
                self._quadratics.clear()
            equations = normal_equations(self.search.model.likelihood, self.search.model.design, omega)
            gram, linear, constant = equations.without_base()
            self._quadratics[key] = Quadratic(gram=gram, linear=linear, constant=constant)
        return self._quadratics[key]

    def solve(self, omega: np.ndarray, warm: np.ndarray) -> Solution:
        quadratic = self.quadratic(omega)
        program = Program(
            gram=quadratic.gram,
            linear=quadratic.linear,
            units=self.search.units,
            cost=self.search.cost,
            constant=quadratic.constant,
            rules=self.search.rules,
        )
        self.solutions.append(self.solver(program, warm=warm))
        return self.solutions[-1]

    def solution(self, support: np.ndarray) -> Solution:
        """Of the program at the Omega of a profiled support."""
        key = support.tobytes()
        if key not in self._solved:
            self._solved[key] = self.solve(self.profiles[key].omega, support)
        return self._solved[key]

    def explore(self, start: np.ndarray) -> np.ndarray:
        """The best support that can be found."""
        if self.profile_everything(start):
            best = self._better(start, self.profiles_allowed())
            self.profile([best], self.omega)
            return best
        everything = np.ones(self.search.n_units, dtype=bool)
        first = [start, self.smallest]
        self.profile(first, self.omega)
        if self.search.model.design.n_columns < self.search.model.n_subjects / 2:
            first.append(everything)
            self.profile([everything], self.profiles[start.tobytes()].omega, tolerance=0.1)
        self.alternate(first)
        best = self._better(start, self.profiles_allowed())
        for _ in range(MOVES):
            neighbours = self.neighbours_of(best)
            omega = self.profiles[best.tobytes()].omega
            self.profile(neighbours, omega, tolerance=NEIGHBOUR_TOLERANCE)
            moved = self._better(best, neighbours)
            if moved is best:
                moved = self._better(best, self.shaken(best))
            if moved is best:
                break
            self.profile([moved], omega)
            self.alternate([moved])
            best = self._better(moved, self.profiles_allowed())
        self.profile([best], self.omega)
        return best

    def profile_everything(self, start: np.ndarray, *, tolerance: float = NEIGHBOUR_TOLERANCE) -> bool:
        """Profile all supports of a small search in a small study; False if there are too many."""
        search = self.search
        if search.n_units > MOST_UNITS or search.model.n_subjects >= SMALL_STUDY:
            return False
        every = (np.array(s) for s in itertools.product([False, True], repeat=search.n_units))
        allowed = [s for s in every if obeys(search.rules, s)]
        if len(allowed) > MOST_SUPPORTS:
            return False
        self.profile([start], self.omega, tolerance=tolerance)
        self.profile(allowed, self.profiles[start.tobytes()].omega, tolerance=tolerance)
        return True

    def alternate(self, supports: list[np.ndarray], *, tolerance: float = TOLERANCE) -> None:
        """Programs at the Omegas of these supports, then Omega profiled on what they return, and so on."""
        for _ in range(ROUNDS):
            found = [self.solution(s).support for s in supports if s.tobytes() not in self._solved]
            new = {s.tobytes(): s for s in found if s.tobytes() not in self._solved}
            if not new:
                return
            self.profile(new.values(), self.profiles[supports[0].tobytes()].omega, tolerance=tolerance)
            supports = list(new.values())

    def shaken(self, best: np.ndarray) -> list[np.ndarray]:
        """In small studies effects and Omega interact so strongly that several effects must move together: supports
        that are best at an Omega larger or smaller than that of `best`."""
        if self.search.model.n_subjects >= SMALL_STUDY:
            return []
        omega = self.profiles[best.tobytes()].omega
        free = self.search.model.basis.any(axis=0)
        found = [self.solve(np.where(free, factor * omega, omega), best).support for factor in SHAKES]
        self.profile(found, omega, tolerance=NEIGHBOUR_TOLERANCE)
        return found

    def profiles_allowed(self) -> list[np.ndarray]:
        """All supports profiled so far that the rules allow."""
        known = (np.frombuffer(key, dtype=bool) for key in self.profiles)
        return [s for s in known if obeys(self.search.rules, s)]

    def _better(self, current: np.ndarray, others: Iterable[np.ndarray]) -> np.ndarray:
        """The best of `others`, or `current` itself unless that is better by more than HYSTERESIS."""
        best, value = current, self.criterion(current) - HYSTERESIS
        for support in others:
            criterion = self.criterion(support)
            if criterion < value:
                best, value = support, criterion
        return best

    def neighbours_of(self, best: np.ndarray) -> list[np.ndarray]:
        """Every single drop, and the most promising additions and exchanges at the Omega of `best`."""
        self.profile([best], self.omega)
        search = self.search
        rules, quadratic = search.rules, self.quadratic(self.profiles[best.tobytes()].omega)
        free = [u for u in range(search.n_units) if u not in rules.forced and u not in rules.banned]
        around = [reverse(rules, best, u) for u in free if best[u]]
        rise = self._rise_of_additions(best, quadratic)
        rise = np.where(best, rise, search.cost - self._with_omega(search.cost - rise))
        outside = [u for u in free if not best[u]]
        outside.sort(key=lambda u: rise[u])
        around += [reverse(rules, best, u) for u in outside[:ADDITIONS] if rise[u] < HOPELESS]
        exchanges = quadratic.exchanges(search.columns(best), search.units, search.cost, best)
        allowed = []
        for change, out, into in exchanges:
            if change > HOPELESS or len(allowed) == EXCHANGES:
                break
            swapped = reverse(rules, reverse(rules, best, out), into)
            if swapped[into] and obeys(rules, swapped):
                allowed.append(swapped)
        return [s for s in around if obeys(rules, s)] + allowed

    def _with_omega(self, gain: np.ndarray) -> np.ndarray:
        """A gain of -2LL at fixed Omega as it might be with Omega profiled: N log(1 + RSS gain / RSS) of rich data, the
        most that it can be."""
        n = self.search.model.likelihood.weight.sum()
        share = np.clip(gain / max(n, 1.0), 0.0, 0.999)
        return np.where(gain > 0, -n * np.log1p(-share), gain)

    def _rise_of_additions(self, best: np.ndarray, quadratic: Quadratic) -> np.ndarray:
        """(n_units,) change of the criterion at fixed Omega when a unit enters, with what the rules demand."""
        search = self.search
        gains = quadratic.gains(search.columns(best), search.units)
        rise = search.cost - gains
        tied = {u for group in search.rules.exclusive if best[list(group)].any() for u in group}
        tied |= {a for a, b in search.rules.requires if not best[b]}
        here = quadratic.minimum(search.columns(best)) + search.cost[best].sum()
        for u in tied:
            if not best[u]:
                other = reverse(search.rules, best, u)
                rise[u] = quadratic.minimum(search.columns(other)) + search.cost[other].sum() - here
        return rise

    def margins(self, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n_units,) rise of the criterion when one decision is reversed, and whether Omega was profiled for it."""
        search = self.search
        margins = self._rise_of_additions(best, self.quadratic(self.profiles[best.tobytes()].omega))
        exact = np.zeros(search.n_units, dtype=bool)
        for u in range(search.n_units):
            if u in search.rules.forced or u in search.rules.banned:
                margins[u] = np.nan
                continue
            other = reverse(search.rules, best, u)
            if other.tobytes() in self.profiles:
                margins[u] = self.criterion(other) - self.criterion(best)
                exact[u] = True
        return margins, exact


def _built_in(program: Program, *, warm: np.ndarray | None = None) -> Solution:
    from nlmevae.selection.solve import solve

    return solve(program, warm=warm, budget=BUDGET)
