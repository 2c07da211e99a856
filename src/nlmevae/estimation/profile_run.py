"""Profiles of several parameters of one fitted model, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.covariance_step import vector_names
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.profile_likelihood import profile_parameter, profile_targets
from nlmevae.estimation.settings import FitSettings
from nlmevae.ir import Model
from nlmevae.results.fit_result import FitResult
from nlmevae.results.profile_result import ParameterProfile, ProfileResult

DRAWS, FEWEST_DRAWS, ALL_DRAWS = 1024, 128, 500_000  # per subject and batch; of all subjects together
USUAL_MAXIMA = 18  # constrained maxima of one parameter, for the time left


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEvent:
    """One finished constrained maximum: the parameter, its number among `n_parameters`, and how many there were of it;
    `seconds_left` is an estimate."""

    name: str
    number: int
    n_parameters: int
    n_maxima: int
    seconds: float
    seconds_left: float


def profile_model(
    model: Model,
    table: EventTable,
    fitted: FitResult,
    names: tuple[str, ...],
    settings: FitSettings,
    *,
    level: float,
    progress: Callable[[ProfileEvent], None] | None = None,
) -> ProfileResult:
    """Profiles of the parameters `names` around the estimates of `fitted`. Ctrl-C keeps those that are finished."""
    form, settings = latent_form(model, table), settings.on(table)
    decoder = make_decoder(
        form,
        table,
        backend=settings.backend,
        rtol=settings.rtol,
        threads=settings.threads,
        device=settings.device,
    )
    finished: list[ParameterProfile] = []
    message = "" if fitted.status.completed else f"The fit did not converge: {fitted.message or fitted.status.sentence}"
    began = time.perf_counter()
    try:
        problem = make_problem(model, form, table, decoder)
        population = Population(thetas=fitted.thetas, omega=fitted.omega, sigma=fitted.sigma)
        estimates = [next(e for e in fitted.estimates if e.name == name) for name in names]
        n_draws = min(DRAWS, max(FEWEST_DRAWS, ALL_DRAWS // problem.n_subjects))
        for k, target in enumerate(profile_targets(problem, population, estimates)):

            def tell(n_maxima: int, k: int = k, name: str = target.name) -> None:
                if progress is not None:
                    progress(_event(name, k, len(names), n_maxima, time.perf_counter() - began))

            rng = np.random.default_rng([settings.seed, 4, k])
            finished.append(
                profile_parameter(problem, population, target, level=level, n_draws=n_draws, rng=rng, tell=tell)
            )
    except KeyboardInterrupt:
        message = f"Interrupted: {len(finished)} of {len(names)} parameters were profiled."
    finally:
        decoder.close()
    return ProfileResult(
        name=model.name,
        source_path=model.source.path,
        level=level,
        names=tuple(vector_names(model)),
        profiles=tuple(finished),
        message=message,
    )


def _event(name: str, k: int, n_parameters: int, n_maxima: int, seconds: float) -> ProfileEvent:
    done = k + min(n_maxima / USUAL_MAXIMA, 0.95)
    return ProfileEvent(
        name=name,
        number=k + 1,
        n_parameters=n_parameters,
        n_maxima=n_maxima,
        seconds=seconds,
        seconds_left=seconds / done * (n_parameters - done),
    )
