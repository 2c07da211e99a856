"""Where every quantity of a row lives in the workspace the compiled kernels share with the engine.

The workspace is an array (n_slots, W): slot s of lane w belongs to the row lane w is working on. Which
sensitivities exist is decided here: only pairs (state, input) that can differ from zero get a slot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.latent_form import LatentForm

#: Scalars of a row, in slot order.
SCALARS = (
    "time", "step", "stop", "wake", "active", "n_steps", "max_steps", "rtol", "atol_growth",
    "step_used", "step_next", "time_new", "accepted", "output_time",
)  # fmt: skip

Entries = dict[tuple[int, int], int]  # (row, column) -> graph node, or -> slot


@dataclass(slots=True)
class Layout:
    """Slots and sparsity of one model.

    Attributes:
        wrt: inputs the sensitivities refer to (all, or none for plain predictions).
        implicit: for the Rosenbrock method, which needs the derivatives below marked with (R).
        parameter_by_input: (parameter, input) -> node of the derivative of `individual`.
        rhs_by_state, rhs_by_parameter, initial_by_parameter, output_by_state, output_by_parameter:
            sparse Jacobians, index pairs -> node.
        time_slope: d rhs / dT (R); time_slope_by_state, time_slope_by_parameter: its Jacobians (R).
        bend_by_state, bend_by_parameter: Jacobians of J v for a fixed vector v = V(1) .. V(n) (R).
        sensitivities: (state, input) pairs in slot order; forcing_sensitivities: those of running infusions, whose
            rate may be modelled. output_sensitivities: (output, input).
        static: nodes of the right-hand side that do not depend on time and state -> slot.
    """

    form: LatentForm
    wrt: tuple[str, ...]
    implicit: bool = False
    parameter_by_input: Entries = field(default_factory=dict)
    rhs_by_state: Entries = field(default_factory=dict)
    rhs_by_parameter: Entries = field(default_factory=dict)
    initial_by_parameter: Entries = field(default_factory=dict)
    output_by_state: Entries = field(default_factory=dict)
    output_by_parameter: Entries = field(default_factory=dict)
    time_slope: dict[int, int] = field(default_factory=dict)
    time_slope_by_state: Entries = field(default_factory=dict)
    time_slope_by_parameter: Entries = field(default_factory=dict)
    bend_by_state: Entries = field(default_factory=dict)
    bend_by_parameter: Entries = field(default_factory=dict)
    sensitivities: list[tuple[int, int]] = field(default_factory=list)
    forcing_sensitivities: list[tuple[int, int]] = field(default_factory=list)
    output_sensitivities: list[tuple[int, int]] = field(default_factory=list)
    static: dict[int, int] = field(default_factory=dict)
    scalar: dict[str, int] = field(default_factory=dict)
    start: dict[str, int] = field(default_factory=dict)
    parameter_by_input_slot: Entries = field(default_factory=dict)
    size: int = 0

    @property
    def vector(self) -> tuple[str, ...]:
        """Names of the auxiliary inputs v."""
        return tuple(f"V({i + 1})" for i in range(self.form.n_compartments))

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(f"A({i + 1})" for i in range(self.form.n_compartments))

    def input_parameters(self) -> dict[int, set[int]]:
        """Inputs each parameter depends on."""
        depends: dict[int, set[int]] = {m: set() for m in range(len(self.form.parameters))}
        for m, k in self.parameter_by_input:
            depends[m].add(k)
        return depends


def make_layout(form: LatentForm, wrt: tuple[str, ...], *, implicit: bool = False) -> Layout:
    """Differentiate the model's functions, find the non-zero sensitivities, number the slots."""
    layout = Layout(form=form, wrt=wrt, implicit=implicit)
    parameters = form.parameters if wrt else ()
    layout.parameter_by_input = _jacobian(form.individual, wrt)
    if wrt or implicit:
        layout.rhs_by_state = _jacobian(form.rhs, layout.states)
    if wrt:
        layout.output_by_state = _jacobian(form.output, layout.states)
    layout.rhs_by_parameter = _jacobian(form.rhs, parameters)
    layout.initial_by_parameter = _jacobian(form.initial, parameters)
    layout.output_by_parameter = _jacobian(form.output, parameters)
    if implicit:
        _differentiate_twice(layout, parameters)
    layout.forcing_sensitivities = _forcing_sensitivities(layout)
    layout.sensitivities = [(i, k) for i, k in _reachable_sensitivities(layout) if i in _seen_states(layout)]
    layout.output_sensitivities = _output_sensitivities(layout)
    _number_slots(layout)
    return layout


