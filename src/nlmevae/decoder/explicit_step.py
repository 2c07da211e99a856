"""One step of the explicit Runge-Kutta method: kernels `advance`, `accept`, `dense`."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.codegen.print_llvm import Emitter
from nlmevae.decoder import step_control as control
from nlmevae.decoder.layout import Layout
from nlmevae.decoder.slopes import Block, Values, load_block, load_static, right_hand_side, store_block
from nlmevae.decoder.tableau import DOPRI5

_STAGE_SLOT = {0: "slope", 2: "stage1", 3: "stage2", 4: "stage3", 5: "stage4", 6: "stage5"}


def advance(emit: Emitter, layout: Layout) -> None:
    static = load_static(emit, layout)
    emit.put("  br label %loop\nloop:")
    steps = control.step_length(emit, layout)
    step, _, last = steps
    time, stop = emit.load(layout.scalar["time"]), emit.load(layout.scalar["stop"])
    block = load_block(emit, layout, "state")
    stages, block_new = _stages(emit, layout, static, time, step, block)
    time_new = emit.select(last, stop, emit.add(time, step))
    errors = [emit.mul(step, _combination(emit, DOPRI5.error, stages, i)) for i in range(layout.form.n_compartments)]
    error = control.error_norm(emit, layout, errors, block, block_new)
    accepted = emit.compare("ole", error, emit.constant(1.0))
    step_next = control.next_step(emit, error, steps, accepted, order=5)
    decision = control.verdict(emit, layout, accepted, step, time_new)
    control.finish_advance(emit, decision)
    control.commit(emit, layout, accepted, (time_new, step_next), (block, block_new))
    _take_last_slope(emit, layout, accepted, stages[0], stages[-1])
    emit.put("  br label %loop\nleave:")
    control.keep_step(emit, layout, accepted, (step, time_new, step_next), block_new)
    for stage, name in _STAGE_SLOT.items():
        if stage > 0:
            store_block(emit, layout, name, stages[stage])
    emit.put(f"  ret i64 {decision}")


def _stages(
    emit: Emitter, layout: Layout, static: Values, time: str, step: str, block: Block
) -> tuple[list[Block], Block]:
    """All stage slopes, and the state at the end of the step."""
    stages = [load_block(emit, layout, "slope")]
    point = block
    for node, weights in zip(DOPRI5.nodes[1:], DOPRI5.stages, strict=True):
        point = [
            emit.add(value, emit.mul(step, _combination(emit, weights, stages, index)))
            for index, value in enumerate(block)
        ]
        stage_time = emit.add(time, emit.scale(node, step))
        stages.append(right_hand_side(emit, layout, static, stage_time, point))
    return stages, point


def _combination(emit: Emitter, weights: Sequence[float], stages: Sequence[Block], index: int) -> str:
    pairs = zip(weights, stages, strict=False)
    total = emit.sum_of_products((weight, stage[index]) for weight, stage in pairs if weight != 0.0)
    return total or emit.constant(0.0)


def _take_last_slope(emit: Emitter, layout: Layout, accepted: str, first: Block, last: Block) -> None:
    """The last slope of an accepted step is the first of the next."""
    slopes = [emit.select(accepted, new, old) for old, new in zip(first, last, strict=True)]
    store_block(emit, layout, "slope", slopes)


def accept(emit: Emitter, layout: Layout) -> None:
    accepted, scalars = control.kept_step(emit, layout)
    blocks = load_block(emit, layout, "state"), load_block(emit, layout, "state_new")
    control.commit(emit, layout, accepted, scalars, blocks)
    slopes = load_block(emit, layout, "slope"), load_block(emit, layout, _STAGE_SLOT[6])
    _take_last_slope(emit, layout, accepted, *slopes)


def dense(emit: Emitter, layout: Layout) -> None:
    """The free interpolant, see ExplicitTableau."""
    step = emit.load(layout.scalar["step_used"])
    theta = emit.div(emit.sub(emit.load(layout.scalar["output_time"]), emit.load(layout.scalar["time"])), step)
    rest = emit.sub(emit.constant(1.0), theta)
    old, new = load_block(emit, layout, "state"), load_block(emit, layout, "state_new")
    stages = {j: load_block(emit, layout, name) for j, name in _STAGE_SLOT.items()}
    result = []
    for index, (y0, y1) in enumerate(zip(old, new, strict=True)):
        change = emit.sub(y1, y0)
        bend = emit.sub(emit.mul(step, stages[0][index]), change)
        correction = emit.sum_of_products((DOPRI5.dense[j], stage[index]) for j, stage in stages.items())
        inner = emit.sub(emit.sub(change, emit.mul(step, stages[6][index])), bend)
        inner = emit.add(inner, emit.mul(rest, emit.mul(step, correction)))
        outer = emit.add(change, emit.mul(rest, emit.add(bend, emit.mul(theta, inner))))
        result.append(emit.add(y0, emit.mul(theta, outer)))
    store_block(emit, layout, "state_out", result)
