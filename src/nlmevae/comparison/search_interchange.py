"""A search of Monolix as its connectors report it, in a JSON file that a few lines of R write (docs/compare.md):

    {"schema": "nlmevae-covsearch/1", "tool": "COSSAC", "source": "lixoftConnectors 2024R1",
     "params": ["ka", "V"], "covs": ["lw70", "sex"], "ll_method": "importanceSampling", "final": 2, "n_runs": 7,
     "runs": [{"m2ll": 341.2, "BICc": 372.0, "matrix": [[0, 0], [0, 0]]},
              {"m2ll": 339.5, "BICc": 370.9, "matrix": [[0, 0], [1, 0]], "tested": ["V", "lw70"]}]}

`final` counts from 1. Monolix does not document a format on disk for these results.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from nlmevae.errors import DataError
from nlmevae.results.tool_result import ToolLikelihood, ToolRelation, ToolResult

SCHEMA = "nlmevae-covsearch/1"
_METHODS = {"importanceSampling": "is", "linearization": "lin"}


def is_interchange(place: Path) -> Path | None:
    """The file, if `place` is one or a folder with one .json in it that begins like one."""
    files = [place] if place.suffix == ".json" else sorted(place.glob("*.json")) if place.is_dir() else []
    for file in files:
        if file.is_file() and SCHEMA.partition("/")[0] in file.read_bytes()[:400].decode("utf-8", errors="replace"):
            return file
    return files[0] if place.suffix == ".json" and place.is_file() else None


def read_interchange(path: Path, *, tool: str) -> ToolResult:
    """
    Raises:
        DataError: it is no JSON, of another schema, or contradictory.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{path} is no JSON, or is cut off", hint="write it again as docs/compare.md shows") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DataError(f"{path} is not in the exchange format {SCHEMA}", hint="docs/compare.md shows it")
    told = str(document.get("tool", tool))
    if told.lower() != tool.lower():
        raise DataError(f"{path} is a result of {told}, not of {tool}", hint=f"give it with --{told.lower()}")
    try:
        params, covs = [str(p) for p in document["params"]], [str(c) for c in document["covs"]]
        runs = document["runs"]
        number = int(document["final"])
        if not 1 <= number <= len(runs):
            raise ValueError(f"final is {number} of {len(runs)} runs")
        run = runs[number - 1]
        matrix = [[bool(v) for v in row] for row in run["matrix"]]
        if len(matrix) != len(params) or any(len(row) != len(covs) for row in matrix):
            raise ValueError("matrix is not params by covs")
        value = float(run.get("m2ll", math.nan))
        criteria = {k: float(run[k]) for k in ("BICc", "BIC", "AIC") if k in run}
        method = _METHODS.get(str(document.get("ll_method", "")), "")
        n_runs = int(document.get("n_runs", len(runs)))
        seconds = float(document["seconds"]) if "seconds" in document else None
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path}: {type(error).__name__} {error}", hint="docs/compare.md shows the format") from None
    locked = {tuple(pair) for pair in document.get("locked", [])}
    relations = tuple(
        ToolRelation(parameter=p, covariate=c, locked=(p, c) in locked)
        for p, row in zip(params, matrix, strict=True)
        for c, inside in zip(covs, row, strict=True)
        if inside
    )
    return ToolResult(
        tool=tool,
        source=str(path),
        relations=relations,
        tested=tuple((p, c) for p in params for c in covs),
        likelihoods=() if math.isnan(value) else (ToolLikelihood(value=value, method=method, with_constant=True),),
        criteria=criteria,
        n_runs=n_runs,
        seconds=seconds,
        notes=() if method else ("the file does not tell the method of -2LL (ll_method)",),
    )
