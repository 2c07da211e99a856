"""Predictions of the observations at the points a Monolix results folder has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.times import observation_times
from nlmevae.diagnostics.endpoints import endpoints
from nlmevae.diagnostics.typical_covariates import median_mean
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.ir import Transform
from nlmevae.results.fit_result import FitResult
from nlmevae.results.monolix_content import EndpointPredictions


def point_predictions(
    at: AtEstimates,
    dataset: Dataset,
    fit: FitResult,
    names: Sequence[str],
    categorical: frozenset[str] = frozenset(),
) -> tuple[EndpointPredictions, ...]:
    """One entry per endpoint that has observations.

    Args:
        names: of the endpoints.
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
    for name in ("mean", "mode"):
        with np.errstate(invalid="ignore", divide="ignore"):
            found[f"residual_{name}"] = (joint.y - found[name]) / joint.sd(found[name], z[name])
    for name in z:
        found[name] = table.natural(found[name])
    observed = table.natural(joint.y)
    time = observation_times(at.problem.model, dataset, table)
    kinds = endpoints(at.problem)
    made = []
    for k, name in enumerate(names):
        rows = np.flatnonzero(kinds.of == k)
        own = {point: values[rows] for point, values in found.items()}
        made.append(
            EndpointPredictions(
                name=name, subject=table.ob_subject[rows], time=time[rows], observed=observed[rows], **own
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
