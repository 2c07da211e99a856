"""`results.json`: everything the fit knows, at full precision. The other files are exports of it.

JSON has no NaN and no infinity: NaN is null, infinities are the texts "Infinity" and "-Infinity". The
schema is the dataclass `FitResult`, field by field, with `schema` counting incompatible changes.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nlmevae.errors import DataError
from nlmevae.results.fit_result import (
    DerivedQuantity,
    EndpointCount,
    Estimate,
    FitResult,
    IndividualResults,
    LikelihoodValue,
    TraceRow,
)
from nlmevae.results.run_folder import GENERATOR
from nlmevae.results.shrinkage import EtaStatistics, Shrinkage
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import UncertaintyResult
from nlmevae.writers.atomic import write_atomically

SCHEMA = 2
_ROWS = 4096

#: Fields with a file of their own.
ELSEWHERE = {(FitResult, "encoder")}


def write_results_json(path: Path, result: FitResult) -> None:
    """Write `results.json` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, _document_pieces(result))


def results_json_text(result: FitResult) -> str:
    """The file's content. `generator` comes first: it is how the file is recognised as ours."""
    return "".join(_document_pieces(result))


def _document_pieces(result: FitResult) -> Iterator[str]:
    head = {"generator": GENERATOR, "schema": SCHEMA, "ofv_nonmem": result.ofv_nonmem}
    yield from _pieces(head | _shown(result))
    yield "\n"


def _pieces(value: Any, level: int = 0) -> Iterator[str]:
    """`indented(plain(value))` in pieces: numbers of very many subjects are not all objects at once."""
    inner, outer = "\n" + " " * (level + 1), "\n" + " " * level
    if isinstance(value, np.ndarray) and value.ndim and len(value) > _ROWS:
        before = "[" + inner
        for start in range(0, len(value), _ROWS):
            block = indented(plain(value[start : start + _ROWS]), level)
            yield before + block[1 + len(inner) : -len(outer) - 1]
            before = "," + inner
        yield outer + "]"
    elif isinstance(value, np.ndarray) and value.ndim > 1 and value.size > _ROWS:
        before = "[" + inner
        for row in value:
            yield before
            yield from _pieces(row, level + 1)
            before = "," + inner
        yield outer + "]"
    elif _is_record(value) or (isinstance(value, dict) and value):
        before = "{" + inner
        for name, item in (_shown(value) if _is_record(value) else value).items():
            yield f"{before}{json.dumps(str(name))}: "
            yield from _pieces(item, level + 1)
            before = "," + inner
        yield outer + "}"
    else:
        yield indented(plain(value), level)


def indented(value: Any, level: int = 0) -> str:
    """What `json.dumps(value, indent=1, allow_nan=False)` gives, of what `plain` gives; lists of numbers, of which
    there may be millions, are written by the encoder in C, which knows no indentation."""
    inner, outer = "\n" + " " * (level + 1), "\n" + " " * level
    if isinstance(value, dict) and value:
        items = (f"{json.dumps(k)}: {indented(v, level + 1)}" for k, v in value.items())
        return "{" + inner + f",{inner}".join(items) + outer + "}"
    if isinstance(value, list) and value:
        if set(map(type, value)) <= {float, int, bool, str, type(None)}:
            return "[" + inner + json.dumps(value, separators=(f",{inner}", ": "), allow_nan=False)[1:-1] + outer + "]"
        return "[" + inner + f",{inner}".join(indented(v, level + 1) for v in value) + outer + "]"
    return json.dumps(value, allow_nan=False)


def read_results_json(path: Path) -> FitResult:
    """The result as it was written, bit for bit (NaN for null in numbers).

    Raises:
        DataError: the file is missing, not JSON, not ours, or of another schema.
    """
    return fit_result_from(read_own_json(path, schema=SCHEMA, kind="results.json"))


