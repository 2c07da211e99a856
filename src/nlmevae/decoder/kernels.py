"""The model's machine code: one LLVM module with the kernels the engine calls.

    setup     inputs, covariates, switches -> parameters, their derivatives, fixed parts of the right-hand side
    initial   parameters -> amounts and sensitivities at the start (into state_out)
    slope     time, state -> slope
    advance   steps until a row needs the engine; returns bit w: lane w reached its wake
              time, bit 8 + w: lane w failed
    accept    take over the step `advance` stopped at
    dense     output_time -> state inside that step (into state_out)
    output    state_out, record items -> predictions and their derivatives

State blocks hold n amounts, then the sensitivities of layout.sensitivities:
dS/dt = J S + (d rhs / d p) (d p / d x).
"""

from __future__ import annotations

from collections.abc import Callable

from nlmevae.codegen.print_llvm import Emitter, module
from nlmevae.decoder import explicit_step, rosenbrock_step
from nlmevae.decoder.layout import Layout
from nlmevae.decoder.slopes import (
    factor,
    load_block,
    load_inputs,
    load_static,
    parameter_terms,
    right_hand_side,
    store_block,
)

KERNELS = ("setup", "initial", "slope", "advance", "accept", "dense", "output")


def print_kernels(layout: Layout, width: int) -> str:
    """The module's LLVM IR."""
    step = rosenbrock_step if layout.implicit else explicit_step
    printers: dict[str, Callable[[Emitter, Layout], None]] = {
        "setup": _setup, "initial": _initial, "slope": _slope, "advance": step.advance,
        "accept": step.accept, "dense": step.dense, "output": _output,
    }  # fmt: skip
    functions, used = [], set()
    for name in KERNELS:
        emit = Emitter(width)
        printers[name](emit, layout)
        if name != "advance":
            emit.put("  ret i64 0")
        functions.append(emit.function(name))
        used |= emit.used
    return module(functions, used, width)


# parameters and initial state --------------------------------------------------------------------
def _setup(emit: Emitter, layout: Layout) -> None:
    form, graph = layout.form, layout.form.individual.graph
    values = load_inputs(emit, graph, form.input_names, layout.start["input"])
    values |= load_inputs(emit, graph, form.covariates, layout.start["covariate"])
    values |= load_inputs(emit, graph, form.switches, layout.start["switch"])
    nodes = form.individual.output_nodes
    emit.evaluate(graph, [*nodes, *layout.parameter_by_input.values()], values)
    parameters = [emit.as_double(graph, node, values) for node in nodes]
    for m, value in enumerate(parameters):
        emit.store(layout.start["parameter"] + m, value)
    for entry, node in layout.parameter_by_input.items():
        if node not in nodes:
            emit.store(layout.parameter_by_input_slot[entry], emit.as_double(graph, node, values))
    graph = form.rhs.graph
    scope = {graph.input(name): value for name, value in zip(form.parameters, parameters, strict=True)}
    emit.evaluate(graph, layout.static, scope)
    for node, slot in layout.static.items():
        if graph.nodes[node].op != "input":
            emit.store(slot, emit.as_double(graph, node, scope))


def _initial(emit: Emitter, layout: Layout) -> None:
    form, graph = layout.form, layout.form.initial.graph
    values = load_inputs(emit, graph, form.parameters, layout.start["parameter"])
    emit.evaluate(graph, [*form.initial.output_nodes, *layout.initial_by_parameter.values()], values)
    for i, node in enumerate(form.initial.output_nodes):
        emit.store(layout.start["state_out"] + i, emit.as_double(graph, node, values))
    for index, (i, k) in enumerate(layout.sensitivities):
        terms = parameter_terms(emit, layout, graph, layout.initial_by_parameter, values, i, k)
        value = emit.sum_of_products(terms) or emit.constant(0.0)
        emit.store(layout.start["state_out"] + form.n_compartments + index, value)


# right-hand side ---------------------------------------------------------------------------------
def _slope(emit: Emitter, layout: Layout) -> None:
    block = load_block(emit, layout, "state")
    slope = right_hand_side(emit, layout, load_static(emit, layout), emit.load(layout.scalar["time"]), block)
    store_block(emit, layout, "slope", slope)


# observations ------------------------------------------------------------------------------------
def _output(emit: Emitter, layout: Layout) -> None:
    form, graph, n = layout.form, layout.form.output.graph, layout.form.n_compartments
    block = load_block(emit, layout, "state_out")
    values = load_inputs(emit, graph, form.record_items, layout.start["record"])
    values |= load_inputs(emit, graph, form.parameters, layout.start["parameter"])
    values |= {graph.input(name): block[i] for i, name in enumerate(layout.states)}
    values[graph.input("T")] = emit.load(layout.scalar["output_time"])
    nodes = form.output.output_nodes
    emit.evaluate(graph, [*nodes, *layout.output_by_state.values(), *layout.output_by_parameter.values()], values)
    for o, node in enumerate(nodes):
        emit.store(layout.start["output"] + o, emit.as_double(graph, node, values))
    position = {pair: n + index for index, pair in enumerate(layout.sensitivities)}
    for index, (o, k) in enumerate(layout.output_sensitivities):
        terms = [
            (factor(graph, node, values), block[position[i, k]])
            for (row, i), node in layout.output_by_state.items()
            if row == o and (i, k) in position
        ]
        terms += parameter_terms(emit, layout, graph, layout.output_by_parameter, values, o, k)
        emit.store(layout.start["output_sens"] + index, emit.sum_of_products(terms) or emit.constant(0.0))
