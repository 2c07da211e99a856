"""-2LL at the initial estimates of a model, by several methods: the computation behind `nlmevae likelihood`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventTable
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.assemble import estimates_of, likelihood_value, versions
from nlmevae.estimation.at_estimates import AtEstimates, at_estimates
from nlmevae.estimation.evaluate import final_draws
from nlmevae.estimation.likelihoods import MethodValue, Report, likelihoods_at, require_possible, shown_labels, why_not
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.settings import FitSettings, method_names
from nlmevae.ir import Model
from nlmevae.results.likelihood_names import EXACT
from nlmevae.results.likelihood_result import LikelihoodResult, SubjectLikelihood
from nlmevae.threads import shared_by

APART, NOTICED = 5, 0.01  # standard errors, and -2LL beyond them, at which two exact values of a subject disagree


def likelihood_report(
    model: Model,
    dataset: Dataset,
    table: EventTable,
    *,
    methods: str | Sequence[str],
    settings: FitSettings,
    parameters_from: str,
    objective_there: float = float("nan"),
    report: Report | None = None,
) -> LikelihoodResult:
    """All `methods` ("all", names with commas between them, or a list). Of "all", what cannot be used with this model
    is left out and a warning says why.

    Args:
        settings: seed, backend, device, threads, rtol, n_starts and final_draws are used.

    Raises:
        ModelError: the model cannot be executed.
        SettingsError: there is no such method, or it cannot be used with this model.
    """
    wanted, settings = method_names(methods), settings.on(table)
    form = latent_form(model, table)
    decoder = make_decoder(
        form,
        table,
        backend=settings.backend,
        rtol=settings.rtol,
        threads=settings.threads,
        device=settings.device,
    )
    try:
        problem = make_problem(model, form, table, decoder)
        censored = bool(problem.table.censored.any())
        possible = tuple(m for m in wanted if not why_not(m, problem.n_latents, censored=censored))
        if "all" not in methods:
            require_possible(wanted, problem.n_latents, censored=censored)
        rng = np.random.default_rng([settings.seed, 2])
        if report is not None:
            report("modes", 0.0)
        with shared_by(settings.threads):
            here = at_estimates(problem, problem.initial, n_starts=settings.n_starts, rng=rng)
            n_draws = final_draws(problem.n_subjects, settings.final_draws)
            values = likelihoods_at(here, possible, n_draws=n_draws, rng=rng, report=report)
    finally:
        decoder.close()
    left_out = [why_not(m, problem.n_latents, censored=censored) for m in wanted if m not in possible]
    return _result(here, dataset, settings, values, (parameters_from, objective_there), n_draws, left_out)


def _result(
    here: AtEstimates,
    dataset: Dataset,
    settings: FitSettings,
    values: Sequence[MethodValue],
    origin: tuple[str, float],
    n_draws: int,
    left_out: list[str],
) -> LikelihoodResult:
    problem = here.problem
    model = problem.model
    importance = next((v.importance for v in values if v.importance is not None), None)
    unknown = np.full(problem.n_subjects, np.nan)
    return LikelihoodResult(
        name=model.name,
        source_path=model.source.path,
        data_path=dataset.path,
        problem=model.problem,
        parameters_from=origin[0],
        objective_there=origin[1],
        parameters={e.name: e.value for e in estimates_of(model, problem.initial)},
        seed=settings.seed,
        n_draws=n_draws,
        n_subjects=problem.n_subjects,
        n_obs_total=problem.table.n_obs_total,
        n_censored=problem.table.n_obs_total - problem.table.n_known,
        values=tuple(likelihood_value(problem, v) for v in values),
        subjects=tuple(
            SubjectLikelihood(
                method=v.method,
                minus_two_ll=v.marginal.minus_two_ll,
                error=v.marginal.error,
                seconds=v.seconds,
                remark=v.marginal.remark,
            )
            for v in values
        ),
        labels=problem.table.subject_labels,
        n_obs=np.diff(problem.table.ob_ptr),
        ess=unknown if importance is None else importance.ess,
        khat=unknown if importance is None else importance.khat,
        warnings=(
            *_mode_warnings(problem, here),
            *(v.marginal.remark for v in values if v.marginal.remark),
            *_disagreement(problem, values),
            *left_out,
        ),
        versions=versions(),
    )


def _disagreement(problem: Problem, values: Sequence[MethodValue]) -> list[str]:
    """Both exact methods have errors of their own making that they cannot see: a part of the posterior that neither
    the points of one nor the draws of the other have met."""
    exact = [v.marginal for v in values if v.method in EXACT]
    if len(exact) < 2:
        return []
    difference = np.abs(exact[0].minus_two_ll - exact[1].minus_two_ll)
    error = np.sqrt(exact[0].error ** 2 + exact[1].error ** 2)
    apart = [
        label
        for label, far in zip(problem.table.subject_labels, difference > APART * error + NOTICED, strict=True)
        if far
    ]
    if not apart:
        return []
    return [
        f"Importance sampling and Gauss-Hermite quadrature differ by more than {APART} times their errors for "
        f"{shown_labels(apart)}. Trust neither there; try more draws (--draws)."
    ]


def _mode_warnings(problem: Problem, here: AtEstimates) -> list[str]:
    failed = [label for label, ok in zip(problem.table.subject_labels, here.modes.ok, strict=True) if not ok]
    if not failed:
        return []
    return [f"No conditional mode was found of {shown_labels(failed)}."]
