"""A program without what is decided before any search, in parts that do not touch each other.

1. Units that are always in (forced, required by a forced one, or free of charge and of rules) are eliminated:
   G_FF - G_FI G_II^-1 G_IF and q_F - G_FI G_II^-1 q_I are the program of the others.
2. Units whose columns are empty, or depend on those always in, never enter.
3. Of units with the same columns, charges and rules, the first stands for all (`Reduction.aliases`).
4. What is left falls into connected components of the Gram matrix's non-zeros and of the rules. Its columns are
   scaled to length one.

The Gram matrix, the charges and the rules determine all of it; only the linear term changes between M steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.selection.incumbent import smallest_support
from nlmevae.selection.normal_form import PIVOT, effect_cost
from nlmevae.selection.program import Program

#: Columns are the same if their correlation and their correlations with the target are, to rounding.
_SAME = 1e-13
#: Correlations below are rounding of zero.
_ZERO = 1e-14


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One component. Units and columns are numbered within it; the columns of a unit, and the units of an atom,
    follow each other.

    Attributes:
        units: (n,) unit numbers in the program; columns (p,): column numbers.
        starts: (n + 1,) first column of each unit. atom_starts (n_atoms + 1,): first unit of each atom, a set of
            units of which at most one may be in.
        gram: (p, p) with unit diagonal; beta = scale * b.
        cost: (n,) in units of the program's median charge (`normal_form.effect_cost`).
        conflicts: pairs of units of different atoms that exclude each other. requires: (a, b), a only with b.
        at_most: of these units.
    """

    units: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    atom_starts: np.ndarray
    gram: np.ndarray
    scale: np.ndarray
    cost: np.ndarray
    conflicts: tuple[tuple[int, int], ...]
    requires: tuple[tuple[int, int], ...]
    at_most: int | None

    @property
    def n_units(self) -> int:
        return len(self.units)

    @property
    def n_patterns(self) -> float:
        """Supports that the atoms allow."""
        return float(np.prod(1.0 + np.diff(self.atom_starts)))

    def obeys(self, support: np.ndarray) -> bool:
        """Are the rules kept by support (n,) bool?"""
        return (
            bool(np.all(np.add.reduceat(support, self.atom_starts[:-1], dtype=int) <= 1))
            and not any(support[a] and support[b] for a, b in self.conflicts)
            and all(support[b] or not support[a] for a, b in self.requires)
            and (self.at_most is None or int(support.sum()) <= self.at_most)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """What is left of a program.

    Attributes:
        always: (n_units,) bool, in every solution. never (n_units,) bool: in none.
        inside: columns (k,) of `always` that are linearly independent; inverse (k, k) of their Gram matrix;
            elimination (k, p) = G_II^-1 G_I.
        aliases: unit -> units with the same columns, which `never` holds.
        complete: every choice the rules leave is made in a block; False where units free of charge or empty ones
            were decided here, so that blocks do not know the second best support.
    """

    always: np.ndarray
    never: np.ndarray
    inside: np.ndarray
    inverse: np.ndarray
    elimination: np.ndarray
    aliases: dict[int, tuple[int, ...]]
    complete: bool
    blocks: tuple[Block, ...]

    def linear(self, linear: np.ndarray) -> np.ndarray:
        """(p,) linear term once the columns always in are eliminated."""
        return linear - linear[self.inside] @ self.elimination if len(self.inside) else linear

    def gain(self, linear: np.ndarray) -> float:
        """What the columns always in take off the objective."""
        q = linear[self.inside]
        return float(q @ self.inverse @ q)


def reduce(program: Program, *, joined: bool) -> Reduction:
    """Steps 1-4. `joined`: one block that keeps `at_most`; otherwise blocks apart, `at_most` ignored.

    Raises SettingsError where rules contradict each other or numbers are not finite.
    """
    check(program)
    always, never, free_of_charge = _decided(program)
    inside, inverse, elimination = _eliminate(program, always)
    gram = program.gram - program.gram[:, inside] @ elimination if len(inside) else program.gram
    diagonal = np.diag(gram).copy()
    diagonal[diagonal <= PIVOT * np.diag(program.gram)] = 0.0
    empty = [not always[u] and not diagonal[list(c)].any() for u, c in enumerate(program.units)]
    by_rules = never
    never = _closed(program, never | np.array(empty, dtype=bool))
    complete = not free_of_charge and np.array_equal(never, by_rules)
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0)
    correlation = gram * np.outer(scale, scale)
    np.fill_diagonal(correlation, (diagonal > 0).astype(float))
    aliases = _aliases(program, correlation, scale, ~(always | never))
    never = never | np.isin(np.arange(program.n_units), [u for same in aliases.values() for u in same])
    free = np.flatnonzero(~(always | never))
    groups = [free] if joined else _connected(program, correlation, free)
    blocks = tuple(
        _block(program, correlation, scale, g, always if joined else None) for g in groups if len(g)
    )  # fmt: skip
    return Reduction(
        always=always, never=never, inside=inside, inverse=inverse, elimination=elimination, aliases=aliases,
        complete=complete, blocks=blocks,
    )  # fmt: skip


