"""Fits of samples of one model from the same start: what resampled and simulated data have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.data.events import EventTable
from nlmevae.estimation.settings import FitSettings
from nlmevae.ir import Model
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_record import (
    UNINFORMED,
    FitRecord,
    StudyParameter,
    errors_of,
    parameters_of_result,
    study_parameters,
    values_of,
)
from nlmevae.results.fit_result import FitResult
from nlmevae.studies.ledger import listed
from nlmevae.studies.work import Task

#: Fits the table of a sample: (task, table, what to call the fit) -> record.
FitTable = Callable[[Task, EventTable, str], FitRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmFits:
    """thetas (n_theta,), omega, sigma: where every fit starts. `table`: the data these are of."""

    model: Model
    table: EventTable
    settings: FitSettings
    thetas: np.ndarray
    omega: np.ndarray
    sigma: np.ndarray
    parameters: tuple[StudyParameter, ...]
    covariance: str | None

    @classmethod
    def of(cls, run: PreparedRun, fit: FitResult, settings: FitSettings, *, covariance: bool) -> WarmFits:
        """From the estimates of a fit, predicted as there."""
        return cls(
            model=_light(run.model),
            table=run.table,
            settings=replace(settings.one_of_several, backend=fit.settings.get("backend") or settings.backend),
            thetas=fit.thetas,
            omega=fit.omega,
            sigma=fit.sigma,
            parameters=parameters_of_result(fit),
            covariance=_method(run.model, settings) if covariance else None,
        )

    @classmethod
    def at_initial(cls, run: PreparedRun, settings: FitSettings, *, covariance: bool) -> WarmFits:
        """From the initial estimates of the model."""
        from nlmevae.estimation.assemble import estimates_of
        from nlmevae.estimation.population import Population

        start = Population.initial(run.model)
        return cls(
            model=_light(run.model),
            table=run.table,
            settings=settings.one_of_several,
            thetas=start.thetas,
            omega=start.omega,
            sigma=start.sigma,
            parameters=study_parameters(estimates_of(run.model, start), monolix=run.model.project is not None),
            covariance=_method(run.model, settings) if covariance else None,
        )

    def fitter(self) -> FitTable:
        """What fits a sample; what all samples share is made once."""
        from nlmevae.codegen.latent_form import latent_form
        from nlmevae.decoder.make import make_decoder
        from nlmevae.estimation.population import Population
        from nlmevae.estimation.problem import make_problem
        from nlmevae.estimation.warm_fit import acting, warm_fit

        form = latent_form(self.model, self.table)
        decoder = make_decoder(form, self.table, backend=self.settings.backend, rtol=self.settings.rtol)
        start = Population(thetas=self.thetas, omega=self.omega, sigma=self.sigma)
        known = acting(make_problem(self.model, form, self.table, decoder), start)
        decoder.close()

        def fit(task: Task, table: EventTable, name: str) -> FitRecord:
            found = warm_fit(self.model, form, table, start, self.settings, known=known, covariance=self.covariance)
            status, message = found.status.name, found.message
            if found.unknown:
                status = UNINFORMED
                message = f"These data say nothing about {listed(found.unknown)}: no subject has what shows it."
            return FitRecord(
                number=task.number,
                model=task.model,
                name=name,
                status=status,
                message=message,
                minus_two_ll=found.minus_two_ll,
                mc_se=found.mc_se,
                n_subjects=table.n_subjects,
                n_known=table.n_known,
                values=values_of(self.parameters, found.estimates),
                standard_errors=errors_of(self.parameters, found.uncertainty),
                at_bound=tuple(e.name for e in found.estimates if e.at_bound),
            )

        return fit


def _method(model: Model, settings: FitSettings) -> str:
    """The method of standard errors that the settings name, else $COVARIANCE, else the default."""
    from nlmevae.estimation.covariance_step import DEFAULT, OF_MATRIX

    if settings.covariance not in ("auto", "none"):
        return settings.covariance
    return DEFAULT if model.covariance is None else OF_MATRIX[model.covariance.matrix]


def _light(model: Model) -> Model:
    """What is sent to workers need not have the notes."""
    return replace(model, diagnostics=())


def digest_of_fit(fit: FitResult) -> str:
    """Of the estimates."""
    digest = hashlib.sha256()
    for array in (fit.thetas, fit.omega, fit.sigma):
        digest.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return digest.hexdigest()[:16]
