"""All diagnostics of one fit on one page."""

from __future__ import annotations

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.times import observation_times, time_name
from nlmevae.diagnostics.censoring import censoring
from nlmevae.diagnostics.checks import predictive_checks
from nlmevae.diagnostics.curves import individual_curves
from nlmevae.diagnostics.endpoints import endpoints
from nlmevae.diagnostics.prediction_errors import prediction_errors
from nlmevae.diagnostics.replicates import SimulatedObservations, Steps, simulate_observations
from nlmevae.diagnostics.subject_covariates import subject_covariates
from nlmevae.diagnostics.vpc import CheckOptions
from nlmevae.diagnostics.weighted_residuals import linearised_at, weighted_residuals
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.results.diagnostics import Diagnostics, ObservationDiagnostics

N_SIMULATIONS = 1000


def diagnose(
    at: AtEstimates,
    dataset: Dataset,
    *,
    n_simulations: int = N_SIMULATIONS,
    seed: int = 1,
    stratify: str | None = None,
    checks: tuple[CheckOptions, ...] = (CheckOptions(), CheckOptions(prediction_corrected=True)),
    steps: Steps | None = None,
) -> Diagnostics:
    """Residuals, prediction errors, individual curves and predictive checks at the estimates.

    Args:
        dataset: the data `at` was made from.
        n_simulations: simulated data sets behind EPRED, NPDE and the checks; 0: none of these.
        stratify: data item that splits the checks.
        checks: one check for each, endpoint and stratum.
        steps: told about the simulations.

    Raises:
        SettingsError: an impossible option (no such data item, ...).
    """
    kinds = endpoints(at.problem)
    simulated = simulate_observations(at.joint, n_simulations, seed=seed, steps=steps) if n_simulations else None
    observations = observation_diagnostics(at, dataset, simulated, seed=seed)
    return Diagnostics(
        labels=at.problem.table.subject_labels,
        endpoints=kinds.kinds,
        observations=observations,
        curves=individual_curves(at, dataset, kinds),
        vpcs=()
        if simulated is None
        else predictive_checks(at, dataset, simulated, kinds, observations.pred, checks, stratify=stratify),
        covariates=subject_covariates(at.problem.model, dataset),
        n_simulations=n_simulations,
        seed=seed,
        time_name=time_name(at.problem.model) or "RECORD",
        warnings=_warnings(at, observations, simulated),
    )


def observation_diagnostics(
    at: AtEstimates, dataset: Dataset, simulated: SimulatedObservations | None, *, seed: int
) -> ObservationDiagnostics:
    """Everything that has one value per observation; what needs simulations is NaN without them.

    Of an outcome with a transformed distribution, values and predictions are on the scale of the data, residuals on
    that of the distribution.
    """
    table, joint = at.problem.table, at.joint
    known = censoring(table)
    censored = known.censored
    typical, individual = linearised_at(joint, joint.mean), linearised_at(joint, at.mode)
    found = at.modes.ok[table.ob_subject]
    nothing = np.full(len(joint.y), np.nan)
    errors, epred = None, nothing
    if simulated is not None:
        errors = prediction_errors(joint.y, simulated.y, table.ob_ptr, censoring=known, seed=seed)
        epred = errors.expected if table.ob_scale is None else _mean(table.natural(simulated.y))
    with np.errstate(invalid="ignore", divide="ignore"):
        iwres = (joint.y - individual.prediction) / individual.sd
    return ObservationDiagnostics(
        subject=table.ob_subject,
        endpoint=endpoints(at.problem).of,
        row=table.ob_row.astype(int),
        time=observation_times(at.problem.model, dataset, table),
        dv=table.natural(joint.y),
        pred=table.natural(typical.prediction),
        ipred=np.where(found, table.natural(individual.prediction), np.nan),
        iwres=np.where(found & ~censored, iwres, np.nan),
        wres=weighted_residuals(joint, typical, ~censored),
        cpred=np.where(found, table.natural(individual.expected), np.nan),
        cwres=weighted_residuals(joint, individual, found & ~censored),
        epred=epred,
        ewres=nothing if errors is None else errors.weighted,
        npd=nothing if errors is None else errors.npd,
        npde=nothing if errors is None else errors.npde,
        censored=censored,
    )


def _mean(simulated: np.ndarray) -> np.ndarray:
    """(M,) over the replicates that did not fail."""
    usable = simulated[np.isfinite(simulated).all(axis=1)]
    return usable.mean(axis=0) if len(usable) else np.full(simulated.shape[1], np.nan)


def _warnings(
    at: AtEstimates, observations: ObservationDiagnostics, simulated: SimulatedObservations | None
) -> tuple[str, ...]:
    labels = at.problem.table.subject_labels
    found = []
    lost = [labels[i] for i in np.flatnonzero(~at.modes.ok)]
    if lost:
        found.append(f"No conditional mode was found for {_subjects(lost)}: IPRED, IWRES and CWRES are missing there.")
    if simulated is not None and simulated.n_failed:
        found.append(
            f"{simulated.n_failed} of {len(simulated.y)} simulated data sets have predictions that failed; "
            "the rest was used."
        )
    if simulated is not None:
        singular = np.isnan(observations.npde) & np.isfinite(observations.npd)
        which = np.unique(observations.subject[singular])
        short = which[np.diff(at.problem.table.ob_ptr)[which] >= len(simulated.y)]
        if len(short):
            found.append(
                f"NPDE is missing for {_subjects([labels[i] for i in short])}: {len(simulated.y)} simulations cannot "
                "decorrelate the observations there. Ask for more simulations than any subject has observations."
            )
        other = int((singular & ~np.isin(observations.subject, short)).sum())
        if other:
            found.append(
                f"NPDE is missing for {other} observations that do not vary in the simulations (a prediction of 0 with "
                "a proportional error) or have no covariance with an inverse."
            )
    return tuple(found)


def _subjects(labels: list[str]) -> str:
    shown = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
    return f"{len(labels)} subject{'s' if len(labels) > 1 else ''} (ID {shown})"
