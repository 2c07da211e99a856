"""A search -> the settings file of `nlmevae select`, `scm` and `cossac`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from nlmevae.data.search.decision import SearchDecision
from nlmevae.data.search.effect_request import EffectRequest
from nlmevae.data.search_spec import SearchSpec
from nlmevae_translators.report import Entry
from nlmevae_translators.search.asked import AskedSearch, WrittenSearch, note, placed
from nlmevae_translators.search.decisions import for_select

_FORMS = {
    "power": "(w/c)**beta on a log-normal parameter, beta log(w/c) on another",
    "exponential": "exp(beta (w - c))",
    "linear": "beta (w - c), added",
    "categorical": "a coefficient for each level but one",
}


def to_select(asked: AskedSearch, *, name: str, model: str) -> WrittenSearch:
    """`name`.toml; `model` is only named in a comment."""
    decision, decided = for_select(asked)
    spec = asked.spec
    if not spec.effects and not spec.covariates:
        return WrittenSearch(entries=tuple(decided))
    text = "\n".join([f"# nlmevae select {model or 'MODEL'} --settings {name}.toml", "", *_lines(spec, decision), ""])
    files = {f"{name}.toml": text}
    entries = placed([*_effects(spec), *_values(asked), *decided], files)
    return WrittenSearch(files=files, entries=entries, main=f"{name}.toml")


def _lines(spec: SearchSpec, decision: SearchDecision) -> Iterator[str]:
    for option in ("covariates", "categorical", "parameters", "forms"):
        if getattr(spec, option):
            yield f"{option} = {json.dumps(list(getattr(spec, option)))}"
    for option in ("effects", "force", "forbid"):
        if requests := getattr(spec, option):
            yield f"{option} = ["
            yield from (f"  {json.dumps(str(request))}," for request in requests)
            yield "]"
    if spec.missing is not None:
        yield f"missing = {spec.missing:.15g}"
    if spec.levels != "together":
        yield f"levels = {json.dumps(spec.levels)}"
    for key in ("criterion", "direction"):
        if (value := getattr(decision, key)) is not None:
            yield f"{key} = {json.dumps(value)}"
    for key in ("p_forward", "p_backward"):
        if (value := getattr(decision, key)) is not None:
            yield f"{key} = {value:.15g}"
    yield from _table("centre", [*([("default", spec.centre)] if spec.centre != "mean" else []), *spec.centres])
    yield from _table("reference", list(spec.reference))


def _table(name: str, values: Sequence[tuple[str, float | str]]) -> Iterator[str]:
    if values:
        yield from ("", f"[{name}]")
        yield from (f"{key} = {json.dumps(v) if isinstance(v, str) else format(v, '.15g')}" for key, v in values)


def _effects(spec: SearchSpec) -> Iterator[Entry]:
    forced = {str(r) for r in spec.force}
    for request in spec.effects:
        yield _effect(request, forced=str(request) in forced)


def _effect(request: EffectRequest, *, forced: bool) -> Entry:
    form = f": {_FORMS[request.form]}" if request.form else ""
    words = f"{'always in the model' if forced else 'searched'}{form}; centre and reference move typical values only"
    name = f"{request.parameter}~{request.covariate}"
    return note(name, "rule", words, request.at, f'"{request}"')


def _values(asked: AskedSearch) -> Iterator[Entry]:
    if asked.spec.missing is not None:
        yield note(f"missing={asked.spec.missing:g}", "lossless", "the same number", None, "missing =")
    if asked.spec.centre != "mean":
        yield note(f"centre={asked.spec.centre}", "lossless", "over subjects", None, "default =")
