"""`results.json`: everything the fit knows, at full precision. The other files are exports of it.

JSON has no NaN and no infinity: NaN is null, infinities are the texts "Infinity" and "-Infinity". The
schema is the dataclass `FitResult`, field by field, with `schema` counting incompatible changes.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from nlmevae.errors import DataError
from nlmevae.results.fit_result import Estimate, FitResult, IndividualResults, LikelihoodValue, TraceRow
from nlmevae.results.run_folder import GENERATOR
from nlmevae.results.status import FitStatus
from nlmevae.writers.atomic import write_atomically

SCHEMA = 1


def write_results_json(path: Path, result: FitResult) -> None:
    """Write `results.json` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, results_json_text(result))


def results_json_text(result: FitResult) -> str:
    """The file's content. `generator` comes first: it is how the file is recognised as ours."""
    document = {"generator": GENERATOR, "schema": SCHEMA, "ofv_nonmem": _plain(result.ofv_nonmem), **_plain(result)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def read_results_json(path: Path) -> FitResult:
    """The result as it was written, bit for bit (NaN for null in numbers).

    Raises:
        DataError: the file is missing, not JSON, not ours, or of another schema.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}", hint="give a results.json written by nlmevae") from error
    if not isinstance(document, dict) or document.get("generator") != GENERATOR:
        raise DataError(f"{path} was not written by nlmevae", hint="give a results.json written by nlmevae")
    if document.get("schema") != SCHEMA:
        raise DataError(
            f"{path} has schema {document.get('schema')}, this version reads {SCHEMA}",
            hint="read it with the version that wrote it",
        )
    return _fit_result(document)


def _plain(value: Any) -> Any:
    """JSON-ready copy."""
    if isinstance(value, enum.Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def _array(value: Any, ndim: int) -> np.ndarray:
    """float64 with `ndim` axes, also when some of them are empty."""
    array = np.array(_filled(value), dtype=float)
    return array.reshape(array.shape + (0,) * (ndim - array.ndim))


def _filled(value: Any) -> Any:
    return [_filled(v) for v in value] if isinstance(value, list) else _number(value)


def _fit_result(d: dict[str, Any]) -> FitResult:
    texts = {k: d[k] for k in ("name", "source_path", "data_path", "problem", "method", "message")}
    tuples = {k: tuple(d[k]) for k in ("eta_names", "eta_labels", "warnings", "eta_transforms", "covariates")}
    vectors = {k: _array(d[k], 1) for k in ("thetas", "eta_shrinkage_sd", "eps_shrinkage_sd")}
    return FitResult(
        **texts,
        **tuples,
        **vectors,
        status=FitStatus[d["status"]],
        seed=d["seed"],
        n_subjects=d["n_subjects"],
        n_obs_total=d["n_obs_total"],
        omega=_array(d["omega"], 2),
        sigma=_array(d["sigma"], 2),
        estimates=tuple(_estimate(e) for e in d["estimates"]),
        likelihoods=tuple(_likelihood(v) for v in d["likelihoods"]),
        individuals=_individuals(d["individuals"]),
        trace=tuple(_trace_row(r) for r in d["trace"]),
        settings=d["settings"],
        seconds={k: _number(v) for k, v in d["seconds"].items()},
        versions=d["versions"],
    )


def _estimate(d: dict[str, Any]) -> Estimate:
    numbers = {k: _number(d[k]) for k in ("init", "value", "lower", "upper")}
    return Estimate(**{**d, **numbers, "standard_error": _optional(d["standard_error"])})


def _likelihood(d: dict[str, Any]) -> LikelihoodValue:
    return LikelihoodValue(method=d["method"], **{k: _number(v) for k, v in d.items() if k != "method"})


def _individuals(d: dict[str, Any]) -> IndividualResults:
    axes = {"eta_mean": 2, "eta_cov": 3, "eta_mode": 2, "minus_two_ll": 1, "ess": 1, "khat": 1, "psi": 2}
    return IndividualResults(
        labels=tuple(d["labels"]),
        n_obs=np.array(d["n_obs"], dtype=int),
        psi_names=tuple(d["psi_names"]),
        **{k: _array(d[k], ndim) for k, ndim in axes.items()},
    )


def _trace_row(d: dict[str, Any]) -> TraceRow:
    return TraceRow(
        iteration=d["iteration"],
        phase=d["phase"],
        objective=_number(d["objective"]),
        parameters=_array(d["parameters"], 1),
        seconds=_number(d["seconds"]),
        extra={k: _number(v) for k, v in d["extra"].items()},
    )
