"""The exact minimiser of a selection step, with its certificate.

The smallest programs are enumerated (`enumeration`). Any other falls into parts (`components`); a part with at most
2^15 allowed supports is tabulated (`table`), a larger one goes through branch and bound (`branch_and_bound`).
`Prepared` keeps what does not depend on the linear term, for programs that are solved again and again with the same
Gram matrix; `Solver` recognises such programs itself.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace
from functools import cached_property
from hashlib import sha256

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.selection.components import Block, Reduction, check, reduce
from nlmevae.selection.engine import Answer, Engine, Request
from nlmevae.selection.enumeration import enumerated
from nlmevae.selection.normal_form import effect_cost, refit
from nlmevae.selection.program import Budget, Program, Solution
from nlmevae.selection.table import LARGEST, SubsetTable, best_support

#: Largest gap, in units of the median effect cost, that counts as proven.
TOLERANCE = 1e-6
#: Differences below are ties, same units.
TIE = 1e-9
BUILT_IN = ("auto", "native", "table", "bnb")
#: Engines are kept for this many blocks.
_REMEMBERED = 24
#: Gram matrices that differ less are the same: only rounding.
_ROUNDING = 1e-13


class TableEngine:
    """Every allowed support, tabulated."""

    name = "table"

    def __init__(self, block: Block) -> None:
        self.table = SubsetTable.of(block)

    def minimise(self, request: Request) -> Answer | None:
        table = self.table
        value = request.cost_factor * table.cost
        value -= table.gains(request.linear)
        if request.state is not None:
            value[~table.allowed(request.state)] = np.inf
        best, runner_up = best_support(value, table.supports, request.warm, request.tie)
        if not np.isfinite(value[best]):
            return None
        return Answer(
            support=table.supports[best], value=float(value[best]), bound=float(value[best]), nodes=len(value),
            runner_up=runner_up,
        )  # fmt: skip


def engine_for(block: Block, *, solver: str = "auto") -> Engine:
    """The engine that "auto" takes, or the one named."""
    if solver == "table" or (solver != "bnb" and block.n_patterns <= LARGEST):
        if block.n_patterns > 2**20:
            raise SettingsError(
                f"A table of all {block.n_patterns:.0f} supports does not fit into memory.", hint="Use solver='auto'."
            )
        return TableEngine(block)
    from nlmevae.selection.branch_and_bound import TreeEngine, compile_kernels

    compile_kernels()
    return TreeEngine(block)


class EngineStore:
    """Engines by the blocks they were built for. M steps bring the same correlations again and again."""

    def __init__(self, solver: str = "auto") -> None:
        self.solver = solver
        self._engines: OrderedDict[bytes, tuple[Block, Engine]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._engines)

    def engine(self, block: Block) -> Engine:
        """The engine of an equal block, or a new one."""
        key = _key(block)
        known = self._engines.get(key)
        if known is not None and np.abs(known[0].gram - block.gram).max(initial=0.0) <= _ROUNDING:
            self._engines.move_to_end(key)
            return known[1]
        engine = engine_for(block, solver=self.solver)
        self._engines[key] = block, engine
        if len(self._engines) > _REMEMBERED:
            self._engines.popitem(last=False)
        return engine


class Prepared:
    """A program's Gram matrix, charges and rules, ready for any linear term.

    Args:
        program: its linear term and constant are the defaults of `solve`.
        engines: where engines of earlier programs are kept.
        solver: "auto", "table" or "bnb", if there is no store.
    """

    def __init__(self, program: Program, *, engines: EngineStore | None = None, solver: str = "auto") -> None:
        self.program = program
        self.unit_cost = effect_cost(program)
        self.reduction = reduce(program, joined=False)
        self._store = EngineStore(solver) if engines is None else engines
        self._engines: dict[int, Engine] = {}

    @cached_property
    def joined(self) -> Reduction:
        """One block, for a limit on the number of units that the parts together do not keep."""
        return reduce(self.program, joined=True)

    def solve(
        self,
        *,
        linear: np.ndarray | None = None,
        constant: float | None = None,
        cost_factor: float = 1.0,
        warm: np.ndarray | None = None,
        state: np.ndarray | None = None,
        budget: Budget | None = None,
        tolerance: float = TOLERANCE,
    ) -> Solution | None:
        """The optimum for this right-hand side, all charges multiplied by `cost_factor`; None if no support obeys
        `state` (n_units,): 1 in, 0 out, -1 free."""
        began = time.perf_counter()
        program = self.program
        linear = program.linear if linear is None else linear
        constant = program.constant if constant is None else constant
        budget = budget or Budget()
        arguments = (linear, cost_factor, warm, state, budget, tolerance)
        limit = program.rules.at_most
        if limit is not None and len(self.reduction.blocks) == 1:
            found = self._search(self.joined, *arguments)
        else:
            found = self._search(self.reduction, *arguments)
            if found is not None and limit is not None:
                if found.support.sum() > limit:
                    found = self._search(self.joined, *arguments)
                else:
                    found = replace(found, runner_up=float("nan"))  # it may have too many units
        if found is None:
            return None
        beta, objective = refit(self.program_with(linear, constant, cost_factor=cost_factor), found.support)
        gap = max(found.value - found.bound, 0.0)
        return Solution(
            support=found.support,
            beta=beta,
            objective=objective,
            bound=objective - gap,
            certified=bool(gap <= tolerance * self.unit_cost * cost_factor * (1 + 1e-6)),
            solver=self._name(),
            nodes=found.nodes,
            seconds=time.perf_counter() - began,
            runner_up=objective + max(found.runner_up - found.value, 0.0),
        )

    def _search(
        self, reduction: Reduction, linear: np.ndarray, cost_factor: float, warm: np.ndarray | None,
        state: np.ndarray | None, budget: Budget, tolerance: float,
    ) -> Answer | None:  # fmt: skip
        engines = [self.engine(block) for block in reduction.blocks]  # built before the clock starts
        began = time.perf_counter()
        left = reduction.linear(linear)
        support = reduction.always.copy()
        value = bound = 0.0
        nodes, step = 0, np.inf
        for block, engine in zip(reduction.blocks, engines, strict=True):
            spent = Budget(
                nodes=max(budget.nodes - nodes, min(budget.nodes, 1)),
                seconds=max(budget.seconds - time.perf_counter() + began, 0.01),
            )
            answer = engine.minimise(
                Request(
                    linear=left[block.columns] * block.scale,
                    cost_factor=cost_factor * self.unit_cost,
                    warm=None if warm is None else _stand_in(reduction, warm)[block.units],
                    state=None if state is None else state[block.units],
                    tolerance=tolerance * self.unit_cost * cost_factor / len(reduction.blocks),
                    tie=TIE * self.unit_cost * cost_factor,
                    budget=spent,
                )
            )
            if answer is None:
                return None
            support[block.units] = answer.support
            value, bound, nodes = value + answer.value, bound + answer.bound, nodes + answer.nodes
            step = np.minimum(step, answer.runner_up - answer.value)  # NaN if one is not known
        if not reduction.complete:
            step = np.nan
        if any(support[unit] for unit in reduction.aliases):
            step = 0.0
        if warm is not None and reduction.aliases:
            support = _prefer(reduction, support, warm)
        return Answer(support=support, value=value, bound=bound, nodes=nodes, runner_up=value + float(step))

    def engine(self, block: Block) -> Engine:
        """The engine of one block of the reduction, built when first asked for."""
        if id(block) not in self._engines:
            self._engines[id(block)] = self._store.engine(block)
        return self._engines[id(block)]

    def program_with(self, linear: np.ndarray, constant: float, *, cost_factor: float = 1.0) -> Program:
        """The program with another right-hand side."""
        program = self.program
        if linear is program.linear and constant == program.constant and cost_factor == 1.0:
            return program
        return Program(
            gram=program.gram, linear=linear, units=program.units, cost=cost_factor * np.asarray(program.cost),
            constant=constant, rules=program.rules,
        )  # fmt: skip

    def _name(self) -> str:
        names = dict.fromkeys(engine.name for engine in self._engines.values())
        return "+".join(names) or "table"


class Solver:
    """`solve` with a memory: programs whose blocks have the correlations of earlier ones skip the preparation."""

    def __init__(self, solver: str = "auto") -> None:
        self.solver = solver
        self.engines = EngineStore(solver)

    def solve(
        self,
        program: Program,
        *,
        warm: np.ndarray | None = None,
        budget: Budget | None = None,
        tolerance: float = TOLERANCE,
    ) -> Solution:
        """As the function `solve`."""
        if self.solver not in BUILT_IN:
            from nlmevae.selection.solvers import solve_with

            return solve_with(program, self.solver, warm=warm, budget=budget or Budget(), tolerance=tolerance)
        began = time.perf_counter()
        known = self._enumerated(program, warm, began)
        if known is not None:
            return known
        prepared = Prepared(program, engines=self.engines)
        solution = prepared.solve(warm=warm, budget=budget, tolerance=tolerance)
        if solution is None:
            raise SettingsError(
                "No set of effects obeys all the rules.", hint="Loosen one of the forced, forbidden or exclusive rules."
            )
        return replace(solution, seconds=time.perf_counter() - began)

    def _enumerated(self, program: Program, warm: np.ndarray | None, began: float) -> Solution | None:
        if self.solver not in ("auto", "native"):
            return None
        check(program)
        found = enumerated(program, warm, tie=TIE)
        if found is None:
            return None
        return Solution(
            support=found.support,
            beta=found.beta,
            objective=found.objective,
            bound=found.objective,
            certified=True,
            solver=TableEngine.name,
            nodes=found.n_supports,
            seconds=time.perf_counter() - began,
            runner_up=found.runner_up,
        )


def solve(
    program: Program,
    *,
    warm: np.ndarray | None = None,
    budget: Budget | None = None,
    solver: str = "auto",
    tolerance: float = TOLERANCE,
) -> Solution:
    """The exact minimum of a program.

    Args:
        warm: (n_units,) bool, a support to start from; decides ties.
        budget: where the search gives up; the solution then has certified=False and a valid bound.
        solver: "auto", "table", "bnb", or the name of an outside solver (`nlmevae.selection.solvers`).
        tolerance: largest gap that counts as proven, in units of the median effect cost.

    Raises:
        SettingsError: rules that contradict each other, numbers that are not finite, an unknown solver.
    """
    return Solver(solver).solve(program, warm=warm, budget=budget, tolerance=tolerance)


def _key(block: Block) -> bytes:
    rules = repr((block.conflicts, block.requires, block.at_most)).encode()
    numbers = (np.round(block.gram, 9) + 0.0, np.round(block.cost, 12), block.starts, block.atom_starts)
    return sha256(b"".join((*(n.tobytes() for n in numbers), rules))).digest()


def _stand_in(reduction: Reduction, warm: np.ndarray) -> np.ndarray:
    """`warm` with the first of equal units in place of the others."""
    if not reduction.aliases:
        return warm
    warm = warm.copy()
    for unit, others in reduction.aliases.items():
        warm[unit] |= warm[list(others)].any()
    return warm


def _prefer(reduction: Reduction, support: np.ndarray, warm: np.ndarray) -> np.ndarray:
    """Of equal units the one that `warm` has."""
    support = support.copy()
    for unit, others in reduction.aliases.items():
        known = [u for u in others if warm[u]]
        if support[unit] and not warm[unit] and known:
            support[unit], support[known[0]] = False, True
    return support
