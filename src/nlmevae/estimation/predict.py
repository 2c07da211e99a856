"""Posteriors and predictions for subjects that a fit has not seen, at its population: nothing is estimated.

The posterior p(z | y_i, theta) of a new subject depends on its own data only. Two routes to it:

    refined    conditional mode, then importance sampling around it, as for the subjects of the fit
    encoder    q(z | x_i) of the trained network: milliseconds, with no guarantee

Predictions at any record are pushed forward from draws of the posterior; subjects without observations have the prior.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventTable
from nlmevae.data.ranges import outside
from nlmevae.data.value_scales import to_natural
from nlmevae.decoder.device import device_name, require_device
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import SettingsError
from nlmevae.estimation.amortised import encode
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.evaluate import final_draws
from nlmevae.estimation.fitted import fitted_model
from nlmevae.estimation.individuals import individual_results
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.refined_posterior import refined_posterior
from nlmevae.ir import Diagnostic, Model
from nlmevae.likelihood.importance import ImportanceLikelihood, restrict
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.pareto import RELIABLE
from nlmevae.likelihood.posterior_draws import PosteriorDraws, SubjectDraws
from nlmevae.results.fit_result import FitResult, IndividualResults
from nlmevae.results.prediction_result import (
    MEAN_LIMIT,
    SD_LIMIT,
    EncoderCheck,
    PredictionResult,
    RecordPredictions,
    Route,
)
from nlmevae.results.saved_encoder import SavedEncoder

LEVEL = 0.9  # of the intervals
DRAWS = 4096  # of an encoder's Gaussian posterior, in antithetic pairs

#: (what is done, steps done, steps in all)
Steps = Callable[[str, int, int], None]
ROUGH = 0.05  # Monte-Carlo error in posterior standard deviations that is worth a warning
MOST_AT_ONCE = 4_000_000  # predictions: samples times records


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictSettings:
    """n_samples: of each posterior, for the intervals; keep_samples: also in the result; route "encoder": the network
    alone."""

    seed: int = 1
    n_samples: int = 1000
    keep_samples: bool = False
    route: Route = "refined"
    backend: str = "auto"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, smallest in (("seed", 0), ("n_samples", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
                raise SettingsError(f"{name} is {value!r}", hint=f"give a whole number, {smallest} or more")
        if self.route not in ("refined", "encoder"):
            raise SettingsError(f"route is {self.route!r}", hint="use refined or encoder")
        require_device(device_name(self.device, self.backend))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubjects:
    """Their data as the posterior sees them (`observed`) and as predictions need them (`predicted`: also records of
    EVID 2 and MDV 1)."""

    model: Model
    dataset: Dataset
    observed: EventTable
    predicted: EventTable
    diagnostics: tuple[Diagnostic, ...] = ()


def predict_subjects(
    subjects: NewSubjects,
    fit: FitResult,
    settings: PredictSettings,
    encoder: SavedEncoder | None = None,
    steps: Steps | None = None,
) -> PredictionResult:
    """Posterior of every subject and predictions at every record; `steps` is told how far it is.

    Raises:
        DataError: the fit or the encoder belongs to another model.
        SettingsError: route "encoder" without an encoder.
    """
    if settings.route == "encoder" and encoder is None:
        raise SettingsError("route encoder needs an encoder", hint="give the file that fit --save-encoder wrote")
    start = time.perf_counter()
    model = fitted_model(fit, subjects.model)
    population = Population.initial(model)
    seconds: dict[str, float] = {}
    with _problem(model, subjects.observed, settings) as problem:
        amortised = None if encoder is None else _timed(seconds, "encoder", encode, encoder, problem, population)
        if settings.route == "encoder":
            importance, mode = _of_gaussian(amortised, settings.seed), amortised.mean
        else:
            importance, mode = _timed(seconds, "refined", _refined, problem, population, settings.seed, steps)
        people = _individuals(problem, population, importance, mode, settings)
        check = None if amortised is None or settings.route == "encoder" else _check(amortised, importance)
        samples = importance.draws.resample(settings.n_samples, np.random.default_rng([settings.seed, 5]))
        # which typical values are constant depends on the records: etas mean the same in both tables, latents may not
        etas = samples - problem.mean.mean(population.thetas), mode - problem.mean.mean(population.thetas)
    with _problem(model, subjects.predicted, settings) as problem:
        joint = problem.joint(population)
        samples, mode = (joint.mean + eta for eta in etas)
        records = _timed(seconds, "predictions", _records, subjects, joint, mode, samples, settings.seed, steps)
    beyond = outside(subjects.predicted, fit.data_ranges)
    seconds["total"] = time.perf_counter() - start
    return PredictionResult(
        name=fit.name,
        source_path=subjects.model.source.path,
        data_path=subjects.dataset.path,
        route=settings.route,
        individuals=people,
        records=records,
        encoder_check=check,
        outside=tuple(_outside_sentence(subjects, fit, *item) for item in beyond),
        outside_subjects=np.isin(np.arange(len(people.labels)), [i for i, _, _ in beyond]),
        warnings=(*_of_data(subjects.diagnostics), *_warnings(people, records, fit)),
        level=LEVEL,
        n_samples=settings.n_samples,
        seed=settings.seed,
        seconds=seconds,
    )


class _problem:  # noqa: N801  (used as a function: `with _problem(...) as problem`)
    """A problem whose decoder is closed afterwards."""

    def __init__(self, model: Model, table: EventTable, settings: PredictSettings) -> None:
        form = latent_form(model, table)
        self.decoder = make_decoder(form, table, backend=settings.backend, device=settings.device)
        self.problem = make_problem(model, form, table, self.decoder)

    def __enter__(self) -> Problem:
        return self.problem

    def __exit__(self, *exception: object) -> None:
        self.decoder.close()


def _timed(seconds: dict[str, float], name: str, call, *arguments):
    start = time.perf_counter()
    result = call(*arguments)
    seconds[name] = time.perf_counter() - start
    return result


def _refined(
    problem: Problem, population: Population, seed: int, steps: Steps | None
) -> tuple[ImportanceLikelihood, np.ndarray]:
    """Weighted draws and the modes (N, d)."""
    rng = np.random.default_rng([seed, 2])
    report = None if steps is None else lambda share: steps("posteriors, per cent", round(100 * share), 100)
    here = at_estimates(problem, population, rng=rng)
    found = refined_posterior(here, n_draws=final_draws(problem.n_subjects, None), rng=rng, report=report)
    return found.importance, found.mode


def _of_gaussian(posterior: Posterior, seed: int) -> ImportanceLikelihood:
    """Draws of equal weight of the encoder's posterior; no likelihood."""
    n, d = posterior.mean.shape
    noise = np.random.default_rng([seed, 4]).standard_normal((DRAWS // 2, n, d))
    noise = np.concatenate([noise, -noise])
    z = posterior.mean + (posterior.chol @ noise[..., None])[..., 0]
    part = SubjectDraws(subjects=np.arange(n), z=z, weight=np.full((len(z), n), 1.0 / len(z)))
    unknown = np.full(n, np.nan)
    return ImportanceLikelihood(
        minus_two_ll=unknown,
        variance=unknown,
        ess=unknown,
        khat=unknown,
        n_draws=np.full(n, len(z)),
        mean=posterior.mean,
        cov=posterior.cov,
        moment_error=unknown,
        best=posterior.mean,
        best_log_joint=unknown,
        draws=PosteriorDraws(n_subjects=n, parts=(part,)),
    )


def _individuals(
    problem: Problem,
    population: Population,
    importance: ImportanceLikelihood,
    mode: np.ndarray,
    settings: PredictSettings,
) -> IndividualResults:
    kept = settings.n_samples if settings.keep_samples else 0
    return individual_results(problem, population, importance, mode, n_samples=kept, seed=settings.seed)


def _check(encoder: Posterior, refined: ImportanceLikelihood) -> EncoderCheck:
    sd = np.sqrt(np.diagonal(refined.cov, axis1=1, axis2=2))
    own = np.sqrt(np.diagonal(encoder.cov, axis1=1, axis2=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.abs((encoder.mean - refined.mean) / sd).max(axis=1, initial=0.0)
        spread = np.abs(own / sd - 1.0).max(axis=1, initial=0.0)
    differs = ~((mean <= MEAN_LIMIT) & (spread <= SD_LIMIT))
    return EncoderCheck(mean_difference=mean, sd_difference=spread, differs=differs)


def _records(
    subjects: NewSubjects,
    joint: JointDensity,
    mode: np.ndarray,
    samples: np.ndarray,
    seed: int,
    steps: Steps | None,
) -> RecordPredictions:
    """Quantiles over `samples` (S, N, d), a few subjects at a time."""
    table, dataset = subjects.predicted, subjects.dataset
    n_records = table.n_obs_total
    lower, upper, mean, sd, y_lower, y_upper = np.full((6, n_records), np.nan)
    levels = (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)
    rng = np.random.default_rng([seed, 6])
    for chosen in _blocks(table, len(samples)):
        if steps is not None:
            steps("predictions, subjects", int(chosen[0]), table.n_subjects)
        part = restrict(joint, chosen)
        z = np.ascontiguousarray(samples[:, chosen])
        f = part.predict(z)
        y = part.simulate(z, f, rng)
        at = slice(int(table.ob_ptr[chosen[0]]), int(table.ob_ptr[chosen[-1] + 1]))
        if table.ob_scale is not None:
            f, y = (to_natural(table.ob_scale[at], values) for values in (f, y))
        lower[at], upper[at] = np.quantile(f, levels, axis=0)
        y_lower[at], y_upper[at] = np.quantile(y, levels, axis=0)
        mean[at], sd[at] = f.mean(axis=0), f.std(axis=0)
    observed = dataset.mdv[table.ob_row] == 0
    times = _record_times(subjects)
    return RecordPredictions(
        subject=table.ob_subject,
        line=dataset.lines[table.ob_row],
        time=times[table.ob_row],
        dv=np.where(observed, table.natural(table.ob_value), np.nan),
        pred=table.natural(joint.predict(joint.mean)),
        ipred=table.natural(joint.predict(mode)),
        mean=mean,
        sd=sd,
        lower=lower,
        upper=upper,
        dv_lower=y_lower,
        dv_upper=y_upper,
    )


def _blocks(table: EventTable, n_samples: int) -> Iterator[np.ndarray]:
    """Runs of subjects whose samples fit into memory together; at least one subject each."""
    limit = max(MOST_AT_ONCE // n_samples, 1)
    start = 0
    while start < table.n_subjects:
        stop = int(np.searchsorted(table.ob_ptr, table.ob_ptr[start] + limit, side="right")) - 1
        stop = min(max(stop, start + 1), table.n_subjects)
        if table.ob_ptr[stop] > table.ob_ptr[start]:
            yield np.arange(start, stop)
        start = stop


def _record_times(subjects: NewSubjects) -> np.ndarray:
    """(n_rows,) TIME as in the file; the record's number where there is none."""
    column = next((c.name for c in subjects.model.data.columns if c.role == "time"), None)
    return np.arange(subjects.dataset.n_rows) + 1.0 if column is None else subjects.dataset.column(column)


def _outside_sentence(subjects: NewSubjects, fit: FitResult, subject: int, item: str, value: float) -> str:
    low, high = fit.data_ranges[item]
    label = subjects.dataset.subject_labels[subject]
    return f"ID {label}: {item} {value:g} is outside the data of the fit ({low:g} to {high:g})"


def _of_data(diagnostics: tuple[Diagnostic, ...]) -> list[str]:
    """Warnings about the records, with their place."""
    found = [note for note in diagnostics if note.severity == "warning"]
    return [f"{note.location}: {note.message}" if note.location is not None else note.message for note in found]


def _warnings(people: IndividualResults, records: RecordPredictions, fit: FitResult) -> tuple[str, ...]:
    warnings = []
    if not fit.status.completed:
        warnings.append(f"The fit itself is not final: {fit.message or fit.status.sentence}")
    failed = np.isin(np.arange(len(people.labels)), records.subject[~np.isfinite(records.ipred)])
    failed |= ~np.isfinite(people.eta_mean).all(axis=1)
    if failed.any():
        warnings.append(f"The model could not be evaluated for {_names(people, failed)}.")
    with np.errstate(invalid="ignore"):
        poor = (people.khat > RELIABLE) | (people.moment_error > ROUGH)
    if poor.any():
        warnings.append(
            f"Means and standard deviations are unreliable for {_names(people, poor)}: Pareto k-hat above {RELIABLE}, "
            f"or Monte-Carlo error above {100 * ROUGH:.0f} % of a standard deviation."
        )
    return tuple(warnings)


def _names(people: IndividualResults, which: np.ndarray) -> str:
    labels = [people.labels[i] for i in np.flatnonzero(which)]
    shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
    return f"ID {shown}" if len(labels) == 1 else f"{len(labels)} subjects (ID {shown})"
