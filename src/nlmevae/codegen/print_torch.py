"""Graph function -> readable torch source, for the torchode back end and for people."""

from __future__ import annotations

from collections.abc import Callable

from nlmevae.codegen.graph import Function
from nlmevae.codegen.print_python import Dialect, link_python, print_body, print_definition, print_tuple

_SAME_NAME = ("exp", "log", "sqrt", "abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "trunc")
TORCH = Dialect(
    calls={
        **{op: f"torch.{op}" for op in (*_SAME_NAME, "pow", "lgamma", "digamma")},
        **{op: f"torch.logical_{op}" for op in ("not", "and", "or")},
        "select": "torch.where",
        "normal_cdf": "torch.special.ndtr",
    },
    scalar="torch.tensor({}, dtype=torch.float64)",
)


def emit_torch(function: Function, *, title: str = "") -> str:
    """Source of ``def <name>(<inputs>)`` on float64 tensors of one shape, returning a tuple of outputs.

    An output that depends on no input is a plain number.
    """
    body = print_body(function, function.outputs, TORCH)
    return print_definition(function.name, body, print_tuple(body.results), title)


def link_torch(function: Function, *, title: str = "") -> Callable:
    """The function, callable on tensors."""
    import torch

    return link_python(emit_torch(function, title=title), function, {"torch": torch}, title)
