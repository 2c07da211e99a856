"""Graph functions as readable Python source; what numpy and torch printing have in common."""

from __future__ import annotations

import linecache
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.names import identifier

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a library spells things: `calls` maps operations to its functions, `scalar` is a template that
    makes a float64 of a Python number (Python's own 1 / 0 raises, and torch's default is float32)."""

    calls: dict[str, str]
    scalar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Arguments of the generated function, its statements, and the names of the results in order."""

    arguments: tuple[str, ...]
    lines: tuple[str, ...]
    results: tuple[str, ...]


def print_body(function: Function, results: Sequence[tuple[str, int]], dialect: Dialect) -> Body:
    """Statements that compute `results` (name, node) from the inputs of `function`.

    A node used more than once gets a variable of its own; the rest is written out where it is used.
    """
    nodes = [node for _, node in results]
    names = _Names()
    arguments = tuple(names.new(name) for name in function.inputs)
    inputs = dict(zip(function.inputs, arguments, strict=True))
    shared = _used_more_than_once(function.graph, nodes)
    text: dict[int, str] = {}
    lines = []
    for node in function.graph.reachable(nodes):
        spelled = _spell(function.graph, node, text, inputs, dialect)
        if node in shared:
            text[node] = f"v{node}"
            lines.append(f"    v{node} = {_strip(spelled)}")
        else:
            text[node] = spelled
    targets = tuple(names.new(name) for name, _ in results)
    lines += [f"    {target} = {_strip(text[node])}" for target, (_, node) in zip(targets, results, strict=True)]
    return Body(arguments=arguments, lines=tuple(lines), results=targets)


def print_definition(name: str, body: Body, returned: str, title: str) -> str:
    """The whole ``def``."""
    doc = f'    """{title or name} of the model, generated."""'
    return "\n".join([f"def {name}({', '.join(body.arguments)}):", doc, *body.lines, f"    return {returned}", ""])


def print_tuple(names: Sequence[str]) -> str:
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def link_python(source: str, function: Function, namespace: dict[str, Any], title: str) -> Any:
    """The function defined by `source`; tracebacks show its lines."""
    filename = f"<nlmevae {title or function.name} {id(function.graph):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)
    return namespace[function.name]


class _Names:
    """Model names as Python names, each different from all others."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, name: str) -> str:
        spelled = base = identifier(name)
        number = 2
        while spelled in self._taken:
            spelled, number = f"{base}{number}_", number + 1
        self._taken.add(spelled)
        return spelled


def _used_more_than_once(graph: Graph, nodes: Sequence[int]) -> set[int]:
    counts: dict[int, int] = {}
    for node in graph.reachable(nodes):
        for arg in graph.nodes[node].args:
            counts[arg] = counts.get(arg, 0) + 1
    for node in nodes:
        counts[node] = counts.get(node, 0) + 1
    return {n for n, count in counts.items() if count > 1 and graph.nodes[n].op not in ("constant", "input")}


def _spell(graph: Graph, index: int, text: dict[int, str], inputs: dict[str, str], dialect: Dialect) -> str:
    node = graph.nodes[index]
    if node.op == "constant":
        return _number(node.value, dialect)
    if node.op == "input":
        return inputs[str(node.value)]
    args = [text[a] for a in node.args]
    values = node.args[1:] if node.op == "select" else node.args
    if all(graph.value_of(a) is not None for a in values):  # not folded: 1 / 0 and the like
        args[-1] = dialect.scalar.format(_strip(args[-1]))
    if node.op in _INFIX:
        return f"({args[0]} {_INFIX[node.op]} {args[1]})"
    if node.op == "neg":
        return f"(-{args[0]})"
    return f"{dialect.calls[node.op]}({', '.join(_strip(a) for a in args)})"


def _number(value: float, dialect: Dialect) -> str:
    if not math.isfinite(value):
        return dialect.scalar.format(f"float('{value}')")
    return f"({value!r})" if value < 0 else repr(value)


def _strip(spelled: str) -> str:
    """Without one pair of outer parentheses, if they belong together."""
    if not spelled.startswith("("):
        return spelled
    depth = 0
    for position, character in enumerate(spelled):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return spelled[1:-1] if position == len(spelled) - 1 else spelled
    return spelled
