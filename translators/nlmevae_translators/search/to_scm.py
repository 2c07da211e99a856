"""A search -> a configuration file of PsN's scm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nlmevae.ir import Candidate
from nlmevae_translators.report import Entry
from nlmevae_translators.search.asked import KnownSearch, WrittenSearch, note, placed, without
from nlmevae_translators.search.decisions import Limits, for_tests

#: PsN's numbers of the shapes it has.
_STATES = {"linear": 2, "exponential": 4, "power": 5}
_CODE = {
    4: "PARCOV=EXP(THETA(1)*(COV-{c}))",
    5: "PARCOV=((COV/{c})**THETA(1))",
}
#: By the parameter's distribution.
_LINEAR = {"identity": "PARCOV=(1+THETA(1)*(COV-{c}))", "logit": "PARCOV=(THETA(1)*(COV-{c}))"}


def to_scm(search: KnownSearch, *, name: str, model: str) -> WrittenSearch:
    """`name`.scm."""
    refused = {k: reason for k, c in enumerate(search.candidates) if (reason := _refusal(search, c))}
    left_out = tuple(search.candidates[k] for k in refused)
    entries = [
        note(search.candidates[k].name, "refused", reason, search.place(search.candidates[k]))
        for k, reason in refused.items()
    ]
    kept = without(search, left_out)
    if not kept.candidates:
        return WrittenSearch(entries=tuple(entries), left_out=left_out)
    where = note(f"model {model}", "rule", "as seen from the folder in which scm is run", None, "model=")
    if search.run.model.project is not None:
        reason = "scm needs the control stream that nlmevae convert --to nonmem writes, with these names"
        where = note(f"model {model}", "rule", reason, None, "model=")
        model = f"{Path(model).stem}.ctl"
    limits, decided = for_tests(kept, "scm")
    text = "\n".join([*_head(kept, limits, model), *_body(kept), ""])
    files = {f"{name}.scm": text}
    told = placed([where, *_effects(kept), *_others(kept), *decided], files)
    return WrittenSearch(files=files, entries=(*entries, *told), main=f"{name}.scm", left_out=left_out)


def _refusal(search: KnownSearch, candidate: Candidate) -> str:
    """Why scm has no such effect; "" if it has."""
    kind, transform = search.kind(candidate), search.transform(candidate)
    if candidate.form == "categorical":
        levels = "=" in candidate.name
        return "scm has all levels of a covariate or none; take levels=each away" if levels else ""
    if candidate.missing_code is not None and candidate.missing_code != search.asked.spec.missing:
        return "a covariate that is `.` in the data is missing here; scm knows one number for missing"
    if candidate.form == "linear" and kind in ("identity", "logit"):
        return ""
    if kind == "log" and transform.lower == 0.0 and candidate.form in ("exponential", "power"):
        return ""
    return f"scm multiplies typical values: it has no {candidate.form} effect on a parameter that is {kind}-transformed"


def _head(search: KnownSearch, limits: Limits, model: str) -> Iterator[str]:
    spec, direction = search.asked.spec, search.asked.decision.direction
    yield f"model={model}"
    yield f"search_direction={direction or ('forward' if any(c.forced for c in search.candidates) else 'both')}"
    yield f"p_forward={limits.forward:.15g}"
    yield f"p_backward={limits.backward:.15g}"
    for kind, wanted in (("continuous", False), ("categorical", True)):
        names = dict.fromkeys(c.covariate for c in search.candidates if (c.form == "categorical") == wanted)
        if names:
            yield f"{kind}_covariates={','.join(names)}"
    logit = dict.fromkeys(c.parameter for c in search.candidates if search.kind(c) == "logit")
    if logit:
        yield f"logit={','.join(logit)}"
    if spec.missing is not None:
        yield f"missing_data_token={spec.missing:.15g}"
    if search.exclusive:
        yield "parallel_states=1"


def _body(search: KnownSearch) -> Iterator[str]:
    relations: dict[str, dict[str, list[Candidate]]] = {}
    for candidate in search.candidates:
        relations.setdefault(candidate.parameter, {}).setdefault(candidate.covariate, []).append(candidate)
    yield from ("", "[test_relations]")
    yield from (f"{parameter}={','.join(found)}" for parameter, found in relations.items())
    states = sorted({_state(c) for c in search.candidates if c.form != "categorical"})
    yield from ("", "[valid_states]")
    if states:
        yield f"continuous = {','.join(map(str, [1, *states]))}"
    if any(c.form == "categorical" for c in search.candidates):
        yield "categorical = 1,2"
    inside = [c for c in search.candidates if c.forced]
    if inside:
        yield from ("", "[included_relations]")
        by_parameter: dict[str, list[str]] = {}
        for c in inside:
            by_parameter.setdefault(c.parameter, []).append(f"{c.covariate}-{_state(c)}")
        yield from (f"{parameter}={','.join(words)}" for parameter, words in by_parameter.items())
    code = list(_code(search, relations, states))
    if code:
        yield from ("", "[code]", *code)


def _state(candidate: Candidate) -> int:
    return 2 if candidate.form == "categorical" else _STATES[candidate.form]


def _code(search: KnownSearch, relations: dict[str, dict[str, list[Candidate]]], states: list[int]) -> Iterator[str]:
    """Centres other than the median; and that a state of other relations is none of this one."""
    for parameter, found in relations.items():
        for covariate, candidates in found.items():
            if candidates[0].form == "categorical":
                continue
            by_state = {_state(c): c for c in candidates}
            for state in states:
                if state not in by_state:
                    yield f"{parameter}:{covariate}-{state}=none"
                elif (centre := _centre(search, by_state[state])) != "median":
                    kind = search.kind(by_state[state])
                    shape = _LINEAR[kind] if state == 2 else _CODE[state]
                    yield f"{parameter}:{covariate}-{state}={shape.format(c=centre)}"


def _centre(search: KnownSearch, candidate: Candidate) -> str:
    """As scm writes it; a mean over subjects is a number, because scm's is one over records."""
    given = search.asked.spec.centre_of(candidate.covariate.upper())
    column = candidate.columns[0]
    return "median" if given == "median" else f"{column.centre:.15g}"


