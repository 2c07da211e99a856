"""A covariate search on one page: model with candidates -> VAE -> polish -> selected model -> result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventTable
from nlmevae.data.search_space import Search as RequestedSearch
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import UnsupportedError
from nlmevae.estimation.amortised import with_encoder
from nlmevae.estimation.assemble import Estimation, assemble_result
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.effects import Effects, latent_of_parameter
from nlmevae.estimation.fit import ENDED_EARLY, estimate, finish, know
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.estimation.stages import Clock, Stages
from nlmevae.estimation.trace import Progress
from nlmevae.ir import Candidate, Model, free_elements
from nlmevae.results.fit_result import FitResult, TraceRow
from nlmevae.threads import shared_by

#: Largest difference of the mean of z between the search and the written model: rounding of constants.
SAME_MEAN = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedModel:
    """The model that was written, met with its data again; thetas: the names of each selected effect's
    coefficients, in the order of the selected candidates; base: of the searched model's THETAs (empty: as there)."""

    model: Model
    dataset: Dataset
    table: EventTable
    thetas: tuple[tuple[str, ...], ...]
    base: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """A finished search; `estimation.problem` has the selected support."""

    estimation: Estimation
    selector: Selector
    settings: FitSettings
    selection: SelectionSettings
    stages: Stages

    @property
    def clock(self) -> Clock:
        return self.stages.clock

    @property
    def problem(self) -> Problem:
        return self.estimation.problem

    @property
    def selected(self) -> tuple[tuple[Candidate, tuple[float, ...]], ...]:
        """The selected candidates with their coefficients."""
        effects, support = self.problem.effects, self.problem.support
        beta = effects.beta(self.estimation.population.thetas)
        return tuple(
            (candidate, tuple(float(b) for b in beta[effects.unit == u]))
            for u, candidate in enumerate(effects.space.candidates)
            if support[u]
        )


def search_effects(
    model: Model,
    table: EventTable,
    requested: RequestedSearch,
    settings: FitSettings,
    selection: SelectionSettings,
    *,
    progress: Progress | None = None,
    stages: Stages | None = None,
) -> SearchOutcome:
    """Estimate the model and choose its covariate effects in one run.

    A numerical failure and Ctrl-C are statuses of the estimation, with the last complete support. `stages` keep where
    the search stands, and know where an earlier process stood.

    Raises:
        ModelError: the model cannot be executed. UnsupportedError: it has no random effects.
    """
    stages, settings = stages or Stages(), settings.on(table)
    form = latent_form(model, table)
    decoders = Decoders.of(form, table, settings)
    try:
        base = make_problem(model, form, table, decoders.exact)
        if not base.n_latents:
            raise UnsupportedError(
                "the model has no random effects, so effects of covariates on them cannot be searched",
                hint="give the parameters to be searched an ETA",
            )
        problem = base.searching(effects_of(model, base, requested))
        selector = Selector.of(problem, selection, settings.method)
        stages.clock.lap("setup")
        know(stages, problem=problem, decoders=decoders)
        with shared_by(settings.threads):
            estimation = estimate(problem, decoders, settings, progress, stages, selector)
    finally:
        decoders.close()
    return SearchOutcome(
        estimation=estimation, selector=selector, settings=settings, selection=selection, stages=stages
    )


def effects_of(model: Model, problem: Problem, requested: RequestedSearch) -> Effects:
    """The requested candidates as columns of the mean of z."""
    latents = tuple(latent.name for latent in problem.form.latents)
    index = latent_of_parameter(model.individual_parameters, latents)
    parameters = [p.name for p in model.individual_parameters]
    _check_means(model, index, [parameters[k] for k in requested.parameter])
    names = tuple(column.name for candidate in requested.space.candidates for column in candidate.columns)
    return Effects(
        space=requested.space,
        values=np.ascontiguousarray(requested.columns, dtype=float),
        latent=np.array([index[parameters[k]] for k in requested.parameter], dtype=int),
        unit=np.asarray(requested.unit, dtype=int),
        theta=len(model.thetas) + np.arange(len(names)),
        names=names,
    )


