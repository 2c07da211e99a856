"""Lower bounds of the residual sum of squares that are linear in the supports: perspective cuts.

Split G = D + (G - D), both positive semidefinite, D block-diagonal over groups of units of which at most one is in
(a group is one unit, or the alternatives of one relation). For every point bbar and allowed support z

    ||c - R b||^2 >= c'c - bbar'(G - D)bbar - sum_u z_u a_u' D_uu^-1 a_u,    a = q - (G - D) bbar,

for all b that z allows: the first part is the tangent of the convex form b'(G - D)b, the second the minimum over
b_u of b_u'D_uu b_u - 2 a_u'b_u. Equality holds at an integer z with bbar its least-squares fit. No big-M and no
tolerance enters: the bound is a closed formula (perspective reformulation, Günlük and Linderoth, Math. Program. 124
(2010) 183-205; as screening rule, Atamtürk and Gómez, ICML 2020).

D = t_g G_gg per group, with t as large as G - D stays positive semidefinite (log-barrier Newton). Groups that take
part in an exact linear dependence across groups get t = 0: their columns are free in the bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from nlmevae.selection.normal_form import PIVOT, NormalForm

#: D is shrunk by this share against rounding in the semidefinite condition.
_SHRINK = 1e-3
#: Largest gradient on free columns, relative to the linear term.
_STATIONARY = 1e-9
#: Where the barrier stops: sum t is then within about twice this times the number of columns of its maximum.
_LAST_MU = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """rss >= level - sum_u z_u weight_u for every allowed support; weight (n_units,) >= 0. Unit costs."""

    level: float
    weight: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """gram G, linear q, rest G - D (n, n); total c'c; blocks: D_uu of every unit; free: columns with D = 0."""

    form: NormalForm
    gram: np.ndarray
    linear: np.ndarray
    rest: np.ndarray
    total: float
    blocks: tuple[np.ndarray, ...]
    free: np.ndarray


def split(form: NormalForm, exclusive: tuple[tuple[int, ...], ...]) -> Split:
    """Choose D. exclusive: groups of units of which at most one is in (overlapping ones: the first counts)."""
    gram = form.gram
    groups = _column_groups(form, exclusive)
    share = _shares(gram, groups)
    diagonal = np.zeros_like(gram)
    for t, group in zip(share, groups, strict=True):
        diagonal[np.ix_(group, group)] = t * gram[np.ix_(group, group)]
    lowest = np.linalg.eigvalsh(gram - diagonal)[0] if len(gram) else 0.0
    if lowest < -1e-9:
        diagonal *= 0.0
    free = np.ones(len(gram), dtype=bool)
    for t, group in zip(share, groups, strict=True):
        free[group] = t == 0 or lowest < -1e-9
    return Split(
        form=form,
        gram=gram,
        linear=form.linear,
        rest=gram - diagonal,
        total=float(form.target @ form.target),
        blocks=tuple(diagonal[np.ix_(unit, unit)] for unit in form.units),
        free=free,
    )


def cut_at(parts: Split, bbar: np.ndarray) -> Cut:
    """The cut of a point. On free columns bbar must be stationary, q - G bbar = 0; where rounding spoils that, the
    cut says nothing."""
    form = parts.form
    a = parts.linear - parts.rest @ bbar
    if np.max(np.abs(a[parts.free]), initial=0.0) > _STATIONARY * max(1.0, np.max(np.abs(parts.linear))):
        return Cut(level=0.0, weight=np.zeros(len(form.units)))
    weight = np.zeros(len(form.units))
    for u, unit in enumerate(form.units):
        columns = list(unit)
        if columns and not parts.free[columns[0]]:
            weight[u] = a[columns] @ np.linalg.solve(parts.blocks[u], a[columns])
    return Cut(level=parts.total - float(bbar @ parts.rest @ bbar), weight=weight)


def point_of_support(parts: Split, support: np.ndarray) -> np.ndarray:
    """Least squares on a support and all free columns, (n,)."""
    inside = parts.free.copy()
    for u in np.flatnonzero(support):
        inside[list(parts.form.units[u])] = True
    return _least_squares(parts, parts.gram, np.flatnonzero(inside))


def point_of_weights(parts: Split, z: np.ndarray) -> np.ndarray:
    """The minimiser of b'(G - D)b - 2 q'b + sum_u b_u'D_uu b_u / z_u for fractional z, (n,)."""
    matrix = parts.rest.copy()
    inside = parts.free.copy()
    for u, unit in enumerate(parts.form.units):
        columns = list(unit)
        if columns and z[u] > 1e-9:
            matrix[np.ix_(columns, columns)] += parts.blocks[u] / z[u]
            inside[columns] = True
    return _least_squares(parts, matrix, np.flatnonzero(inside))


