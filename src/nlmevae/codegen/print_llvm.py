"""Expression graphs -> LLVM IR text that computes W rows at once, one per SIMD lane.

Every value is a vector of W doubles (W = 1, 2, 4 or 8), every condition a vector of W booleans. The
only liberties taken with IEEE arithmetic are `contract` (fused multiply-add), `nsz` and `arcp`;
anything stronger breaks the rounding trick in `exp`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from nlmevae.codegen.graph import Graph
from nlmevae.codegen.llvm_math import VECTOR_FUNCTIONS, math_functions

FLAGS = "contract nsz arcp"

_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARE = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_INTRINSIC = {"sqrt": "sqrt", "abs": "fabs", "trunc": "trunc"}
_BOOLEAN = {"lt", "le", "eq", "ne", "and", "or", "not"}


def literal(value: float) -> str:
    """A double as LLVM writes it exactly."""
    return "0x" + struct.pack(">d", value).hex().upper()


class Emitter:
    """Writes the instructions of one function; a value is the text of its operand.

    Args:
        width: lanes W.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[str] = []
        self.used: set[str] = set()
        self.vector = f"<{width} x double>"
        self.mask = f"<{width} x i1>"
        self._count = 0

    # instructions -----------------------------------------------------------------------------
    def assign(self, text: str) -> str:
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def put(self, text: str) -> None:
        self.lines.append(text)

    def constant(self, value: float) -> str:
        return "<" + ", ".join([f"double {literal(value)}"] * self.width) + ">"

    def truth(self, value: bool) -> str:
        return "<" + ", ".join([f"i1 {'true' if value else 'false'}"] * self.width) + ">"

    def slot(self, index: int) -> str:
        """Address of workspace slot `index` (W doubles)."""
        return self.assign(f"getelementptr inbounds {self.vector}, ptr %work, i64 {index}")

    def load(self, index: int) -> str:
        return self.assign(f"load {self.vector}, ptr {self.slot(index)}, align {8 * self.width}")

    def store(self, index: int, value: str) -> None:
        address = self.slot(index)
        self.put(f"  store {self.vector} {value}, ptr {address}, align {8 * self.width}")

    def binary(self, op: str, a: str, b: str) -> str:
        return self.assign(f"{_BINARY[op]} {FLAGS} {self.vector} {a}, {b}")

    def add(self, a: str, b: str) -> str:
        return self.binary("add", a, b)

    def sub(self, a: str, b: str) -> str:
        return self.binary("sub", a, b)

    def mul(self, a: str, b: str) -> str:
        return self.binary("mul", a, b)

    def div(self, a: str, b: str) -> str:
        return self.binary("div", a, b)

    def scale(self, factor: float, a: str) -> str:
        return self.mul(self.constant(factor), a)

    def compare(self, op: str, a: str, b: str) -> str:
        return self.assign(f"fcmp {op} {self.vector} {a}, {b}")

    def logic(self, op: str, a: str, b: str) -> str:
        return self.assign(f"{op} {self.mask} {a}, {b}")

    def select(self, condition: str, then: str, otherwise: str) -> str:
        return self.assign(f"select {self.mask} {condition}, {self.vector} {then}, {self.vector} {otherwise}")

    def maximum(self, a: str, b: str) -> str:
        """The larger; b if a is NaN."""
        return self.select(self.compare("ogt", a, b), a, b)

    def minimum(self, a: str, b: str) -> str:
        return self.select(self.compare("olt", a, b), a, b)

    def absolute(self, a: str) -> str:
        return self.intrinsic("fabs", a)

    def intrinsic(self, name: str, a: str) -> str:
        return self.assign(f"call {self.vector} @llvm.{name}.v{self.width}f64({self.vector} {a})")

    def call(self, name: str, *args: str) -> str:
        self.used.add(name)
        operands = ", ".join(f"{self.vector} {a}" for a in args)
        return self.assign(f"call {self.vector} @nlmevae_{name}({operands})")

    def bits(self, mask: str) -> str:
        """Lane w of `mask` as bit w of an i64."""
        packed = self.assign(f"bitcast {self.mask} {mask} to i{self.width}")
        return self.assign(f"zext i{self.width} {packed} to i64")

    def sum_of_products(self, terms: Iterable[tuple[str | float, str | float]], start: str | None = None) -> str | None:
        """start + sum of a * b; a factor given as a number is a literal. None when there is nothing."""
        total = start
        for a, b in terms:
            if isinstance(a, float):
                a, b = b, a
            if isinstance(a, float):
                product = self.constant(a * float(b))
            elif isinstance(b, float):
                product = a if b == 1.0 else self.scale(b, a)
            else:
                product = self.mul(a, b)
            total = product if total is None else self.add(total, product)
        return total

    # graphs -----------------------------------------------------------------------------------
    def evaluate(self, graph: Graph, nodes: Iterable[int], values: dict[int, str]) -> None:
        """Compute `nodes`; `values` maps nodes known so far (all needed inputs) to operands and is extended."""
        for node in _unknown(graph, nodes, values):
            values[node] = self._node(graph, node, values)

    def as_double(self, graph: Graph, node: int, values: Mapping[int, str]) -> str:
        """The value of `node`, a condition as 1 or 0."""
        if graph.nodes[node].op in _BOOLEAN:
            return self.select(values[node], self.constant(1.0), self.constant(0.0))
        return values[node]

    def from_double(self, graph: Graph, node: int, value: str) -> str:
        """The inverse of `as_double`."""
        if graph.nodes[node].op in _BOOLEAN:
            return self.compare("une", value, self.constant(0.0))
        return value

    def _node(self, graph: Graph, node: int, values: Mapping[int, str]) -> str:
        op, args, value = graph.nodes[node]
        if op == "constant":
            return self.constant(value)  # type: ignore[arg-type]
        if op == "input":
            raise KeyError(f"no value was given for input {value}")
        if op in ("and", "or", "not"):
            return self._logical(op, [self._as_mask(graph, a, values) for a in args])
        if op == "select":
            condition = self._as_mask(graph, args[0], values)
            return self.select(condition, *(self.as_double(graph, a, values) for a in args[1:]))
        operands = [self.as_double(graph, a, values) for a in args]
        if op in _BINARY:
            return self.binary(op, *operands)
        if op in _COMPARE:
            return self.compare(_COMPARE[op], *operands)
        if op in _INTRINSIC:
            return self.intrinsic(_INTRINSIC[op], *operands)
        if op == "neg":
            return self.assign(f"fneg {self.vector} {operands[0]}")
        if op in VECTOR_FUNCTIONS:
            return self.call(op, *operands)
        raise NotImplementedError(f"no machine code for {op}")

    def _logical(self, op: str, operands: Sequence[str]) -> str:
        if op == "not":
            return self.logic("xor", operands[0], self.truth(True))
        return self.logic(op, *operands)

    def _as_mask(self, graph: Graph, node: int, values: Mapping[int, str]) -> str:
        """A condition; folded ones are the numbers 1 and 0."""
        if graph.nodes[node].op in _BOOLEAN:
            return values[node]
        return self.compare("une", values[node], self.constant(0.0))

    # whole functions --------------------------------------------------------------------------
    def function(self, name: str, arguments: str = "ptr noalias %work") -> str:
        """The finished definition; the body must end in `ret i64`."""
        body = "\n".join(self.lines)
        return f"define i64 @{name}({arguments}) #0 {{\nentry:\n{body}\n}}\n"


def module(functions: Sequence[str], used: Iterable[str], width: int) -> str:
    """A complete module: `functions` plus the mathematical functions they use."""
    attributes = 'attributes #0 = { nounwind "no-trapping-math"="true" "prefer-vector-width"="256" }\n'
    return "\n".join([*functions, math_functions(used, width), attributes])


def _unknown(graph: Graph, nodes: Iterable[int], values: Mapping[int, str]) -> list[int]:
    """Nodes still to compute, in order of evaluation; known ones hide what they were computed from."""
    needed: set[int] = set()
    stack = [n for n in nodes if n not in values]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(a for a in graph.nodes[node].args if a not in values)
    return sorted(needed)
