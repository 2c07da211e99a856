"""Pharmpy's covsearch: ``results.json`` in the normal form of `results.tool_result`.

Its tables are pandas' "table" orientation, ``{"schema": ..., "data": [{...}, ...]}``. Which there are depends on the
version: `summary_tool` has one row per model with the selection as a text, ``(CL-AGE-exp);(MAT-AGE-exp)``; `steps` has
one row per test. The last row with `selected` is the final model.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

from nlmevae.errors import DataError
from nlmevae.results.tool_result import ToolEstimate, ToolLikelihood, ToolRelation, ToolResult, ToolTest

FORMS = {
    "exp": "exponential",
    "pow": "power",
    "lin": "linear",
    "piece_lin": "hockey-stick",
    "cat": "categorical",
    "cat2": "categorical",
}
_IN_TEXT = re.compile(r"\(([^()]+?)-([^()]+?)-([A-Za-z0-9_]+)\)")
#: In the names of parameters of `summary_models`.
_ESTIMATE, _ERROR = "_estimate", "_SE"
_NOT_PARAMETERS = ("runtime_total", "estimation_runtime", "ofv")


def read_covsearch(path: str | os.PathLike[str]) -> ToolResult:
    """
    Args:
        path: ``results.json`` or its folder.

    Raises:
        DataError: there is none, it is no JSON, or not of covsearch.
    """
    file = Path(path)
    file = file / "results.json" if file.is_dir() else file
    document = _document(file)
    summary, steps = _rows(document, "summary_tool"), _rows(document, "steps")
    try:
        tests = tuple(_test(row) for row in steps if row.get("parameter"))
        rows = summary or steps
        final = [row for row in rows if row.get("selected")]
        if not final:
            raise DataError(f"{file} has no selected model", hint="give the results of a finished covsearch")
        relations, notes = _relations(summary, tests)
        value = _value(final[-1].get("ofv" if summary else "extended_ofv"))
        if not summary:
            value = _end_value(final[-1])
        models = _rows(document, "summary_models")
        name = str(final[-1].get("model", ""))
        estimates = _estimates(next((row for row in models if row.get("model") == name), {}))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{file} is damaged: {type(error).__name__} {error}", hint="give the results.json of covsearch"
        ) from None
    return ToolResult(
        tool="covsearch",
        source=str(path),
        model=name,
        relations=relations,
        tested=tuple(dict.fromkeys((t.parameter, t.covariate) for t in tests)) or None,
        tests=tests,
        likelihoods=() if math.isnan(value) else (ToolLikelihood(value=value, method="", with_constant=None),),
        criteria={} if math.isnan(value) else {"OFV": value},
        estimates=estimates,
        n_parameters=_count(final[-1].get("n_params")),
        n_runs=len(rows) if summary else len(tests) + 1,
        seconds=_seconds(models),
        notes=tuple(notes),
    )


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"cannot read {file}: {error.strerror}", hint="give the folder of a covsearch, or its results.json"
        ) from None
    except ValueError:
        raise DataError(f"{file} is no JSON, or is cut off", hint="give the results.json of a covsearch") from None
    kind = document.get("__class__", "") if isinstance(document, dict) else ""
    if not isinstance(document, dict) or not (_rows(document, "summary_tool") or _rows(document, "steps")):
        what = f"the results of {kind}" if kind else "no result of Pharmpy"
        raise DataError(f"{file} is {what}, not of covsearch", hint="give the results.json of a covsearch")
    if kind and kind not in ("COVSearchResults", "SCMResults"):
        raise DataError(f"{file} is the results of {kind}, not of covsearch", hint="give that of a covsearch")
    return document


def _rows(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    table = document.get(name)
    rows = table.get("data") if isinstance(table, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _relations(
    summary: list[dict[str, Any]], tests: tuple[ToolTest, ...]
) -> tuple[tuple[ToolRelation, ...], list[str]]:
    """By the text of the last selected model, else by following the steps; a note where the two differ."""
    followed: dict[tuple[str, str], ToolTest] = {}
    for test in tests:
        if test.chosen and test.backward:
            followed.pop((test.parameter, test.covariate), None)
        elif test.chosen:
            followed[test.parameter, test.covariate] = test
    if not summary:
        return tuple(_relation(*pair, t.state, t) for pair, t in followed.items()), []
    text = str([row for row in summary if row.get("selected")][-1].get("description") or "")
    found = [(p, c, f) for p, c, f in _IN_TEXT.findall(text)]
    notes = []
    if tests and {(p, c) for p, c, _ in found} != set(followed):
        notes.append("its tables steps and summary_tool disagree on the final model: that of summary_tool counts")
    return tuple(_relation(p, c, f, followed.get((p, c))) for p, c, f in found), notes


def _relation(parameter: str, covariate: str, state: str, test: ToolTest | None) -> ToolRelation:
    form = state.replace("*", "").replace("+", "").strip()
    return ToolRelation(
        parameter=parameter,
        covariate=covariate,
        form=FORMS.get(form, form),
        n_coefficients=None if test is None or test.df is None else abs(test.df),
        p_value=math.nan if test is None else test.p_value,
        step=None if test is None else test.step,
        locked=test is None,
    )


def _test(row: dict[str, Any]) -> ToolTest:
    return ToolTest(
        step=int(row["step"]),
        backward=bool(row.get("is_backward")),
        parameter=str(row["parameter"]),
        covariate=str(row["covariate"]),
        state=str(row.get("extended_state", "")),
        base=_value(row.get("reduced_ofv")),
        new=_value(row.get("extended_ofv")),
        drop=_value(row.get("ofv_drop")),
        goal=_value(row.get("goal_pvalue")),
        df=_count(row.get("delta_df")),
        p_value=_value(row.get("pvalue")),
        significant=str(row.get("extended_significant")).lower() == "true",
        chosen=bool(row.get("selected")),
    )


def _end_value(row: dict[str, Any]) -> float:
    """OFV after a step: of the larger model when something was added, of the smaller when it was removed."""
    return _value(row.get("reduced_ofv" if row.get("is_backward") else "extended_ofv"))


def _estimates(row: dict[str, Any]) -> tuple[ToolEstimate, ...]:
    return tuple(
        ToolEstimate(
            name=key.removesuffix(_ESTIMATE),
            value=_value(value),
            standard_error=_value(row.get(key.removesuffix(_ESTIMATE) + _ERROR)),
        )
        for key, value in row.items()
        if key.endswith(_ESTIMATE) and key not in _NOT_PARAMETERS and value is not None
    )


def _seconds(models: list[dict[str, Any]]) -> float | None:
    """Of all models together; None unless each has its time."""
    times = [_value(row.get("runtime_total")) for row in models]
    return sum(times) if times and not any(math.isnan(t) for t in times) else None


def _value(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _count(value: Any) -> int | None:
    number = _value(value)
    return None if math.isnan(number) else int(number)
