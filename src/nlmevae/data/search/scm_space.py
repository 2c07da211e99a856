"""The search that a PsN scm file asks for, in this program's terms."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlmevae.data.search.asked_pairs import AskedNames
from nlmevae.data.search.effect_request import EffectRequest
from nlmevae.data.search.foreign_forms import KINDS, WORDS, Place, same_form
from nlmevae.data.search.option_values import as_number
from nlmevae.data.search.scm_code import DEFAULT_SHAPES, StateCode
from nlmevae.data.search.scm_file import ScmFile, ScmRelation, read_scm_file
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import SettingsError, UnsupportedError
from nlmevae.ir import Diagnostic, Model, Transform
from nlmevae.ir.candidate import EffectForm


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """One state of one relation: its form here, None if there is none, and why not."""

    number: int
    shape: str
    form: EffectForm | None
    code: StateCode | None

    @property
    def words(self) -> str:
        return f"{self.number} ({WORDS.get(self.shape, self.shape)})"


def scm_space(
    scm: ScmFile, model: Model, spec: SearchSpec, *, linear_as: str | None = None
) -> tuple[SearchSpec, list[Diagnostic]]:
    """`spec` with the relations of the file, and what is different from what scm does.

    PsN's states map exactly or not at all: 4 and 5 on log-normal parameters, 2 on normal ones and on those of logit=,
    categories on all. A relation keeps the states that map; the others are listed.

    Args:
        linear_as: "exponential" or "power", to be searched in place of "linear" where that has no counterpart.

    Raises:
        SettingsError: the file contradicts itself, or names what the model does not have.
        UnsupportedError: a relation without any state that can be searched.
    """
    names = AskedNames(model, spec)
    effects: list[EffectRequest] = []
    dropped: dict[str, list[str]] = {}
    replaced: list[str] = []
    for relation in scm.relations:
        parameter = model.individual_parameters[names.parameter(relation.parameter, "test_relations", relation.at)]
        names.column(relation.covariate, "test_relations", relation.at)
        states = _states(scm, relation, parameter.transform)
        used = _with_linear_as(states, linear_as, parameter.transform)
        forms = list(dict.fromkeys(s.form for s in used if s.form is not None))
        if used != states:
            replaced.append(f"{relation.parameter}-{relation.covariate}")
        if states and not forms:
            raise _no_state(relation, states, KINDS[parameter.transform.kind])
        for state in used:
            if state.form is None:
                dropped.setdefault(state.words, []).append(f"{relation.parameter}-{relation.covariate}")
        effects += [_request(relation, form) for form in forms]
    if not effects:
        raise SettingsError(f"{scm.path} leaves nothing to search", hint="add states to [valid_states]")
    forced, notes = _included(scm, names, linear_as)
    notes += _notes(scm, dropped, replaced, linear_as)
    centres = {name: c for name, c in _centres(scm, effects).items() if name not in dict(spec.centres)}
    return (
        replace(
            spec,
            effects=tuple(dict.fromkeys(effects)),
            force=(*spec.force, *forced),
            centre="median",
            centres=(*spec.centres, *centres.items()),
            missing=scm.missing if spec.missing is None else spec.missing,
        ),
        notes,
    )


def read_scm_space(
    path: str | os.PathLike[str], model: Model, spec: SearchSpec, *, linear_as: str | None, model_path: str
) -> tuple[SearchSpec, list[Diagnostic]]:
    """`scm_space` of a file, with a warning if the file names another model than `model_path`."""
    scm = read_scm_file(path)
    found, notes = scm_space(scm, model, spec, linear_as=linear_as)
    if scm.model and model_path and Path(scm.model).stem != Path(model_path).stem:
        message = f"{scm.path} names the model {scm.model}, and the model searched is {model_path}"
        notes.insert(0, _warning("scm-model", message, "make sure that its relations are meant for this model"))
    return found, notes


def _states(scm: ScmFile, relation: ScmRelation, transform: Transform) -> list[_State]:
    """All states but those without an effect."""
    place: Place = "added" if relation.parameter in scm.logit else "typical"
    categorical = relation.covariate in scm.categorical
    found = []
    for number in scm.states(relation.covariate):
        code = scm.code_of(relation.parameter, relation.covariate, number)
        shape = _shape(relation, number, code, categorical=categorical)
        if shape == "none":
            continue
        if shape == "categorical" and not categorical:
            shape = "other"
        form = same_form(shape, place, transform)
        found.append(_State(number=number, shape=shape, form=form, code=code))
    return found


def _shape(relation: ScmRelation, number: int, code: StateCode | None, *, categorical: bool) -> str:
    if code is not None:
        return code.shape
    if number == 1:
        return "none"
    if categorical and number == 2:
        return "categorical"
    if categorical or number not in DEFAULT_SHAPES:
        raise SettingsError(
            f"state {number} of {relation.parameter}-{relation.covariate} is not defined",
            hint=f"define it, [code] {relation.parameter}:{relation.covariate}-{number}=..., or take it out of "
            "[valid_states]",
            location=relation.at,
        )
    return DEFAULT_SHAPES[number]


def _with_linear_as(states: list[_State], linear_as: str | None, transform: Transform) -> list[_State]:
    """Linear effects on a log-normal parameter become what the user asks for in their place."""
    if linear_as is None or transform.kind != "log":
        return states
    return [
        replace(s, form=linear_as) if s.form is None and s.shape == "linear" else s  # type: ignore[arg-type]
        for s in states
    ]


def _no_state(relation: ScmRelation, states: Sequence[_State], kind: str) -> UnsupportedError:
    listed = ", ".join(state.words for state in states)
    linear = any(state.shape == "linear" for state in states)
    remedy = "give --linear-as exponential (or power) to search that in its place; or " if linear else ""
    return UnsupportedError(
        f"{relation.parameter}-{relation.covariate}: no state of it can be searched exactly on {relation.parameter}, "
        f"which is {kind}: {listed}",
        hint=f"{remedy}add one that can to [valid_states]: 4 (exponential) or 5 (power) on log-normal parameters, 2 "
        "(linear) on normal ones",
        location=relation.at,
    )


def _request(relation: ScmRelation, form: EffectForm) -> EffectRequest:
    return EffectRequest(parameter=relation.parameter, covariate=relation.covariate, form=form, at=relation.at)


def _included(scm: ScmFile, names: AskedNames, linear_as: str | None) -> tuple[list[EffectRequest], list[Diagnostic]]:
    """Relations that are in from the start: scm that only adds cannot remove them, so they are forced."""
    inside = [i for i in scm.included if i.state != 1]
    if not inside:
        return [], []
    listed = ", ".join(f"{i.parameter}-{i.covariate}-{i.state}" for i in inside)
    if scm.direction != "forward":
        message = f"{listed}: in the model from the start in scm, searched like every other relation here"
        return [], [_note("scm-included", message, "one that must stay is named with --force")]
    message = f"{listed}: always in the model, in that form, as scm with search_direction=forward cannot remove them"
    return included_effects(scm, names, linear_as), [_note("scm-included", message, "")]


def included_effects(scm: ScmFile, names: AskedNames, linear_as: str | None) -> list[EffectRequest]:
    """Those of [included_relations], in the form of their state.

    Raises:
        UnsupportedError: a state that cannot be searched.
    """
    found = []
    for inclusion in scm.included:
        index = names.parameter(inclusion.parameter, "included_relations", inclusion.at)
        parameter = names.model.individual_parameters[index]
        relation = ScmRelation(parameter=inclusion.parameter, covariate=inclusion.covariate, at=inclusion.at)
        one = replace(scm, continuous_states=(inclusion.state,), categorical_states=(inclusion.state,))
        states = _states(one, relation, parameter.transform)
        used = _with_linear_as(states, linear_as, parameter.transform)
        forms = [s.form for s in used if s.form is not None]
        if not forms and states:
            raise _no_state(relation, states, KINDS[parameter.transform.kind])
        found += [_request(relation, form) for form in forms]
    return found


def _centres(scm: ScmFile, effects: Sequence[EffectRequest]) -> dict[str, float | str]:
    """Centre by covariate, where [code] names another than the median.

    Raises:
        SettingsError: two centres of one covariate.
    """
    found: dict[str, str] = {}
    for code in scm.codes:
        asked = [e for e in effects if e.form != "categorical" and code.fits(e.parameter, e.covariate, code.state)]
        for effect in asked if code.centre is not None else ():
            before = found.setdefault(effect.covariate, str(code.centre))
            if before != code.centre:
                raise SettingsError(
                    f"[code] has two centres of {effect.covariate}, {before} and {code.centre}",
                    hint="the centre moves the typical value only: give one of them everywhere",
                    location=code.at,
                )
    numbers = {name: as_number(text.replace("d", "e")) for name, text in found.items()}
    return {name: text if numbers[name] is None else numbers[name] for name, text in found.items() if text != "median"}


def _notes(
    scm: ScmFile, dropped: dict[str, list[str]], replaced: Sequence[str], linear_as: str | None
) -> list[Diagnostic]:
    found = []
    for words, relations in dropped.items():
        message = f"state {words} is not searched on {', '.join(relations)}: there is no such form here"
        hint = "the other states of these relations are searched"
        if words.startswith("2 (linear"):
            hint += "; --linear-as exponential searches that form in its place"
        found.append(_warning("scm-state", message, hint))
    if replaced:
        message = f"{linear_as} is searched in place of linear on {', '.join(replaced)}, as --linear-as says"
        found.append(_warning("scm-linear-as", message, "the two are close where effects are small"))
    for code in scm.codes:
        if code.missing is not None and code.missing != scm.missing:
            raise SettingsError(
                f"the definition calls {code.missing:g} missing, and missing_data_token is {scm.missing:g}",
                hint="use one number for missing",
                location=code.at,
            )
    if scm.has_bounds:
        message = "[lower_bounds], [upper_bounds] and [inits] are not used: coefficients have no bounds here"
        found.append(_note("scm-bounds", message, ""))
    wanted = _decision(scm)
    if wanted:
        message = f"scm would decide by {wanted}; here --criterion decides"
        found.append(_note("scm-decision", message, "for the same charge per effect give --criterion lrt:P"))
    return found


def _decision(scm: ScmFile) -> str:
    if scm.decides_by_ofv:
        return "the limits of [ofv_forward] and [ofv_backward]"
    parts = [f"{name}={value:g}" for name in ("p_forward", "p_backward") if (value := getattr(scm, name)) is not None]
    return " and ".join(parts)


def _note(code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code=code, severity="note", message=message, hint=hint)


def _warning(code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code=code, severity="warning", message=message, hint=hint)
