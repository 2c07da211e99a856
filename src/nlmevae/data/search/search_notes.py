"""What the user should know about a search: notes and warnings, never errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nlmevae.data.covariate_values import Covariate, value_notes
from nlmevae.data.dataset import Dataset
from nlmevae.data.search.asked_pairs import AskedPair
from nlmevae.data.search.candidate_effects import asked_forms, gaussian_form, is_categorical, may_be_categories
from nlmevae.data.search_spec import SearchSpec
from nlmevae.ir import Diagnostic, Model, SearchSpace, names_read

#: A level of fewer subjects says little about its coefficient.
_FEW_SUBJECTS = 3


def already_in_model(model: Model, pair: AskedPair) -> Diagnostic | None:
    """A note when the parameter's typical value already depends on the covariate."""
    parameter, column = model.individual_parameters[pair.parameter], model.data.columns[pair.column]
    if not {column.name, column.synonym} & set(parameter.covariates):
        return None
    message = f"{parameter.name} already depends on {column.name}: the effect stays as the model has it"
    hint = f"to search it, take {column.name} out of the typical value of {parameter.name}"
    return _note("effect-in-model", message, hint, pair.at or parameter.at)


def covariate_notes(
    model: Model,
    dataset: Dataset,
    spec: SearchSpec,
    covariates: Mapping[int, Covariate],
    pairs: Sequence[AskedPair],
) -> list[Diagnostic]:
    """About each covariate searched: missing values, few values, rare levels, other places that read it."""
    found = []
    typical = {name for p in model.individual_parameters for name in p.covariates}
    program = model.executed
    read = (names_read(program.pk) | names_read(program.des) | names_read(program.error)) - typical
    first = {pair.column: pair for pair in reversed(pairs)}
    for column in dict.fromkeys(pair.column for pair in pairs):
        covariate, item = covariates[column], model.data.columns[column]
        categorical = is_categorical(first[column], covariate, spec)
        found += value_notes(dataset, covariate, categorical=categorical)
        found += _rare_levels(covariate) if categorical else _few_values(covariate)
        if {item.name, item.synonym} & read:
            message = f"the model reads {item.name} elsewhere than in a typical value; its candidates come on top"
            hint = "if that is an effect to be searched, take it out of the model"
            found.append(_note("covariate-read-elsewhere", message, hint))
    return found


def _few_values(covariate: Covariate) -> list[Diagnostic]:
    if not may_be_categories(covariate):
        return []
    values = ", ".join(f"{level:g}" for level in covariate.levels)
    message = f"{covariate.name} has {len(covariate.levels)} values ({values}) and is searched as a number"
    return [_warning("few-values", message, f"if they are categories, give categorical={covariate.name}")]


def _rare_levels(covariate: Covariate) -> list[Diagnostic]:
    rare = [
        f"{level:g} ({count})"
        for level, count in zip(covariate.levels, covariate.counts, strict=True)
        if count < _FEW_SUBJECTS
    ]
    if not rare:
        return []
    message = f"{covariate.name} has levels with fewer than {_FEW_SUBJECTS} subjects: {', '.join(rare)}"
    return [_warning("rare-level", message, "combine categories in the data file, or leave the covariate out")]


def form_notes(model: Model, spec: SearchSpec, pairs: Sequence[tuple[AskedPair, Covariate]]) -> list[Diagnostic]:
    """A form that has another name on the parameter it was asked for, once per name."""
    found: dict[str, list[str]] = {}
    for pair, covariate in pairs:
        if is_categorical(pair, covariate, spec) or not (pair.forms or spec.forms):
            continue
        parameter = model.individual_parameters[pair.parameter]
        names = asked_forms(pair, covariate, spec)
        for form in names:
            other = gaussian_form(form, parameter)
            if other != form and other not in names:
                found.setdefault(form, []).append(parameter.name)
    said = {
        "linear": "log-normal, where linear means EXP(coefficient*(covariate - centre)): it is called exponential; "
        "typical values of the shape 1 + coefficient*(covariate - centre) are not searched",
        "exponential": "not log-normal, where exponential means coefficient*(covariate - centre) added on the scale "
        "of the random effect: it is called linear",
    }
    return [
        _note("form-name", f"{', '.join(dict.fromkeys(names))}: {said[form]}", f"ask for {other_name(form)}")
        for form, names in found.items()
    ]


def other_name(form: str) -> str:
    """The other name of w - centre."""
    return "exponential" if form == "linear" else "linear"


def space_notes(space: SearchSpace, groups: Sequence[Sequence[str]], n_subjects: int) -> list[Diagnostic]:
    """About all candidates together: those that cannot be told apart, and too many of them."""
    by_name = {c.name: c for c in space.candidates}
    found = []
    said: set[tuple[str, ...]] = set()
    for group in groups:
        covariates = tuple(dict.fromkeys(by_name[name].covariate for name in group))
        if len(covariates) > 1 and covariates not in said:
            said.add(covariates)
            message = (
                f"the data can hardly tell {', '.join(covariates)} apart: they correlate beyond 0.98 or follow from "
                "each other"
            )
            hint = "whichever is selected stands for all of them; leave those out that make less sense"
            found.append(_warning("exchangeable-covariates", message, hint))
    if len(space.candidates) > n_subjects:
        message = f"{len(space.candidates)} candidate effects for {n_subjects} subjects: some will fit by chance"
        hint = "criterion=ebic charges for the number of candidates; or name fewer covariates"
        found.append(_warning("many-candidates", message, hint))
    return found


def _note(code: str, message: str, hint: str, at=None) -> Diagnostic:
    return Diagnostic(code=code, severity="note", message=message, hint=hint, location=at)


def _warning(code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code=code, severity="warning", message=message, hint=hint)
