"""Which inputs can matter for which rows of data: dependence read off the expressions, not off derivatives.

A random effect of the second occasion does nothing for a subject without one. Data items decide that: the branch an
IF takes, an indicator that is 0. A derivative that happens to be 0 somewhere proves nothing (an observation before
an estimated lag time), so values other than data are never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nlmevae.codegen.graph import Function
from nlmevae.codegen.print_numpy import link_numpy


def influence(function: Function, data: Mapping[str, np.ndarray], names: Sequence[str], n_rows: int) -> np.ndarray:
    """(n_rows, n_outputs, len(names)) bool: the output may depend on the input in that row.

    Args:
        data: inputs that are data, (n_rows,) each; every other input may have any value.
        names: the inputs asked about.
    """
    graph, nodes = function.graph, function.body()
    values = _data_values(function, data, n_rows)
    depends: dict[int, np.ndarray] = {}
    nothing = np.zeros((n_rows, len(names)), dtype=bool)
    for node in nodes:
        op, args, value = graph.nodes[node]
        if op == "input":
            depends[node] = nothing | np.array([name == value for name in names], dtype=bool)
        elif op == "select" and args[0] in values:
            taken = (values[args[0]] != 0.0)[:, None]
            depends[node] = np.where(taken, depends[args[1]], depends[args[2]])
        elif op in ("mul", "div"):
            left, right = (depends[a] for a in args)
            factors = args if op == "mul" else args[:1]
            alive = np.ones(n_rows, dtype=bool)
            for factor in factors:
                if factor in values:
                    alive &= values[factor] != 0.0
            depends[node] = (left | right) & alive[:, None]
        else:
            depends[node] = nothing if not args else np.logical_or.reduce([depends[a] for a in args])
    found = [depends[node] for node in function.output_nodes]
    return np.stack(found, axis=1) if found else np.zeros((n_rows, 0, len(names)), dtype=bool)


def _data_values(function: Function, data: Mapping[str, np.ndarray], n_rows: int) -> dict[int, np.ndarray]:
    """Values of the nodes that are computed from data and numbers alone."""
    graph = function.graph
    known: dict[int, None] = {}
    for node in function.body():
        op, args, value = graph.nodes[node]
        if (op == "input" and value in data) or (op != "input" and all(a in known for a in args)):
            known[node] = None
    outputs = tuple((f"node {node}", node) for node in known)
    evaluate = link_numpy(Function(name="data_values", graph=graph, inputs=tuple(data), outputs=outputs))
    table = np.broadcast_to(evaluate(*data.values())[0], (n_rows, len(known)))
    return {node: table[:, j] for j, node in enumerate(known)}
