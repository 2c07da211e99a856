"""A search as a Monolix user asks for it: declared categories are categories, and levels are their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nlmevae.data.numbers import parse_real
from nlmevae.data.search.effect_request import EffectRequest
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import SettingsError
from nlmevae.ir import Model, ProjectCovariate


def of_project(spec: SearchSpec, model: Model) -> SearchSpec:
    """The search in the values of the data set, where a category is its position from 0.

    Raises:
        SettingsError: a level that is none of the labels.
    """
    covariates = () if model.project is None else model.project.covariates
    declared = {c.item.upper(): c for c in covariates if c.categories and not c.computed}
    asked = {*spec.covariates, *(e.covariate for e in (*spec.effects, *spec.force))}
    categorical = [name for name in declared if name in asked or "*" in asked]
    return replace(
        spec,
        categorical=tuple(dict.fromkeys((*spec.categorical, *categorical))),
        effects=_requests(spec.effects, declared),
        force=_requests(spec.force, declared),
        forbid=_requests(spec.forbid, declared),
        reference=tuple(
            (name, _position(declared[name], value) if name in declared else value) for name, value in spec.reference
        ),
        labels=tuple((name, c.categories) for name, c in declared.items()),
    )


def _requests(requests: Sequence[EffectRequest], declared: dict[str, ProjectCovariate]) -> tuple[EffectRequest, ...]:
    return tuple(
        replace(r, level=_position(declared[r.covariate], r.level))
        if r.level is not None and r.covariate in declared
        else r
        for r in requests
    )


def _position(covariate: ProjectCovariate, value: float) -> float:
    for k, label in enumerate(covariate.categories):
        if parse_real(label) == value:
            return float(k)
    raise SettingsError(
        f"{covariate.name} has no category {value:.10g}",
        hint=f"its categories are {', '.join(covariate.categories)}; only those that are numbers can be named here",
    )
