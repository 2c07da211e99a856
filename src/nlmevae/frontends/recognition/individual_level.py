"""The code that defines individual parameters, run once at many random points with its derivatives."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmevae.frontends.recognition.dependencies import (
    NOTHING,
    ArmProbe,
    Dependencies,
    follow,
    individual_program,
    with_arm_probes,
)
from nlmevae.frontends.recognition.points import (
    Points,
    grid,
    sample_etas,
    sample_items,
    sample_thetas,
)
from nlmevae.frontends.recognition.reach import touches
from nlmevae.ir import If, Model, Statement, assignments, initial_elements, names_assigned, needed_names
from nlmevae.ir.dual import Dual, value_of
from nlmevae.ir.evaluate import execute, seeded

N_THETA_DRAWS = 8
N_COVARIATE_DRAWS = 120
MIN_POINTS = 32
_PROBE = "#arm"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variable that depends on a random effect, as it is after statement `index`."""

    name: str
    index: int
    reads: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualLevel:
    """All (n_theta_draws * n_covariate_draws,) arrays; reshape to (n_theta_draws, n_covariate_draws): the
    rows differ in THETAs, the columns in data items.

    Attributes:
        program: where individual parameters are defined; statements: the same with a probe in every IF arm.
        candidates: per ETA, the variables that carry it, first carrier first.
        points: all inputs.
        etas, thetas: the differentiated inputs of the two runs.
        random, typical: values of each candidate with random ETAs (differentiated by ETAs) and with all
            ETAs 0 (differentiated by THETAs). history: what each statement assigned in the former run, values only.
    """

    model: Model
    program: tuple[Statement, ...]
    statements: tuple[Statement, ...]
    probes: tuple[ArmProbe, ...]
    candidates: dict[str, tuple[Candidate, ...]]
    points: Points
    etas: tuple[str, ...]
    thetas: tuple[str, ...]
    random: dict[tuple[str, int], Any]
    typical: dict[tuple[str, int], Any]
    history: tuple[dict[str, Any], ...]
    arms_run: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, int]:
        return N_THETA_DRAWS, N_COVARIATE_DRAWS

    def other_etas(self, eta: str) -> frozenset[str]:
        return frozenset(self.model.etas) - {eta}

    @property
    def known_inputs(self) -> frozenset[str]:
        """What is constant at the individual level: THETAs, ETAs, data items."""
        return frozenset(t.name for t in self.model.thetas) | frozenset(self.model.etas) | self.model.data_items

    def unreached_arms(self, candidate: Candidate) -> list[If]:
        """IFs that decide the candidate by data items alone and have an arm no point took."""
        before = self.program[: candidate.index + 1]
        probes = tuple(p for p in self.probes if p.index <= candidate.index)
        return unreached_arms(before, candidate.name, probes, self.arms_run, self.model.data_items)


def unreached_arms(
    statements: Sequence[Statement],
    name: str,
    probes: Sequence[ArmProbe],
    arms_run: Mapping[str, np.ndarray],
    items: frozenset[str],
) -> list[If]:
    """IFs `name` is computed from, with conditions on `items` alone and an arm no point took."""
    needed = needed_names(statements, (name,))
    found = []
    for probe in probes:
        reads = NOTHING.union(*(condition.names() for condition, _ in probe.owner.arms))
        decides = bool(names_assigned((probe.owner,)) & needed) and reads <= items
        if decides and not np.isfinite(arms_run.get(probe.name, np.nan)).any():
            found.append(probe.owner)
    return found


def initial_dependencies(model: Model) -> Dependencies:
    """Effects fixed at zero are constants, everything else stands for itself."""
    return dict.fromkeys(model.zero_etas | model.zero_epsilons, NOTHING)


def find_candidates(model: Model) -> dict[str, tuple[Candidate, ...]]:
    """Every variable that depends on each ETA, in the order in which they come to do so; one that is assigned
    several times counts again each time."""
    found: dict[str, list[Candidate]] = {name: [] for name in model.etas}
    env = initial_dependencies(model)
    for index, statement in enumerate(individual_program(model)):
        follow(statement, env)
        for name in dict.fromkeys(a.target for a in assignments((statement,))):
            reads = env.get(name, NOTHING)
            candidate = Candidate(name, index, reads)
            for eta in reads:
                if eta in found:
                    found[eta].append(candidate)
    return {eta: tuple(candidates) for eta, candidates in found.items()}


