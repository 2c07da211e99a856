"""A device that is the CPU under another name and obeys a GPU's rules, to test code for a GPU where there is none.

A tensor that is "there" may not meet one that is "here" (numbers may, as on a GPU). Copies between the two are counted,
and questions of the host about a value there.
"""

from __future__ import annotations

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

#: The one name besides "cpu" that torch has without a GPU; a tensor of ours there does hold numbers.
DEVICE = "meta"


class There(torch.Tensor):
    """A tensor on the pretended device; `held` has its numbers."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> There:
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device(DEVICE),
        )  # fmt: skip

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    def __repr__(self, **_) -> str:
        return f"There({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func}: the pretended device is used outside `PretendDevice`")


class _NumbersThere(TorchFunctionMode):
    """`torch.tensor` makes tensors without a word to a dispatch mode."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.tensor and str(kwargs.get("device")) == DEVICE:
            return There(func(*args, **{**kwargs, "device": "cpu"}))
        return func(*args, **kwargs)


class PretendDevice(TorchDispatchMode):
    """While it is active, DEVICE exists."""

    def __init__(self) -> None:
        super().__init__()
        self.copies_in, self.copies_out, self.questions = 0, 0, 0
        self._numbers = _NumbersThere()

    def __enter__(self):
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._numbers.__exit__(*exception)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in _OF_FORWARD_MODE:
            return func(*_held(args), **_held(kwargs))
        if any(isinstance(a, There) for a in tree_leaves((args, kwargs))):
            args, kwargs = tree_map(_zeros_there, (args, kwargs))
        leaves = tree_leaves((args, kwargs))
        there = [a for a in leaves if isinstance(a, There)]
        here = [a for a in leaves if isinstance(a, torch.Tensor) and not isinstance(a, There)]
        named = kwargs.get("device")
        lands_there = bool(there) if named is None else str(named) == DEVICE
        if func is torch.ops.aten._to_copy.default:
            self.copies_in += bool(here and lands_there)
            self.copies_out += bool(there and there[0].ndim and not lands_there)
            self.questions += bool(there and not there[0].ndim and not lands_there)
        elif func is torch.ops.aten._local_scalar_dense.default:
            self.questions += bool(there)
        elif there and any(a.ndim for a in here):
            raise RuntimeError(f"{func}: tensors of two devices meet")
        if named is not None:
            kwargs["device"] = torch.device("cpu")
        held = {id(a.held): a for a in there}
        result = func(*_held(args), **_held(kwargs))

        def outside(value):
            if not isinstance(value, torch.Tensor):
                return value
            return held.get(id(value)) if id(value) in held else There(value) if lands_there else value

        return tree_map(outside, result)


#: Forward mode works out shapes with tensors that are really on "meta", which it makes by these.
_OF_FORWARD_MODE = (torch.ops.aten._efficientzerotensor.default, torch.ops.aten.to.dtype_layout)


def _held(values):
    return tree_map(lambda a: a.held if isinstance(a, There) else a, values)


def _zeros_there(value):
    """A tangent of zeros that forward mode has made there."""
    real = isinstance(value, torch.Tensor) and not isinstance(value, There) and value.device.type == "meta"
    return There(torch.zeros(value.shape, dtype=value.dtype)) if real else value
