"""Step-size control, and what ends a run of steps; the same for all integration methods."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.codegen.print_llvm import Emitter
from nlmevae.decoder.layout import Layout
from nlmevae.decoder.slopes import Block, store_block

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0
_SMALLEST_STEP = 1e-14  # relative to the time reached


def step_length(emit: Emitter, layout: Layout) -> tuple[str, str, str]:
    """(step, wanted, last): the step to try, the length the controller wanted, whether it ends at the stop."""
    rest = emit.sub(emit.load(layout.scalar["stop"]), emit.load(layout.scalar["time"]))
    wanted = emit.load(layout.scalar["step"])
    # stretch by a per cent rather than leave a sliver before the stop
    last = emit.compare("oge", emit.scale(1.01, wanted), rest)
    return emit.select(last, rest, wanted), wanted, last


def error_norm(emit: Emitter, layout: Layout, errors: Sequence[str], block: Block, block_new: Block) -> str:
    """Mean square of the amounts' local errors relative to atol + rtol * amount."""
    rtol = emit.load(layout.scalar["rtol"])
    total = None
    for i, error in enumerate(errors):
        size = emit.maximum(emit.absolute(block[i]), emit.absolute(block_new[i]))
        allowed = emit.add(emit.load(layout.start["atol"] + i), emit.mul(rtol, size))
        ratio = emit.div(error, allowed)
        total = emit.sum_of_products([(ratio, ratio)], total)
    return emit.scale(1.0 / len(errors), total)


def next_step(emit: Emitter, error: str, steps: tuple[str, str, str], accepted: str, order: int) -> str:
    """0.9 h error^(-1 / 2 order) within bounds (error is a mean square); NaN shrinks the step most.

    `steps` from step_length; `order` of the error estimate."""
    step, wanted, last = steps
    bounded = emit.maximum(emit.minimum(error, emit.constant(1e10)), emit.constant(1e-12))
    factor = emit.scale(_SAFETY, _inverse_root(emit, bounded, 2 * order))
    factor = emit.maximum(emit.minimum(factor, emit.constant(_GROW)), emit.constant(_SHRINK))
    proposal = emit.mul(step, factor)
    # a step cut short by a stop says nothing against the length wanted before
    cut_short = emit.logic("and", accepted, last)
    return emit.select(cut_short, emit.maximum(proposal, wanted), proposal)


def _inverse_root(emit: Emitter, x: str, root: int) -> str:
    """x^(-1/root) to a few digits: scaled exponent bits, then Newton steps on y^-root = x."""
    w = emit.width
    ints, halves = f"<{w} x i64>", f"<{w} x i32>"
    bits = emit.assign(f"bitcast {emit.vector} {x} to {ints}")
    high = emit.assign(f"lshr {ints} {bits}, <{', '.join(['i64 32'] * w)}>")
    short = emit.assign(f"trunc {ints} {high} to {halves}")
    number = emit.assign(f"sitofp {halves} {short} to {emit.vector}")
    guess = emit.add(emit.constant((1 + 1 / root) * 1023 * 2.0**20), emit.scale(-1 / root, number))
    back = emit.assign(f"fptosi {emit.vector} {guess} to {halves}")
    wide = emit.assign(f"zext {halves} {back} to {ints}")
    shifted = emit.assign(f"shl {ints} {wide}, <{', '.join(['i64 32'] * w)}>")
    y = emit.assign(f"bitcast {ints} {shifted} to {emit.vector}")
    for _ in range(2):
        residual = emit.scale(1 / root, emit.mul(x, _power(emit, y, root)))
        y = emit.mul(y, emit.sub(emit.constant(1 + 1 / root), residual))
    return y


def _power(emit: Emitter, y: str, exponent: int) -> str:
    if exponent == 1:
        return y
    half = _power(emit, y, exponent // 2)
    square = emit.mul(half, half)
    return emit.mul(square, y) if exponent % 2 else square


def verdict(emit: Emitter, layout: Layout, accepted: str, step: str, time_new: str) -> str:
    """An i64: bit w, lane w has reached its wake time; bit 8 + w, lane w must give up."""
    active = emit.compare("ogt", emit.load(layout.scalar["active"]), emit.constant(0.0))
    steps = emit.add(emit.load(layout.scalar["n_steps"]), emit.load(layout.scalar["active"]))
    emit.store(layout.scalar["n_steps"], steps)
    awake = emit.compare("oge", time_new, emit.load(layout.scalar["wake"]))
    due = emit.logic("and", emit.logic("and", active, accepted), awake)
    exhausted = emit.compare("oge", steps, emit.load(layout.scalar["max_steps"]))
    reach = emit.maximum(emit.absolute(emit.load(layout.scalar["time"])), emit.absolute(time_new))
    stuck = emit.compare("ule", step, emit.scale(_SMALLEST_STEP, reach))
    rejected = emit.logic("xor", accepted, emit.truth(True))
    hopeless = emit.logic("or", exhausted, emit.logic("and", stuck, rejected))
    not_due = emit.logic("xor", due, emit.truth(True))
    failed = emit.logic("and", emit.logic("and", active, not_due), hopeless)
    shifted = emit.assign(f"shl i64 {emit.bits(failed)}, 8")
    return emit.assign(f"or i64 {emit.bits(due)}, {shifted}")


def keep_step(emit: Emitter, layout: Layout, accepted: str, scalars: tuple[str, str, str], block_new: Block) -> None:
    """Store the step for `dense` and `accept`; scalars = step, time_new, step_next."""
    for name, value in zip(("step_used", "time_new", "step_next"), scalars, strict=True):
        emit.store(layout.scalar[name], value)
    emit.store(layout.scalar["accepted"], emit.select(accepted, emit.constant(1.0), emit.constant(0.0)))
    store_block(emit, layout, "state_new", block_new)


def commit(
    emit: Emitter, layout: Layout, accepted: str, scalars: tuple[str, str], blocks: tuple[Block, Block]
) -> Block:
    """Where accepted, the end of the step becomes the present; scalars = time_new, step_next.

    Returns the present state."""
    time_new, step_next = scalars
    time = emit.load(layout.scalar["time"])
    emit.store(layout.scalar["time"], emit.select(accepted, time_new, time))
    emit.store(layout.scalar["step"], step_next)
    growth = emit.load(layout.scalar["atol_growth"])
    present = [emit.select(accepted, new, old) for old, new in zip(*blocks, strict=True)]
    for i in range(layout.form.n_compartments):
        floor = emit.mul(growth, emit.absolute(present[i]))
        slot = layout.start["atol"] + i
        emit.store(slot, emit.maximum(floor, emit.load(slot)))
    store_block(emit, layout, "state", present)
    return present


def kept_step(emit: Emitter, layout: Layout) -> tuple[str, tuple[str, str]]:
    """(accepted, (time_new, step_next)) of the step `keep_step` stored."""
    accepted = emit.compare("ogt", emit.load(layout.scalar["accepted"]), emit.constant(0.0))
    return accepted, (emit.load(layout.scalar["time_new"]), emit.load(layout.scalar["step_next"]))


def finish_advance(emit: Emitter, decision: str) -> None:
    """Branch to `leave` if any lane needs the engine, else to `go_on`."""
    stop_now = emit.assign(f"icmp ne i64 {decision}, 0")
    emit.put(f"  br i1 {stop_now}, label %leave, label %go_on\ngo_on:")
