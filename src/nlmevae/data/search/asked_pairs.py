"""Which covariate is asked on which parameter: names of a SearchSpec resolved against the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nlmevae.data.search.effect_request import EffectRequest
from nlmevae.data.search.suggestion import suggestion
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import Location, SettingsError, UnsupportedError
from nlmevae.ir import Column, Model, assignments
from nlmevae.ir.candidate import EffectForm


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPair:
    """One covariate on one parameter.

    Attributes:
        parameter: index into `model.individual_parameters`; column: into `model.data.columns`.
        forms: () for the default ones; levels: () for all.
        named: the covariate was asked for by name, not by "*": what cannot be searched is then an error.
        forced, forced_levels: always in, () for the whole covariate.
    """

    parameter: int
    column: int
    named: bool
    forms: tuple[EffectForm, ...] = ()
    levels: tuple[float, ...] = ()
    forced: bool = False
    forced_levels: tuple[float, ...] = ()
    at: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """An effect that is never tried; `form` and `level` None for all of them."""

    parameter: int
    column: int
    form: EffectForm | None
    level: float | None


class AskedNames:
    """The names of a model that a search may use, and what is wrong with the others."""

    def __init__(self, model: Model, spec: SearchSpec) -> None:
        self.model, self.spec = model, spec
        self.places: dict[int, Location | None] = {}
        covariates = [k for k, c in enumerate(model.data.columns) if c.role == "covariate"]
        self.where = "$INPUT"
        if model.project is not None:  # its regressors, kinds of observation and so on are items too
            declared = {c.item for c in model.project.covariates if not c.computed}
            covariates = [k for k in covariates if model.data.columns[k].name in declared]
            self.where = "the project"
        self.columns = covariates
        self.parameters = [k for k, p in enumerate(model.individual_parameters) if p.eta not in model.zero_etas]

    def column(self, name: str, option: str, at: Location | None) -> int:
        """Index of the covariate column called `name` (or its synonym).

        Raises:
            SettingsError: no such data item, one that is dropped, or one with another meaning.
        """
        for k, column in enumerate(self.model.data.columns):
            if name in (column.name.upper(), (column.synonym or "").upper()):
                self._check_one(name, [c.name for c in self.model.data.columns], option, at)
                if column.role != "covariate":
                    raise self._no_covariate(name, column, option, at)
                if self.model.project is not None and k not in self.columns:
                    hint = "covariates are columns with use=covariate"
                    raise SettingsError(f"{option}: {column.name} is no covariate", hint=hint, location=at)
                return k
        known = [self.model.data.columns[k].name for k in self.columns]
        hint = suggestion(name, known, f"the covariates in {self.where} are") or f"name the column in {self.where}"
        if self.model.project is not None:
            self._check_computed(name, option, at)
        raise SettingsError(f"{option}: there is no data item {name} in {self.where}", hint=hint, location=at)

    def _check_one(self, name: str, known: list[str], option: str, at: Location | None) -> None:
        """Names of options have no case, those of a Monolix project do."""
        same = [n for n in known if n.upper() == name]
        if len(same) > 1 and self.model.project is not None:
            raise SettingsError(
                f"{option}: {' and '.join(same)} differ only in upper and lower case", hint="rename one", location=at
            )

    def _check_computed(self, name: str, option: str, at: Location | None) -> None:
        """A covariate that [COVARIATE] computes is no data item."""
        computed = [c.name for c in self.model.project.covariates if c.computed and c.name.upper() == name]
        if computed:
            raise SettingsError(
                f"{option}: {computed[0]} is computed in [COVARIATE], and a search transforms covariates itself",
                hint="name the column it is computed from, with --forms power for log(covariate/centre)",
                location=at,
            )

    def _no_covariate(self, name: str, column: Column, option: str, at: Location | None) -> SettingsError:
        at = at or column.at
        if column.role == "drop":
            return SettingsError(
                f"{option}: {name} is dropped in $INPUT", hint=f"take DROP away from {name} in $INPUT", location=at
            )
        hint = "covariates are data items without a meaning of their own"
        return SettingsError(f"{option}: {name} is the {column.role.upper()} item", hint=hint, location=at)

    def parameter(self, name: str, option: str, at: Location | None) -> int:
        """Index of the individual parameter called `name`.

        Raises:
            SettingsError: no such parameter.
            UnsupportedError: one without a random effect.
        """
        self._check_one(name, [p.name for p in self.model.individual_parameters], option, at)
        shown = {} if self.model.project is None else self.model.project.shown
        for k in self.parameters:
            own = self.model.individual_parameters[k].name
            if name in (own.upper(), shown.get(own, own).upper()):
                return k
        known = [self.model.individual_parameters[k].name for k in self.parameters]
        program = self.model.program.pk or self.model.program.error
        place = next((a.at for a in assignments(program) if a.target == name), None)
        if place is not None or any(p.name.upper() == name for p in self.model.individual_parameters):
            raise UnsupportedError(
                f"{option}: {name} has no mu-referenced random effect of its own, and covariates are selected on "
                "parameters that have one (the exact selection step compares them with the spread between subjects)",
                hint=f"{self._how(name)}, or search {', '.join(known) or 'another parameter'}",
                location=at or place,
            )
        hint = suggestion(name, known, "the parameters with a random effect are") or "the model has no random effects"
        raise SettingsError(f"{option}: there is no parameter {name}", hint=hint, location=at)

    def _how(self, name: str) -> str:
        if self.model.project is not None:
            return f"give {name} a standard deviation that is estimated (sd=omega_{name})"
        return f"write {name} = typical value * EXP(ETA) with an $OMEGA that is not fixed to 0"

    def covariate_list(self, option: str) -> dict[int, bool]:
        """Columns of `covariates` or `categorical`; True for those asked by name, False for those "*" adds."""
        given: Sequence[str] = getattr(self.spec, option)
        found: dict[int, bool] = {}
        for name in given:
            if name != "*":
                at = self.spec.at(option, name)
                column = self.column(name, option, at)
                found[column] = True
                self.places.setdefault(column, at)
        if "*" in given:
            found = {k: found.get(k, False) for k in self.columns}
        return found

    def parameter_list(self) -> list[int]:
        """`parameters` in the model's order; all if none are given."""
        given = [n for n in self.spec.parameters if n != "*"]
        found = {self.parameter(n, "parameters", self.spec.at("parameters", n)) for n in given}
        return sorted(found) if given and "*" not in self.spec.parameters else list(self.parameters)


