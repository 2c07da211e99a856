"""The population parameters of a project as THETA(n), ETA(n) and their covariance.

THETAs are numbered in the order of Monolix's populationParameters.txt: of every individual parameter its typical value
and its coefficients, then the residual errors. The size of a residual error is a THETA and its EPS has variance 1, as
Monolix's a and b are standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import (
    Correlation,
    IndividualDefinition,
    InitialValue,
    NameOrNumber,
    Variability,
)
from nlmevae.ir import CovarianceBlock, Expression, Number, PopulationParameter, Symbol

#: Where the search of a correlation starts that the text starts at 0: at 0 itself a covariance counts as no parameter.
START_OF_CORRELATIONS = 0.01


@dataclass(slots=True)
class Population:
    """Numbers THETAs as they are asked for.

    Attributes:
        initial: of <PARAMETER>, by name.
        thetas: those numbered so far.
    """

    initial: dict[str, InitialValue]
    thetas: list[PopulationParameter] = field(default_factory=list)
    _numbered: dict[str, str] = field(default_factory=dict)

    def theta(
        self, name: NameOrNumber, at: Location | None, *, lower: float = -math.inf, upper: float = math.inf
    ) -> Expression:
        """The parameter as code reads it: ``THETA(n)``, or the number that stands in its place.

        Raises:
            SemanticError: no initial value, or one outside the open interval (lower, upper) of the distribution.
        """
        if not isinstance(name, str):
            return Number(float(name), at=at)
        if name not in self._numbered:
            self._numbered[name] = f"THETA({len(self.thetas) + 1})"
            self.thetas.append(self._parameter(name, self._numbered[name], at, lower, upper))
        return Symbol(self._numbered[name], at=at)

    def value(self, name: NameOrNumber, at: Location | None) -> tuple[float, bool]:
        """Its initial value, and whether it is fixed; a number is fixed.

        Raises:
            SemanticError: <PARAMETER> has no such entry.
        """
        if not isinstance(name, str):
            return float(name), True
        initial = self._of(name, at)
        return initial.value, initial.method == "fixed"

    def _of(self, name: str, at: Location | None) -> InitialValue:
        if name not in self.initial:
            raise SemanticError(
                f"{name} has no initial value", hint=f"add {name}={{value=..., method=MLE}} to <PARAMETER>", location=at
            )
        return self.initial[name]

    def _parameter(self, name: str, theta: str, at: Location | None, lower: float, upper: float) -> PopulationParameter:
        initial = self._of(name, at)
        inside = lower < initial.value < upper or (initial.method == "fixed" and lower <= initial.value <= upper)
        if not inside:
            raise SemanticError(
                f"the initial value of {name} is {initial.value:g}, which is not between {lower:g} and {upper:g}",
                hint="correct it in <PARAMETER>; values are on the scale of the parameter itself",
                location=initial.at or at,
            )
        return PopulationParameter(
            name=theta,
            label=name,
            init=initial.value,
            lower=lower,
            upper=upper,
            fixed=initial.method == "fixed",
            at=initial.at or at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One random effect: its standard deviation or variance, whose it is, and on which occasion (None: on all)."""

    parameter: str
    variability: Variability
    occasion: float | None = None
    at: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEffects:
    """`omega`: blocks of the model. `names`: (parameter, occasion) -> ``ETA(n)``; occasion None: between subjects."""

    omega: tuple[CovarianceBlock, ...]
    names: dict[tuple[str, float | None], str]


def random_effects(
    definitions: Sequence[IndividualDefinition],
    correlations: Sequence[Correlation],
    population: Population,
    occasions: Sequence[float],
) -> RandomEffects:
    """Random effects of one subject; a level of occasions has one effect per occasion, with one variance for all.

    Raises:
        SemanticError: a correlation between effects that do not exist, or no covariance matrix.
        UnsupportedError: levels below the occasion; a block in which some elements are fixed and others not.
    """
    blocks: list[CovarianceBlock] = []
    names: dict[tuple[str, float | None], str] = {}
    for level in _levels(definitions):
        effects = [
            Effect(parameter=d.name, variability=v, at=d.at)
            for d in definitions
            for v in d.variability
            if v.level == level
        ]
        groups = _groups(effects, [c for c in correlations if (c.level or ("id",)) == level])
        values = [None] if len(level) == 1 else list(occasions)
        for group in groups:
            first = len(blocks)
            for k, occasion in enumerate(values):
                block = _block(group, population, correlations, level, sum(len(b.names) for b in blocks))
                names |= {(e.parameter, occasion): n for e, n in zip(group, block.names, strict=True)}
                blocks.append(block if k == 0 else _repeated(block, first))
    return RandomEffects(omega=tuple(_shared(blocks)), names=names)


