"""Expression graphs: every distinct subexpression exists once, and can be differentiated.

A `Graph` is an append-only list of nodes; a node refers only to earlier nodes, so increasing node
number is a valid order of evaluation. Building a node that already exists returns the old one
(common subexpressions cost nothing) and constants fold. `tangents` differentiates forward, node by
node, with the textbook rules; a piecewise function is differentiated inside the branch taken, so a
NaN in the other branch never leaks.

Why not sympy: importing it takes longer than fitting a small model, and printing a Piecewise
derivative safely needs the same care anyway (docs/decisions/0001).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: Operations and their number of arguments. Comparisons and logic give booleans, which only
#: `and`, `or`, `not` and the first argument of `select` accept.
ARITY = {
    "constant": 0, "input": 0,
    "neg": 1, "exp": 1, "log": 1, "sqrt": 1, "abs": 1, "sin": 1, "cos": 1, "tan": 1,
    "asin": 1, "acos": 1, "atan": 1, "sinh": 1, "cosh": 1, "tanh": 1,
    "trunc": 1, "normal_cdf": 1, "lgamma": 1, "digamma": 1, "not": 1,
    "add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2,
    "lt": 2, "le": 2, "eq": 2, "ne": 2, "and": 2, "or": 2,
    "select": 3,
}  # fmt: skip


class Node(NamedTuple):
    """`value` is the number of a constant or the name of an input, else None."""

    op: str
    args: tuple[int, ...]
    value: float | str | None = None


class Graph:
    """Append-only, hash-consed. Node handles are plain ints."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._index: dict[Node, int] = {}

    def _add(self, node: Node) -> int:
        found = self._index.get(node)
        if found is None:
            found = self._index[node] = len(self.nodes)
            self.nodes.append(node)
        return found

    def constant(self, value: float) -> int:
        return self._add(Node("constant", (), float(value)))

    def input(self, name: str) -> int:
        return self._add(Node("input", (), name))

    def value_of(self, node: int) -> float | None:
        """The number, if the node is a constant."""
        found = self.nodes[node]
        return found.value if found.op == "constant" else None  # type: ignore[return-value]

    def apply(self, op: str, *args: int) -> int:
        """The node `op(args)`, simplified where that is exact in floating point for finite arguments."""
        if len(args) != ARITY[op]:
            raise ValueError(f"{op} takes {ARITY[op]} arguments, got {len(args)}")
        values = [self.value_of(a) for a in args]
        if op in _FOLD and all(v is not None for v in values):
            try:
                return self.constant(_FOLD[op](*values))
            except (ValueError, ZeroDivisionError, OverflowError):
                pass  # leave it: evaluation at run time gives the IEEE result
        simplified = self._simplify(op, args, values)
        return self._add(Node(op, args)) if simplified is None else simplified

    def _simplify(self, op: str, args: tuple[int, ...], values: list[float | None]) -> int | None:
        match op:
            case "add":
                if values[0] == 0:
                    return args[1]
                if values[1] == 0:
                    return args[0]
                if args[0] > args[1]:  # commutative: one order only
                    return self._add(Node("add", (args[1], args[0])))
            case "sub":
                if values[1] == 0:
                    return args[0]
                if values[0] == 0:
                    return self.apply("neg", args[1])
                if args[0] == args[1]:
                    return self.constant(0.0)
            case "mul":
                if 0 in values:
                    return self.constant(0.0)
                if values[0] == 1:
                    return args[1]
                if values[1] == 1:
                    return args[0]
                if values[0] == -1:
                    return self.apply("neg", args[1])
                if values[1] == -1:
                    return self.apply("neg", args[0])
                if args[0] > args[1]:
                    return self._add(Node("mul", (args[1], args[0])))
            case "div":
                if values[1] == 1:
                    return args[0]
                if values[0] == 0:
                    return self.constant(0.0)
            case "pow":
                return self._integer_power(args[0], values[1])
            case "neg":
                inner = self.nodes[args[0]]
                if inner.op == "neg":
                    return inner.args[0]
            case "select":
                if args[1] == args[2]:
                    return args[1]
                if values[0] is not None:
                    return args[1] if values[0] else args[2]
        return None

    def _integer_power(self, base: int, exponent: float | None) -> int | None:
        if exponent is None or exponent != int(exponent if math.isfinite(exponent) else 0) or abs(exponent) > 8:
            return self.apply("sqrt", base) if exponent == 0.5 else None
        if exponent < 0:
            return self.apply("div", self.constant(1.0), self._integer_power(base, -exponent) or base)
        result = self.constant(1.0)
        for _ in range(int(exponent)):
            result = self.apply("mul", result, base)
        return result

    # shorthands -------------------------------------------------------------------------------
    def add(self, a: int, b: int) -> int:
        return self.apply("add", a, b)

    def sub(self, a: int, b: int) -> int:
        return self.apply("sub", a, b)

    def mul(self, a: int, b: int) -> int:
        return self.apply("mul", a, b)

    def div(self, a: int, b: int) -> int:
        return self.apply("div", a, b)

    def select(self, condition: int, then: int, otherwise: int) -> int:
        return self.apply("select", condition, then, otherwise)

    # differentiation --------------------------------------------------------------------------
    def tangents(self, outputs: Sequence[int], seeds: dict[int, int]) -> list[int]:
        """Directional derivatives of `outputs`.

        Args:
            seeds: tangent node of input nodes (d input / d direction); other inputs have tangent 0.

        Returns:
            One node per output (constant 0 where the output does not depend on the seeds).
        """
        zero = self.constant(0.0)
        tangent: dict[int, int] = {}
        for node in self.reachable(outputs):
            op, args, _ = self.nodes[node]
            if op == "input":
                tangent[node] = seeds.get(node, zero)
            elif op == "constant" or op in _BOOLEAN or op == "trunc":
                tangent[node] = zero
            else:
                arg_tangents = [tangent[a] for a in args]
                is_zero = all(t == zero for t in (arg_tangents[1:] if op == "select" else arg_tangents))
                tangent[node] = zero if is_zero else self._tangent(op, node, args, arg_tangents)
        return [tangent[o] for o in outputs]

    def _tangent(self, op: str, node: int, args: tuple[int, ...], t: list[int]) -> int:
        add, sub, mul, div, apply = self.add, self.sub, self.mul, self.div, self.apply
        one = self.constant(1.0)
        match op:
            case "neg":
                return apply("neg", t[0])
            case "add":
                return add(t[0], t[1])
            case "sub":
                return sub(t[0], t[1])
            case "mul":
                return add(mul(t[0], args[1]), mul(args[0], t[1]))
            case "div":
                return div(sub(t[0], mul(node, t[1])), args[1])
            case "pow":
                return self._power_tangent(node, args, t)
            case "select":
                return self.select(args[0], t[1], t[2])
            case "abs":
                return self.select(apply("lt", args[0], self.constant(0.0)), apply("neg", t[0]), t[0])
        x = args[0]
        square = mul(x, x)
        slope = {
            "exp": lambda: node,
            "log": lambda: div(one, x),
            "sqrt": lambda: div(self.constant(0.5), node),
            "sin": lambda: apply("cos", x),
            "cos": lambda: apply("neg", apply("sin", x)),
            "tan": lambda: add(one, mul(node, node)),
            "asin": lambda: div(one, apply("sqrt", sub(one, square))),
            "acos": lambda: div(self.constant(-1.0), apply("sqrt", sub(one, square))),
            "atan": lambda: div(one, add(one, square)),
            "sinh": lambda: apply("cosh", x),
            "cosh": lambda: apply("sinh", x),
            "tanh": lambda: sub(one, mul(node, node)),
            "normal_cdf": lambda: mul(
                self.constant(1 / math.sqrt(2 * math.pi)), apply("exp", mul(self.constant(-0.5), square))
            ),
            "lgamma": lambda: apply("digamma", x),
        }
        if op not in slope:
            raise NotImplementedError(f"{op} has no derivative rule")
        return mul(slope[op](), t[0])

    def _power_tangent(self, node: int, args: tuple[int, ...], t: list[int]) -> int:
        base, exponent = args
        zero = self.constant(0.0)
        total = zero
        if t[0] != zero:
            lowered = self.apply("pow", base, self.sub(exponent, self.constant(1.0)))
            total = self.mul(self.mul(exponent, lowered), t[0])
        if t[1] != zero:
            # 0**x has slope 0 in x for x > 0; log(0) would make it NaN
            positive = self.apply("lt", zero, base)
            log_base = self.apply("log", self.select(positive, base, self.constant(1.0)))
            total = self.add(total, self.mul(self.mul(node, log_base), t[1]))
        return total

    # traversal --------------------------------------------------------------------------------
    def reachable(self, outputs: Iterable[int]) -> list[int]:
        """All nodes the outputs need, in order of evaluation."""
        needed: set[int] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend(self.nodes[node].args)
        return sorted(needed)

    def inputs_of(self, outputs: Iterable[int]) -> set[str]:
        """Names of the inputs the outputs depend on."""
        return {str(self.nodes[n].value) for n in self.reachable(outputs) if self.nodes[n].op == "input"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """Named inputs to named outputs over one graph.

    `inputs` fixes the argument order for ever; inputs the outputs do not need are allowed.
    """

    name: str
    graph: Graph
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.outputs)

    @property
    def output_nodes(self) -> tuple[int, ...]:
        return tuple(node for _, node in self.outputs)

    def body(self) -> list[int]:
        """Nodes to evaluate, in order."""
        return self.graph.reachable(self.output_nodes)

    def jacobian(self, wrt: Sequence[str]) -> dict[tuple[str, str], int]:
        """{(output name, input name): node}, structural zeros left out."""
        zero = self.graph.constant(0.0)
        one = self.graph.constant(1.0)
        entries = {}
        for name in wrt:
            derivatives = self.graph.tangents(self.output_nodes, {self.graph.input(name): one})
            entries.update({(o, name): d for o, d in zip(self.output_names, derivatives, strict=True) if d != zero})
        return entries


_BOOLEAN = {"lt", "le", "eq", "ne", "and", "or", "not"}

_FOLD: dict[str, Callable[..., float]] = {
    "neg": lambda a: -a,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "tanh": math.tanh,
    "trunc": lambda a: float(math.trunc(a)),
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: float(math.pow(a, b)),
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "eq": lambda a, b: float(a == b),
    "ne": lambda a, b: float(a != b),
    "and": lambda a, b: float(bool(a) and bool(b)),
    "or": lambda a, b: float(bool(a) or bool(b)),
    "not": lambda a: float(not a),
}
