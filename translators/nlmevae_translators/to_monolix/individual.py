"""[INDIVIDUAL]: parameters with their typical values, covariate effects and random effects.

Whatever cannot be said there (other forms, covariates that change within a subject, a THETA used twice) stays in the
model file: the THETA and the ETA become parameters of their own, which is always exact.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.errors import Location
from nlmevae.ir import (
    Expression,
    IndividualParameter,
    Model,
    Number,
    PopulationParameter,
    Symbol,
    Transform,
    assignments,
)
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.covariates import CovariateSection
from nlmevae_translators.to_monolix.gaussian_terms import Term
from nlmevae_translators.to_monolix.names import Names, is_plain
from nlmevae_translators.to_monolix.occasion_parameters import own_parameters
from nlmevae_translators.to_monolix.occasions import OccasionEffect
from nlmevae_translators.to_monolix.parameter_forms import ParameterForm, forms, formulas, scaled
from nlmevae_translators.to_monolix.population import (
    CovariateUse,
    Definition,
    PopulationValue,
    bounds_of,
    distribution_for,
    rounded,
    to_gaussian,
    to_natural,
)
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.source_data import SourceData


@dataclass(slots=True)
class IndividualSection:
    """Attributes:
    definitions: in the order of their ETAs, then parameters without variability; after `order` as their THETAs are.
    cuts: variable of the program -> place of its assignment and its value (names of the source, `psi:` symbols).
    env: THETA, ETA or psi symbol -> name in the written files.
    """

    data: SourceData
    names: Names
    covariates: CovariateSection
    definitions: list[Definition] = field(default_factory=list)
    cuts: dict[str, tuple[Location | None, Expression]] = field(default_factory=dict)
    env: dict[str, Expression] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    @property
    def model(self) -> Model:
        return self.data.model

    @property
    def effects(self) -> dict[str, str]:
        """ETA -> the name of its standard deviation; of occasions in their order."""
        found = {d.eta: d.sd.name for d in self.definitions if d.sd is not None}
        between = [d for d in self.definitions if d.occasion is not None and d.gamma is not None]
        return found | {eta: d.gamma.name for d in between for eta in d.occasion.etas}

    def theta(self, name: str) -> PopulationParameter:
        return next(t for t in self.model.thetas if t.name == name)

    def variance(self, eta: str) -> tuple[float, bool]:
        """The variance of a random effect and whether it is fixed."""
        for block in self.model.omega:
            if eta in block.names:
                k = block.names.index(eta)
                return block.matrix[k][k], block.fixed
        raise KeyError(eta)

    def add_parameter(self, form: ParameterForm) -> None:
        """A parameter with its random effect."""
        form = self._with_reference(form)
        p = form.parameter
        name = self._parameter_name(form)
        typical = self._typical(form, name)
        sd = self._sd(p.eta, name) if p.eta else None
        uses = self._uses(form, name)
        self.definitions.append(
            Definition(
                name=name, transform=p.transform, typical=typical, eta=p.eta,
                theta=form.base.name if form.base is not None else "", sd=sd, uses=uses, at=p.at,
                occasion=form.occasion, gamma=self._gamma(form.occasion, name),
            )
        )  # fmt: skip
        self.cuts[p.name] = (p.at, form.value)
        self.env[f"psi:{p.name}"] = Symbol(name)

    def _with_reference(self, form: ParameterForm) -> ParameterForm:
        """Where each category has a THETA of its own, that of the first is the typical value and the others are told
        from it."""
        items = {self._category_item(t.factor) for t in form.effects}
        whole = form.base is None and form.constant == 0.0 and len(items) == 1 and "" not in items
        if not whole or any(self.theta(t.name).fixed for t in form.effects) or len({t.scale for t in form.effects}) > 1:
            return form
        rows = list(zip(*(self._levels(t.factor, next(iter(items))) for t in form.effects), strict=True))
        if any(sum(row) != 1.0 for row in rows):
            return form
        first = form.effects[rows[0].index(1.0)]
        others = tuple(t for t in form.effects if t is not first)
        return replace(form, base=replace(first, factor=Number(1.0)), effects=others, reference=first)

    def add_latent(self, eta: str, name: str, reason: str) -> None:
        """A random effect as a parameter of its own, with mean 0."""
        own = self._own_name(name)
        typical = PopulationValue(f"{own}_pop", 0.0, True)
        transform = Transform(kind="identity")
        self.definitions.append(
            Definition(name=own, transform=transform, typical=typical, eta=eta, sd=self._sd(eta, own))
        )
        self.env[eta] = Symbol(own)
        self.entries.append(Entry(construct=eta, kind="rule", reason=reason, source=self._eta_place(eta), target=own))

    def add_occasion_latent(self, effect: OccasionEffect) -> None:
        """An effect between occasions as a parameter of its own, with mean 0."""
        own = self._own_name(f"eta_occ{effect.etas[0][4:-1]}")
        typical = PopulationValue(f"{own}_pop", 0.0, True)
        gamma = self._gamma(effect, own)
        self.definitions.append(
            Definition(name=own, transform=Transform(kind="identity"), typical=typical, occasion=effect, gamma=gamma)
        )
        self.env |= dict.fromkeys(effect.etas, Symbol(own))
        reason = f"{own}: it varies between occasions and is a parameter of its own with mean 0, which the model reads"
        construct = ", ".join(effect.etas)
        self.entries.append(Entry(construct=construct, kind="rule", reason=reason, source=effect.block.at, target=own))

    def _gamma(self, effect: OccasionEffect | None, name: str) -> PopulationValue | None:
        if effect is None:
            return None
        k = effect.position
        return PopulationValue(f"gamma_{name}", math.sqrt(effect.block.matrix[k][k]), effect.block.fixed)

    def add_constant(self, theta: PopulationParameter) -> None:
        """A THETA that the code reads, as a parameter without variability."""
        name = self._constant_name(theta)
        transform, whole = distribution_for(theta)
        self.definitions.append(
            Definition(
                name=name,
                transform=transform,
                typical=PopulationValue(f"{name}_pop", theta.init, theta.fixed),
                theta=theta.name,
                at=theta.at,
            )
        )
        self.env[theta.name] = Symbol(name)
        if whole:
            reason = f"{name}: a parameter without variability, {self.definitions[-1].distribution}"
            self.entries.append(
                Entry(construct=theta.name, kind="lossless", reason=reason, source=theta.at, target=name)
            )
        else:
            self._lost_bounds(theta)

    def _own_name(self, wanted: str) -> str:
        """A name whose typical value and standard deviation have names of their own, too."""
        name = self.names.fresh(wanted)
        self.names.taken.update({f"{name}_pop".lower(), f"omega_{name}".lower(), f"gamma_{name}".lower()})
        return name

    def _parameter_name(self, form: ParameterForm) -> str:
        wanted = form.parameter.name
        if form.base is not None:
            label = self.theta(form.base.name).label
            if is_plain(label) and label.endswith("_pop") and len(label) > 4:
                wanted = label[:-4]
        return self._own_name(wanted)

    def _constant_name(self, theta: PopulationParameter) -> str:
        label = theta.label
        if is_plain(label) and label.endswith("_pop") and len(label) > 4:
            return self._own_name(label[:-4])
        code = (*self.model.program.pk, *self.model.program.error)
        holders = [a.target for a in assignments(code) if a.value == Symbol(theta.name) and is_plain(a.target)]
        if holders:
            return self._own_name(holders[0])
        return self._own_name(label if is_plain(label) else f"theta{theta.name[6:-1]}")

    def _typical(self, form: ParameterForm, name: str) -> PopulationValue:
        p, base = form.parameter, form.base
        if base is None:
            value = to_natural(p.transform, form.constant)
            effect = form.parameter.eta or ", ".join(form.occasion.etas)
            reason = f"{name}: {effect} acts on a value that is fixed at {value:g}"
            self.entries.append(Entry(construct=p.name, kind="rule", reason=reason, source=p.at, target=name))
            return PopulationValue(f"{name}_pop", value, True)
        theta = self.theta(base.name)
        own_scale = base.scale == {"identity": "", "log": "log", "logit": "logit"}[p.transform.kind]
        exact = own_scale and base.factor.value == 1.0 and form.constant == 0.0
        gaussian = base.factor.value * _on_scale(theta.init, base.scale, p.transform) + form.constant
        value = theta.init if exact else rounded(to_natural(p.transform, gaussian))
        if not np.isfinite(to_gaussian(p.transform, value)):
            raise RefusedError(
                theta.label,
                f"its initial value makes {name} {value:g}, at the bound of its distribution; give it one inside",
                theta.at,
            )
        self._note_typical(form, theta, name, exact=exact)
        return PopulationValue(f"{name}_pop", value, theta.fixed)

    def _note_typical(self, form: ParameterForm, theta: PopulationParameter, name: str, *, exact: bool) -> None:
        p = form.parameter
        kept = self._bounds_kept(form, theta)
        if kept or theta.fixed:
            how = "" if exact else f", {theta.label} on the scale of the parameter"
            distribution = {"identity": "normal", "log": "logNormal", "logit": "logitNormal"}[p.transform.kind]
            reason = f"{name} = {{distribution={distribution}, typical={name}_pop}}{how}"
            kind = "lossless" if exact else "rule"
            construct = ", ".join(filter(None, (p.name, theta.name, p.eta)))
            self.entries.append(Entry(construct=construct, kind=kind, reason=reason, source=p.at, target=name))
        else:
            self._lost_bounds(theta)

    def _bounds_kept(self, form: ParameterForm, theta: PopulationParameter) -> bool:
        """The THETA may be whatever the distribution allows its typical value to be."""
        transform, base = form.parameter.transform, form.base
        limits = [_scaled_limit(b, base.scale, transform) for b in bounds_of(theta)]
        return math.isinf(limits[0]) and math.isinf(limits[1]) and base.factor.value != 0.0

    def _lost_bounds(self, theta: PopulationParameter) -> None:
        reason = (
            f"the bounds ({theta.lower:g}, {theta.upper:g}) of {theta.label} are not stated: Monolix has none beyond "
            "the distribution's. The model is the same; an estimate may leave them"
        )
        self.entries.append(Entry(construct=theta.name, kind="lossy", reason=reason, source=theta.at))

    def _sd(self, eta: str, name: str) -> PopulationValue:
        variance, fixed = self.variance(eta)
        return PopulationValue(f"omega_{name}", rounded(math.sqrt(variance)), fixed)

    def _eta_place(self, eta: str) -> Location | None:
        return next((b.at for b in self.model.omega if eta in b.names), None)

    def order(self) -> None:
        """The definitions in the order of their THETAs, the others behind."""
        place = {t.name: k for k, t in enumerate(self.model.thetas)}
        self.definitions.sort(key=lambda d: place.get(d.theta, len(place)))

    def leave_out(self, read: Collection[str]) -> frozenset[str]:
        """Without parameters that the model file does not read, which Monolix does not take; their random effects."""
        left = [d for d in self.definitions if d.name not in read]
        names = {d.name for d in left}
        self.definitions = [d for d in self.definitions if d.name not in names]
        self.entries = [e for e in self.entries if e.target not in names]
        for d in left:
            at = d.at or next((self._eta_place(eta) for eta in d.etas), None)
            construct = ", ".join(filter(None, (d.theta, *d.etas))) or d.name
            reason = f"left out: nothing that is observed depends on {d.name}, and the data do not tell of it"
            self.entries.append(Entry(construct=construct, kind="lossy", reason=reason, source=at))
        return frozenset(eta for d in left for eta in d.etas)

    # covariates -----------------------------------------------------------------------------------
    def _uses(self, form: ParameterForm, name: str) -> tuple[CovariateUse, ...]:
        grouped: dict[str, list] = {}
        uses = []
        for term in form.effects:
            item = self._category_item(term.factor)
            if item:
                grouped.setdefault(item, []).append(term)
            else:
                uses.append(self._continuous(term, name, form))
        for item, terms in grouped.items():
            uses += self._categorical(item, terms, name, form)
        for function in form.fixed_effects:
            number, rest = scaled(function)
            covariate = self.covariates.continuous(rest)
            beta = PopulationValue(self.names.fresh(f"beta_{name}_{covariate}"), number, True)
            uses.append(CovariateUse(covariate, (beta,)))
            reason = f"{covariate} on {name} with the coefficient {number:g}, which is fixed"
            self._note_effect(form, name, reason)
        return tuple(uses)

    def _note_effect(self, form: ParameterForm, name: str, reason: str) -> None:
        construct = f"covariate effect on {form.parameter.name}"
        self.entries.append(
            Entry(construct=construct, kind="rule", reason=reason, source=form.parameter.at, target=name)
        )

    def _category_item(self, function: Expression) -> str:
        """The categorical item of which `function` is 1 in some categories and 0 in the others; "": none."""
        items = function.names()
        if len(items) != 1:
            return ""
        item = next(iter(items))
        if len(self.data.categories(item)) < 2:
            return ""
        return item if set(self._levels(function, item)) == {0.0, 1.0} else ""

    def _levels(self, function: Expression, item: str) -> list[float]:
        """Its value in each category."""
        values, x = self.data.of(function), self.data.values(item)
        return [float(values[x == category][0]) for category in self.data.categories(item)]

    def _categorical(self, item: str, terms: list, name: str, form: ParameterForm) -> list[CovariateUse]:
        levels = [self._levels(t.factor, item) for t in terms]
        per_category = list(zip(*levels, strict=True))
        if any(sum(row) > 1.0 for row in per_category) or all(sum(row) == 1.0 for row in per_category):
            return [self._continuous(t, name, form) for t in terms]
        by_term: dict[int | None, list[float]] = {None: []}
        for category, row in zip(self.data.categories(item), per_category, strict=True):
            by_term.setdefault(next((k for k, on in enumerate(row) if on), None), []).append(category)
        merged = len(by_term) < len(per_category)
        covariate = self.covariates.merged(item, [*by_term.values()]) if merged else self.covariates.categorical(item)
        coefficients: dict[tuple[float, ...], PopulationValue | None] = {}
        for k, members in by_term.items():
            label = ("G_" if merged else "") + "_".join(f"{m:g}" for m in members)
            beta = None if k is None else self._beta(terms[k], 1.0, f"beta_{name}_{covariate}_{label}", form.reference)
            coefficients[tuple(members)] = beta
        by_order = list(coefficients.values())
        if not merged:  # in the order of the categories
            coefficients = {key: coefficients[key] for key in sorted(coefficients)}
        stated = ", ".join(
            f"{b.name} is {_source_of(terms[k], form.reference)}"
            for k, b in zip(by_term, by_order, strict=True)
            if b is not None
        )
        self._note_effect(form, name, f"categories of {covariate} on {name}: {stated}")
        return [CovariateUse(covariate, tuple(coefficients.values()))]

    def _continuous(self, term, name: str, form: ParameterForm) -> CovariateUse:
        number, rest = scaled(term.factor)
        covariate = self.covariates.continuous(rest)
        beta = self._beta(term, number, f"beta_{name}_{covariate}")
        self._note_effect(
            form,
            name,
            f"{covariate} on {name} with the coefficient {beta.name}, which is {_source_of(term, None, number)}",
        )
        return CovariateUse(covariate, (beta,))

    def _beta(self, term, number: float, wanted: str, reference: Term | None = None) -> PopulationValue:
        theta = self.theta(term.name)
        if is_plain(theta.label) and theta.label.startswith("beta_"):
            wanted = theta.label
        value = _on_scale(theta.init, term.scale, Transform(kind="log")) if term.scale == "log" else theta.init
        if not np.isfinite(value):
            reason = f"its initial value {theta.init:g} has no logarithm, which is the coefficient of a covariate"
            raise RefusedError(theta.label, reason, theta.at)
        value = rounded(value) if term.scale == "log" else value
        lower, upper = bounds_of(theta)
        if term.scale == "log":
            lower = -math.inf if lower <= 0.0 else lower
        if not theta.fixed and not (math.isinf(lower) and math.isinf(upper)):
            self._lost_bounds(theta)
        if reference is not None:
            own = self.theta(reference.name).init
            value = rounded(value - (math.log(own) if reference.scale == "log" else own))
        return PopulationValue(self.names.fresh(wanted, in_code=False), number * value, theta.fixed)


def _source_of(term: Term, reference: Term | None, number: float = 1.0) -> str:
    """The formula of a coefficient in THETAs."""
    times = "" if number == 1.0 else f"{number:g} "
    if term.scale != "log":
        return f"{times}{term.name}" + ("" if reference is None else f" - {reference.name}")
    return f"{times}log({term.name}" + (")" if reference is None else f"/{reference.name})")


def _on_scale(value: float, scale: str, transform: Transform) -> float:
    if scale == "log":
        return math.log(value) if value > 0.0 else math.nan
    return to_gaussian(transform, value) if scale == "logit" else value


def _scaled_limit(bound: float, scale: str, transform: Transform) -> float:
    """A bound of a THETA on the Gaussian scale: infinite where the distribution has the same."""
    if scale == "" or math.isinf(bound):
        return bound
    if scale == "log":
        return math.log(bound) if bound > 0.0 else -math.inf
    if bound <= transform.lower:
        return -math.inf
    return math.inf if bound >= transform.upper else to_gaussian(transform, bound)


def understood_forms(data: SourceData, needed, effects: Sequence[OccasionEffect] = ()) -> dict[str, ParameterForm]:
    """Forms such that no THETA and no effect between occasions is used twice.

    Args:
        needed: of the cuts, the names of the source that the code still reads.
        effects: those between occasions; parameters that have no other random effect come last.
    """
    found = _consistent(data, needed, data.model.individual_parameters, effects)
    owned = {f.occasion.symbol for f in found.values() if f.occasion is not None}
    further = own_parameters(data, [e for e in effects if e.symbol not in owned], found)
    if not further:
        return found
    return _consistent(data, needed, (*data.model.individual_parameters, *further), effects)


def _consistent(
    data: SourceData, needed, parameters: Sequence[IndividualParameter], effects: Sequence[OccasionEffect]
) -> dict[str, ParameterForm]:
    taken: set[str] = set()
    stated = formulas(data.model, parameters)
    symbols = {eta: e.symbol for e in effects for eta in e.etas}
    while True:
        found = forms(data, parameters, stated, taken, effects)
        used: list[str] = [t for f in found.values() for t in f.thetas]
        used += [f.occasion.symbol for f in found.values() if f.occasion is not None]
        cuts = {n: (f.parameter.at, f.value) for n, f in found.items()}
        read = needed(cuts)
        left = [n for n, f in found.items() if f.parameter.eta and f.parameter.eta in read]
        if left:  # the ETA acts elsewhere, too
            stated = {n: formula for n, formula in stated.items() if n not in left}
            continue
        again = {t for t in used if used.count(t) > 1} | (set(used) & {symbols.get(n, n) for n in read})
        if not again - taken:
            return found
        taken |= again