def read_own_json(path: Path, *, schema: int, kind: str) -> dict[str, Any]:
    """The document in a JSON file of ours.

    Raises:
        DataError: the file is missing, not JSON, not ours, or of another schema.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}", hint=f"give a {kind} written by nlmevae") from error
    if not isinstance(document, dict) or document.get("generator") != GENERATOR:
        raise DataError(f"{path} was not written by nlmevae", hint=f"give a {kind} written by nlmevae")
    if document.get("schema") != schema:
        raise DataError(
            f"{path} has schema {document.get('schema')}, this version reads {schema}",
            hint="read it with the version that wrote it",
        )
    return document


def plain(value: Any) -> Any:
    """JSON-ready copy: dataclasses become objects, arrays lists, NaN null, enumerations their names."""
    if isinstance(value, enum.Enum):
        return value.name
    if _is_record(value):
        return {name: plain(item) for name, item in _shown(value).items()}
    if isinstance(value, np.ndarray | np.generic):
        harmless = value.dtype.kind in "biu" or (value.dtype.kind == "f" and np.isfinite(value).all())
        return value.tolist() if harmless else plain(value.tolist())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _shown(value: Any) -> dict[str, Any]:
    """Fields of a dataclass that are in the file."""
    shown = [f.name for f in dataclasses.fields(value) if (type(value), f.name) not in ELSEWHERE]
    return {name: getattr(value, name) for name in shown}


def number_from(value: Any) -> float:
    """A number; NaN for null."""
    return math.nan if value is None else float(value)


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def array_from(value: Any, ndim: int) -> np.ndarray:
    """float64 with `ndim` axes, also when some of them are empty."""
    array = np.array(_filled(value), dtype=float)
    return array.reshape(array.shape + (0,) * (ndim - array.ndim))


def _filled(value: Any) -> Any:
    return [_filled(v) for v in value] if isinstance(value, list) else number_from(value)


def fit_result_from(d: dict[str, Any]) -> FitResult:
    """A result from the document that `plain` made of it."""
    texts = {k: d[k] for k in ("name", "source_path", "data_path", "problem", "method", "message", "fingerprint")}
    tuples = {k: tuple(d[k]) for k in ("eta_names", "eta_labels", "warnings", "eta_transforms", "covariates")}
    return FitResult(
        **texts,
        **tuples,
        source_format=d.get("source_format", "nonmem"),
        thetas=array_from(d["thetas"], 1),
        status=FitStatus[d["status"]],
        seed=d["seed"],
        n_subjects=d["n_subjects"],
        n_obs_total=d["n_obs_total"],
        omega=array_from(d["omega"], 2),
        sigma=array_from(d["sigma"], 2),
        estimates=tuple(_estimate(e) for e in d["estimates"]),
        likelihoods=tuple(_likelihood(v) for v in d["likelihoods"]),
        individuals=_individuals(d["individuals"]),
        shrinkage=_shrinkage(d["shrinkage"]),
        trace=tuple(_trace_row(r) for r in d["trace"]),
        settings=d["settings"],
        seconds={k: number_from(v) for k, v in d["seconds"].items()},
        versions=d["versions"],
        endpoints=tuple(EndpointCount(**e) for e in d.get("endpoints", ())),
        data_ranges={k: (number_from(low), number_from(high)) for k, (low, high) in d["data_ranges"].items()},
        uncertainty=None if d.get("uncertainty") is None else _uncertainty(d["uncertainty"]),
        derived=tuple(_derived(q) for q in d.get("derived", ())),
    )


def _estimate(d: dict[str, Any]) -> Estimate:
    numbers = {k: number_from(d[k]) for k in ("init", "value", "lower", "upper")}
    return Estimate(**{**d, **numbers, "standard_error": _optional(d["standard_error"])})


def _likelihood(d: dict[str, Any]) -> LikelihoodValue:
    return LikelihoodValue(method=d["method"], **{k: number_from(v) for k, v in d.items() if k != "method"})


def _individuals(d: dict[str, Any]) -> IndividualResults:
    axes = {"eta_mean": 2, "eta_cov": 3, "eta_mode": 2, "minus_two_ll": 1, "ess": 1, "khat": 1, "psi": 2}
    axes |= {
        "moment_error": 1,
        "psi_mode": 2,
        "psi_mean": 2,
        "psi_sd": 2,
        "psi_quantiles": 3,
        "eta_samples": 3,
        "psi_samples": 3,
    }
    return IndividualResults(
        labels=tuple(d["labels"]),
        n_obs=np.array(d["n_obs"], dtype=int),
        psi_names=tuple(d["psi_names"]),
        n_censored=np.array(d.get("n_censored", ()), dtype=int),
        **{k: array_from(d[k], ndim) for k, ndim in axes.items()},
    )


def _shrinkage(d: dict[str, Any]) -> Shrinkage:
    kinds = {
        kind: EtaStatistics(**{name: array_from(values, 1) for name, values in d[kind].items()})
        for kind in ("means", "modes")
    }
    rest = {name: array_from(d[name], 1) for name in d if name not in (*kinds, "n_subjects")}
    return Shrinkage(n_subjects=d["n_subjects"], **kinds, **rest)


def _derived(d: dict[str, Any]) -> DerivedQuantity:
    numbers = {k: number_from(d[k]) for k in ("value", "low", "high")}
    return DerivedQuantity(**{**d, **numbers, "standard_error": _optional(d["standard_error"])})


def _uncertainty(d: dict[str, Any]) -> UncertaintyResult:
    axes = {
        "covariance": 2, "mc_error": 1, "intervals": 2, "symmetric_intervals": 2, "sd_standard_errors": 1,
        "sd_intervals": 2, "eigenvalues": 1,
    }  # fmt: skip
    return UncertaintyResult(
        method=d["method"],
        status=d["status"],
        names=tuple(d["names"]),
        distinct=np.array(d["distinct"], dtype=bool),
        level=number_from(d["level"]),
        gradient=array_from(d.get("gradient", []), 1),
        **{k: array_from(d[k], ndim) for k, ndim in axes.items()},
    )


def _trace_row(d: dict[str, Any]) -> TraceRow:
    return TraceRow(
        iteration=d["iteration"],
        phase=d["phase"],
        objective=number_from(d["objective"]),
        parameters=array_from(d["parameters"], 1),
        seconds=number_from(d["seconds"]),
        extra={k: number_from(v) for k, v in d["extra"].items()},
        support=None if d.get("support") is None else np.array(d["support"], dtype=bool),
    )