def _check_means(model: Model, index: dict[str, int], asked: list[str]) -> None:
    """Covariates act on means, and OMEGA is profiled as full blocks.

    Raises:
        UnsupportedError: a parameter without a mean, or an estimated block of OMEGA with elements kept at 0.
    """
    without = next((name for name in asked if name not in index), None)
    if without is not None:
        raise UnsupportedError(
            f"{without} changes within a subject together with its typical value: there is no mean for covariates to "
            "act on",
            hint=f"leave {without} out of the parameters to be searched",
            location=next(p.at for p in model.individual_parameters if p.name == without),
        )
    for block in model.omega:
        if not block.fixed and not all(all(row) for row in free_elements(block)):
            raise UnsupportedError(
                f"a covariance of {', '.join(block.names)} is 0 and stays 0; a covariate search cannot keep it there",
                hint="search with a full block or separate variances; `fit` keeps the zeros",
                location=block.at,
            )


def fit_of_selected(outcome: SearchOutcome, selected: SelectedModel, progress: Progress | None = None) -> FitResult:
    """Likelihoods and individual results of the written model at the estimates of the search.

    The written model is evaluated anew: text, data and code of its own.
    """
    settings, model = outcome.settings, selected.model
    form = latent_form(model, selected.table)
    decoder = make_decoder(
        form,
        selected.table,
        backend=settings.backend,
        rtol=settings.rtol,
        threads=settings.threads,
        device=settings.device,
    )
    try:
        problem = make_problem(model, form, selected.table, decoder)
        mapping = _Mapping.of(outcome, selected)
        estimation = mapping.estimation(outcome.estimation, problem)
        _check_same_mean(outcome, problem, estimation.population)
        know(outcome.stages, selected=problem)
        evaluation = None
        if estimation.status not in ENDED_EARLY:
            with shared_by(settings.threads):
                estimation, evaluation = finish(problem, estimation, settings, outcome.stages, progress)
        result = assemble_result(problem, selected.dataset, settings, estimation, evaluation, outcome.clock.seconds)
        return with_encoder(result, problem, settings, progress)
    finally:
        decoder.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mapping:
    """search (T',) index among the THETAs of the search of each THETA of the selected model."""

    search: np.ndarray
    n_search: int
    support: np.ndarray

    @classmethod
    def of(cls, outcome: SearchOutcome, selected: SelectedModel) -> _Mapping:
        effects, support = outcome.problem.effects, outcome.problem.support
        number = {t.name: i for i, t in enumerate(selected.model.thetas)}
        n_search = len(outcome.problem.model.thetas)
        search = np.full(len(number), -1)
        n_base = n_search - len(effects.names)
        base = selected.base or tuple(t.name for t in outcome.problem.model.thetas[:n_base])
        for k, name in enumerate(base):
            search[number[name]] = k
        for names, u in zip(selected.thetas, np.flatnonzero(support), strict=True):
            for name, theta in zip(names, effects.theta[effects.unit == u], strict=True):
                search[number[name]] = theta
        return cls(search=search, n_search=n_search, support=support)

    def estimation(self, found: Estimation, problem: Problem) -> Estimation:
        return replace(
            found,
            problem=problem,
            population=self.population(found.population),
            trace=self.trace(found.trace),
        )

    def population(self, found: Population) -> Population:
        return replace(found, thetas=found.thetas[self.search])

    def trace(self, rows: Sequence[TraceRow]) -> tuple[TraceRow, ...]:
        """The iterations since the support last changed, in the parameters of the selected model."""
        first = len(rows)
        while first and np.array_equal(rows[first - 1].support, self.support):
            first -= 1
        return tuple(
            replace(
                row,
                iteration=i,
                parameters=np.concatenate([row.parameters[self.search], row.parameters[self.n_search :]]),
                support=None,
            )
            for i, row in enumerate(rows[first:])
        )


def _check_same_mean(outcome: SearchOutcome, problem: Problem, population: Population) -> None:
    """The written text states the model that was found; anything else is a defect of the writer."""
    found = outcome.problem.mean.mean(outcome.estimation.population.thetas)
    written = problem.mean.mean(population.thetas)
    scale = np.maximum(np.abs(found), 1.0)
    if written.shape != found.shape or not np.all(np.abs(written - found) <= SAME_MEAN * scale):
        raise AssertionError("the written model does not state the selected covariate model")