def check(program: Program) -> None:
    """Refuse what no search can make sense of (SettingsError)."""
    numbers = (program.gram, program.linear, program.cost, np.array(program.constant))
    if not all(np.isfinite(a).all() for a in numbers):
        raise SettingsError(
            "The selection step contains numbers that are not finite.",
            hint="Impute or leave out missing covariates before the search.",
        )
    if np.any(np.asarray(program.cost) < 0):
        raise SettingsError("An effect has a negative penalty.", hint="Penalties are zero or more.")
    if sorted(c for unit in program.units for c in unit) != list(range(program.n_columns)):
        raise SettingsError(
            "The units do not partition the columns of the selection step.", hint="Name every column in one unit."
        )


def _decided(program: Program) -> tuple[np.ndarray, np.ndarray, bool]:
    """Units always in, units never in, and whether some of the former are so because they cost nothing."""
    rules = program.rules
    always = smallest_support(program)
    never = np.zeros(program.n_units, dtype=bool)
    never[list(rules.banned)] = True
    for group in rules.exclusive:
        if always[list(group)].any():
            never[[u for u in group if not always[u]]] = True
    never = _closed(program, never)
    ruled = {u for group in (*rules.exclusive, *rules.requires) for u in group}
    free_of_charge = (np.asarray(program.cost) == 0) & ~never & ~always
    free_of_charge[list(ruled)] = False
    if rules.at_most is not None:
        free_of_charge[:] = False
    return always | free_of_charge, never, bool(free_of_charge.any())


def _closed(program: Program, never: np.ndarray) -> np.ndarray:
    """`never` with the units that require one of them."""
    never = never.copy()
    changed = True
    while changed:
        changed = False
        for a, b in program.rules.requires:
            if never[b] and not never[a]:
                never[a] = changed = True
    return never


