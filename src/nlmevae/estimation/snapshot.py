"""The objects of a running estimation as bytes, and back in another process, bit for bit.

What every process makes for itself from the model and the data (event table, decoders, compiled functions) is not
written: `Given` names such objects, and a snapshot refers to them by name. Everything else are dataclasses,
numbers and arrays. Bytes come from a file, so reading makes nothing but these: a snapshot cannot run code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

#: A view is written as part of the array it looks at, unless that is so many times larger.
MOST_BYTES = 1 << 29  # of a snapshot: the draws of very many subjects are not kept
LARGEST_BASE = 16
_ATOMS = (str, bytes, int, float, complex, bool, type(None), Enum, np.generic, type)
#: Outside nlmevae, what a snapshot may name.
_KNOWN = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
}


class SnapshotError(ValueError):
    """The bytes are not a snapshot that this version can read."""


class Given:
    """Objects that every process has, by name: roots and whatever dataclasses, tuples, lists and dictionaries below
    them hold."""

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def add(self, **roots: object) -> None:
        """Name `roots` and their parts; of an object that has a name already the first one stays."""
        for root, value in roots.items():
            for name, part in _parts(root, value, set()):
                self._objects.setdefault(name, part)
                if self._objects[name] is part:
                    self._names.setdefault(id(part), name)

    def name_of(self, value: object) -> str | None:
        return self._names.get(id(value))

    def __getitem__(self, name: str) -> object:
        return self._objects[name]


def _parts(name: str, value: object, seen: set[int]) -> Iterator[tuple[str, object]]:
    """Depth first; empty containers are shared by all of Python and not worth a name."""
    if isinstance(value, _ATOMS) or (isinstance(value, tuple | list | dict) and not value) or id(value) in seen:
        return
    seen.add(id(value))
    yield name, value
    if is_dataclass(value):
        for f in fields(value):
            yield from _parts(f"{name}.{f.name}", getattr(value, f.name), seen)
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            yield from _parts(f"{name}[{i}]", item, seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _parts(f"{name}[{key!r}]", item, seen)


def dump(value: object, given: Given) -> bytes:
    """`value` as bytes. Arrays that share memory still do when they are read.

    Raises:
        PickleError, TypeError, AttributeError: it holds something that is neither a value nor given.
        TooLarge: it has more than MOST_BYTES.
    """
    stream = _Stream()
    _Pickler(stream, given).dump(value)
    return stream.getvalue()


def load(data: bytes, given: Given) -> Any:
    """The value.

    Raises:
        SnapshotError: the bytes are damaged, of another version, or refer to something that is not given.
    """
    try:
        return _Unpickler(io.BytesIO(data), given).load()
    except SnapshotError:
        raise
    except Exception as error:  # damaged bytes fail in many ways
        raise SnapshotError(f"{type(error).__name__}: {error}") from error


class TooLarge(Exception):  # noqa: N818  (no error: such a state is not kept)
    """More bytes than a snapshot may have."""


class _Stream(io.BytesIO):
    """Memory for one snapshot, which holds everything twice for a moment."""

    def write(self, data: Any) -> int:
        if self.tell() + memoryview(data).nbytes > MOST_BYTES:
            raise TooLarge
        return super().write(data)


class _Pickler(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, given: Given) -> None:
        super().__init__(stream, protocol=5)
        self._given = given

    def persistent_id(self, value: object) -> str | None:
        return self._given.name_of(value)

    def reducer_override(self, value: object) -> Any:
        if type(value) is np.random.Generator:
            return make_generator, (value.bit_generator.state,)
        if type(value) is np.ndarray:
            return _reduced(value)
        if isinstance(value, FunctionType | BuiltinFunctionType | MethodType) and not _makes_values(value):
            raise pickle.PicklingError(f"{value.__qualname__} is no value")
        return NotImplemented


def _makes_values(function: Any) -> bool:
    return (function.__module__, function.__qualname__) in _KNOWN or _MAKERS.get(function.__name__) is function


def _reduced(array: np.ndarray) -> Any:
    """Views stay views, and the order of the elements in memory stays: sums depend on it in the last bits."""
    base = array.base
    if type(base) is np.ndarray and base.flags.forc and base.nbytes <= LARGEST_BASE * array.nbytes:
        offset = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        return make_view, (base, offset, array.shape, array.strides, array.dtype)
    if array.flags.forc or array.dtype.hasobject:
        return NotImplemented
    order = np.argsort([-abs(s) for s in array.strides], kind="stable")
    return make_permuted, (np.ascontiguousarray(array.transpose(order)), tuple(int(i) for i in np.argsort(order)))


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, given: Given) -> None:
        super().__init__(stream)
        self._given = given

    def persistent_load(self, name: Any) -> object:
        try:
            return self._given[name]
        except KeyError:
            raise SnapshotError(f"{name} is not known here") from None

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return super().find_class(module, name)
        if module == __name__ and name in _MAKERS:
            return _MAKERS[name]
        if module.split(".")[0] == "nlmevae" and "." not in name:
            found = getattr(import_module(module), name)
            if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum | tuple)):
                return found
        raise SnapshotError(f"{module}.{name} is nothing that a snapshot holds")


def make_generator(state: dict[str, Any]) -> np.random.Generator:
    generator = np.random.default_rng(0)
    generator.bit_generator.state = state
    return generator


def make_view(
    base: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    return np.ndarray(shape, dtype, buffer=base, offset=offset, strides=strides)


def make_permuted(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return array.transpose(axes)


_MAKERS = {f.__name__: f for f in (make_generator, make_view, make_permuted)}
