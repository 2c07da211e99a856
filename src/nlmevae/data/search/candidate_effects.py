"""A covariate on a parameter becomes candidates: form, centre, levels, names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.data.candidate_columns import continuous_column, level_name, reference_level
from nlmevae.data.covariate_values import Covariate, Obstacle
from nlmevae.data.search.asked_pairs import AskedPair, Forbidden
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import DataError, SettingsError
from nlmevae.ir import Candidate, CandidateColumn, IndividualParameter
from nlmevae.ir.candidate import EffectForm

#: Up to this many whole numbers may be categories or a count: the user is asked.
FEW_VALUES = 5
_SHORT = {"power": "POW", "exponential": "EXP", "linear": "LIN"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEffects:
    """Candidates of one pair; `left_out`: why the form "power" is not among them, None if it is or was not asked."""

    candidates: tuple[Candidate, ...]
    left_out: Obstacle | None = None


def is_categorical(pair: AskedPair, covariate: Covariate, spec: SearchSpec) -> bool:
    """Flagged, asked with the form "categorical" or a level, or two values only.

    Raises:
        SettingsError: flagged, and asked with a form of continuous covariates.
    """
    flagged = covariate.name.upper() in spec.categorical or "*" in spec.categorical
    shapes = [form for form in pair.forms if form != "categorical"]
    if shapes and (flagged or "categorical" in pair.forms or pair.levels):
        raise SettingsError(
            f"{covariate.name} is categorical, but an effect asks for its form {shapes[0]}",
            hint=f"take :{shapes[0]} away, or {covariate.name} out of categorical",
            location=pair.at,
        )
    if shapes:
        return False
    return flagged or bool(pair.forms or pair.levels) or len(covariate.levels) <= 2


def may_be_categories(covariate: Covariate) -> bool:
    """Three to five whole numbers."""
    return 2 < len(covariate.levels) <= FEW_VALUES and bool(np.all(covariate.levels == np.round(covariate.levels)))


def pair_effects(
    pair: AskedPair,
    parameter: IndividualParameter,
    covariate: Covariate,
    spec: SearchSpec,
    forbidden: Sequence[Forbidden],
) -> PairEffects | Obstacle:
    """The candidates of one pair.

    Args:
        forbidden: those of this pair that name a form or a level.

    Returns:
        The candidates; an obstacle if the only form asked is impossible.

    Raises:
        SettingsError: a centre, reference, form or level that does not fit the covariate.
    """
    if is_categorical(pair, covariate, spec):
        found = PairEffects(candidates=_categorical(pair, parameter, covariate, spec, forbidden))
    else:
        found = _continuous(pair, parameter, covariate, spec, forbidden)
    if pair.forced and isinstance(found, PairEffects) and not any(c.forced for c in found.candidates):
        raise SettingsError(
            f"{parameter.name}~{covariate.name} is forced, but nothing of it is left to force",
            hint="take what is in force out of forbid",
            location=pair.at,
        )
    return found


# continuous ---------------------------------------------------------------------------------------
def gaussian_form(form: EffectForm, parameter: IndividualParameter) -> EffectForm:
    """The name w - centre has on this parameter: "exponential" on a log-normal one, else "linear"."""
    if form not in ("exponential", "linear"):
        return form
    return "exponential" if parameter.transform.kind == "log" else "linear"


def asked_forms(pair: AskedPair, covariate: Covariate, spec: SearchSpec) -> tuple[EffectForm, ...]:
    """Forms of a continuous covariate, as asked or by default."""
    return pair.forms or spec.forms or (("power",) if covariate.positive else ("exponential",))


def _continuous(
    pair: AskedPair,
    parameter: IndividualParameter,
    covariate: Covariate,
    spec: SearchSpec,
    forbidden: Sequence[Forbidden],
) -> PairEffects | Obstacle:
    if covariate.name.upper() in dict(spec.reference):
        raise SettingsError(
            f"reference: {covariate.name} is a continuous covariate, which has a centre and no reference level",
            hint=f"give centre={covariate.name}=..., or categorical={covariate.name}",
            location=spec.at("reference", covariate.name),
        )
    banned = {gaussian_form(b.form, parameter) for b in forbidden if b.form is not None}
    asked = [gaussian_form(form, parameter) for form in asked_forms(pair, covariate, spec)]
    forms = [form for form in dict.fromkeys(asked) if form not in banned]
    obstacle = _not_positive(covariate, parameter) if "power" in forms and not covariate.positive else None
    if obstacle is not None:
        forms.remove("power")
        if not forms or "power" in pair.forms:
            return obstacle
    if pair.forced and len(forms) > 1:
        raise SettingsError(
            f"{parameter.name}~{covariate.name} is forced, but may have several forms: {', '.join(forms)}",
            hint=f"say which one, force={parameter.name}~{covariate.name}:{forms[0]}",
            location=pair.at,
        )
    centre = spec.centre_of(covariate.name.upper())
    if "power" in forms and not isinstance(centre, str) and centre <= 0.0:
        raise SettingsError(
            f"centre of {covariate.name} is {centre:g}, and the form power needs a positive one",
            hint="give a value in the range of the data",
            location=spec.at("centre", covariate.name),
        )
    candidates = []
    for form in forms:
        several = len(forms) > 1
        suffix = f"_{_SHORT[form]}" if several else ""
        column = continuous_column(covariate, f"{parameter.name}_{covariate.name}{suffix}", form, centre)
        candidates.append(
            Candidate(
                name=f"{parameter.name}~{covariate.name}" + (f":{form}" if several else ""),
                parameter=parameter.name,
                covariate=covariate.name,
                form=form,
                columns=(column,),
                forced=pair.forced,
                missing_code=covariate.missing_code,
            )
        )
    return PairEffects(candidates=tuple(candidates), left_out=obstacle)


def _not_positive(covariate: Covariate, parameter: IndividualParameter) -> Obstacle:
    subject = int(np.argmax(~covariate.missing & (covariate.values <= 0.0)))
    other = gaussian_form("linear", parameter)
    value = covariate.values[subject]
    code = f"; if {value:g} means missing, give missing={value:g}" if value < 0.0 else ""
    return Obstacle(
        error=DataError,
        message=f"the form power of {covariate.name} needs positive values, and subject {covariate.subjects[subject]} "
        f"has {value:g}",
        hint=f"ask for the form {other} ({covariate.name} minus its centre), as in "
        f"effects={parameter.name}~{covariate.name}:{other}, or leave forms to the default{code}",
        row=int(covariate.rows[subject]),
    )


# categorical --------------------------------------------------------------------------------------
def _categorical(
    pair: AskedPair,
    parameter: IndividualParameter,
    covariate: Covariate,
    spec: SearchSpec,
    forbidden: Sequence[Forbidden],
) -> tuple[Candidate, ...]:
    _check_categories(pair, covariate, spec)
    levels = _searched_levels(pair, covariate, spec, [b.level for b in forbidden if b.level is not None])
    if any(b.form == "categorical" for b in forbidden):
        return ()
    base, name = f"{parameter.name}~{covariate.name}", f"{parameter.name}_{covariate.name}"
    columns = [
        CandidateColumn(name=f"{name}_{_word(spec, covariate, level)}", shape="indicator", level=level)
        for level in levels
    ]
    several = len(covariate.levels) > 2
    if spec.levels == "together":
        groups = [(base, tuple(columns), pair.forced)] if columns else []
    else:
        groups = [
            (
                f"{base}={spec.level_text(covariate.name, column.level)}" if several else base,
                (column,),
                pair.forced and (not pair.forced_levels or column.level in pair.forced_levels),
            )
            for column in columns
        ]
    return tuple(
        Candidate(
            name=unit,
            parameter=parameter.name,
            covariate=covariate.name,
            form="categorical",
            columns=members,
            forced=forced,
            missing_code=covariate.missing_code,
        )
        for unit, members, forced in groups
    )


def _word(spec: SearchSpec, covariate: Covariate, level: float) -> str:
    text = spec.level_text(covariate.name, level)
    return level_name(level) if text == f"{level:.10g}" else re.sub(r"\W", "_", text)


def _check_categories(pair: AskedPair, covariate: Covariate, spec: SearchSpec) -> None:
    name, n_subjects = covariate.name, len(covariate.values)
    if name.upper() in dict(spec.centres):
        raise SettingsError(
            f"centre: {name} is categorical, which has a reference level and no centre",
            hint=f"give reference={name}=..., or name a form, as in effects=CL~{name}:linear",
            location=spec.at("centre", name),
        )
    if len(covariate.levels) > 2 and 2 * len(covariate.levels) > n_subjects:
        raise SettingsError(
            f"{name} has {len(covariate.levels)} different values in {n_subjects} subjects: too many for categories",
            hint="take it out of categorical, or combine categories in the data file",
            location=spec.at("categorical", name) or pair.at,
        )


def _searched_levels(pair: AskedPair, covariate: Covariate, spec: SearchSpec, banned: Sequence[float]) -> list[float]:
    """Levels with an indicator: all but the reference, or those that were asked."""
    name = covariate.name
    given = dict(spec.reference).get(name.upper())
    if given is not None and given not in covariate.levels:
        raise SettingsError(
            f"reference: {name} has no level {given:.10g}",
            hint=f"its levels are {_listed(covariate.levels)}",
            location=spec.at("reference", name),
        )
    reference = reference_level(covariate) if given is None else given
    others = [float(level) for level in covariate.levels if level != reference]
    named = (*pair.levels, *pair.forced_levels, *banned)
    for level in named:
        if level not in others:
            what = "is its reference level" if level == reference else "is not one of its levels"
            raise SettingsError(
                f"{name}={level:.10g}: {level:.10g} {what}",
                hint=f"levels with an effect of their own are {_listed(others)}",
                location=pair.at,
            )
    if named and spec.levels == "together" and len(others) > 1:
        raise SettingsError(
            f"{name}={named[0]:.10g} is one level, but the levels enter together",
            hint="give levels=each to search them one by one",
            location=pair.at,
        )
    return [level for level in others if (not pair.levels or level in pair.levels) and level not in banned]


def _listed(levels: Sequence[float] | np.ndarray) -> str:
    shown = ", ".join(f"{level:.10g}" for level in levels[:20])
    return shown + (", ..." if len(levels) > 20 else "")
