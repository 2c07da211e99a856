"""Equations that are linear in the amounts, whatever wrote them: dA/dt = M A + r.

The right-hand side is read from the expression graph, node by node: every node is a sum over amounts of coefficient
times amount, and a rest. Sums add up; a product or quotient of it by something without amounts is one again; a branch
is one if its condition reads no amount; all else is none. Coefficients that read the time are none either, so M and r
are constant from one record to the next. No derivative is taken and nothing is evaluated: what is found is exact.

Coefficients are kept as sums of terms, so that what one compartment loses and another gains cancels: (CL + Q)/V1*A(1)
in one equation and Q/V1*A(1) in the other leave CL/V1 to be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.execute import substitute
from nlmevae.codegen.graph import Function, Graph

#: Node -> how often it is added (negative: subtracted).
_Sum = dict[int, int]
#: Amount (name; "" for what is without amounts) -> coefficient.
_Affine = dict[str, _Sum]

_REST = ""
_TIME = "T"
_MOST_TERMS = 12  # of a product written out; longer ones stay as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearEquations:
    """Nodes, functions of the individual parameters.

    Attributes:
        matrix: rows of M (m, m). Constant rates r are flows out of a further compartment, the last one, that holds 1.
        blocks: compartments (from 0) in groups that exchange drug among themselves, each group before those it feeds.
        losses: (m,) what leaves each compartment for another group or for good.
        n_amounts: compartments of the model, m without the further one.
    """

    matrix: tuple[tuple[int, ...], ...]
    blocks: tuple[tuple[int, ...], ...]
    losses: tuple[int, ...]
    n_amounts: int

    @property
    def has_source(self) -> bool:
        return len(self.matrix) > self.n_amounts

    def at(self, graph: Graph, individual: dict[str, int]) -> LinearEquations:
        """With the values of the parameters in their place."""

        def values(nodes: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(substitute(graph, node, individual) for node in nodes)

        return replace(self, matrix=tuple(map(values, self.matrix)), losses=values(self.losses))

    def keeps_drug(self, graph: Graph) -> bool:
        """There is a group that nothing leaves: regular doses pile up in it."""
        zero = graph.constant(0.0)
        return any(all(self.losses[j] == zero for j in block) for block in self.blocks)


def linear_equations(rhs: Function, n: int) -> LinearEquations | None:
    """Of the right-hand side of `n` compartments, inputs ``T``, ``A(1)`` .. ``A(n)`` and parameters; None if it is not
    linear."""
    graph, names = rhs.graph, tuple(f"A({k + 1})" for k in range(n))
    reader = _Reader(graph, names)
    slopes = [reader.read(node) for node in rhs.output_nodes]
    if any(slope is None for slope in slopes):
        return None
    columns = (*names, _REST) if any(slope.get(_REST) for slope in slopes) else names
    sums: list[list[_Sum]] = [[slope.get(name, {}) for name in columns] for slope in slopes]
    sums += [[{} for _ in columns] for _ in columns[n:]]
    blocks = _blocks(sums)
    lost: list[_Sum] = [{} for _ in columns]
    for block in blocks:
        for j in block:
            for i in block:
                lost[j] = _merged(lost[j], sums[i][j], -1)
    return LinearEquations(
        matrix=tuple(tuple(_node(graph, entry) for entry in row) for row in sums),
        blocks=blocks,
        losses=tuple(_node(graph, total) for total in lost),
        n_amounts=n,
    )


def _blocks(sums: list[list[_Sum]]) -> tuple[tuple[int, ...], ...]:
    n = len(sums)
    reached = np.array([[i == j or bool(sums[i][j]) for j in range(n)] for i in range(n)])  # i from j
    for k in range(n):
        reached |= np.outer(reached[:, k], reached[k])
    groups = {tuple(np.flatnonzero(row).tolist()) for row in reached & reached.T}
    return tuple(sorted(groups, key=lambda group: (int(reached[group[0]].sum()), group)))


class _Reader:
    """Nodes as sums over amounts; None: they are none."""

    def __init__(self, graph: Graph, amounts: Sequence[str]) -> None:
        self.graph, self.amounts = graph, frozenset(amounts)
        self.found: dict[int, _Affine | None] = {}

    def read(self, output: int) -> _Affine | None:
        for node in self.graph.reachable([output]):
            if node not in self.found:
                self.found[node] = self._of(node)
        return self.found[output]

    def _of(self, node: int) -> _Affine | None:
        op, args, value = self.graph.nodes[node]
        if op == "input":
            itself = {str(value): {self.graph.constant(1.0): 1}} if value in self.amounts else {_REST: {node: 1}}
            return None if value == _TIME else itself
        if op == "constant":
            return {_REST: {node: 1}} if value != 0.0 else {}
        parts = [self.found[a] for a in args]
        if any(part is None for part in parts):
            return None
        if op in ("add", "sub"):
            return _plus(parts[0], parts[1], 1 if op == "add" else -1)
        if op == "neg":
            return _plus({}, parts[0], -1)
        if op == "mul":
            return self._product(args, parts)
        if op == "div" and _is_free(parts[1]):
            return {name: self._spread(name, total, args[1], self.graph.div) for name, total in parts[0].items()}
        if op == "select" and _is_free(parts[0]):
            return self._either(args[0], parts[1], parts[2])
        return {_REST: {node: 1}} if all(map(_is_free, parts)) else None

    def _product(self, args: Sequence[int], parts: list[_Affine]) -> _Affine | None:
        if not any(map(_is_free, parts)):
            return None
        free = 0 if _is_free(parts[0]) else 1
        factor = parts[free].get(_REST, {})
        found: _Affine = {}
        for name, total in parts[1 - free].items():
            found[name] = {}
            if _one_sign(factor) and len(factor) * len(total) <= _MOST_TERMS:
                for term, count in factor.items():
                    more = self._spread(name, total, term, self._times)
                    found[name] = _merged(found[name], more, count)
            else:
                found[name] = self._spread(name, total, args[free], self._times)
        return found

    def _spread(self, name: str, total: _Sum, by: int, operation: Callable[[int, int], int]) -> _Sum:
        """The operation on every term. A difference without amounts stays one: its digits are those of the text."""
        if name == _REST and not _one_sign(total):
            return {operation(_node(self.graph, total), by): 1}
        found: _Sum = {}
        for term, count in total.items():
            found = _merged(found, {operation(term, by): count})
        return found

    def _times(self, a: int, b: int) -> int:
        """The product; 1/V times Q is Q/V, as it is where the text has it so."""
        one = self.graph.constant(1.0)
        for inverse, other in ((a, b), (b, a)):
            op, args, _ = self.graph.nodes[inverse]
            if op == "div" and args[0] == one:
                return self.graph.div(other, args[1])
        return self.graph.mul(a, b)

    def _either(self, condition: int, then: _Affine, otherwise: _Affine) -> _Affine:
        found: _Affine = {}
        for name in dict.fromkeys((*then, *otherwise)):
            a, b = then.get(name, {}), otherwise.get(name, {})
            chosen = {self.graph.select(condition, _node(self.graph, a), _node(self.graph, b)): 1}
            found[name] = a if a == b else chosen
        return found


def _is_free(part: _Affine) -> bool:
    """Without amounts."""
    return all(name == _REST for name in part)


def _plus(a: _Affine, b: _Affine, sign: int) -> _Affine:
    found = {name: _merged(a.get(name, {}), b.get(name, {}), sign) for name in dict.fromkeys((*a, *b))}
    return {name: total for name, total in found.items() if total}


def _merged(a: _Sum, b: _Sum, sign: int = 1) -> _Sum:
    found = dict(a)
    for term, count in b.items():
        found[term] = found.get(term, 0) + sign * count
    return {term: count for term, count in found.items() if count}


def _one_sign(total: _Sum) -> bool:
    return len({count > 0 for count in total.values()}) <= 1


def _node(graph: Graph, total: _Sum) -> int:
    added, taken = graph.constant(0.0), graph.constant(0.0)
    for term, count in total.items():
        times = graph.mul(graph.constant(float(abs(count))), term)
        if count > 0:
            added = graph.add(added, times)
        else:
            taken = graph.add(taken, times)
    return graph.sub(added, taken)