def _eliminate(program: Program, always: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = np.array([c for u in np.flatnonzero(always) for c in program.units[u]], dtype=int)
    columns = columns[np.diag(program.gram)[columns] > 0]
    if not len(columns):
        return columns, np.zeros((0, 0)), np.zeros((0, program.n_columns))
    length = np.sqrt(np.diag(program.gram)[columns])
    kept, upper = _independent(program.gram[np.ix_(columns, columns)] / np.outer(length, length))
    inside, length = columns[kept], length[kept]
    root = np.linalg.inv(upper)
    inverse = root @ root.T / np.outer(length, length)
    return inside, inverse, inverse @ program.gram[inside]


def _independent(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pivot columns of a positive semidefinite matrix of unit diagonal, and their upper Cholesky factor."""
    from scipy.linalg.lapack import dpstrf

    upper, pivots, rank, _ = dpstrf(gram, tol=PIVOT)
    return pivots[:rank] - 1, np.triu(upper)[:rank, :rank]


def _aliases(program: Program, correlation: np.ndarray, scale: np.ndarray, free: np.ndarray) -> dict:
    standing: list[int] = []
    aliases: dict[int, tuple[int, ...]] = {}
    rules = _rule_membership(program)
    close = np.abs(correlation) >= 1.0 - _SAME
    if not np.triu(close, 1).any():
        return aliases
    for u in np.flatnonzero(free):
        for v in standing:
            if rules[u] == rules[v] and _same(program, correlation, scale, close, u, v):
                aliases[v] = (*aliases.get(v, ()), int(u))
                break
        else:
            standing.append(int(u))
    return aliases


def _same(
    program: Program, correlation: np.ndarray, scale: np.ndarray, close: np.ndarray, u: int, v: int
) -> bool:  # fmt: skip
    mine, other = list(program.units[u]), list(program.units[v])
    if len(mine) != len(other) or program.cost[u] != program.cost[v] or not close[mine, other].all():
        return False
    sign = np.sign(correlation[mine, other])
    rows = correlation[mine] - sign[:, None] * correlation[other]
    target = scale[mine] * program.linear[mine] - sign * scale[other] * program.linear[other]
    size = np.abs(scale[mine] * program.linear[mine]).max(initial=1.0)
    return bool(np.abs(rows).max() <= 1e-9 and np.abs(target).max() <= 1e-9 * size)


def _rule_membership(program: Program) -> list[tuple]:
    """What the rules say of each unit: the same for two units that may stand for each other."""
    rules: list[list] = [[] for _ in program.units]
    for number, group in enumerate(program.rules.exclusive):
        for u in group:
            rules[u].append(("exclusive", number))
    for number, (a, b) in enumerate(program.rules.requires):
        rules[a].append(("requires", number, a))
        rules[b].append(("required", number, b))
    return [tuple(r) for r in rules]


def _connected(program: Program, correlation: np.ndarray, free: np.ndarray) -> list[np.ndarray]:
    owner = np.empty(program.n_columns, dtype=int)
    for u, columns in enumerate(program.units):
        owner[list(columns)] = u
    rows, columns = np.nonzero(np.abs(correlation) > _ZERO)
    touch = np.zeros((program.n_units, program.n_units), dtype=bool)
    touch[owner[rows], owner[columns]] = True
    for group in program.rules.exclusive:
        touch[np.ix_(group, group)] = True
    for a, b in program.rules.requires:
        touch[a, b] = touch[b, a] = True
    left = np.zeros(program.n_units, dtype=bool)
    left[free] = True
    found = []
    for unit in free:
        if not left[unit]:
            continue
        group = np.zeros(program.n_units, dtype=bool)
        new = np.array([unit])
        while len(new):
            group[new] = True
            new = np.flatnonzero(touch[new].any(axis=0) & left & ~group)
        left &= ~group
        found.append(np.flatnonzero(group))
    return found


def _block(
    program: Program, correlation: np.ndarray, scale: np.ndarray, group: np.ndarray, always: np.ndarray | None
) -> Block:  # fmt: skip
    atoms, pairs = _atoms(program, group)
    units = np.array([u for atom in atoms for u in atom])
    position = {int(u): i for i, u in enumerate(units)}
    owned = [[c for c in program.units[u] if scale[c] > 0] for u in units]
    columns = np.array([c for own in owned for c in own], dtype=int)
    at_most = None
    if always is not None and program.rules.at_most is not None:
        at_most = program.rules.at_most - int(always.sum())
    requires = ((a, b) for a, b in program.rules.requires if a in position and b in position)
    return Block(
        units=units,
        columns=columns,
        starts=np.concatenate([[0], np.cumsum([len(own) for own in owned])]).astype(np.int64),
        atom_starts=np.concatenate([[0], np.cumsum([len(atom) for atom in atoms])]).astype(np.int64),
        gram=np.ascontiguousarray(correlation[np.ix_(columns, columns)]),
        scale=scale[columns],
        cost=np.asarray(program.cost, dtype=np.float64)[units] / effect_cost(program),
        conflicts=tuple((position[a], position[b]) for a, b in pairs),
        requires=tuple((position[a], position[b]) for a, b in requires),
        at_most=at_most,
    )


def _atoms(program: Program, group: np.ndarray) -> tuple[list[tuple[int, ...]], list[tuple[int, int]]]:
    """Disjoint exclusive sets, the largest first, and the exclusive pairs that they do not cover."""
    members = {int(u) for u in group}
    tuples = sorted((tuple(sorted(set(g) & members)) for g in program.rules.exclusive), key=lambda g: (-len(g), g))
    atom_of: dict[int, tuple[int, ...]] = {}
    for candidate in tuples:
        if len(candidate) > 1 and not any(u in atom_of for u in candidate):
            atom_of.update(dict.fromkeys(candidate, candidate))
    pairs = {pair for g in tuples for pair in combinations(g, 2)}
    left = sorted((a, b) for a, b in pairs if atom_of.get(a) is None or atom_of.get(a) != atom_of.get(b))
    atoms = sorted({atom_of.get(u, (u,)) for u in members})
    return atoms, left
