"""Settings of Monolix's covariate search as JSON: what ``jsonlite::toJSON(getModelBuildingSettings())`` of
lixoftConnectors gives, and of ours beside it the covariates that the search adds to the project.

    {"schema": "nlmevae-cossac/1", "project": "run1.mlxtran", "transformed": {"logtWT": "log(WT/70)"},
     "strategy": "cossac", "useSambaBeforeCossac": false, "criterion": "LRT", "threshold": {"lrt": [0.05, 0.01]},
     "covariates": ["logtWT", "SEX"], "parameters": ["V", "Cl"],
     "relationships": [["V", "SEX", false], ["Cl", "logtWT", true]]}

A relationship that is locked is in all models (true) or in none (false). Monolix has no file of its own for these
settings.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nlmevae.data.search.option_values import as_number
from nlmevae.data.search.suggestion import suggestion
from nlmevae.errors import Location, SettingsError

SCHEMA = "nlmevae-cossac/1"
STRATEGIES = ("cossac", "scm", "samba")
_KEYS = frozenset({
    "schema", "project", "transformed", "strategy", "useSambaBeforeCossac", "criterion", "useLin", "threshold",
    "covariates", "parameters", "relationships",
})  # fmt: skip
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LOG = re.compile(rf"\(?log\((\w+)(?:/({_NUMBER}))?\)\)?$")
_LINEAR = re.compile(rf"\(?(\w+)(?:([-+])({_NUMBER}))?\)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """``("V", "SEX", False)``: the covariate is never on the parameter; True: always."""

    parameter: str
    covariate: str
    inside: bool
    at: Location | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """x of a covariate: log(item / centre), or item - centre."""

    item: str
    shape: Literal["log", "linear"]
    centre: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CossacFile:
    """Names as written.

    Attributes:
        lrt: p-values to add and to keep, None where not given.
        correlation: the file has limits of the correlation tests.
        transformed: covariate -> the expression that defines it.
        places: key or name -> where it first stands.
    """

    path: str
    project: str
    strategy: str
    samba_first: bool
    criterion: Literal["BIC", "LRT"]
    lrt: tuple[float, float] | None
    correlation: bool
    linearised: bool | None
    covariates: tuple[str, ...]
    parameters: tuple[str, ...]
    locks: tuple[Lock, ...]
    transformed: dict[str, str]
    text: str

    def at(self, part: str) -> Location | None:
        return _place(self.path, self.text, part)


def transform_of(expression: str) -> Transform | None:
    """``log(WT/70)``, ``log(WT)``, ``WT - 70``, ``WT``; None where it is another.

    >>> transform_of("log(WT/70)")
    Transform(item='WT', shape='log', centre=70.0)
    """
    text = re.sub(r"\s+", "", expression)
    if found := _LOG.match(text):
        centre = float(found[2] or 1.0)
        return Transform(item=found[1], shape="log", centre=centre) if centre > 0.0 else None
    if (found := _LINEAR.match(text)) and not found[1][0].isdigit():
        centre = float(found[3] or 0.0)
        return Transform(item=found[1], shape="linear", centre=-centre if found[2] == "+" else centre)
    return None


def read_cossac_file(path: str | os.PathLike[str]) -> CossacFile:
    """
    Raises:
        SettingsError: it cannot be read, is no JSON, or a part of it is unknown or impossible; with its place.
    """
    text = _text(path)
    values = _values(str(path), text)

    def fail(key: str, what: str, hint: str) -> SettingsError:
        return SettingsError(what, hint=hint, location=_place(str(path), text, key))

    for key in values:
        if key not in _KEYS:
            raise fail(key, f"there is no setting {key!r}", suggestion(key, sorted(_KEYS), "settings are"))
    schema = values.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise fail("schema", f"schema is {schema!r}", f"this version reads {SCHEMA}")
    strategy = str(_one(values.get("strategy", "cossac"))).lower()
    if strategy not in STRATEGIES:
        raise fail("strategy", f"strategy is {strategy!r}", suggestion(strategy, STRATEGIES, "choose"))
    criterion = str(_one(values.get("criterion", "BIC"))).upper()
    criterion = "BIC" if criterion == "BICC" else criterion
    if criterion not in ("BIC", "LRT"):
        raise fail("criterion", f"criterion is {criterion!r}", "BIC and LRT are possible")
    threshold = values.get("threshold", {})
    if not isinstance(threshold, dict):
        raise fail("threshold", f"threshold is {threshold!r}", 'write "threshold": {"lrt": [0.05, 0.01]}')
    covariates, parameters = (_names(key, values.get(key, []), fail) for key in ("covariates", "parameters"))
    transformed = values.get("transformed", {})
    if not isinstance(transformed, dict) or not all(isinstance(v, str) for v in transformed.values()):
        raise fail("transformed", f"transformed is {transformed!r}", 'write {"logtWT": "log(WT/70)"}')
    for key, names in (("covariates", covariates), ("parameters", parameters)):
        if not names:
            raise fail(key, f"{path} names no {key}", f'add "{key}": [...], those that are tested')
    linearised = _one(values.get("useLin"))
    return CossacFile(
        path=str(path),
        project=str(values.get("project", "")),
        strategy=strategy,
        samba_first=_one(values.get("useSambaBeforeCossac", False)) is True,
        criterion=criterion,  # type: ignore[arg-type]
        lrt=_p_values(threshold.get("lrt"), fail),
        correlation="correlation" in threshold,
        linearised=linearised if isinstance(linearised, bool) else None,
        covariates=covariates,
        parameters=parameters,
        locks=tuple(
            _lock(row, covariates, parameters, str(path), text, fail) for row in values.get("relationships") or []
        ),
        transformed=dict(transformed),
        text=text,
    )


def _text(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="correct the path") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not text in UTF-8", hint="give settings as JSON") from None


def _values(path: str, text: str) -> dict[str, Any]:
    hint = "write them with jsonlite::toJSON(getModelBuildingSettings())"
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        at = Location(path, error.lineno, error.colno, 1, text.split("\n")[error.lineno - 1].rstrip())
        raise SettingsError(f"the settings are not valid JSON: {error.msg}", hint=hint, location=at) from None
    except RecursionError:
        raise SettingsError(f"{path} is nested too deeply", hint=hint) from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path} has no settings by name", hint=hint)
    return values


def _place(path: str, text: str, part: str) -> Location | None:
    """Where `part` first stands as a text."""
    for number, line in enumerate(text.splitlines(), 1):
        column = line.find(json.dumps(part))
        if column >= 0:
            return Location(path, number, column + 1, len(part) + 2, line.rstrip())
    return None


def _one(value: Any) -> Any:
    """R writes single values as lists of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _names(key: str, value: Any, fail) -> tuple[str, ...]:
    """``["WT"]``, ``[["WT"], ["SEX"]]`` as R writes lists, or one text."""
    parts = [_one(v) for v in (value if isinstance(value, list) else [value])]
    if not all(isinstance(v, str) and v for v in parts):
        raise fail(key, f"{key} is {value!r}", f'give names: "{key}": ["V", "Cl"]')
    return tuple(dict.fromkeys(parts))


