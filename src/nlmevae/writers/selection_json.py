"""`selection.json`: everything a covariate selection knows, at full precision.

The same rules as `results.json`: `generator` first, NaN is null, infinities are the texts "Infinity" and
"-Infinity". The schema is the dataclass `SelectionResult`, field by field; `fit` is the content of the selected
model's `results.json`. Rows of the trace's matrices, effects and path
steps take one line each.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np

from nlmevae.errors import DataError
from nlmevae.results.run_folder import GENERATOR
from nlmevae.results.selection_result import SelectionResult, SelectionTrace
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.results_json import array_from, fit_result_from, number_from, plain, read_own_json

SCHEMA = 2


def write_selection_json(path: Path, result: SelectionResult) -> None:
    """Write `selection.json` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, selection_json_text(result))


def selection_json_text(result: SelectionResult) -> str:
    """The file's content. `generator` comes first: it is how the file is recognised as ours."""
    document = {"generator": GENERATOR, "schema": SCHEMA, "support": list(result.support), **plain(result)}
    parts = [f" {json.dumps(name)}: {_member_text(name, value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _member_text(name: str, value: Any) -> str:
    if name in ("support", "parameters", "coefficients", "effects", "path"):
        return _rows_text(value)
    if name == "trace":
        return "{\n" + ",\n".join(f"  {json.dumps(k)}: {_rows_text(v)}" for k, v in value.items()) + "\n }"
    return json.dumps(value, indent=1, allow_nan=False).replace("\n", "\n ")


def _rows_text(rows: list[Any]) -> str:
    """One line per row of a matrix or object of a list; a vector on one line."""
    if not rows or not isinstance(rows[0], list | dict):
        return json.dumps(rows, allow_nan=False)
    return "[\n" + ",\n".join(f"   {json.dumps(row, allow_nan=False)}" for row in rows) + "\n  ]"


def read_selection_json(path: Path) -> SelectionResult:
    """The result as it was written, bit for bit (NaN for null in numbers); tuples in `settings` become lists.

    Raises:
        DataError: the file is missing, not JSON, not ours, or of another schema.
    """
    document = read_own_json(path, schema=SCHEMA, kind="selection.json")
    try:
        return _selection_result(document)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged: {type(error).__name__} {error}", hint="give a selection.json written by nlmevae"
        ) from error


def _selection_result(document: dict[str, Any]) -> SelectionResult:
    own = {"fit": fit_result_from(document["fit"]), "trace": _trace(document)}
    hints = typing.get_type_hints(SelectionResult)
    rest = {n: _value(document[n], hints[n]) for n in hints if n not in own}
    return SelectionResult(**own, **rest)


def _trace(document: dict[str, Any]) -> SelectionTrace:
    """Matrices keep their width also when there is no row."""
    d = document["trace"]
    n = len(d["phase"])
    return SelectionTrace(
        phase=tuple(d["phase"]),
        objective=array_from(d["objective"], 1),
        criterion=array_from(d["criterion"], 1),
        beta=array_from(d["beta"], 2).reshape(n, len(document["coefficients"])),
        omega_sd=array_from(d["omega_sd"], 2).reshape(n, len(document["parameters"])),
        support=np.array(d["support"], dtype=bool).reshape(n, len(document["effects"])),
    )


def _value(value: Any, hint: Any) -> Any:
    """The value of a field, by the field's type: numbers from null and "Infinity", tuples from lists, dataclasses
    from objects."""
    if hint is float:
        return number_from(value)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{f.name: _value(value[f.name], hints[f.name]) for f in dataclasses.fields(hint)})
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_value(v, inner[0]) for v in value)
    if origin is dict:
        return {k: _value(v, inner[1]) for k, v in value.items()}
    if origin in (UnionType, typing.Union):
        return None if value is None else _value(value, next(a for a in inner if a is not type(None)))
    return value
