"""Parts all kernels share: workspace access, and the right-hand side of amounts and sensitivities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nlmevae.codegen.graph import Graph
from nlmevae.codegen.print_llvm import Emitter
from nlmevae.decoder.layout import Layout, slope_nodes

Values = dict[int, str]  # graph node -> operand
Block = list[str]  # n amounts, then sensitivities


def load_inputs(emit: Emitter, graph: Graph, names: Sequence[str], start: int) -> Values:
    return {graph.input(name): emit.load(start + i) for i, name in enumerate(names)}


def load_block(emit: Emitter, layout: Layout, name: str) -> Block:
    size = layout.form.n_compartments + len(layout.sensitivities)
    return [emit.load(layout.start[name] + i) for i in range(size)]


def store_block(emit: Emitter, layout: Layout, name: str, block: Block) -> None:
    for i, value in enumerate(block):
        emit.store(layout.start[name] + i, value)


def load_static(emit: Emitter, layout: Layout) -> Values:
    graph = layout.form.rhs.graph
    return {node: emit.from_double(graph, node, emit.load(slot)) for node, slot in layout.static.items()}


def right_hand_side(emit: Emitter, layout: Layout, static: Values, time: str, block: Block) -> Block:
    """Slopes of amounts and sensitivities, with the running infusions."""
    graph, n = layout.form.rhs.graph, layout.form.n_compartments
    values = {**static, graph.input("T"): time}
    values |= {graph.input(name): block[i] for i, name in enumerate(layout.states)}
    emit.evaluate(graph, slope_nodes(layout), values)
    forcing = layout.start["forcing"]
    slopes = [
        emit.add(emit.as_double(graph, node, values), emit.load(forcing + i))
        for i, node in enumerate(layout.form.rhs.output_nodes)
    ]
    position = {pair: n + index for index, pair in enumerate(layout.sensitivities)}
    running = {pair: forcing + n + index for index, pair in enumerate(layout.forcing_sensitivities)}
    for i, k in layout.sensitivities:
        terms = [
            (factor(graph, node, values), block[position[j, k]])
            for (row, j), node in layout.rhs_by_state.items()
            if row == i and (j, k) in position
        ]
        terms += parameter_terms(emit, layout, graph, layout.rhs_by_parameter, values, i, k)
        slope = emit.sum_of_products(terms) or emit.constant(0.0)
        slopes.append(emit.add(slope, emit.load(running[i, k])) if (i, k) in running else slope)
    return slopes


def parameter_terms(
    emit: Emitter, layout: Layout, graph: Graph, entries: Mapping[tuple[int, int], int], values: Values, i: int, k: int
) -> list[tuple[str | float, str | float]]:
    """Factors of sum over m of (d function_i / d p_m) (d p_m / d x_k)."""
    terms = []
    individual = layout.form.individual.graph
    for (row, m), node in entries.items():
        inner = layout.parameter_by_input.get((m, k)) if row == i else None
        if inner is not None:
            known = individual.value_of(inner)
            derivative = emit.load(layout.parameter_by_input_slot[m, k]) if known is None else known
            terms.append((factor(graph, node, values), derivative))
    return terms


def factor(graph: Graph, node: int, values: Values) -> str | float:
    known = graph.value_of(node)
    return values[node] if known is None else known