def _p_values(value: Any, fail) -> tuple[float, float] | None:
    if value is None:
        return None
    numbers = [as_number(v) for v in value] if isinstance(value, list) else []
    if len(numbers) != 2 or not all(n is not None and 0.0 < n < 1.0 for n in numbers):
        raise fail("lrt", f"threshold lrt is {value!r}", "give two numbers between 0 and 1: to add and to keep")
    return numbers[0], numbers[1]  # type: ignore[return-value]


def _lock(row: Any, covariates: tuple[str, ...], parameters: tuple[str, ...], path: str, text: str, fail) -> Lock:
    values = [_one(v) for v in (row.values() if isinstance(row, dict) else row if isinstance(row, list) else ())]
    inside = {"TRUE": True, "FALSE": False, "1": True, "0": False}.get(str(values[2]).upper()) if values[2:] else None
    if len(values) != 3 or inside is None:
        raise fail("relationships", f"{row!r} is no relationship", 'write ["V", "SEX", false]: in none; true: in all')
    parameter, covariate = str(values[0]), str(values[1])
    for name, known, key in ((parameter, parameters, "parameters"), (covariate, covariates, "covariates")):
        if name not in known:
            raise fail("relationships", f"{name} of a relationship is none of {key}", suggestion(name, known, "known:"))
    line = next(
        (k for k, v in enumerate(text.splitlines(), 1) if json.dumps(parameter) in v and json.dumps(covariate) in v), 0
    )
    shown = text.splitlines()[line - 1].rstrip() if line else ""
    at = Location(path, line, shown.find(json.dumps(parameter)) + 1, 1, shown) if line else None
    return Lock(parameter=parameter, covariate=covariate, inside=inside, at=at)