def relax(parts: Split, state: np.ndarray, *, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """About the best fractional z, and its b, under no rule but `state`, by alternating exact minimisation.

    Args:
        state: (n_units,) of 1 in, 0 out, -1 free.
    """
    form = parts.form
    z = np.where(state == 0, 0.0, 1.0)
    moving = [
        (u, list(form.units[u]))
        for u in np.flatnonzero(state < 0)
        if form.units[u] and form.cost[u] > 0 and not parts.free[form.units[u][0]]
    ]
    b = point_of_weights(parts, z)
    for _ in range(rounds):
        for u, columns in moving:
            z[u] = min(1.0, np.sqrt(max(b[columns] @ parts.blocks[u] @ b[columns], 0.0) / form.cost[u]))
        b = point_of_weights(parts, z)
    return z, b


def bound_of(parts: Split, cut: Cut, state: np.ndarray) -> float:
    """What every support of this state is worth at least, by one cut."""
    change = parts.form.cost - cut.weight
    return cut.level + float(np.where(state == 1, change, np.where(state == 0, 0.0, np.minimum(change, 0.0))).sum())


def monotone_cut(rss: float, support: np.ndarray) -> Cut:
    """rss falls only if a unit outside `support` enters: the cut that needs no split."""
    return Cut(level=rss, weight=np.where(support, 0.0, rss))


def strengthen(cut: Cut, forced: np.ndarray) -> Cut:
    """The same cut with forced units moved into the level and no weight above it: rss >= 0 holds anyway, so a
    larger weight only weakens the fractional solutions."""
    level = cut.level - float(cut.weight[forced].sum())
    weight = np.where(forced, 0.0, np.minimum(cut.weight, max(level, 0.0)))
    return Cut(level=level, weight=weight)


def _least_squares(parts: Split, matrix: np.ndarray, inside: np.ndarray) -> np.ndarray:
    b = np.zeros(len(parts.linear))
    if len(inside):
        block, linear = matrix[np.ix_(inside, inside)], parts.linear[inside]
        if parts.free.any():  # they may depend on each other
            b[inside] = np.linalg.lstsq(block, linear, rcond=PIVOT)[0]
        else:
            b[inside] = np.linalg.solve(block, linear)
    return b


def _column_groups(form: NormalForm, exclusive: tuple[tuple[int, ...], ...]) -> list[list[int]]:
    grouped: set[int] = set()
    groups = []
    for alternatives in exclusive:
        members = [u for u in dict.fromkeys(alternatives) if u not in grouped and form.units[u]]
        grouped.update(members)
        groups.append([j for u in members for j in form.units[u]])
    groups += [list(unit) for u, unit in enumerate(form.units) if u not in grouped]
    return [g for g in groups if g]


def _shares(gram: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """t (n_groups,): maximise sum_g rank_g t_g with G - sum_g t_g G_gg positive semidefinite."""
    whiten, sizes = _whitening(gram, groups)
    white = whiten @ gram @ whiten.T
    row_group = np.repeat(np.arange(len(groups)), sizes)
    share = np.zeros(len(groups))
    values, vectors = np.linalg.eigh(white)
    null = vectors[:, values < 1e-9]
    touched = np.linalg.norm(null, axis=1) > 1e-6 if null.size else np.zeros(len(white), dtype=bool)
    free = np.isin(row_group, row_group[touched])
    keep = np.flatnonzero(~free)
    if not len(keep):
        return share
    core = white[np.ix_(keep, keep)]
    if free.any():
        across = white[np.ix_(keep, np.flatnonzero(free))]
        core = core - across @ np.linalg.pinv(white[np.ix_(free, free)], rcond=1e-9, hermitian=True) @ across.T
    names, member = np.unique(row_group[keep], return_inverse=True)
    share[names] = _barrier(core, member, np.bincount(member)) * (1 - _SHRINK)
    return share


def _whitening(gram: np.ndarray, groups: list[list[int]]) -> tuple[np.ndarray, list[int]]:
    """W (rows, n) with W_g G_gg W_g' = identity on the range of each G_gg, and its rows per group."""
    rows, order = [], []
    for group in groups:
        values, vectors = np.linalg.eigh(gram[np.ix_(group, group)])
        used = values > PIVOT
        rows.append((vectors[:, used] / np.sqrt(values[used])).T)
        order += group
    whiten = np.zeros((sum(len(r) for r in rows), len(gram)))
    whiten[:, order] = block_diag(*rows)
    return whiten, [len(r) for r in rows]


def _barrier(core: np.ndarray, member: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """maximise sizes't + mu (log det(core - diag(t[member])) + sum log t), mu -> 0, by damped Newton steps."""
    t = np.full(len(sizes), 0.5 * max(np.linalg.eigvalsh(core)[0], 1e-12))
    mu = 1.0
    while mu > _LAST_MU:
        for _ in range(10):
            inverse = np.linalg.inv(core - np.diag(t[member]))
            gradient = sizes - mu * np.bincount(member, weights=np.diag(inverse)) + mu / t
            hessian = np.diag(mu / t**2)
            np.add.at(hessian, (member[:, None], member[None, :]), mu * inverse**2)
            step = np.linalg.solve(hessian, gradient)
            t = _feasible_step(core, member, t, step)
            if gradient @ step < mu:
                break
        mu *= 0.1
    return t


def _feasible_step(core: np.ndarray, member: np.ndarray, t: np.ndarray, step: np.ndarray) -> np.ndarray:
    length = 1.0
    while length > 1e-6:
        trial = t + length * step
        if trial.min() > 0 and _positive_definite(core - np.diag(trial[member])):
            return t + (1.0 if length == 1.0 else 0.9) * length * step
        length *= 0.7
    return t


def _positive_definite(matrix: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
