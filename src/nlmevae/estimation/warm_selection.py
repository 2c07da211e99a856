"""A covariate search of other data that starts where a search of much the same data ended, without the VAE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.data.search_space import Search
from nlmevae.estimation.assemble import estimates_of
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.polish import polish
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.search import effects_of
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.ir import Model
from nlmevae.results.fit_result import Estimate
from nlmevae.results.status import FitStatus

#: On the scale of -2LL: what keeps a candidate out that has one value in all these data.
NEVER = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmSelection:
    """`chosen`: names of the selected candidates; `estimates`: with one THETA per coefficient of every candidate, 0
    where it is not selected. `minus_two_ll` is that of the last draws. `constant`: forced candidates that have the
    same value in all these data."""

    status: FitStatus
    message: str
    estimates: tuple[Estimate, ...]
    chosen: tuple[str, ...]
    minus_two_ll: float
    constant: tuple[str, ...]


def warm_selection(
    model: Model,
    form: LatentForm,
    table: EventTable,
    requested: Search,
    start: Population,
    chosen: Sequence[str],
    settings: FitSettings,
    selection: SelectionSettings,
) -> WarmSelection:
    """Search among `requested`, whose columns are of these data, from the population and the effects of another search.

    A numerical failure is a status of the result.
    """
    decoders = Decoders.of(form, table, settings)
    try:
        base = make_problem(model, form, table, decoders.exact)
        problem = base.searching(effects_of(model, base, requested))
        selector = Selector.of(problem, selection)
        candidates = requested.space.candidates
        useless = constant_units(problem)
        selector.penalty = np.where(useless & ~problem.effects.forced, NEVER, selector.penalty)
        support = np.array([c.name in chosen or c.forced for c in candidates], dtype=bool) & ~useless
        problem = problem.on_support(support | problem.effects.forced)
        rng = np.random.default_rng([settings.seed, 1])
        polished = replace(problem, decoder=decoders.draws)
        outcome = polish(polished, problem.restricted(start), None, settings, rng, selector=selector)
        found = outcome.problem
        return WarmSelection(
            status=outcome.status,
            message=outcome.message,
            estimates=estimates_of(found.model, found.initial, outcome.population),
            chosen=tuple(c.name for c, on in zip(candidates, found.support, strict=True) if on),
            minus_two_ll=outcome.minus_two_ll,
            constant=tuple(c.name for c, off in zip(candidates, useless, strict=True) if off and c.forced),
        )
    finally:
        decoders.close()


def constant_units(problem: Problem) -> np.ndarray:
    """(n_units,) bool: a coefficient of the candidate has the same regressor in all subjects."""
    effects = problem.effects
    constant = np.ptp(effects.values, axis=0) == 0.0 if len(effects.values) else np.ones(len(effects.unit), dtype=bool)
    return np.bincount(effects.unit[constant], minlength=effects.n_units) > 0
