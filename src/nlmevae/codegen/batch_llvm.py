"""A graph function evaluated at many points at once, with its sparse Jacobian, as machine code."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from nlmevae.codegen.graph import Function
from nlmevae.codegen.link_llvm import MachineCode, host_width
from nlmevae.codegen.print_llvm import Emitter, module


class BatchFunction:
    """`values, derivatives = batch(columns)`.

    columns (n_inputs, n) float64: one row per input of the function, in its order.
    values (n_outputs, n). derivatives (len(pattern), n): entry e is d output i / d wrt[j] with
    (i, j) = pattern[e]; everything not in `pattern` is zero at every point.
    """

    def __init__(self, function: Function, wrt: Sequence[str], width: int | None = None) -> None:
        self.width = width or host_width()
        jacobian = function.jacobian(wrt)
        outputs = {name: i for i, name in enumerate(function.output_names)}
        columns = {name: j for j, name in enumerate(wrt)}
        self.pattern = tuple((outputs[o], columns[i]) for o, i in jacobian)
        self.n_inputs = len(function.inputs)
        self.n_outputs = len(function.outputs)
        ir = _print_batch(function, [*function.output_nodes, *jacobian.values()], self.width)
        self._code = MachineCode(ir, ["batch"])
        prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        self._call = prototype(self._code.address["batch"])

    def close(self) -> None:
        self._code.close()

    def __call__(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = columns.shape[1]
        padded = -(-n // self.width) * self.width
        points = np.ascontiguousarray(columns, dtype=np.float64)
        if padded != n:  # repeat the last point: the spare lanes then compute nothing unusual
            points = np.concatenate([points, np.repeat(points[:, -1:], padded - n, axis=1)], axis=1)
        out = np.empty((self.n_outputs + len(self.pattern), padded))
        self._call(points.ctypes.data, out.ctypes.data, padded)
        return out[: self.n_outputs, :n], out[self.n_outputs :, :n]


def link_batch(function: Function, wrt: Sequence[str] = (), width: int | None = None) -> BatchFunction:
    """Compile `function` and its derivatives with respect to the inputs `wrt`."""
    return BatchFunction(function, wrt, width)


def _print_batch(function: Function, nodes: Sequence[int], width: int) -> str:
    """A loop over groups of W points; point p of input j is at in[j * n + p], of result k at out[k * n + p]."""
    emit = Emitter(width)
    emit.put("  br label %loop\nloop:")
    emit.put("  %p = phi i64 [ 0, %entry ], [ %next, %body ]")
    emit.put("  %more = icmp slt i64 %p, %n\n  br i1 %more, label %body, label %done\nbody:")
    graph = function.graph
    values: dict[int, str] = {}
    for j, name in enumerate(function.inputs):
        address = _element(emit, "%in", j)
        values[graph.input(name)] = emit.assign(f"load {emit.vector}, ptr {address}, align 8")
    emit.evaluate(graph, nodes, values)
    for k, node in enumerate(nodes):
        value = emit.as_double(graph, node, values)
        emit.put(f"  store {emit.vector} {value}, ptr {_element(emit, '%out', k)}, align 8")
    emit.put(f"  %next = add i64 %p, {width}\n  br label %loop\ndone:\n  ret i64 0")
    body = emit.function("batch", "ptr noalias %in, ptr noalias %out, i64 %n")
    return module([body], emit.used, width)


def _element(emit: Emitter, base: str, row: int) -> str:
    start = emit.assign(f"mul i64 %n, {row}")
    index = emit.assign(f"add i64 {start}, %p")
    return emit.assign(f"getelementptr inbounds double, ptr {base}, i64 {index}")