def _effects(search: KnownSearch) -> Iterator[Entry]:
    for candidate in search.candidates:
        at = search.place(candidate)
        if candidate.form == "categorical":
            words = "state 2, a factor for each level but the most frequent: typical values move"
        else:
            words = f"state {_state(candidate)}, centred at {_centre(search, candidate)}"
            if candidate.form == "linear":
                words += ", theta is beta divided by the typical value" * (search.kind(candidate) == "identity")
        yield note(candidate.name, "rule", words, at, f"{candidate.parameter}=")
        if candidate.forced:
            yield _forced(search, candidate)


def _forced(search: KnownSearch, candidate: Candidate) -> Entry:
    name = f"{candidate.name} always in the model"
    if search.asked.decision.direction in (None, "forward"):
        reason = "included from the start, and a forward search removes nothing"
        return note(name, "rule", reason, search.place(candidate), "[included_relations]")
    reason = "included from the start, but scm may remove it; put it into the model instead"
    return note(name, "lossy", reason, search.place(candidate), "[included_relations]")


def _others(search: KnownSearch) -> Iterator[Entry]:
    for group in search.exclusive:
        names = " and ".join(search.candidates[k].name for k in group)
        reason = "states of one relation, all of them tested in each step (parallel_states)"
        yield note(names, "rule", reason, search.place(search.candidates[group[0]]), "parallel_states")
    missing = search.asked.spec.missing
    if missing is not None:
        yield note(f"missing={missing:g}", "lossless", "the same number", None, "missing_data_token")
    else:
        yield note("missing", "rule", "scm takes -99 for missing where nothing is said")
    if search.asked.decision.direction is None:
        reason = "nothing was said: forward where effects are forced, else forward and backward"
        yield note("direction", "rule", reason, None, "search_direction")
