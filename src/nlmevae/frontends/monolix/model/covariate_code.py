"""Covariates: what the code computes from data items, and what they add to an individual parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nlmevae.errors import SemanticError
from nlmevae.frontends.monolix.model.population import Population
from nlmevae.frontends.monolix.names import program_name
from nlmevae.frontends.monolix.project import (
    CategoricalCovariate,
    ColumnUse,
    ComputedCovariate,
    Covariate,
    CovariateTerm,
    Project,
    RegroupedCovariate,
)
from nlmevae.frontends.monolix.structural.renaming import renamed_expression
from nlmevae.ir import Assign, Binary, Compare, Expression, Logical, Number, ProjectCovariate, Symbol, Where

Kind = TypeVar("Kind", bound=Covariate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariates:
    """Every covariate of the project by name."""

    by_name: dict[str, Covariate]

    @classmethod
    def of(cls, covariates: Sequence[Covariate]) -> Covariates:
        return cls(by_name={c.name: c for c in covariates})

    @classmethod
    def of_project(cls, project: Project) -> Covariates:
        """Of a categorical column that is regrouped without a declaration, the categories are the members of its
        groups: any other label of the data is refused there."""
        known = {c.name for c in project.covariates}
        columns = {c.name for c in project.data.of("covariate") if c.categorical} - known
        members: dict[str, dict[str, None]] = {}
        for covariate in project.covariates:
            if isinstance(covariate, RegroupedCovariate) and covariate.source in columns:
                own = members.setdefault(covariate.source, {})
                own.update(dict.fromkeys(m for _, group in covariate.groups for m in group))
        found = (CategoricalCovariate(name=name, categories=tuple(own)) for name, own in members.items())
        return cls.of((*project.covariates, *found))

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """Of the categorical ones that are columns of the data."""
        return {c.name: c.categories for c in self.by_name.values() if isinstance(c, CategoricalCovariate)}

    def read_by(self, terms: Sequence[CovariateTerm]) -> list[str]:
        """Names of the covariates that `terms` need, computed ones after what they are computed from."""
        found: dict[str, None] = {}
        for term in terms:
            self._visit(term.covariate, found, ())
        return list(found)

    def _visit(self, name: str, found: dict[str, None], above: tuple[str, ...]) -> None:
        covariate = self.by_name.get(name)
        if name in above:
            raise SemanticError(
                f"{name} is computed from itself", hint="break the circle in [COVARIATE]", location=covariate.at
            )
        if isinstance(covariate, ComputedCovariate):
            for source in sorted(covariate.value.names()):
                self._visit(source, found, (*above, name))
        elif isinstance(covariate, RegroupedCovariate):
            self._visit(covariate.source, found, (*above, name))
        found.setdefault(name)

    def statements(self, names: Sequence[str]) -> Iterator[Assign]:
        """``LW70 = LOG(WT/70)`` of every computed one among `names`."""
        for name in names:
            covariate = self.by_name.get(name)
            if isinstance(covariate, ComputedCovariate):
                yield Assign(program_name(name), renamed_expression(covariate.value, {}), at=covariate.at)

    def term(self, term: CovariateTerm, population: Population) -> Expression | None:
        """What one covariate adds on the Gaussian scale; None where all its coefficients are 0.

        Raises:
            SemanticError: not one coefficient per category.
        """
        covariate = self.by_name.get(term.covariate)
        if isinstance(covariate, CategoricalCovariate | RegroupedCovariate):
            return self._categorical(term, covariate, population)
        if len(term.coefficients) != 1:
            raise SemanticError(
                f"{term.covariate} is continuous and has {len(term.coefficients)} coefficients",
                hint="give it one, or declare its categories in [COVARIATE]",
                location=term.at,
            )
        if term.coefficients[0] == 0:
            return None
        coefficient = population.theta(term.coefficients[0], term.at)
        return Binary("*", coefficient, Symbol(program_name(term.covariate), at=term.at), at=term.at)

    def of_data(self, columns: Sequence[ColumnUse]) -> tuple[ProjectCovariate, ...]:
        """All covariates as functions of data items, as Monolix orders them in its files: continuous columns, computed
        ones, categorical columns, regrouped ones. Computed ones whose sources are no columns are left out."""
        known = {c.name for c in columns if not c.categorical or self._of_kind(c.name, CategoricalCovariate)}
        found = [
            _covariate(c.name, Symbol(program_name(c.name))) for c in columns if c.name in known if not c.categorical
        ]
        computed = [c for c in self.by_name.values() if isinstance(c, ComputedCovariate)]
        for name in self.read_by([CovariateTerm(covariate=c.name, coefficients=()) for c in computed]):
            if (c := self._of_kind(name, ComputedCovariate)) and c.value.names() <= known:
                known.add(name)
                found.append(_covariate(name, renamed_expression(c.value, {}), computed=True))
        for name in [name for name in self.by_name if name in known]:
            if c := self._of_kind(name, CategoricalCovariate):
                found.append(_covariate(name, Symbol(program_name(name)), c.categories))
        for name in self.by_name:
            if (c := self._of_kind(name, RegroupedCovariate)) and self._item(c) in known:
                found.append(_covariate(name, self._group(c), tuple(g for g, _ in c.groups), computed=True))
        return tuple(found)

    def _of_kind(self, name: str, kind: type[Kind]) -> Kind | None:
        covariate = self.by_name.get(name)
        return covariate if isinstance(covariate, kind) else None

    def _group(self, covariate: RegroupedCovariate) -> Expression:
        """Number of the group from 0; -1 of a category in none."""
        number: Expression = Number(-1.0)
        item = Symbol(program_name(self._item(covariate)))
        for k, members in reversed(list(enumerate(self.groups(covariate)))):
            number = Where(_among(item, members), Number(float(k)), number)
        return number

    def _categorical(
        self, term: CovariateTerm, covariate: CategoricalCovariate | RegroupedCovariate, population: Population
    ) -> Expression | None:
        groups = self.groups(covariate)
        if len(term.coefficients) != len(groups):
            raise SemanticError(
                f"{term.covariate} has {len(groups)} categories and {len(term.coefficients)} coefficients",
                hint="give one coefficient per category in the order of its categories, 0 at the reference",
                location=term.at,
            )
        total: Expression = Number(0.0, at=term.at)
        item = Symbol(program_name(self._item(covariate)), at=term.at)
        values = [None if c == 0 else population.theta(c, term.at) for c in term.coefficients]
        for value, members in zip(reversed(values), reversed(groups), strict=True):
            if value is not None:
                total = Where(_among(item, members), value, total, at=term.at)
        return None if isinstance(total, Number) else total

    def groups(self, covariate: CategoricalCovariate | RegroupedCovariate) -> list[tuple[float, ...]]:
        """Of each category the values of the data item that belong to it.

        Raises:
            SemanticError: a group names a category its source does not have.
        """
        if isinstance(covariate, CategoricalCovariate):
            return [(float(k),) for k in range(len(covariate.categories))]
        source = self.by_name.get(covariate.source)
        if not isinstance(source, CategoricalCovariate | RegroupedCovariate):
            raise SemanticError(
                f"{covariate.name} regroups {covariate.source}, which has no categories",
                hint=f"declare {covariate.source}={{type=categorical, categories={{...}}}} in [COVARIATE]",
                location=covariate.at,
            )
        names = source.categories if isinstance(source, CategoricalCovariate) else [g for g, _ in source.groups]
        values = dict(zip(names, self.groups(source), strict=True))
        missing = [m for _, members in covariate.groups for m in members if m not in values]
        if missing:
            raise SemanticError(
                f"{covariate.name} puts {missing[0]} into a group, which is no category of {covariate.source}",
                hint=f"its categories are {', '.join(names)}",
                location=covariate.at,
            )
        return [tuple(v for m in members for v in values[m]) for _, members in covariate.groups]

    def _item(self, covariate: CategoricalCovariate | RegroupedCovariate) -> str:
        while isinstance(covariate, RegroupedCovariate):
            covariate = self.by_name[covariate.source]
        return covariate.name


def _covariate(
    name: str, value: Expression, categories: tuple[str, ...] = (), *, computed: bool = False
) -> ProjectCovariate:
    return ProjectCovariate(name=name, item=program_name(name), value=value, computed=computed, categories=categories)


def _among(item: Symbol, values: tuple[float, ...]) -> Expression:
    tests: list[Expression] = [Compare("==", item, Number(v, at=item.at), at=item.at) for v in values]
    whole = tests[0]
    for test in tests[1:]:
        whole = Logical("or", whole, test, at=item.at)
    return whole
