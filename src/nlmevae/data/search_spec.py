"""What the user asks the covariate search to try."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from nlmevae.data.search import option_values as read
from nlmevae.data.search.decision import DECISIONS
from nlmevae.data.search.effect_request import FORMS, EffectRequest, effect_requests
from nlmevae.data.search.option_values import Where, nowhere
from nlmevae.data.search.settings_text import SettingsText
from nlmevae.data.search.suggestion import suggestion
from nlmevae.errors import Location, SettingsError
from nlmevae.ir.candidate import EffectForm

Centre = Literal["mean", "median"]
Levels = Literal["together", "each"]

CONTINUOUS_FORMS = tuple(form for form in FORMS if form != "categorical")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpec:
    """Names are upper case and checked against model and data only by `search_space`; "*" stands for all.

    Attributes:
        covariates: data items to search.
        categorical: those that are categories; they are searched too.
        parameters: individual parameters to search; () for every one with a random effect.
        effects: the complete list of effects; () for every covariate on every parameter. A "*" in it stands
            for `parameters` or `covariates`.
        force: always in the model; forbid: never.
        forms: of continuous covariates; () for "power" where all values are positive, else "exponential"
            (on a parameter that is not log-normal "linear").
        centre: of continuous covariates, over subjects; centres: (covariate, value or "mean" or "median").
        missing: the number that means missing, besides "." and blanks.
        levels: indicators of a categorical covariate enter "together" or "each" on its own.
        reference: (covariate, reference level); the most frequent level where not given.
        labels: (covariate, what its values 0, 1, ... stand for), of a Monolix project.
        places: where in a settings file an option's part stands.
    """

    covariates: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    effects: tuple[EffectRequest, ...] = ()
    force: tuple[EffectRequest, ...] = ()
    forbid: tuple[EffectRequest, ...] = ()
    forms: tuple[EffectForm, ...] = ()
    centre: Centre = "mean"
    centres: tuple[tuple[str, float | Centre], ...] = ()
    missing: float | None = None
    levels: Levels = "together"
    reference: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    places: Mapping[tuple[str, str], Location] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_options(cls, *, settings_file: str | os.PathLike[str] | None = None, **options: Any) -> SearchSpec:
        """From Python values or command line text, over a settings file.

        Args:
            settings_file: TOML; an option given here replaces the file's (of `centre` and `reference`, what
                is given for a covariate replaces what the file gives for it).
            options: `OPTIONS` by name; None and empty sequences count as not given. Lists may be text
                separated by commas, `centre` and `reference` mappings or text: ``"median,WT=70"``.

        Raises:
            SettingsError: an unknown option or an impossible value, with its place in the file.
        """
        spec = cls() if settings_file is None else cls.from_file(settings_file)
        return _with_options(spec, options, nowhere)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> SearchSpec:
        """From a TOML file whose keys are `OPTIONS`; what it says of the decision is read by `decision_of_file`.

        Raises:
            SettingsError: unreadable, not TOML, an unknown key or an impossible value; with line and column.
        """
        text = SettingsText(path)
        values = {key: value for key, value in text.values.items() if key not in DECISIONS}
        return _with_options(cls(), values, text.where)

    def at(self, option: str, part: str) -> Location | None:
        """Where `part` of an option stands in the settings file, None if it does not come from one."""
        return self.places.get((option, part.upper()))

    def level_text(self, covariate: str, level: float) -> str:
        """A level as the user knows it."""
        known = dict(self.labels).get(covariate.upper())
        return f"{level:.10g}" if known is None else known[int(level)]

    def centre_of(self, covariate: str) -> float | Centre:
        return dict(self.centres).get(covariate, self.centre)


#: Options of the search, as `from_options`, the command line and settings files name them.
OPTIONS: tuple[str, ...] = tuple(f.name for f in fields(SearchSpec) if f.name not in ("centres", "labels", "places"))


def _with_options(spec: SearchSpec, options: Mapping[str, Any], where: Where) -> SearchSpec:
    for option, value in options.items():
        if option not in OPTIONS:
            raise SettingsError(
                f"there is no search option {option!r}",
                hint=suggestion(option, (*OPTIONS, *DECISIONS), "options are"),
                location=where(option, None),
            )
        if value is not None and not (isinstance(value, (str, list, tuple, dict)) and not value):
            changes, named = _read(option, value, where)
            spec = _replaced(spec, option, changes, {(option, n): where(option, n) for n in named})
    return spec


def _replaced(
    spec: SearchSpec, option: str, changes: dict[str, Any], places: Mapping[tuple[str, str], Location | None]
) -> SearchSpec:
    """`spec` with the changes; values per covariate are added to those already there."""
    for name in ("centres", "reference"):
        if name in changes:
            changes[name] = tuple({**dict(getattr(spec, name)), **dict(changes[name])}.items())
    per_covariate = option in ("centre", "reference")
    kept = {key: at for key, at in spec.places.items() if key[0] != option or (per_covariate and key not in places)}
    return replace(spec, **changes, places={**kept, **{key: at for key, at in places.items() if at is not None}})


def _read(option: str, value: Any, where: Where) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Fields of SearchSpec an option sets, and the names in it whose places are kept."""
    match option:
        case "covariates" | "categorical" | "parameters":
            found = read.names(option, value, where)
            return {option: found}, found
        case "effects" | "force" | "forbid":
            return {option: effect_requests(option, value, where)}, ()
        case "forms":
            return {option: _forms(option, value, where)}, ()
        case "centre":
            return _centre(value, where)
        case "missing":
            return {option: read.number(option, value, where)}, ()
        case "levels":
            return {option: read.choice(option, value, get_args(Levels), where)}, ()
    return _reference(value, where)


def _forms(option: str, value: Any, where: Where) -> tuple[str, ...]:
    found = read.parts(option, value, where)
    if any(form.lower() == "categorical" for form in found):
        raise SettingsError(
            "forms are those of continuous covariates",
            hint="name categorical covariates instead: categorical=SEX",
            location=where(option, "categorical"),
        )
    return tuple(dict.fromkeys(read.choice(option, form, CONTINUOUS_FORMS, where) for form in found))


def _centre(value: Any, where: Where) -> tuple[dict[str, Any], tuple[str, ...]]:
    changes: dict[str, Any] = {}
    centres: list[tuple[str, float | str]] = []
    if read.as_number(value) is not None:
        value = str(value)
    for name, given in read.assignments("centre", value, where):
        found = read.as_number(given)
        if found is None:
            found = read.choice("centre", given, get_args(Centre), where)
        elif not name:
            raise SettingsError(
                f"centre is {given}: of which covariate?",
                hint=f"name it, as in centre=WT={given}; mean and median can be given for all",
                location=where("centre", str(given)),
            )
        if name:
            centres.append((name, found))
        else:
            changes["centre"] = found
    return {**changes, "centres": centres}, tuple(name for name, _ in centres)


def _reference(value: Any, where: Where) -> tuple[dict[str, Any], tuple[str, ...]]:
    found = []
    for name, given in read.assignments("reference", value, where):
        if not name:
            raise SettingsError(
                f"reference is {given}: of which covariate?",
                hint="name it, as in reference=SEX=0",
                location=where("reference", str(given)),
            )
        found.append((name, read.number(f"reference of {name}", given, lambda _, part: where("reference", part))))
    return {"reference": found}, tuple(name for name, _ in found)
