"""Branch and bound for blocks too large to tabulate.

The incumbent comes from a search by exchanges, from the previous support if there is one; it is almost always optimal,
and the tree proves it. Where columns of different units are linearly dependent (log BMI = log weight - 2 log height)
no relaxation exists; but an optimal support never needs all units of a dependent set, so the block is solved once for
each of them left out. Where that would take too many pieces (more candidates than subjects) bounds are by cost alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from nlmevae.selection.components import Block
from nlmevae.selection.engine import Answer, Request
from nlmevae.selection.exchange_kernels import improve, obeys
from nlmevae.selection.program import Budget
from nlmevae.selection.relaxation import DEPENDENT, Split, split
from nlmevae.selection.tree_kernels import propagate, search

#: Pieces of a block with dependent columns, at most.
_MOST_PIECES = 24
#: Dependences that are taken apart, at most.
_DEEPEST = 5
#: Coefficients of a dependence below are zero.
_IN_CIRCUIT = 1e-6
#: Bytes for open nodes.
_MEMORY = 64_000_000
#: Nodes between two looks at the clock.
_CHUNK = 128
_SWEEPS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The block with some units out (their columns are gone) or in: state (n,); parts None: bounds by cost only."""

    block: Block
    state: np.ndarray
    columns: np.ndarray
    parts: Split | None


class TreeEngine:
    """Exact search with certificate for one block."""

    name = "bnb"

    def __init__(self, block: Block, pieces: tuple[Piece, ...] | None = None) -> None:
        self.block = block
        positive = block.cost[block.cost > 0]
        #: of the search, so that its constants mean the same at every scale
        self.unit_cost = float(np.median(positive)) if len(positive) else 1.0
        self._pieces = pieces
        self.conflict = _conflicts(block)
        self.requires = np.array(block.requires, dtype=np.int64).reshape(-1, 2)
        self.at_most = -1 if block.at_most is None else block.at_most

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Made when they are first needed: a search without nodes is the local search alone."""
        if self._pieces is None:
            self._pieces = pieces_of(self.block)
        return self._pieces

    def minimise(self, request: Request) -> Answer | None:
        """None: no support obeys the rules and the state. With a budget of no nodes nothing is proven."""
        root = self._root(request.state)
        if root is None:
            return None
        unit = request.cost_factor * self.unit_cost
        cost = self.block.cost * (request.cost_factor / unit)
        linear = request.linear / np.sqrt(unit)
        support = self._start(root, request.warm)
        value = improve(
            self.block.gram, linear, cost, self.block.starts, self.conflict, self.requires, self.at_most, root, support
        )
        progress = np.array([value, np.inf])
        nodes, began = 0, time.perf_counter()
        if request.budget.nodes < 1:
            progress[1] = -np.inf
        for piece in self.pieces if request.budget.nodes > 0 else ():
            nodes += self._search(piece, linear, cost, root, support, progress, request, unit, nodes, began)
        value, bound = progress[0], min(progress)
        return Answer(
            support=support == 1, value=unit * value, bound=unit * bound, nodes=nodes, runner_up=float("nan")
        )  # fmt: skip

    def _root(self, state: np.ndarray | None) -> np.ndarray | None:
        root = np.full(self.block.n_units, -1, dtype=np.int8)
        return root if self._propagated(root, state) else None

    def _propagated(self, root: np.ndarray, state: np.ndarray | None) -> bool:
        """Add `state` to `root` in place."""
        if state is None:
            return True
        return all(
            propagate(root, self.conflict, self.requires, self.at_most, u, int(state[u]))
            for u in np.flatnonzero(state != -1)
        )

    def _start(self, root: np.ndarray, warm: np.ndarray | None) -> np.ndarray:
        support = (root == 1).astype(np.int8)
        if warm is not None:
            trial = np.where(root == -1, warm, root == 1).astype(np.int8)
            if obeys(trial, self.conflict, self.requires, self.at_most):
                return trial
        return support

    def _search(
        self, piece: Piece, linear: np.ndarray, cost: np.ndarray, root: np.ndarray, support: np.ndarray,
        progress: np.ndarray, request: Request, unit: float, nodes: int, began: float,
    ) -> int:  # fmt: skip
        state = root.copy()
        if not self._propagated(state, piece.state):
            return 0
        block, own = piece.block, linear[piece.columns]
        problem = _problem(piece, own, cost)
        rules = (self.conflict, self.requires, self.at_most)
        states, points, bounds, counts = _pool(block, state)
        tolerance, done = request.tolerance / unit, 0
        arguments = problem, rules, states, points, bounds, counts, root, support, progress, tolerance
        while counts[0] > 0 and nodes + done < request.budget.nodes:
            done += search(*arguments, _CHUNK, _SWEEPS)
            if time.perf_counter() - began > request.budget.seconds:
                break
        if counts[0] > 0:
            progress[1] = min(progress[1], bounds[: counts[0]].min())
        return done


@cache
def compile_kernels() -> None:
    """Solve a block of two equal units, so that compilation, once per installation, is no part of a search's budget."""
    two = np.arange(3)
    block = Block(
        units=two[:2], columns=two[:2], starts=two, atom_starts=two, gram=np.eye(2), scale=np.ones(2), cost=np.ones(2),
        conflicts=(), requires=(), at_most=None,
    )  # fmt: skip
    TreeEngine(block).minimise(
        Request(
            linear=np.full(2, 1.1), cost_factor=1.0, warm=None, state=None, tolerance=1e-6, tie=1e-9, budget=Budget()
        )
    )


