"""A configuration file of PsN's scm -> the search it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nlmevae.data.search.asked_pairs import AskedNames
from nlmevae.data.search.decision import SearchDecision
from nlmevae.data.search.foreign_forms import WORDS
from nlmevae.data.search.scm_file import ScmFile, read_scm_file
from nlmevae.data.search.scm_space import included_effects, scm_space
from nlmevae.data.search.scm_text import ScmEntry, scm_entries
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import UnsupportedError
from nlmevae.ir import Model
from nlmevae_translators.report import Entry
from nlmevae_translators.search.asked import AskedSearch, note

#: What scm takes where the file says nothing.
P_FORWARD, P_BACKWARD = 0.05, 0.01
#: Settings that change what PsN's numbers are, not only how its runs are made.
_OF_NUMBERS = {
    "linearize": "scm decides by a linearised model; here every model is evaluated itself",
    "foce": "of the linearised model",
    "epsilon": "of the linearised model",
    "error": "of the linearised model",
    "error_code": "of the linearised model",
    "only_successful": "scm leaves out runs that did not end well; here a failed run is a status",
    "base_ofv": "the OFV of the start model is computed",
}
_SAID = frozenset({
    "model", "search_direction", "p_forward", "p_backward", "p_value", "pvalue", "gof", "continuous_covariates",
    "categorical_covariates", "missing_data_token", "max_steps", "time_varying", "logit", "parallel_states",
})  # fmt: skip
_FIXED = ("lower_bounds", "upper_bounds", "inits")


def asked_of_scm(path: str, model: Model, *, linear_as: str | None = None) -> AskedSearch:
    """
    Raises:
        SettingsError: the file cannot be read, contradicts itself, or names what the model does not have.
    """
    scm = read_scm_file(path)
    _, lines = scm_entries(path)
    refused, kept = [], []
    for relation in scm.relations:
        one = replace(scm, relations=(relation,), included=())
        try:
            _, found = scm_space(one, model, SearchSpec(), linear_as=linear_as)
        except UnsupportedError as error:
            name = f"{relation.parameter}={relation.covariate}"
            refused.append(note(name, "refused", f"{error.message.partition(': ')[2]}; {error.hint}", relation.at))
            continue
        kept.append(relation)
        for diagnostic in found:
            if diagnostic.code in ("scm-state", "scm-linear-as"):
                name = f"{relation.parameter}={relation.covariate}"
                refused.append(note(name, "lossy", diagnostic.message, relation.at))
    names = {(r.parameter, r.covariate) for r in kept}
    inside = []
    for inclusion in scm.included:
        if (inclusion.parameter, inclusion.covariate) in names:
            try:
                included_effects(replace(scm, included=(inclusion,)), AskedNames(model, SearchSpec()), linear_as)
            except UnsupportedError as error:
                name = f"[included_relations] {inclusion.parameter}={inclusion.covariate}-{inclusion.state}"
                refused.append(note(name, "refused", f"{error.message.partition(': ')[2]}; {error.hint}", inclusion.at))
                continue
            inside.append(inclusion)
    spec = SearchSpec()
    if kept:
        spec, _ = scm_space(
            replace(scm, relations=tuple(kept), included=tuple(inside)), model, spec, linear_as=linear_as
        )
    entries = (*refused, *_settings(scm, lines), *_sections(replace(scm, included=tuple(inside)), lines))
    return AskedSearch(
        language="scm", path=path, spec=spec, decision=_decision(scm, lines), entries=entries, model=scm.model
    )


def _decision(scm: ScmFile, lines: tuple[ScmEntry, ...]) -> SearchDecision:
    """scm's own p-values where the file has none."""
    keys = {"search_direction": "direction", "p_value": "p_forward", "pvalue": "p_forward"}
    places = {keys.get(e.key.lower(), e.key.lower()): e.at() for e in lines if not e.section}
    found = {"p_forward": scm.p_forward, "p_backward": scm.p_backward}
    # 0 and 1 are no limits of a test: never and always
    given = {name: value for name, value in found.items() if value is not None and 0.0 < value < 1.0}
    usual = {"p_forward": P_FORWARD, "p_backward": P_BACKWARD}
    return SearchDecision(**{**usual, **given}, direction=scm.direction, places=places)


def _settings(scm: ScmFile, lines: tuple[ScmEntry, ...]) -> Iterator[Entry]:
    several = any(len([s for s in states if s != 1]) > 1 for states in (scm.continuous_states, scm.categorical_states))
    parallel = any(e.key.lower() == "parallel_states" and e.value not in ("0", "") for e in lines if not e.section)
    for entry in lines:
        key = entry.key.lower()
        if entry.section:
            continue
        text = f"{entry.key}={entry.value}"
        if key == "gof" and scm.decides_by_ofv:
            yield note(text, "lossy", "limits of OFV are not converted; the p-values count", entry.at())
        elif key == "gof":
            yield note(text, "lossless", "decided by p-values", entry.at())
        elif key == "max_steps":
            yield note(text, "lossy", "there is no limit of steps: the search ends when nothing improves", entry.at())
        elif key in ("p_forward", "p_backward") and entry.value and float(entry.value) in (0.0, 1.0):
            yield note(text, "lossy", "no test has this limit; scm's own is taken", entry.at())
        elif key in _OF_NUMBERS and entry.value not in ("0", ""):
            yield note(text, "lossy", _OF_NUMBERS[key], entry.at())
        elif key == "logit":
            yield note(text, "rule", "effects on these parameters are added on the logit scale", entry.at())
        elif key == "parallel_states" or key not in _SAID:
            yield note(text, "rule", "how PsN makes its runs; no meaning elsewhere", entry.at())
    if several and not parallel:
        yield note(
            "valid_states",
            "rule",
            "scm tries the states of a relation one after the other, each only when the one before is in; elsewhere "
            "all are tried, and at most one is taken",
            next((e.at() for e in lines if e.section == "valid_states"), None),
        )


def _sections(scm: ScmFile, lines: tuple[ScmEntry, ...]) -> Iterator[Entry]:
    for entry in lines:
        text = f"[{entry.section}] {entry.key}"
        if entry.section in _FIXED:
            yield note(text, "lossy", "coefficients have no bounds and start values of their own here", entry.at())
        elif entry.section in ("ofv_forward", "ofv_backward"):
            yield note(text, "lossy", "limits of OFV are not converted; the p-values count", entry.at())
        elif entry.section == "included_relations":
            yield from _inclusions(scm, entry)
        elif entry.section == "code":
            yield _code(scm, entry)


def _code(scm: ScmFile, entry: ScmEntry) -> Entry:
    """What a definition is read as; where it is no known shape its relations are told apart."""
    name = f"[code] {entry.key}"
    code = next((c for c in scm.codes if c.at == entry.at()), None)
    if code is None or code.shape == "other":
        return note(name, "rule", "no shape that is known: what becomes of its relations is said with them", entry.at())
    centre = f", centred at {code.centre}" if code.centre else ""
    return note(name, "rule", f"{WORDS.get(code.shape, code.shape)}{centre}", entry.at())


def _inclusions(scm: ScmFile, entry: ScmEntry) -> Iterator[Entry]:
    for item in scm.included:
        if item.parameter == entry.key.upper() and item.state != 1:
            text = f"[included_relations] {item.parameter}={item.covariate}-{item.state}"
            if scm.direction == "forward":
                yield note(text, "rule", "forced: scm with search_direction=forward cannot remove it", item.at)
            else:
                reason = "searched like the others: where scm begins is no part of what it searches"
                yield note(text, "rule", reason, item.at)