def run_individual_level(model: Model, rng: np.random.Generator) -> IndividualLevel:
    """Draw the points and run the program twice."""
    program = individual_program(model)
    statements, probes = with_arm_probes(program, _PROBE)
    candidates = find_candidates(model)
    n = N_THETA_DRAWS * N_COVARIATE_DRAWS
    points = grid(sample_thetas(model, N_THETA_DRAWS, rng, fixed="held"), sample_items(model, N_COVARIATE_DRAWS, rng))
    points.update(dict.fromkeys(model.epsilons, 0.0) | initial_elements(model))
    etas = tuple(e for e in model.etas if e not in model.zero_etas)
    wanted = {(c.name, c.index) for found in candidates.values() for c in found}
    last = max((index for _, index in wanted), default=-1)
    thetas = tuple(t.name for t in model.thetas)
    effects = sample_etas(model, n, rng)
    random_env = seeded({**points, **effects}, etas)
    typical_env = seeded({**points, **dict.fromkeys(model.etas, 0.0)}, thetas)
    history: list[dict[str, Any]] = []
    random, after = run_watching(statements[: last + 1], random_env, wanted, history=history)
    typical, _ = run_watching(statements[: last + 1], typical_env, wanted)
    points.update(effects)
    arms = {probe.name: np.broadcast_to(after.get(probe.name, np.nan), (n,)) for probe in probes}
    return IndividualLevel(
        model=model,
        program=program,
        statements=statements,
        probes=probes,
        candidates=candidates,
        points=points,
        etas=etas,
        thetas=thetas,
        random=random,
        typical=typical,
        history=tuple(history),
        arms_run=arms,
    )


def run_watching(
    statements: tuple[Statement, ...],
    env: dict[str, Any],
    wanted: set[tuple[str, int]],
    *,
    history: list[dict[str, Any]] | None = None,
) -> tuple[dict[tuple[str, int], Any], dict[str, Any]]:
    """Run, keeping the value each (name, statement index) of `wanted` has right after that statement.

    Args:
        history: gets what each statement assigned, without derivatives.

    Returns:
        Those values, and the environment at the end.
    """
    kept, env = {}, dict(env)
    by_index: dict[int, list[str]] = {}
    for name, index in wanted:
        by_index.setdefault(index, []).append(name)
    for index, statement in enumerate(statements):
        execute(statement, env)
        kept.update({(name, index): env[name] for name in by_index.get(index, ()) if name in env})
        if history is not None:
            assigned = names_assigned((statement,))
            history.append({name: value_of(env[name]) for name in assigned if name in env})
    return kept, env


def without_effect(level: IndividualLevel, eta: str) -> dict[tuple[str, int], Any]:
    """The candidates of the ETA where it is 0 and all else as it is in `random`, with their derivative by it. Only the
    statements it reaches are run again."""
    wanted = {(c.name, c.index) for c in level.candidates[eta]}
    statements = level.statements[: max(index for _, index in wanted) + 1]
    zero = np.zeros(len(level.points[eta]))
    changed: dict[str, Any] = {eta: Dual(zero, np.ones((1, *zero.shape)))}
    before = dict(level.points)
    env = ChainMap(changed, before)
    kept = {}
    for index, statement in enumerate(statements):
        assigned = names_assigned((statement,))
        if touches(statement, changed.keys()):
            changed.update({name: env[name] for name in assigned if name in env})
            execute(statement, env)
            if any(name not in changed for name in level.history[index]):  # no value where the ETA is 0
                return run_watching(statements, seeded({**level.points, eta: 0.0}, (eta,)), wanted)[0]
        else:
            for name in assigned:
                changed.pop(name, None)
        before.update(level.history[index])
        kept.update({(name, index): env[name] for name in assigned if (name, index) in wanted and name in env})
    return kept
