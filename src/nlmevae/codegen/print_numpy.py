"""Graph function -> readable numpy source: small functions without a compiler, and the plain check of the
compiled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nlmevae.codegen.graph import Function
from nlmevae.codegen.print_python import Dialect, link_python, print_body, print_definition, print_tuple

_SAME_NAME = ("exp", "log", "sqrt", "abs", "sin", "cos", "tan", "sinh", "cosh", "tanh", "trunc")
NUMPY = Dialect(
    calls={
        **{op: f"np.{op}" for op in _SAME_NAME},
        **{op: f"np.arc{op[1:]}" for op in ("asin", "acos", "atan")},
        **{op: f"np.logical_{op}" for op in ("not", "and", "or")},
        "pow": "np.power",
        "select": "np.where",
        "normal_cdf": "special.ndtr",
        "lgamma": "special.gammaln",
        "digamma": "special.digamma",
    },
    scalar="np.float64({})",
)


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
    namespace: dict = {"np": np}
    if "special." in source:
        from scipy import special

        namespace["special"] = special
    return BatchFunction(
        link_python(source, function, namespace, f"{title or function.name} numpy"), source, function, wrt
    )


def emit_numpy(function: Function, wrt: Sequence[str] = (), *, title: str = "") -> str:
    """Source of ``def <name>(<inputs>)`` returning (outputs, derivatives), two tuples.

    Derivatives are those of `Function.jacobian(wrt)`, in its order; structural zeros are left out.
    """
    derivatives = function.jacobian(wrt) if wrt else {}
    slopes = [(f"d {output} by {name}", node) for (output, name), node in derivatives.items()]
    body = print_body(function, [*function.outputs, *slopes], NUMPY)
    n = len(function.outputs)
    returned = f"{print_tuple(body.results[:n])}, {print_tuple(body.results[n:])}"
    return print_definition(function.name, body, returned, title)


def _places(function: Function, wrt: Sequence[str]) -> list[tuple[int, int]]:
    rows = {name: i for i, name in enumerate(function.output_names)}
    columns = {name: j for j, name in enumerate(wrt)}
    return [(rows[output], columns[name]) for output, name in function.jacobian(wrt)] if wrt else []
