"""Graph function -> readable torch source, for the torchode back end and for people."""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable

from nlmevae.codegen.graph import Function, Node
from nlmevae.codegen.names import identifier

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
_CALLS = {
    "exp": "torch.exp", "log": "torch.log", "sqrt": "torch.sqrt", "abs": "torch.abs", "sin": "torch.sin",
    "cos": "torch.cos", "tan": "torch.tan", "asin": "torch.asin", "acos": "torch.acos", "atan": "torch.atan",
    "sinh": "torch.sinh", "cosh": "torch.cosh", "tanh": "torch.tanh", "trunc": "torch.trunc",
    "normal_cdf": "torch.special.ndtr", "lgamma": "torch.lgamma", "digamma": "torch.digamma",
    "not": "torch.logical_not", "and": "torch.logical_and", "or": "torch.logical_or", "pow": "torch.pow",
}  # fmt: skip


def emit_torch(function: Function, *, title: str = "") -> str:
    """Source of ``def <name>(<inputs>)`` on tensors of one shape, returning a tuple of outputs.

    Constants stay Python numbers; a condition between constants cannot occur (it folds).
    """
    graph = function.graph
    body = function.body()
    shared = _used_more_than_once(function)
    text: dict[int, str] = {}
    lines = []
    for node in body:
        spelled = _spell(graph.nodes[node], text)
        if node in shared and graph.nodes[node].op not in ("constant", "input"):
            text[node] = f"v{node}"
            lines.append(f"    v{node} = {spelled}")
        else:
            text[node] = spelled
    for name, node in function.outputs:
        lines.append(f"    {identifier(name)} = {_strip(text[node])}")
    returned = ", ".join(identifier(name) for name, _ in function.outputs)
    if len(function.outputs) == 1:
        returned += ","
    arguments = ", ".join(identifier(name) for name in function.inputs)
    doc = f'    """{title or function.name} of the model, generated."""'
    return "\n".join([f"def {function.name}({arguments}):", doc, *lines, f"    return ({returned})", ""])


def link_torch(function: Function, *, title: str = "") -> Callable:
    """The function, callable on tensors; its source shows in tracebacks."""
    import torch

    source = emit_torch(function, title=title)
    filename = f"<nlmevae {title or function.name} {id(function.graph):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace = {"torch": torch}
    exec(compile(source, filename, "exec"), namespace)
    return namespace[function.name]


def _used_more_than_once(function: Function) -> set[int]:
    counts: dict[int, int] = {}
    for node in function.output_nodes:
        counts[node] = counts.get(node, 0) + 1
    for node in function.body():
        for arg in function.graph.nodes[node].args:
            counts[arg] = counts.get(arg, 0) + 1
    return {node for node, count in counts.items() if count > 1}


def _spell(node: Node, text: dict[int, str]) -> str:
    args = [text[a] for a in node.args]
    if node.op == "constant":
        return repr(node.value) if math.isfinite(node.value) else f"float('{node.value}')"
    if node.op == "input":
        return identifier(str(node.value))
    if node.op in _INFIX:
        return f"({args[0]} {_INFIX[node.op]} {args[1]})"
    if node.op == "neg":
        return f"(-{args[0]})"
    if node.op == "select":
        return f"torch.where({_strip(args[0])}, {_strip(args[1])}, {_strip(args[2])})"
    return f"{_CALLS[node.op]}({', '.join(_strip(a) for a in args)})"


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
