"""Graph function -> readable numpy source: small functions without a compiler, and the plain check of the
compiled ones."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence

import numpy as np

from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.names import identifier

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
_CALLS = {
    "exp": "np.exp", "log": "np.log", "sqrt": "np.sqrt", "abs": "np.abs", "sin": "np.sin", "cos": "np.cos",
    "tan": "np.tan", "asin": "np.arcsin", "acos": "np.arccos", "atan": "np.arctan", "sinh": "np.sinh",
    "cosh": "np.cosh", "tanh": "np.tanh", "trunc": "np.trunc", "pow": "np.power", "select": "np.where",
    "and": "np.logical_and", "or": "np.logical_or", "not": "np.logical_not",
    "normal_cdf": "special.ndtr", "lgamma": "special.gammaln", "digamma": "special.digamma",
}  # fmt: skip


class BatchFunction:
    """`outputs, jacobian = batch(*columns)`, one column per input of the function, in its order.

    Columns are (R,) arrays or numbers; outputs (R, n_outputs); jacobian (R, n_outputs, len(wrt)), None
    without wrt. Floating-point errors give inf and NaN, silently.
    """

    def __init__(self, call: Callable, source: str, function: Function, wrt: Sequence[str]) -> None:
        self.source = source
        self.n_inputs = len(function.inputs)
        self.n_outputs = len(function.outputs)
        self.wrt = tuple(wrt)
        self._call = call
        self._places = _places(function, wrt)

    def __call__(self, *columns: np.ndarray | float) -> tuple[np.ndarray, np.ndarray | None]:
        if len(columns) != self.n_inputs:
            raise TypeError(f"{self.n_inputs} columns expected, got {len(columns)}")
        columns = tuple(c if np.ndim(c) else np.float64(c) for c in columns)  # Python's own 1 / 0 raises
        n_rows = max((len(c) for c in columns if np.ndim(c)), default=1)
        with np.errstate(all="ignore"):
            values, derivatives = self._call(*columns)
        outputs = np.empty((n_rows, self.n_outputs))
        for j, value in enumerate(values):
            outputs[:, j] = value
        if not self.wrt:
            return outputs, None
        jacobian = np.zeros((n_rows, self.n_outputs, len(self.wrt)))
        for (i, j), value in zip(self._places, derivatives, strict=True):
            jacobian[:, i, j] = value
        return outputs, jacobian


def link_numpy(function: Function, wrt: Sequence[str] = (), *, title: str = "") -> BatchFunction:
    """The function and its derivatives with respect to the inputs `wrt`; its source shows in tracebacks."""
    source = emit_numpy(function, wrt, title=title)
    filename = f"<nlmevae {title or function.name} numpy {id(function.graph):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict = {"np": np}
    if "special." in source:
        from scipy import special

        namespace["special"] = special
    exec(compile(source, filename, "exec"), namespace)
    return BatchFunction(namespace[function.name], source, function, wrt)


def emit_numpy(function: Function, wrt: Sequence[str] = (), *, title: str = "") -> str:
    """Source of ``def <name>(<inputs>)`` returning (outputs, derivatives), two tuples.

    Derivatives are those of `Function.jacobian(wrt)`, in its order; structural zeros are left out.
    """
    results = [(name, node) for name, node in function.outputs]
    derivatives = function.jacobian(wrt) if wrt else {}
    results += [(f"d {output} by {name}", node) for (output, name), node in derivatives.items()]
    nodes = [node for _, node in results]
    names = _Names()
    arguments = [names.new(name) for name in function.inputs]
    inputs = dict(zip(function.inputs, arguments, strict=True))
    shared = _used_more_than_once(function, nodes)
    text: dict[int, str] = {}
    lines = []
    for node in function.graph.reachable(nodes):
        spelled = _spell(function.graph, node, text, inputs)
        if node in shared:
            text[node] = f"v{node}"
            lines.append(f"    v{node} = {_strip(spelled)}")
        else:
            text[node] = spelled
    targets = [names.new(name) for name, _ in results]
    lines += [f"    {target} = {_strip(text[node])}" for target, (_, node) in zip(targets, results, strict=True)]
    n = len(function.outputs)
    doc = f'    """{title or function.name} of the model, generated."""'
    end = f"    return {_tuple(targets[:n])}, {_tuple(targets[n:])}"
    return "\n".join([f"def {function.name}({', '.join(arguments)}):", doc, *lines, end, ""])


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


def _places(function: Function, wrt: Sequence[str]) -> list[tuple[int, int]]:
    rows = {name: i for i, name in enumerate(function.output_names)}
    columns = {name: j for j, name in enumerate(wrt)}
    return [(rows[output], columns[name]) for output, name in function.jacobian(wrt)] if wrt else []


def _used_more_than_once(function: Function, nodes: Sequence[int]) -> set[int]:
    counts: dict[int, int] = {}
    for node in function.graph.reachable(nodes):
        for arg in function.graph.nodes[node].args:
            counts[arg] = counts.get(arg, 0) + 1
    for node in nodes:
        counts[node] = counts.get(node, 0) + 1
    plain = ("constant", "input")
    return {node for node, count in counts.items() if count > 1 and function.graph.nodes[node].op not in plain}


def _spell(graph: Graph, index: int, text: dict[int, str], inputs: dict[str, str]) -> str:
    node = graph.nodes[index]
    args = [text[a] for a in node.args]
    if args and all(graph.value_of(a) is not None for a in node.args):  # not folded: 1 / 0 and the like
        args[0] = f"np.float64({args[0]})"
    if node.op == "constant":
        return _number(node.value)
    if node.op == "input":
        return inputs[str(node.value)]
    if node.op in _INFIX:
        return f"({args[0]} {_INFIX[node.op]} {args[1]})"
    if node.op == "neg":
        return f"(-{args[0]})"
    return f"{_CALLS[node.op]}({', '.join(_strip(a) for a in args)})"


def _number(value: float) -> str:
    if not np.isfinite(value):
        return f"np.float64('{value}')"
    return f"({value!r})" if value < 0 else repr(value)


def _tuple(names: Sequence[str]) -> str:
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


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
