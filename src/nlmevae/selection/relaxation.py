"""The convex relaxation behind branch and bound: a diagonal of the Gram matrix pays for the binaries.

Split G = D + R with D positive definite, block-diagonal over the atoms (sets of units of which at most one is in), and
R positive semidefinite. For any point bbar, with a = q - R bbar,

    objective(z) >= -bbar'R bbar + sum_{u in} (cost_u - a_u' D_uu^-1 a_u)
                    + sum_{atoms not decided} min(0, min_u (cost_u - a_u' D_uu^-1 a_u))

because b'Rb lies above its tangent at bbar and each remaining term is minimised on its own. No big-M and no solver
tolerance enters: the formula holds at any bbar (perspective relaxation, Günlük and Linderoth, Math. Program. 124
(2010) 183-205; choice of D, Dong, Chen, Linderoth, arXiv:1510.06421; fixing variables by it, Atamtürk and Gómez,
ICML 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nlmevae.selection.components import Block

#: Below this smallest eigenvalue (atoms whitened) the columns are dependent and no positive definite D exists.
DEPENDENT = 1e-9
#: D is shrunk by this share against rounding.
_SHRINK = 1e-3
#: Share of the smallest eigenvalue that every D keeps at least.
_FLOOR = 0.25
_SMALLEST_BARRIER = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """In coordinates b' in which every D_uu is the identity, b = transform b'.

    Attributes:
        rest: R' (p, p).
        transform: (p, p), block-diagonal over units.
        curvature: (n_atoms,) largest eigenvalue of each atom's block of R'.
    """

    rest: np.ndarray
    transform: np.ndarray
    curvature: np.ndarray

    def linear(self, linear: np.ndarray) -> np.ndarray:
        return self.transform.T @ linear


def split(block: Block) -> Split | None:
    """Choose D to maximise its trace, atoms whitened; None where the columns are dependent."""
    edges = np.unique(block.starts[block.atom_starts])  # atoms that have columns
    gram = block.gram
    atom_gram = [gram[a:b, a:b] for a, b in pairwise(edges)]
    smallest = _smallest_eigenvalue(gram, edges)
    if smallest < DEPENDENT:
        return None
    floor = _FLOOR * smallest
    reserved = gram.copy()
    for (a, b), own in zip(pairwise(edges), atom_gram, strict=True):
        reserved[a:b, a:b] -= floor * own
    blocks = _barrier_ascent(reserved, edges)
    diagonal = np.zeros_like(gram)
    for (a, b), own, chosen in zip(pairwise(edges), atom_gram, blocks, strict=True):
        diagonal[a:b, a:b] = floor * own + chosen
    return split_by(block, _feasible(gram, diagonal))


def split_by(block: Block, diagonal: np.ndarray) -> Split:
    """The split with a given D (p, p), positive definite in the block of each unit."""
    transform = np.zeros_like(block.gram)
    for a, b in zip(block.starts[:-1], block.starts[1:], strict=True):
        if b == a + 1:
            transform[a, a] = 1.0 / np.sqrt(diagonal[a, a])
        elif b > a:
            transform[a:b, a:b] = np.linalg.inv(np.linalg.cholesky(diagonal[a:b, a:b])).T
    rest = transform.T @ (block.gram - diagonal) @ transform
    edges = block.starts[block.atom_starts]
    curvature = np.array([
        rest[a, a] if b == a + 1 else (np.linalg.eigvalsh(rest[a:b, a:b])[-1] if b > a else 0.0)
        for a, b in pairwise(edges)
    ])  # fmt: skip
    return Split(
        rest=np.ascontiguousarray(0.5 * (rest + rest.T)), transform=transform, curvature=np.maximum(curvature, 0.0)
    )


def lower_bound(
    block: Block, parts: Split, linear: np.ndarray, cost: np.ndarray, state: np.ndarray, point: np.ndarray
) -> float:
    """The bound above at `point` (p,) in the transformed coordinates; state (n,): 1 in, 0 out, -1 free."""
    pull = parts.rest @ point
    a = parts.linear(linear) - pull
    term = cost - np.add.reduceat(np.append(a**2, 0.0), block.starts)[:-1] * (np.diff(block.starts) > 0)
    total = -float(point @ pull)
    for first, last in zip(block.atom_starts[:-1], block.atom_starts[1:], strict=True):
        own, own_state = term[first:last], state[first:last]
        if (own_state == 1).any():
            total += float(own[own_state == 1].sum())
        else:
            total += min(0.0, float(own[own_state == -1].min(initial=0.0)))
    return total


def _smallest_eigenvalue(gram: np.ndarray, edges: np.ndarray) -> float:
    """Of G with every atom's block whitened."""
    whiten = np.zeros_like(gram)
    for a, b in pairwise(edges):
        values, vectors = np.linalg.eigh(gram[a:b, a:b])
        if values[0] < DEPENDENT:
            return 0.0
        whiten[a:b, a:b] = vectors / np.sqrt(values)
    return float(np.linalg.eigvalsh(whiten.T @ gram @ whiten)[0]) if len(gram) else 1.0


def _barrier_ascent(gram: np.ndarray, edges: np.ndarray) -> list[np.ndarray]:
    """maximise sum_g trace(G_gg^-1 D_g) + mu log det(G - D) over D_g psd, one block at a time, mu -> 0.

    With P = (G - D)^-1 the block's optimum has P_gg = G_gg^-1 / mu, that is D_g grows by P_gg^-1 - mu G_gg; P follows
    by a rank update.
    """
    ranges = [slice(a, b) for a, b in pairwise(edges)]
    own = [gram[r, r].copy() for r in ranges]
    blocks = [np.zeros_like(g) for g in own]
    inverse = np.linalg.inv(gram)
    if all(len(g) == 1 for g in own):
        from nlmevae.selection.tree_kernels import raise_diagonal

        levels = 0.3 ** np.arange(1, 2 + int(np.log(_SMALLEST_BARRIER) / np.log(0.3)))
        return [np.array([[d]]) for d in raise_diagonal(inverse, np.diag(gram).copy(), levels)]
    mu = 0.3
    while mu >= _SMALLEST_BARRIER:
        for _ in range(2):
            for g, r in enumerate(ranges):
                _raise_block(inverse, r, own[g], blocks[g], mu)
        mu *= 0.3
    return blocks


def _raise_block(inverse: np.ndarray, r: slice, own: np.ndarray, block: np.ndarray, mu: float) -> None:
    """One block's optimum: changes `inverse` and `block` in place."""
    p = inverse[r, r]
    wanted = block + np.linalg.inv(p) - mu * own
    values, vectors = np.linalg.eigh(0.5 * (wanted + wanted.T))
    step = (vectors * np.maximum(values, 0.0)) @ vectors.T - block
    columns = inverse[:, r].copy()
    block += step
    inverse += columns @ step @ np.linalg.solve(np.eye(len(p)) - p @ step, columns.T)


def _feasible(gram: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Shrink D until G - D is positive semidefinite to rounding."""
    diagonal = diagonal * (1.0 - _SHRINK)
    while len(gram) and np.linalg.eigvalsh(gram - diagonal)[0] < -1e-14 * len(gram):
        diagonal = diagonal * 0.98
    return diagonal
