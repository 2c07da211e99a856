"""Predictions of the observations at the points a Monolix results folder has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.times import observation_times
from nlmevae.diagnostics.censoring import censoring
from nlmevae.diagnostics.endpoints import endpoints
from nlmevae.diagnostics.subject_covariates import MOST_CATEGORIES
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.estimation.individual_parameters import changing_covariates
from nlmevae.estimation.mean_model import MeanModel
from nlmevae.estimation.problem import Problem
from nlmevae.ir import Model, Transform
from nlmevae.results.fit_result import FitResult
from nlmevae.results.monolix_content import EndpointPredictions
from nlmevae.results.monolix_names import observation_names


def point_predictions(
    at: AtEstimates, dataset: Dataset, fit: FitResult, categorical: frozenset[str] = frozenset()
) -> tuple[EndpointPredictions, ...]:
    """One entry per endpoint that has observations.

    Args:
        categorical: covariates that are categories, whatever their number of values.
    """
    joint, table = at.joint, at.problem.table
    z = {
        "typical": joint.mean,
        "typical_median": median_mean(at, categorical),
        "mean": latents_of_means(at, fit),
        "mode": at.mode,
    }
    found = {name: joint.predict(value) for name, value in z.items()}
    found["mode"] = np.where(at.modes.ok[table.ob_subject], found["mode"], np.nan)
    known = ~censoring(table).censored
    for name in ("mean", "mode"):
        with np.errstate(invalid="ignore", divide="ignore"):
            residual = (joint.y - found[name]) / joint.sd(found[name], z[name])
        found[f"residual_{name}"] = np.where(known, residual, np.nan)
    time = observation_times(at.problem.model, dataset, table)
    kinds = endpoints(at.problem)
    made = []
    for k, name in enumerate(observation_names([kind.name for kind in kinds.kinds])):
        rows = np.flatnonzero(kinds.of == k)
        own = {point: values[rows] for point, values in found.items()}
        made.append(
            EndpointPredictions(
                name=name, subject=table.ob_subject[rows], time=time[rows], observed=joint.y[rows], **own
            )
        )
    return tuple(made)


def latents_of_means(at: AtEstimates, fit: FitResult) -> np.ndarray:
    """(N, d) z of the conditional means of the individual parameters themselves, which is where Monolix predicts
    ``indivPred_mean``; of a latent that is no such parameter, its own conditional mean."""
    people, z = fit.individuals, at.joint.mean + fit.individuals.eta_mean[:, at.problem.latent_index]
    for k, latent in enumerate(at.problem.form.latents):
        if latent.name in people.psi_names and latent.name != latent.eta and not latent.changing:
            psi = people.psi_mean[:, people.psi_names.index(latent.name)]
            z[:, k] = np.where(np.isfinite(psi), to_gaussian(latent.transform, psi), z[:, k])
    return z


def to_gaussian(transform: Transform, psi: np.ndarray) -> np.ndarray:
    """z = h(psi)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if transform.kind == "log":
            return np.log(psi - transform.lower)
        if transform.kind == "logit":
            return np.log((psi - transform.lower) / (transform.upper - psi))
    return psi


def median_mean(at: AtEstimates, categorical: frozenset[str] = frozenset()) -> np.ndarray:
    """(N, d) mean of z at the median of every continuous covariate and the most frequent value of every categorical
    one. NaN where that is not defined: a covariate of it changes within a subject, or something without a random effect
    (a scale, ``S2 = V*WT``) depends on data items, of which nothing says whether they are covariates or regressors.

    Monolix takes the median of the covariate that the model uses (``lw70 = log(wt/70)``), which for an even number of
    subjects is not the function of the median. Both middle values are put in and mu is averaged: the same, since mu is
    a sum of terms of one covariate each.
    """
    problem = at.problem
    acting = {c for p in problem.model.individual_parameters for c in p.covariates}
    if acting & changing_covariates(problem.table) or _reads_elsewhere(problem):
        return np.full_like(at.joint.mean, np.nan)
    first = problem.table.cov[problem.table.cov_ptr[:-1]]
    found = []
    for middle in (0, 1):
        cov = problem.table.cov.copy()
        for j, name in enumerate(problem.table.covariate_names):
            if not acting & _spellings(problem.model, name):
                continue
            values = first[:, j]
            known = np.sort(values[np.isfinite(values)])
            if name in categorical or len(np.unique(known)) <= MOST_CATEGORIES:
                levels, counts = np.unique(known, return_counts=True)
                cov[:, j] = levels[np.argmax(counts)]
            else:
                cov[:, j] = known[(len(known) - 1 + middle) // 2]
        mean = MeanModel.of(problem.model, problem.form, replace(problem.table, cov=cov))
        found.append(mean.mean(at.population.thetas))
    return 0.5 * (found[0] + found[1])


def _reads_elsewhere(problem: Problem) -> bool:
    """Data items act beside the means of the random effects' parameters."""
    function = problem.form.individual
    return bool(function.graph.inputs_of([node for _, node in function.outputs]) & set(problem.form.covariates))


def _spellings(model: Model, name: str) -> set[str]:
    """A data item's name and synonym."""
    for column in model.data.columns:
        if name in (column.name, column.synonym):
            return {column.name, column.synonym} - {None}
    return {name}