def _levels(definitions: Sequence[IndividualDefinition]) -> list[tuple[str, ...]]:
    levels = list(dict.fromkeys(v.level for d in definitions for v in d.variability))
    for level in levels:
        if len(level) > 2:
            at = next(d.at for d in definitions for v in d.variability if v.level == level)
            raise UnsupportedError(
                f"variability at the level {'*'.join(level)} is not supported",
                hint="use the levels id and id*occ",
                location=at,
            )
    return sorted(levels, key=len)


def _groups(effects: list[Effect], correlations: Sequence[Correlation]) -> list[list[Effect]]:
    """Effects that correlate, directly or through others, each group where its first member stands."""
    order = {e.parameter: k for k, e in enumerate(effects)}
    groups = [{name} for name in order]
    for c in correlations:
        for name in c.parameters:
            if name not in order:
                raise SemanticError(
                    f"{name} has no random effect to correlate",
                    hint="take it out of correlation={...}, or give the parameter a standard deviation",
                    location=c.at,
                )
        joined = [g for g in groups if g & set(c.parameters)]
        groups = [g for g in groups if g not in joined] + [set().union(*joined)]
    ranked = sorted(sorted(order[name] for name in g) for g in groups)
    return [[effects[k] for k in group] for group in ranked]


def _block(
    group: list[Effect],
    population: Population,
    correlations: Sequence[Correlation],
    level: tuple[str, ...],
    before: int,
) -> CovarianceBlock:
    sizes, fixed = [], []
    for effect in group:
        size, held = population.value(effect.variability.value, effect.at)
        if size < 0.0:
            raise SemanticError(
                f"{_name(effect)} is {size:g}, and no standard deviation or variance is negative",
                hint="correct it in <PARAMETER>",
                location=effect.at,
            )
        sizes.append(math.sqrt(size) if effect.variability.variance else size)
        fixed.append(held)
    n = len(group)
    matrix = [[sizes[i] ** 2 if i == j else 0.0 for j in range(n)] for i in range(n)]
    index = {e.parameter: k for k, e in enumerate(group)}
    for c in correlations:
        if (c.level or ("id",)) != level or c.parameters[0] not in index:
            continue
        r, held = population.value(c.value, c.at)
        if not -1.0 < r < 1.0:
            raise SemanticError(
                f"{c.value} is {r:g}, and a correlation lies between -1 and 1",
                hint="correct it in <PARAMETER>",
                location=c.at,
            )
        fixed.append(held)
        i, j = (index[name] for name in c.parameters)
        matrix[i][j] = matrix[j][i] = (r if r != 0.0 or held else START_OF_CORRELATIONS) * sizes[i] * sizes[j]
    if any(fixed) and not all(fixed):
        held_name = next(e for e, f in zip(group, fixed, strict=False) if f) if any(fixed[:n]) else group[0]
        raise UnsupportedError(
            f"{_name(held_name)} is fixed and other elements of its correlation block are estimated",
            hint="fix all standard deviations and correlations of the block, or none of them",
            location=held_name.at,
        )
    _check_estimable(group, sizes, all(fixed))
    return CovarianceBlock(
        names=tuple(f"ETA({before + k})" for k in range(1, n + 1)),
        matrix=tuple(tuple(row) for row in matrix),
        fixed=all(fixed),
        labels=tuple(_name(e) for e in group),
        at=group[0].at,
    )


def _check_estimable(group: list[Effect], sizes: list[float], fixed: bool) -> None:
    for effect, size in zip(group, sizes, strict=True):
        if size == 0.0 and not fixed:
            raise SemanticError(
                f"{_name(effect)} starts at 0, from where it is not estimated",
                hint="start above 0, or write no-variability",
                location=effect.at,
            )


def _name(effect: Effect) -> str:
    value = effect.variability.value
    return value if isinstance(value, str) else f"sd({effect.parameter})"


def _repeated(block: CovarianceBlock, first: int) -> CovarianceBlock:
    return CovarianceBlock(
        names=block.names, matrix=block.matrix, fixed=block.fixed, same_as=first, labels=block.labels, at=block.at
    )


def _shared(blocks: list[CovarianceBlock]) -> list[CovarianceBlock]:
    """Blocks with one name for their standard deviation share its value."""
    first: dict[tuple[str, ...], int] = {}
    shared = []
    for k, block in enumerate(blocks):
        known = first.setdefault(block.labels, k)
        shared.append(block if block.same_as is not None or known == k else _repeated(block, known))
        if len(block.labels) > 1 and len(set(block.labels)) < len(block.labels):
            raise UnsupportedError(
                "one standard deviation for several parameters of a correlation block is not supported",
                hint="give each its own omega",
                location=block.at,
            )
    return shared