def asked_pairs(model: Model, spec: SearchSpec) -> tuple[list[AskedPair], list[Forbidden]]:
    """Pairs to search, parameters in the model's order, covariates in the order asked; and what is forbidden.

    Raises:
        SettingsError: an unknown name, nothing asked, a name in a list that no effect uses, a forced effect
            that is forbidden.
        UnsupportedError: a parameter without a random effect.
    """
    names = AskedNames(model, spec)
    if not names.parameters:
        raise UnsupportedError(
            "the model has no parameter with a mu-referenced random effect, and covariates are selected on those",
            hint="write a parameter with an ETA, as in CL = THETA(1)*EXP(ETA(1)), and its $OMEGA",
        )
    forced = _resolved(names, "force", spec.force)
    pairs = _listed(names) if spec.effects else _product(names, anything=bool(forced))
    for pair in forced:
        pairs[pair.parameter, pair.column] = _with_force(pairs.get((pair.parameter, pair.column)), pair)
    forbidden = [
        Forbidden(parameter=k, column=j, form=e.form, level=e.level)
        for e in spec.forbid
        for k, j, _ in _expanded(names, "forbid", e)
    ]
    _check_forced(names, pairs.values(), forbidden)
    banned = {(f.parameter, f.column) for f in forbidden if f.form is None and f.level is None}
    kept = [pair for key, pair in pairs.items() if key not in banned]
    return sorted(kept, key=lambda pair: pair.parameter), forbidden


def _product(names: AskedNames, *, anything: bool) -> dict[tuple[int, int], AskedPair]:
    """Every covariate on every parameter."""
    covariates = names.covariate_list("covariates")
    covariates.update(dict.fromkeys(names.covariate_list("categorical"), True))
    if not covariates and not anything:
        items = ", ".join(names.model.data.columns[k].name for k in names.columns)
        raise SettingsError(
            "no covariates are asked for",
            hint=f"name them, covariates={items.replace(' ', '')}, or give covariates=all"
            if items
            else f"{names.where} has no covariates; name their columns there",
        )
    return {
        (k, j): AskedPair(parameter=k, column=j, named=named, at=names.places.get(j))
        for k in names.parameter_list()
        for j, named in covariates.items()
    }


