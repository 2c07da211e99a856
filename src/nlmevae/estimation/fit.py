"""The whole fit on one page: initial estimates -> VAE -> polish -> likelihood -> result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventTable
from nlmevae.errors import UnsupportedError
from nlmevae.estimation.amortised import with_encoder
from nlmevae.estimation.assemble import Estimation, Evaluation, assemble_result
from nlmevae.estimation.covariance_step import CovarianceStep, run_covariance_step
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.evaluate import evaluate
from nlmevae.estimation.information import Posteriors
from nlmevae.estimation.likelihoods import require_possible
from nlmevae.estimation.polish import polish
from nlmevae.estimation.polish_outcome import PolishOutcome
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.screen import scattered_starts
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.stages import Stages
from nlmevae.estimation.subset import spread_subjects
from nlmevae.estimation.trace import Progress, ProgressEvent, share_of, tell_again
from nlmevae.estimation.vae import VaeOutcome, run_vae
from nlmevae.ir import Model
from nlmevae.processes import group
from nlmevae.results.fit_result import FitResult
from nlmevae.results.status import FitStatus
from nlmevae.threads import shared_by

#: The status says the estimates are not worth a likelihood, or the user does not want to wait for one.
ENDED_EARLY = {FitStatus.INTERRUPTED, FitStatus.NUMERICAL_FAILURE}

#: Above this number of subjects the VAE and the approach see only some, spread over the data: they have to find
#: the neighbourhood of the optimum only.
MANY_SUBJECTS, START_SUBJECTS = 400, 300


def fit_model(
    model: Model,
    dataset: Dataset,
    table: EventTable,
    settings: FitSettings,
    *,
    progress: Progress | None = None,
    stages: Stages | None = None,
) -> FitResult:
    """Fit one model to one data set.

    A numerical failure and Ctrl-C are statuses of the result, with the last complete estimates. A model that only
    evaluates ($ESTIMATION MAXEVAL=0) is evaluated at its initial estimates. `stages` keep where the fit stands, and
    know where an earlier process stood.

    Raises:
        ModelError: the model cannot be executed (code generation, no random effect for "vae").
        SettingsError: a likelihood that was asked for cannot be computed for this model.
        SnapshotError: `stages` hold a state that this version cannot read.
    """
    settings = settings.on(table)
    with shared_by(settings.threads):
        return _fit(model, dataset, table, settings, progress, stages or Stages())


def _fit(
    model: Model,
    dataset: Dataset,
    table: EventTable,
    settings: FitSettings,
    progress: Progress | None,
    stages: Stages,
) -> FitResult:
    form = latent_form(model, table)
    decoders = Decoders.of(form, table, settings)
    try:
        problem = make_problem(model, form, table, decoders.exact)
        require_possible(settings.likelihoods, problem.n_latents, censored=bool(table.censored.any()))
        stages.clock.lap("setup")
        know(stages, problem=problem, decoders=decoders)
        if model.evaluates_only:
            estimation = Estimation.initial(problem)
        else:
            estimation = estimate(problem, decoders, settings, progress, stages)
        evaluation = None
        if estimation.status not in ENDED_EARLY:
            estimation, evaluation = finish(problem, estimation, settings, stages, progress)
        result = assemble_result(problem, dataset, settings, estimation, evaluation, stages.clock.seconds)
        here = group()
        return result if here is not None and not here.first else with_encoder(result, problem, settings, progress)
    finally:
        decoders.close()


def know(stages: Stages, **given: Problem | Decoders) -> None:
    """What every process makes for itself, and what its decoders learn while they work."""
    stages.given.add(**given)
    for name, value in given.items():
        rough = {"rough": value.rough} if isinstance(value, Decoders) else {}
        own = value.exact if isinstance(value, Decoders) else value.decoder
        for part, decoder in {"": own, "draws": own.for_draws, **rough}.items():
            stages.remember(f"{name} {part}", decoder, "learned")


def estimate(
    problem: Problem,
    decoders: Decoders,
    settings: FitSettings,
    progress: Progress | None,
    stages: Stages,
    selector: Selector | None = None,
) -> Estimation:
    """The VAE, by default followed by the exact finish. With a `selector` both choose which candidate effects
    are in the model."""
    start = replace(problem, decoder=decoders.rough)
    if settings.method != "vae" and problem.n_subjects > MANY_SUBJECTS:
        start = start.subset(spread_subjects(problem.table, START_SUBJECTS))
    know(stages, start=start)
    if selector is not None:
        stages.remember("count", selector, "count")
    try:
        estimation = _vae(problem, start, settings, progress, stages, selector)
        if settings.method != "vae" and estimation.status is not FitStatus.INTERRUPTED:
            try:
                estimation = _polish(estimation, start, decoders, settings, progress, stages, selector)
            except KeyboardInterrupt:  # between the parts: within them it is a status already
                status = FitStatus.INTERRUPTED
                estimation = replace(estimation, status=status, message=status.sentence)
        of_all = tuple(q for q in estimation.posteriors if len(q.mean) == problem.n_subjects)
        return replace(estimation, posteriors=of_all)
    finally:
        if start.table is not problem.table:
            start.decoder.close()


def _vae(
    problem: Problem,
    start: Problem,
    settings: FitSettings,
    progress: Progress | None,
    stages: Stages,
    selector: Selector | None,
) -> Estimation:
    """On `start`: all subjects or some of them, integrated roughly or as accurately as they are reported."""
    if not problem.n_latents:
        if settings.method == "vae":
            raise UnsupportedError(
                "the model has no random effects, so there is nothing to encode",
                hint="use method vae+polish",
            )
        return Estimation.initial(problem)
    vae = stages.run(
        "vae",
        lambda stage: run_vae(start, settings, progress, selector, stage),
        finished=_not_interrupted,
        tell=lambda outcome: tell_again(progress, outcome.trace),
    )
    stages.clock.lap("vae")
    return Estimation(
        problem=problem if selector is None else problem.on_support(vae.problem.support),
        population=vae.population,
        posteriors=() if vae.posterior is None else (vae.posterior,),
        status=vae.status,
        message=vae.message,
        trace=vae.trace,
    )


def _polish(
    estimation: Estimation,
    start: Problem,
    decoders: Decoders,
    settings: FitSettings,
    progress: Progress | None,
    stages: Stages,
    selector: Selector | None,
) -> Estimation:
    """From the VAE's end. Of many subjects, some find the neighbourhood of the optimum for all."""
    rows = estimation.trace
    rng = np.random.default_rng([settings.seed, 1])
    seconds = rows[-1].seconds if rows else 0.0
    some = start.table is not estimation.problem.table
    continued = _continued(progress, len(rows), seconds)
    alternatives, rng = stages.run(
        "starts", lambda _: (scattered_starts(start, rng, keep=settings.n_alternatives), rng)
    )
    outcome = stages.run(
        "polish",
        lambda stage: polish(
            replace(estimation.problem, decoder=decoders.draws),
            estimation.population,
            next(iter(estimation.posteriors), None),
            settings,
            rng,
            continued,
            alternatives=alternatives,
            selector=selector,
            approach_on=start if some else None,
            stage=stage,
        ),
        finished=_not_interrupted,
        tell=lambda outcome: tell_again(continued, outcome.trace),
        shared=True,
    )
    stages.clock.lap("polish")
    return Estimation(
        problem=replace(outcome.problem, decoder=decoders.exact),
        population=outcome.population,
        posteriors=tuple(q for q in (outcome.weighted, outcome.modes, *estimation.posteriors) if q is not None),
        status=outcome.status,
        message=outcome.message,
        trace=(*rows, *(ProgressEvent.shifted(row, len(rows), seconds) for row in outcome.trace)),
        search=outcome.search,
    )