def _jacobian(function: Function, wrt: tuple[str, ...]) -> Entries:
    rows = {name: i for i, name in enumerate(function.output_names)}
    columns = {name: j for j, name in enumerate(wrt)}
    return {(rows[o], columns[i]): node for (o, i), node in function.jacobian(wrt).items()}


def _differentiate_twice(layout: Layout, parameters: tuple[str, ...]) -> None:
    graph, form = layout.form.rhs.graph, layout.form
    slopes = graph.tangents(form.rhs.output_nodes, {graph.input("T"): graph.constant(1.0)})
    zero = graph.constant(0.0)
    layout.time_slope = {i: node for i, node in enumerate(slopes) if node != zero}
    products = [zero] * form.n_compartments
    for (i, j), node in layout.rhs_by_state.items():
        products[i] = graph.add(products[i], graph.mul(node, graph.input(layout.vector[j])))
    if parameters:
        time, bend = (_function(graph, nodes) for nodes in (slopes, products))
        layout.time_slope_by_state = _jacobian(time, layout.states)
        layout.time_slope_by_parameter = _jacobian(time, parameters)
        layout.bend_by_state = _jacobian(bend, layout.states)
        layout.bend_by_parameter = _jacobian(bend, parameters)


def _function(graph: Graph, nodes: list[int]) -> Function:
    outputs = tuple((f"y{i}", node) for i, node in enumerate(nodes))
    return Function(name="derivatives", graph=graph, inputs=(), outputs=outputs)


def _forcing_sensitivities(layout: Layout) -> list[tuple[int, int]]:
    """(compartment, input) pairs of infusions whose rate depends on inputs: R, or F amount / D."""
    depends, pairs = layout.input_parameters(), set()
    for target in layout.form.dosing:
        names = [target.rate, target.duration, target.bioavailability if target.duration else None]
        pairs |= {(target.compartment - 1, k) for name in names if name for k in depends[_index(layout, name)]}
    return sorted(pairs)


def _reachable_sensitivities(layout: Layout) -> list[tuple[int, int]]:
    """(state, input) pairs that can become non-zero: sources, then closure through the state Jacobian."""
    depends = layout.input_parameters()
    pairs = {(i, k) for i, m in (*layout.rhs_by_parameter, *layout.initial_by_parameter) for k in depends[m]}
    pairs.update(layout.forcing_sensitivities)
    for target in layout.form.dosing:
        compartment = target.compartment - 1
        for k in depends[_index(layout, target.bioavailability)] if target.bioavailability else ():
            pairs.add((compartment, k))
        # a lagged dose moves in time: every slope that jumps with the dosed amount gets a sensitivity
        for k in depends[_index(layout, target.lag)] if target.lag else ():
            pairs.add((compartment, k))
            pairs.update((i, k) for i, j in layout.rhs_by_state if j == compartment)
    for switch, time in zip(layout.form.switches, layout.form.model_times, strict=True):
        jumping = _switched_states(layout, switch)
        pairs.update((i, k) for k in depends[_index(layout, time)] for i in jumping)
    frontier = list(pairs)
    while frontier:
        state, k = frontier.pop()
        for i, j in layout.rhs_by_state:
            if j == state and (i, k) not in pairs:
                pairs.add((i, k))
                frontier.append((i, k))
    return sorted(pairs)