def _listed(names: AskedNames) -> dict[tuple[int, int], AskedPair]:
    """The effects of `effects`, which must use every name of the other lists.

    ``CL~*,CL~WT:exponential``: a form or level named for a pair counts, not the default.
    """
    found: dict[tuple[int, int], AskedPair] = {}
    for pair in _resolved(names, "effects", names.spec.effects):
        key = (pair.parameter, pair.column)
        if key in found:
            before = found[key]  # what names a form or level is more special than what does not
            forms, levels = (*before.forms, *pair.forms), (*before.levels, *pair.levels)
            pair = replace(pair, forms=forms, levels=levels, named=before.named or pair.named)
        found[key] = pair
    for option in ("covariates", "categorical"):
        for k, named in names.covariate_list(option).items():
            if named and not any(j == k for _, j in found):
                raise _unused(option, names.model.data.columns[k].name, f"*~{names.model.data.columns[k].name}")
    for k in names.parameter_list() if names.spec.parameters else ():
        if not any(p == k for p, _ in found):
            name = names.model.individual_parameters[k].name
            raise _unused("parameters", name, f"{name}~*")
    return found


def _unused(option: str, name: str, effect: str) -> SettingsError:
    return SettingsError(
        f"{name} is in {option}, but effects, the complete list, does not use it",
        hint=f"add {effect} to effects, or take {name} out of {option}",
    )


def _resolved(names: AskedNames, option: str, requests: Iterable[EffectRequest]) -> list[AskedPair]:
    """One pair per parameter and covariate of each request."""
    return [
        AskedPair(
            parameter=k,
            column=j,
            named=named,
            forms=(request.form,) if request.form else (),
            levels=() if request.level is None else (request.level,),
            at=request.at,
        )
        for request in requests
        for k, j, named in _expanded(names, option, request)
    ]


def _expanded(names: AskedNames, option: str, request: EffectRequest) -> list[tuple[int, int, bool]]:
    """(parameter, column, named) for each "*" filled in."""
    if request.parameter == "*":
        parameters = names.parameter_list()
    else:
        parameters = [names.parameter(request.parameter, option, request.at)]
    if request.covariate == "*":
        columns = names.covariate_list("covariates") or dict.fromkeys(names.columns, False)
        columns.update(dict.fromkeys(names.covariate_list("categorical"), True))
    else:
        columns = {names.column(request.covariate, option, request.at): True}
    return [(k, j, named) for k in parameters for j, named in columns.items()]


def _with_force(asked: AskedPair | None, forced: AskedPair) -> AskedPair:
    """A pair that is also forced: a form named there is its only one, levels named there are searched too.

    Args:
        forced: as resolved from the request, not yet marked.
    """
    if asked is None:
        return replace(forced, forced=True, forced_levels=forced.levels)
    if asked.forced and asked.forms and forced.forms and asked.forms != forced.forms:
        raise SettingsError("force names two forms of one effect", hint="keep one of them", location=forced.at)
    whole = not forced.levels or (asked.forced and not asked.forced_levels)
    return replace(
        asked,
        named=asked.named or forced.named,
        forms=forced.forms or asked.forms,
        levels=(*asked.levels, *forced.levels) if asked.levels and forced.levels else (),
        forced=True,
        forced_levels=() if whole else (*asked.forced_levels, *forced.levels),
        at=forced.at or asked.at,
    )


def _check_forced(names: AskedNames, pairs: Iterable[AskedPair], forbidden: list[Forbidden]) -> None:
    for pair in pairs:
        for ban in forbidden:
            if not pair.forced or (ban.parameter, ban.column) != (pair.parameter, pair.column):
                continue
            other_form = ban.form is not None and pair.forms != (ban.form,)
            other_level = ban.level is not None and pair.forced_levels and ban.level not in pair.forced_levels
            if other_form or other_level:
                continue
            parameter = names.model.individual_parameters[pair.parameter].name
            covariate = names.model.data.columns[pair.column].name
            raise SettingsError(
                f"{parameter}~{covariate} is forced and forbidden",
                hint="take it out of force or forbid",
                location=pair.at,
            )
