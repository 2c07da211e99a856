"""One step of the Rosenbrock method for stiff models: kernels `advance`, `accept`, `dense`.

The sensitivities are the exact derivative of the discrete solution on the mesh it used: with the factors
of the same matrix W, and S the sensitivities at the start of the step,

    W s_i = J(U_i) dU_i + f_p(U_i) dp + sum_j coupling_ij / h s_j + D(J v)|v=k_i + h time_weights_i D f_t

where D is the derivative along (S, dp) at the start of the step.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.codegen.print_llvm import Emitter
from nlmevae.decoder import step_control as control
from nlmevae.decoder.layout import Entries, Layout, step_nodes
from nlmevae.decoder.slopes import (
    Block,
    Values,
    factor,
    load_block,
    load_static,
    parameter_terms,
    right_hand_side,
    store_block,
)
from nlmevae.decoder.tableau import RODAS4

_STAGE_SLOT = tuple(f"stage{j}" for j in range(1, 6))


class _Factors:
    """LU factors of W, unrolled and sparse, without pivoting: a zero pivot gives a step that is not finite
    and hence rejected."""

    def __init__(self, emit: Emitter, n: int, matrix: dict[tuple[int, int], str]) -> None:
        self.emit, self.n, self.entries = emit, n, dict(matrix)
        self.inverse: list[str] = []
        for p in range(n):
            self.inverse.append(emit.div(emit.constant(1.0), self.entries[p, p]))
            right = [j for j in range(p + 1, n) if (p, j) in self.entries]
            for i in range(p + 1, n):
                if (i, p) in self.entries:
                    self._eliminate(i, p, right)

    def _eliminate(self, i: int, p: int, columns: Sequence[int]) -> None:
        emit = self.emit
        ratio = self.entries[i, p] = emit.mul(self.entries[i, p], self.inverse[p])
        for j in columns:
            product = emit.mul(ratio, self.entries[p, j])
            known = self.entries.get((i, j))
            self.entries[i, j] = emit.sub(known if known else emit.constant(0.0), product)

    def solve(self, right: dict[int, str]) -> dict[int, str]:
        """x with W x = right; rows that are not in `right` are zero, and so are unknowns not in the result."""
        emit, x = self.emit, dict(right)
        for i in range(self.n):
            self._subtract(x, i, range(i))
        for i in reversed(range(self.n)):
            self._subtract(x, i, range(i + 1, self.n))
            if i in x:
                x[i] = emit.mul(x[i], self.inverse[i])
        return x

    def _subtract(self, x: dict[int, str], i: int, columns: range) -> None:
        for j in columns:
            if (i, j) in self.entries and j in x:
                product = self.emit.mul(self.entries[i, j], x[j])
                x[i] = self.emit.sub(x.get(i) or self.emit.constant(0.0), product)


def advance(emit: Emitter, layout: Layout) -> None:
    static = load_static(emit, layout)
    emit.put("  br label %loop\nloop:")
    steps = control.step_length(emit, layout)
    step, _, last = steps
    time, stop = emit.load(layout.scalar["time"]), emit.load(layout.scalar["stop"])
    block = load_block(emit, layout, "state")
    stages, point = _stages(emit, layout, static, time, step, block)
    block_new = [emit.add(value, k) for value, k in zip(point, stages[-1], strict=True)]
    time_new = emit.select(last, stop, emit.add(time, step))
    error = control.error_norm(emit, layout, stages[-1][: layout.form.n_compartments], block, block_new)
    accepted = emit.compare("ole", error, emit.constant(1.0))
    step_next = control.next_step(emit, error, steps, accepted, order=RODAS4.order)
    decision = control.verdict(emit, layout, accepted, step, time_new)
    control.finish_advance(emit, decision)
    control.commit(emit, layout, accepted, (time_new, step_next), (block, block_new))
    emit.put("  br label %loop\nleave:")
    control.keep_step(emit, layout, accepted, (step, time_new, step_next), block_new)
    for name, stage in zip(_STAGE_SLOT, stages, strict=False):
        store_block(emit, layout, name, stage)
    emit.put(f"  ret i64 {decision}")


def _stages(
    emit: Emitter, layout: Layout, static: Values, time: str, step: str, block: Block
) -> tuple[list[Block], Block]:
    """All k_i (and s_i), and the last U_i."""
    graph, n = layout.form.rhs.graph, layout.form.n_compartments
    values = {**static, graph.input("T"): time}
    values |= {graph.input(name): block[i] for i, name in enumerate(layout.states)}
    vector = {graph.input(name) for name in layout.vector}
    fixed = [node for node in step_nodes(layout) if not vector & set(graph.reachable([node]))]
    emit.evaluate(graph, fixed, values)
    factors = _Factors(emit, n, _matrix(emit, layout, values, step))
    inverse_step = emit.div(emit.constant(1.0), step)
    stages: list[Block] = []
    point = block
    for i, weights in enumerate(RODAS4.stages):
        point = [
            emit.sum_of_products(((w, stage[index]) for w, stage in zip(weights, stages, strict=True)), value)
            for index, value in enumerate(block)
        ]
        stage_time = emit.add(time, emit.scale(RODAS4.nodes[i], step))
        right = right_hand_side(emit, layout, static, stage_time, point)
        for index in range(len(right)):
            pairs = zip(RODAS4.coupling[i], stages, strict=True)
            coupled = emit.sum_of_products((c, stage[index]) for c, stage in pairs)
            if coupled:
                right[index] = emit.add(right[index], emit.mul(inverse_step, coupled))
        time_weight = emit.scale(RODAS4.time_weights[i], step) if RODAS4.time_weights[i] else None
        stages.append(_solve_stage(emit, layout, factors, values, block, right, time_weight))
    return stages, point


def _matrix(emit: Emitter, layout: Layout, values: Values, step: str) -> dict[tuple[int, int], str]:
    """W = 1 / (gamma h) - J, non-zero entries."""
    graph = layout.form.rhs.graph
    diagonal = emit.div(emit.constant(1 / RODAS4.gamma), step)
    matrix = {(i, i): diagonal for i in range(layout.form.n_compartments)}
    for (i, j), node in layout.rhs_by_state.items():
        matrix[i, j] = emit.sub(matrix.get((i, j)) or emit.constant(0.0), emit.as_double(graph, node, values))
    return matrix


def _solve_stage(
    emit: Emitter,
    layout: Layout,
    factors: _Factors,
    values: Values,
    block: Block,
    right: Block,
    time_weight: str | None,
) -> Block:
    """k_i, then s_i for each input; `values` hold the derivatives at the start of the step."""
    graph, n = layout.form.rhs.graph, layout.form.n_compartments
    if time_weight:
        for i, node in layout.time_slope.items():
            right[i] = emit.add(right[i], emit.mul(time_weight, emit.as_double(graph, node, values)))
    solved = factors.solve({i: right[i] for i in range(n)})
    stage = [solved[i] for i in range(n)]
    bent = {**values, **{graph.input(name): stage[i] for i, name in enumerate(layout.vector)}}
    emit.evaluate(graph, [*layout.bend_by_state.values(), *layout.bend_by_parameter.values()], bent)
    position = {pair: n + index for index, pair in enumerate(layout.sensitivities)}
    result = dict(enumerate(stage))
    for k in sorted({k for _, k in layout.sensitivities}):
        rows = [i for i in range(n) if (i, k) in position]
        sides = {}
        for i in rows:
            bend = _along(emit, layout, (layout.bend_by_state, layout.bend_by_parameter), bent, block, i, k)
            total = emit.sum_of_products(bend, right[position[i, k]])
            if time_weight:
                entries = layout.time_slope_by_state, layout.time_slope_by_parameter
                drift = emit.sum_of_products(_along(emit, layout, entries, bent, block, i, k))
                total = emit.add(total, emit.mul(time_weight, drift)) if drift else total
            sides[i] = total
        solved = factors.solve(sides)
        result |= {position[i, k]: solved[i] for i in rows}  # others, that no prediction depends on, fill in
    return [result[index] for index in range(len(right))]


def _along(
    emit: Emitter, layout: Layout, entries: tuple[Entries, Entries], values: Values, block: Block, i: int, k: int
) -> list[tuple[str | float, str | float]]:
    """Terms of the derivative of function i along input k: by state times S, by parameter times dp."""
    graph, n = layout.form.rhs.graph, layout.form.n_compartments
    position = {pair: n + index for index, pair in enumerate(layout.sensitivities)}
    by_state, by_parameter = entries
    terms = [
        (factor(graph, node, values), block[position[j, k]])
        for (row, j), node in by_state.items()
        if row == i and (j, k) in position
    ]
    return terms + parameter_terms(emit, layout, graph, by_parameter, values, i, k)


def accept(emit: Emitter, layout: Layout) -> None:
    accepted, scalars = control.kept_step(emit, layout)
    blocks = load_block(emit, layout, "state"), load_block(emit, layout, "state_new")
    present = control.commit(emit, layout, accepted, scalars, blocks)
    time = emit.load(layout.scalar["time"])
    store_block(emit, layout, "slope", right_hand_side(emit, layout, load_static(emit, layout), time, present))


def dense(emit: Emitter, layout: Layout) -> None:
    """The interpolant of the method, see RosenbrockTableau."""
    step, time = emit.load(layout.scalar["step_used"]), emit.load(layout.scalar["time"])
    theta = emit.div(emit.sub(emit.load(layout.scalar["output_time"]), time), step)
    rest = emit.sub(emit.constant(1.0), theta)
    old, new = load_block(emit, layout, "state"), load_block(emit, layout, "state_new")
    stages = [load_block(emit, layout, name) for name in _STAGE_SLOT]
    result = []
    for index, (y0, y1) in enumerate(zip(old, new, strict=True)):
        a, b = (
            emit.sum_of_products((w, stage[index]) for w, stage in zip(weights, stages, strict=True))
            for weights in RODAS4.dense
        )
        inner = emit.add(a, emit.mul(theta, b))
        outer = emit.add(y1, emit.mul(rest, inner))
        result.append(emit.add(emit.mul(rest, y0), emit.mul(theta, outer)))
    store_block(emit, layout, "state_out", result)
