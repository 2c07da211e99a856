"""Linear compartment systems as graphs: rate matrix and its spectral decomposition.

y' = M y + infusions. With M = -R diag(lambda) L and L = R^-1 the modal amounts w = L y decay
independently, w_q' = -lambda_q w_q; everything is written so that nothing cancels except where two
eigenvalues meet (there the kernel uses M itself, see linear_kernels). Derivatives come from
differentiating the graph, so there are no hand-written ones.

Two compartments: alpha, beta = roots of s^2 - (k10 + k12 + k21) s + k10 k21, in the form that is stable
for close and for distant roots: with d = (k10 + k12 - k21) / 2 and r = sqrt(d^2 + k12 k21),
alpha - k21 = r + d and k21 - beta = r - d have the product k12 k21, so the larger one gives the other.

Three compartments and general linear models have a rate matrix only: its modes are found by number
(linear_modes).
"""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.codegen.graph import Graph

Matrix = list[list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSystem:
    """Nodes; rows and columns are compartments (`rate_matrix`), compartments by modes (`right`),
    modes by compartments (`left`). Unless the closed form is one of `_FORMULAS`, all but the matrix is 0."""

    eigenvalues: list[int]
    right: Matrix
    left: Matrix
    rate_matrix: Matrix

    @property
    def n_compartments(self) -> int:
        return len(self.eigenvalues)


def linear_system(
    graph: Graph, closed_form: str, rates: list[int], flows: tuple[tuple[int, int], ...] = (), n: int = 0
) -> LinearSystem:
    """The system of a `StructuralModel.closed_form` with its rate constants as nodes; `flows` and number of
    compartments `n` are those of the structural model."""
    build = _FORMULAS.get(closed_form)
    return build(graph, *rates) if build else _by_flows(graph, rates, flows, n)


def has_formula(closed_form: str) -> bool:
    """Whether `linear_system` gives the modes."""
    return closed_form in _FORMULAS


def _by_flows(g: Graph, rates: list[int], flows: tuple[tuple[int, int], ...], n: int) -> LinearSystem:
    """Any compartments: M[j, i] is the rate constant from i to j, M[i, i] minus the sum of those out of i."""
    zero = g.constant(0.0)
    matrix, out = [[zero] * n for _ in range(n)], [zero] * n
    for rate, (source, to) in zip(rates, flows, strict=True):
        out[source - 1] = g.add(out[source - 1], rate)
        if to:
            matrix[to - 1][source - 1] = rate
    for i in range(n):
        matrix[i][i] = _neg(g, out[i])
    unknown = [[zero] * n for _ in range(n)]
    return LinearSystem(eigenvalues=[zero] * n, right=unknown, left=unknown, rate_matrix=matrix)


def _one(g: Graph, k: int) -> LinearSystem:
    one = [[g.constant(1.0)]]
    return LinearSystem(eigenvalues=[k], right=one, left=one, rate_matrix=[[_neg(g, k)]])


def _one_absorption(g: Graph, ka: int, k: int) -> LinearSystem:
    zero, one = g.constant(0.0), g.constant(1.0)
    share = g.div(ka, g.sub(ka, k))
    return LinearSystem(
        eigenvalues=[ka, k],
        right=[[one, zero], [_neg(g, share), one]],
        left=[[one, zero], [share, one]],
        rate_matrix=[[_neg(g, ka), zero], [ka, _neg(g, k)]],
    )


def _two(g: Graph, k: int, k12: int, k21: int) -> LinearSystem:
    one = g.constant(1.0)
    half = g.mul(g.constant(0.5), g.sub(g.add(k, k12), k21))
    exchange = g.mul(k12, k21)
    root = g.apply("sqrt", g.add(g.mul(half, half), exchange))
    fast_larger = g.apply("le", g.constant(0.0), half)
    above, below = g.add(root, half), g.sub(root, half)
    above, below = (
        g.select(fast_larger, above, g.div(exchange, below)),
        g.select(fast_larger, g.div(exchange, above), below),
    )
    alpha = g.add(k21, above)
    beta = g.div(g.mul(k, k21), alpha)
    gap = g.mul(g.constant(2.0), root)
    return LinearSystem(
        eigenvalues=[alpha, beta],
        right=[[one, one], [_neg(g, g.div(below, k21)), g.div(above, k21)]],
        left=[[g.div(above, gap), _neg(g, g.div(k21, gap))], [g.div(below, gap), g.div(k21, gap)]],
        rate_matrix=[[_neg(g, g.add(k, k12)), k21], [k12, _neg(g, k21)]],
    )


def _two_absorption(g: Graph, ka: int, k: int, k23: int, k32: int) -> LinearSystem:
    """Depot before a two-compartment block; v = L_block y_block = w - G depot with
    G_q = L_q,central ka / (ka - lambda_q)."""
    zero, one = g.constant(0.0), g.constant(1.0)
    block = _two(g, k, k23, k32)
    driven = [
        g.div(g.mul(row[0], ka), g.sub(ka, value)) for row, value in zip(block.left, block.eigenvalues, strict=True)
    ]
    return LinearSystem(
        eigenvalues=[ka, *block.eigenvalues],
        right=[[one, zero, zero], *([_neg(g, _dot(g, row, driven)), *row] for row in block.right)],
        left=[[one, zero, zero], *([share, *row] for share, row in zip(driven, block.left, strict=True))],
        rate_matrix=[[_neg(g, ka), zero, zero], [ka, *block.rate_matrix[0]], [zero, *block.rate_matrix[1]]],
    )


_FORMULAS = {"one": _one, "one_absorption": _one_absorption, "two": _two, "two_absorption": _two_absorption}


def _neg(g: Graph, node: int) -> int:
    return g.apply("neg", node)


def _dot(g: Graph, left: list[int], right: list[int]) -> int:
    total = g.constant(0.0)
    for a, b in zip(left, right, strict=True):
        total = g.add(total, g.mul(a, b))
    return total