def _not_interrupted(outcome: VaeOutcome | PolishOutcome) -> bool:
    return outcome.status is not FitStatus.INTERRUPTED


def finish(
    problem: Problem,
    estimation: Estimation,
    settings: FitSettings,
    stages: Stages,
    progress: Progress | None = None,
) -> tuple[Estimation, Evaluation | None]:
    """Likelihoods and standard errors at the final estimates."""

    def known(at: tuple[Estimation, Evaluation | None]) -> bool:
        return at[1] is not None and group() is None  # of several processes none has all draws

    estimation, evaluation = stages.run(
        "likelihood", lambda _: evaluate_final(problem, estimation, settings, progress), finished=known, shared=True
    )
    stages.clock.lap("likelihood")
    estimation = with_uncertainty(problem, estimation, evaluation, settings, progress)
    stages.clock.lap("covariance")
    return estimation, evaluation


def evaluate_final(
    problem: Problem, estimation: Estimation, settings: FitSettings, progress: Progress | None
) -> tuple[Estimation, Evaluation | None]:
    try:
        return estimation, evaluate(problem, estimation, settings, progress)
    except KeyboardInterrupt:
        stopped = replace(
            estimation,
            status=FitStatus.INTERRUPTED,
            message="The fit was interrupted while the likelihood was computed; the estimates are final.",
        )
        return stopped, None


def with_uncertainty(
    problem: Problem,
    estimation: Estimation,
    evaluation: Evaluation | None,
    settings: FitSettings,
    progress: Progress | None,
) -> Estimation:
    """The covariance step at the final estimates. Ctrl-C ends it, not the fit: the estimates are final."""
    step = CovarianceStep.of(problem.model, settings)
    if evaluation is None or step.method is None:
        return estimation
    reason = step.refusal(estimation.status, maximum=settings.method != "vae")
    if reason:
        return replace(estimation, no_uncertainty=reason)
    posteriors = Posteriors(mode=evaluation.mode, mean=evaluation.importance.mean, cov=evaluation.importance.cov)
    try:
        known = run_covariance_step(
            problem,
            estimation.population,
            posteriors,
            step.method,
            np.random.default_rng([settings.seed, 3]),
            share_of(progress, "errors"),
        )
    except KeyboardInterrupt:
        return replace(estimation, no_uncertainty="Standard errors are not computed: interrupted.")
    except np.linalg.LinAlgError:
        known = None
    reason = "" if known is not None else "Standard errors cannot be computed: the information is not finite."
    return replace(estimation, uncertainty=known, no_uncertainty=reason)


def _continued(progress: Progress | None, n_rows: int, seconds: float) -> Progress | None:
    """Events of a later part of the fit, their rows numbered after the earlier ones."""
    if progress is None:
        return None
    return lambda event: progress(replace(event, row=ProgressEvent.shifted(event.row, n_rows, seconds)))