def pieces_of(block: Block) -> tuple[Piece, ...]:
    """The block itself, or its pieces where columns are dependent."""
    everything = np.arange(len(block.gram))
    free = np.full(block.n_units, -1, dtype=np.int8)
    pieces = _pieces(block, everything, free, _MOST_PIECES)
    if pieces is None:
        return (Piece(block=block, state=free, columns=everything, parts=None),)
    return tuple(pieces)


def _pieces(block: Block, columns: np.ndarray, state: np.ndarray, most: int) -> list[Piece] | None:
    part = _restrict(block, columns)
    rank = np.linalg.matrix_rank(part.gram, tol=DEPENDENT, hermitian=True) if len(columns) else 0
    if len(columns) - rank > _DEEPEST:
        return None
    circuit = _circuit(part.gram)
    if circuit is None:
        parts = split(part)
        return None if parts is None else [Piece(block=part, state=state, columns=columns, parts=parts)]
    owner = np.repeat(np.arange(block.n_units), np.diff(part.starts))
    units = np.unique(owner[circuit])
    wide = any(part.starts[u + 1] > part.starts[u] + 1 for u in units)
    found: list[Piece] = []
    branches = [(u, 0) for u in units if len(units) > 1 and state[u] != 1] + ([(-1, 1)] if wide else [])
    for u, value in branches:
        child = state.copy()
        if value == 0:
            child[u] = 0
            left = columns[owner != u]
        else:  # all units of the circuit in: one column of a wide one adds nothing
            child[units] = 1
            spare = next(c for c in circuit if part.starts[owner[c] + 1] > part.starts[owner[c]] + 1)
            left = np.delete(columns, spare)
        pieces = _pieces(block, left, child, most - len(found))
        if pieces is None or len(found) + len(pieces) > most:
            return None
        found += pieces
    return found


def _circuit(gram: np.ndarray) -> np.ndarray | None:
    """Columns of one linear dependence, the shortest that elimination shows; None if there is none."""
    from scipy.linalg import solve_triangular
    from scipy.linalg.lapack import dpstrf

    upper, pivots, rank, _ = dpstrf(gram, tol=DEPENDENT)
    if rank == len(gram):
        return None
    pivots = pivots - 1
    upper = np.triu(upper)
    weights = solve_triangular(upper[:rank, :rank], upper[:rank, rank:])
    used = np.abs(weights) > _IN_CIRCUIT
    shortest = int(used.sum(axis=0).argmin())
    return np.append(pivots[:rank][used[:, shortest]], pivots[rank + shortest])


def _restrict(block: Block, columns: np.ndarray) -> Block:
    """The block with these columns only; units may lose all of theirs."""
    if len(columns) == len(block.gram):
        return block
    starts = np.searchsorted(columns, block.starts).astype(np.int64)
    return replace(
        block, columns=block.columns[columns], starts=starts, scale=block.scale[columns],
        gram=np.ascontiguousarray(block.gram[np.ix_(columns, columns)]),
    )  # fmt: skip


def _conflicts(block: Block) -> np.ndarray:
    atom = np.repeat(np.arange(len(block.atom_starts) - 1), np.diff(block.atom_starts))
    conflict = atom[:, None] == atom[None, :]
    np.fill_diagonal(conflict, False)
    for a, b in block.conflicts:
        conflict[a, b] = conflict[b, a] = True
    return conflict


def _problem(piece: Piece, linear: np.ndarray, cost: np.ndarray) -> tuple:
    block, parts = piece.block, piece.parts
    ceiling = np.inf
    linear = np.ascontiguousarray(linear)
    if parts is None:
        ceiling = _largest_fit(block.gram, linear)
        nothing = np.zeros((0, 0)), np.zeros(0), np.zeros(0)
        return (block.gram, linear, *nothing, cost, block.starts, block.atom_starts, ceiling)
    transformed = np.ascontiguousarray(parts.linear(linear))
    return (
        block.gram, linear, parts.rest, parts.curvature, transformed, cost, block.starts, block.atom_starts, ceiling
    )  # fmt: skip


def _largest_fit(gram: np.ndarray, linear: np.ndarray) -> float:
    """What all columns together take off, no less."""
    values, vectors = np.linalg.eigh(gram)
    along = vectors.T @ linear
    used = values > 1e-12 * len(gram)
    return float(np.sum(along[used] ** 2 / values[used])) * (1 + 1e-9)


def _pool(block: Block, state: np.ndarray) -> tuple:
    n, p = block.n_units, len(block.gram)
    size = max(min(_MEMORY // (n + 8 * p + 8), 200_000), 4 * n + 64)
    states, points, bounds = np.empty((size, n), np.int8), np.empty((size, p)), np.empty(size)
    states[0], points[0], bounds[0] = state, 0.0, -np.inf
    return states, points, bounds, np.array([1], dtype=np.int64)