def _switched_states(layout: Layout, switch: str) -> list[int]:
    """States whose slope jumps where the switch turns."""
    individual, rhs = layout.form.individual, layout.form.rhs
    turned = {name for name, node in individual.outputs if switch in individual.graph.inputs_of([node])}
    return [i for i, node in enumerate(rhs.output_nodes) if rhs.graph.inputs_of([node]) & turned]


def _seen_states(layout: Layout) -> set[int]:
    """States that the predictions depend on, at once or through others."""
    seen = {i for _, i in layout.output_by_state}
    frontier = list(seen)
    while frontier:
        state = frontier.pop()
        for i, j in layout.rhs_by_state:
            if i == state and j not in seen:
                seen.add(j)
                frontier.append(j)
    return seen


def _index(layout: Layout, parameter: str) -> int:
    return layout.form.parameters.index(parameter)


def _output_sensitivities(layout: Layout) -> list[tuple[int, int]]:
    depends = layout.input_parameters()
    pairs = {(o, k) for o, m in layout.output_by_parameter for k in depends[m]}
    pairs.update((o, k) for o, i in layout.output_by_state for j, k in layout.sensitivities if i == j)
    return sorted(pairs)


def _number_slots(layout: Layout) -> None:
    form, n, n_sens = layout.form, layout.form.n_compartments, len(layout.sensitivities)
    layout.scalar = {name: i for i, name in enumerate(SCALARS)}
    layout.size = len(SCALARS)
    block = n + n_sens
    sizes = {
        "input": form.n_inputs, "covariate": len(form.covariates), "switch": len(form.switches),
        "record": len(form.record_items),
        "parameter": len(form.parameters), "atol": n,
        "forcing": n + len(layout.forcing_sensitivities), "state": block, "slope": block,
        "stage1": block, "stage2": block, "stage3": block, "stage4": block, "stage5": block, "state_new": block,
        "state_out": block, "output": len(form.observed), "output_sens": len(layout.output_sensitivities),
    }  # fmt: skip
    for name, size in sizes.items():
        layout.start[name] = layout.size
        layout.size += size
    own = {node: layout.start["parameter"] + m for m, node in enumerate(form.individual.output_nodes)}
    for entry, node in layout.parameter_by_input.items():  # d exp(z)/dz is exp(z): share the slot
        layout.parameter_by_input_slot[entry] = own[node] if node in own else _new_slot(layout)
    _place_static(layout)


def _new_slot(layout: Layout) -> int:
    layout.size += 1
    return layout.size - 1


def _place_static(layout: Layout) -> None:
    """Give a slot to each largest subexpression of the right-hand side that is fixed between events."""
    rhs = layout.form.rhs
    graph, nodes = rhs.graph, [*slope_nodes(layout), *step_nodes(layout)]
    moving_inputs = {"T", *layout.states, *layout.vector}
    parameter = {graph.input(p): layout.start["parameter"] + m for m, p in enumerate(layout.form.parameters)}
    moving: set[int] = set()
    frontier: list[int] = list(nodes)
    for node in graph.reachable(nodes):
        op, args, value = graph.nodes[node]
        if (op == "input" and value in moving_inputs) or any(a in moving for a in args):
            moving.add(node)
            frontier.extend(args)
    for node in sorted(set(frontier) - moving):
        if graph.nodes[node].op != "constant":
            layout.static[node] = parameter[node] if node in parameter else _new_slot(layout)


def slope_nodes(layout: Layout) -> list[int]:
    """Nodes of the right-hand side and, for sensitivities, of its Jacobians."""
    jacobian = layout.rhs_by_state.values() if layout.wrt else ()
    return [*layout.form.rhs.output_nodes, *jacobian, *layout.rhs_by_parameter.values()]


def step_nodes(layout: Layout) -> list[int]:
    """Nodes the Rosenbrock method needs once per step, at its start."""
    if not layout.implicit:
        return []
    entries = (
        layout.time_slope_by_state,
        layout.time_slope_by_parameter,
        layout.bend_by_state,
        layout.bend_by_parameter,
    )
    return [*layout.rhs_by_state.values(), *layout.time_slope.values(), *(n for e in entries for n in e.values())]
