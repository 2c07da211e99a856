"""Linear compartment systems as graphs: rate matrix and, where there are formulas, its spectral decomposition.

y' = M y + infusions. With M = -R diag(lambda) L and L = R^-1 the modal amounts w = L y decay
independently, w_q' = -lambda_q w_q; everything is written so that nothing cancels except where two
eigenvalues meet (there the kernel uses M itself, see linear_kernels). Derivatives come from
differentiating the graph, so there are no hand-written ones.

Compartments that exchange drug form a group, and groups feed each other in one direction only (LinearEquations.blocks):
the eigenvalues are those of the groups. Group by group,

    M_dd = -R_d diag(lambda_d) L_d,    (M + lambda) v = 0:  v_d = R_d diag(1 / (lambda_d - lambda)) L_d sum_u M_du v_u

for a mode that starts in a group u before d, and the same from the left.

Two compartments: alpha, beta = roots of s^2 - (a + d) s + a d - b c with M = [[-a, b], [c, -d]], in the form that is
stable for close and for distant roots: with e = (a - d) / 2 and r = sqrt(e^2 + b c), alpha - d = r + e and
d - beta = r - e have the product b c, so the larger one gives the other; and a d - b c = l1 l2 + l1 b + l2 c with
the losses l1 = a - c and l2 = d - b.

Groups of three compartments and more have a rate matrix only: their modes are found by number (linear_modes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlmevae.codegen.graph import Graph
from nlmevae.codegen.linear_equations import LinearEquations

Matrix = list[list[int]]

#: Compartments of the largest system with formulas; those of larger ones take long to compile.
_LARGEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSystem:
    """Nodes; rows and columns are compartments (`rate_matrix`), compartments by modes (`right`),
    modes by compartments (`left`).

    modes: "formula"; "number": to be found from the matrix; "none": two eigenvalues are the same always. All but the
    matrix is 0 unless there are formulas.
    """

    modes: Literal["formula", "number", "none"]
    eigenvalues: list[int]
    right: Matrix
    left: Matrix
    rate_matrix: Matrix

    @property
    def n_compartments(self) -> int:
        return len(self.rate_matrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A group of compartments with its own modes."""

    where: tuple[int, ...]
    eigenvalues: list[int]
    right: Matrix
    left: Matrix


def linear_system(graph: Graph, equations: LinearEquations) -> LinearSystem:
    """The system of the equations."""
    matrix, n = [list(row) for row in equations.matrix], len(equations.matrix)
    alone = [matrix[b[0]][b[0]] for b in equations.blocks if len(b) == 1]
    zero = graph.constant(0.0)
    unknown = [[zero] * n for _ in range(n)]
    if len(set(alone)) < len(alone):
        return LinearSystem(modes="none", eigenvalues=[zero] * n, right=unknown, left=unknown, rate_matrix=matrix)
    if n > _LARGEST or max(map(len, equations.blocks)) > 2:
        return LinearSystem(modes="number", eigenvalues=[zero] * n, right=unknown, left=unknown, rate_matrix=matrix)
    parts = [_part(graph, equations, block) for block in equations.blocks]
    right = _transposed([column for k in range(len(parts)) for column in _columns(graph, matrix, parts[k:])])
    left = [row for k in range(len(parts)) for row in _rows(graph, matrix, parts[: k + 1])]
    values = [value for part in parts for value in part.eigenvalues]
    return LinearSystem(modes="formula", eigenvalues=values, right=right, left=left, rate_matrix=matrix)


def _part(g: Graph, equations: LinearEquations, block: tuple[int, ...]) -> _Part:
    if len(block) == 2:
        return _two(g, equations, block)
    one = [[g.constant(1.0)]]
    return _Part(where=block, eigenvalues=[_neg(g, equations.matrix[block[0]][block[0]])], right=one, left=one)


def _two(g: Graph, equations: LinearEquations, block: tuple[int, ...]) -> _Part:
    one, (i, j), matrix = g.constant(1.0), block, equations.matrix
    into, out, last = matrix[i][j], matrix[j][i], _neg(g, matrix[j][j])
    half = g.mul(g.constant(0.5), g.sub(_neg(g, matrix[i][i]), last))
    exchange = g.mul(out, into)
    root = g.apply("sqrt", g.add(g.mul(half, half), exchange))
    fast_larger = g.apply("le", g.constant(0.0), half)
    above, below = g.add(root, half), g.sub(root, half)
    above, below = (
        g.select(fast_larger, above, g.div(exchange, below)),
        g.select(fast_larger, g.div(exchange, above), below),
    )
    lost, lost_last = equations.losses[i], equations.losses[j]
    product = g.add(g.mul(lost, g.add(into, lost_last)), g.mul(lost_last, out))
    alpha = g.add(last, above)
    beta = g.div(product, alpha)
    gap = g.mul(g.constant(2.0), root)
    return _Part(
        where=block,
        eigenvalues=[alpha, beta],
        right=[[one, one], [_neg(g, g.div(below, into)), g.div(above, into)]],
        left=[[g.div(above, gap), _neg(g, g.div(into, gap))], [g.div(below, gap), g.div(into, gap)]],
    )


def _columns(g: Graph, matrix: Matrix, parts: list[_Part]) -> Matrix:
    """Columns of R of the modes that start in the first of these groups."""
    n, first, found = len(matrix), parts[0], []
    for q, value in enumerate(first.eigenvalues):
        column = [g.constant(0.0)] * n
        for i, row in zip(first.where, first.right, strict=True):
            column[i] = row[q]
        for part in parts[1:]:
            fed = [_dot(g, matrix[i], column) for i in part.where]
            weights = [
                g.div(_dot(g, row, fed), g.sub(own, value))
                for row, own in zip(part.left, part.eigenvalues, strict=True)
            ]
            for i, row in zip(part.where, part.right, strict=True):
                column[i] = _dot(g, row, weights)
        found.append(column)
    return found


def _rows(g: Graph, matrix: Matrix, parts: list[_Part]) -> Matrix:
    """Rows of L of the modes that end in the last of these groups."""
    n, last, found = len(matrix), parts[-1], []
    for value, own_row in zip(last.eigenvalues, last.left, strict=True):
        row = [g.constant(0.0)] * n
        for j, entry in zip(last.where, own_row, strict=True):
            row[j] = entry
        for part in reversed(parts[:-1]):
            fed = [_dot(g, row, [matrix[i][j] for i in range(n)]) for j in part.where]
            weights = [
                g.div(_dot(g, fed, column), g.sub(own, value))
                for column, own in zip(_transposed(part.right), part.eigenvalues, strict=True)
            ]
            for j, column in zip(part.where, _transposed(part.left), strict=True):
                row[j] = _dot(g, weights, column)
        found.append(row)
    return found


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _neg(g: Graph, node: int) -> int:
    return g.apply("neg", node)


def _dot(g: Graph, left: list[int], right: list[int]) -> int:
    total = g.constant(0.0)
    for a, b in zip(left, right, strict=True):
        total = g.add(total, g.mul(a, b))
    return total
