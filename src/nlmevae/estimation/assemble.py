"""From the estimator's arrays to the frozen result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.ranges import data_ranges
from nlmevae.estimation.covariance_step import covariance_result
from nlmevae.estimation.guards import at_bound
from nlmevae.estimation.individuals import gaussian_individuals, individual_results
from nlmevae.estimation.likelihoods import MethodValue
from nlmevae.estimation.parameter_count import count_parameters
from nlmevae.estimation.population import Population, block_mask
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.selector import SearchState
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.shrinkage import shrinkage
from nlmevae.estimation.uncertainty import Uncertainty
from nlmevae.ir import CovarianceBlock, Model
from nlmevae.likelihood.criteria import information_criteria
from nlmevae.likelihood.importance import ImportanceLikelihood
from nlmevae.results.fit_result import EndpointCount, Estimate, FitResult, IndividualResults, LikelihoodValue, TraceRow
from nlmevae.results.own_names import in_own_names
from nlmevae.results.shrinkage import Shrinkage
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import UncertaintyResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimation:
    """The last complete population and posteriors at it, the best known first (none: ended before any).

    `problem` has the final support; `search` what the polish knows about a covariate search."""

    problem: Problem
    population: Population
    posteriors: tuple[Posterior, ...]
    status: FitStatus
    message: str
    trace: tuple[TraceRow, ...]
    search: SearchState | None = None
    uncertainty: Uncertainty | None = None
    no_uncertainty: str = ""

    @classmethod
    def initial(cls, problem: Problem) -> Estimation:
        status = FitStatus.EVALUATED
        return cls(
            problem=problem,
            population=problem.initial,
            posteriors=(),
            status=status,
            message=status.sentence,
            trace=(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """mode (N, d); weighted_residual (M,) of individual predictions at the mode, NaN for censored observations."""

    importance: ImportanceLikelihood
    mode: np.ndarray
    likelihoods: tuple[MethodValue, ...]
    weighted_residual: np.ndarray


def assemble_result(
    problem: Problem,
    dataset: Dataset,
    settings: FitSettings,
    estimation: Estimation,
    evaluation: Evaluation | None,
    seconds: dict[str, float],
) -> FitResult:
    """Everything the writers need; `evaluation` None when the run ended early."""
    model, population = problem.model, estimation.population
    individuals = _individuals(problem, settings, estimation, evaluation)
    estimates = estimates_of(model, problem.initial, population)
    known = None
    if estimation.uncertainty is not None or estimation.no_uncertainty:
        known = covariance_result(
            problem, population, estimation.uncertainty, estimates, reason=estimation.no_uncertainty
        )
    transforms = {p.eta: p.transform.kind for p in model.individual_parameters}
    result = FitResult(
        name=model.name,
        source_path=model.source.path,
        data_path=dataset.path,
        problem=model.problem,
        method=settings.method,
        status=estimation.status,
        message=estimation.message,
        seed=settings.seed,
        n_subjects=problem.n_subjects,
        n_obs_total=problem.table.n_obs_total,
        thetas=population.thetas,
        omega=population.omega,
        sigma=population.sigma,
        estimates=_with_errors(estimates, known),
        likelihoods=_likelihoods(problem, settings, estimation, evaluation),
        individuals=individuals,
        eta_names=model.etas,
        eta_labels=_eta_labels(model),
        shrinkage=_shrinkage(problem, population, individuals, evaluation),
        trace=estimation.trace,
        warnings=_warnings(model, population, estimation, evaluation, individuals, known),
        settings={**settings.as_dict(), "backend": problem.decoder.backend},
        seconds=seconds,
        versions=versions(),
        eta_transforms=tuple(transforms.get(eta, "") for eta in model.etas),
        endpoints=_endpoints(problem),
        data_ranges=data_ranges(problem.table),
        fingerprint=model.fingerprint,
        source_format=model.source.format,
        uncertainty=known,
    )
    return result if model.project is None else _in_own_names(result, model.project.shown)


def _in_own_names(result: FitResult, shown: Mapping[str, str]) -> FitResult:
    """What is said in words, of a Monolix project."""
    known = result.uncertainty
    return replace(
        result,
        message=in_own_names(result.message, shown),
        warnings=tuple(in_own_names(w, shown) for w in result.warnings),
        uncertainty=None if known is None else replace(known, status=in_own_names(known.status, shown)),
    )


def _endpoints(problem: Problem) -> tuple[EndpointCount, ...]:
    observed = problem.observed
    return tuple(
        EndpointCount(
            name=observation.name,
            n_obs=int((observed.endpoint == e).sum()),
            n_censored=int(observed.censored[observed.endpoint == e].sum()),
        )
        for e, observation in enumerate(problem.model.observations)
    )


def _individuals(
    problem: Problem, settings: FitSettings, estimation: Estimation, evaluation: Evaluation | None
) -> IndividualResults:
    if evaluation is None:
        found = gaussian_individuals(problem, estimation.population, next(iter(estimation.posteriors), None))
    else:
        found = individual_results(
            problem,
            estimation.population,
            evaluation.importance,
            evaluation.mode,
            n_samples=settings.samples,
            seed=settings.seed,
        )
    table = problem.table
    return replace(found, n_censored=np.bincount(table.ob_subject[table.censored], minlength=problem.n_subjects))


def _eta_labels(model: Model) -> tuple[str, ...]:
    """What the user calls it, else the parameter it acts on, else its name."""
    parameter = {p.eta: p.name for p in model.individual_parameters}
    return tuple(_effect_labels(model.omega, parameter))


def _sigma_labels(model: Model) -> list[str]:
    words: dict[str, str] = {}
    for observation in model.observations:
        where = f", {observation.name}" if len(model.observations) > 1 else ""
        for coefficient, word in ((observation.error.a, "additive"), (observation.error.b, "proportional")):
            if coefficient is not None and coefficient.kind == "sigma":
                words.setdefault(coefficient.parameter, word + where)
    return _effect_labels(model.sigma, words)


def _effect_labels(blocks: tuple[CovarianceBlock, ...], fallback: dict[str, str]) -> list[str]:
    labels = []
    for block in blocks:
        for j, name in enumerate(block.names):
            own = block.labels[j] if j < len(block.labels) else ""
            labels.append(own or fallback.get(name, name))
    return labels


def estimates_of(model: Model, initial: Population, final: Population | None = None) -> tuple[Estimate, ...]:
    """Every population parameter at its final value (default: the initial one), without standard errors."""
    population = initial if final is None else final
    thetas = [
        Estimate(
            name=t.name,
            label=t.label,
            kind="theta",
            row=i + 1,
            column=1,
            init=t.init,
            value=float(population.thetas[i]),
            fixed=t.fixed,
            lower=t.lower,
            upper=t.upper,
            at_bound=at_bound(t, float(population.thetas[i])),
        )
        for i, t in enumerate(model.thetas)
    ]
    omega = _covariances("omega", model.omega, list(_eta_labels(model)), initial.omega, population.omega)
    sigma = _covariances("sigma", model.sigma, _sigma_labels(model), initial.sigma, population.sigma)
    if model.project is not None:  # what has no name there repeats another one, as on the second occasion
        omega = [replace(e, label=model.project.shown.get(e.name, "")) for e in omega]
    return (*thetas, *omega, *sigma)


def _with_errors(estimates: tuple[Estimate, ...], known: UncertaintyResult | None) -> tuple[Estimate, ...]:
    """Standard errors where there are any."""
    if known is None:
        return estimates
    errors = dict(zip(known.names, known.standard_errors.tolist(), strict=True))
    return tuple(replace(e, standard_error=errors[e.name]) if errors[e.name] > 0 else e for e in estimates)


def _covariances(
    kind: str, blocks: tuple[CovarianceBlock, ...], labels: list[str], initial: np.ndarray, value: np.ndarray
) -> list[Estimate]:
    """The lower triangle, row by row; elements between blocks, and those a block keeps at 0, are fixed at 0."""
    free = block_mask(blocks)
    return [
        Estimate(
            name=f"{kind.upper()}({i + 1},{j + 1})",
            label=labels[i] if i == j else f"{labels[j]},{labels[i]}",
            kind=kind,  # type: ignore[arg-type]
            row=i + 1,
            column=j + 1,
            init=float(initial[i, j]),
            value=float(value[i, j]),
            fixed=not free[i, j],
        )
        for i in range(len(labels))
        for j in range(i + 1)
    ]


def _likelihoods(
    problem: Problem, settings: FitSettings, estimation: Estimation, evaluation: Evaluation | None
) -> tuple[LikelihoodValue, ...]:
    found = [likelihood_value(problem, v) for v in (evaluation.likelihoods if evaluation is not None else ())]
    if settings.method == "vae" and estimation.trace:
        found.append(_criteria(problem, "elbo", estimation.trace[-1].objective))
    return tuple(found)


def _shrinkage(
    problem: Problem, population: Population, individuals: IndividualResults, evaluation: Evaluation | None
) -> Shrinkage:
    return shrinkage(
        mean=individuals.eta_mean,
        mode=individuals.eta_mode,
        cov=individuals.eta_cov,
        omega=population.omega,
        seen=individuals.n_obs > 0,
        weighted_residuals=_residuals_by_epsilon(problem, evaluation),
    )


def _residuals_by_epsilon(problem: Problem, evaluation: Evaluation | None) -> tuple[np.ndarray, ...]:
    """Known IWRES at the conditional modes, of the endpoints each EPS acts on."""
    epsilons = problem.model.epsilons
    if evaluation is None:
        return (np.empty(0),) * len(epsilons)
    known = np.isfinite(evaluation.weighted_residual)
    found = []
    for name in epsilons:
        acts = np.array([name in (o.epsilons or (name,)) for o in problem.model.observations], dtype=bool)
        found.append(evaluation.weighted_residual[known & acts[problem.observed.endpoint]])
    return tuple(found)


def likelihood_value(problem: Problem, value: MethodValue) -> LikelihoodValue:
    """The total with its error and the information criteria from it."""
    marginal = value.marginal
    error = {"mc_se": marginal.total_error} if marginal.random else {"numerical_error": marginal.total_error}
    return replace(_criteria(problem, value.method, marginal.total), **error)


def _criteria(problem: Problem, method: str, minus_two_ll: float) -> LikelihoodValue:
    count = count_parameters(problem.model)
    n_obs = max(problem.table.n_obs_total, 1)
    criteria = information_criteria(minus_two_ll, count, n_subjects=problem.n_subjects, n_obs_total=n_obs)
    return LikelihoodValue(
        method=method,  # type: ignore[arg-type]
        minus_two_ll=minus_two_ll,
        mc_se=0.0,
        aic=criteria.aic,
        bic=criteria.bic,
        bicc=criteria.bicc,
    )


def _warnings(
    model: Model,
    population: Population,
    estimation: Estimation,
    evaluation: Evaluation | None,
    individuals: IndividualResults,
    known: UncertaintyResult | None,
) -> tuple[str, ...]:
    warnings = []
    n_seen = int((individuals.n_obs > 0).sum())
    if n_seen == 1 and any(not block.fixed for block in model.omega):
        warnings.append("Only one subject has observations: variability between subjects cannot be estimated from it.")
    bound = [t.label for t, value in zip(model.thetas, population.thetas, strict=True) if at_bound(t, float(value))]
    if bound:
        warnings.append(f"At their bound: {', '.join(bound)}.")
    failed = estimation.trace[-1].extra.get("failed", 0.0) if estimation.trace else 0.0
    if failed:
        warnings.append(f"The model could not be evaluated for {failed:.0f} subjects in the last iteration.")
    free = {e.name for e in estimates_of(model, population) if not e.fixed}
    if known is not None and any(
        not error > 0 for name, error in zip(known.names, known.standard_errors, strict=True) if name in free
    ):
        warnings.append(known.status)
    if evaluation is not None:
        warnings += [v.marginal.remark for v in evaluation.likelihoods if v.marginal.remark]
    return tuple(warnings)


def versions() -> dict[str, str]:
    from nlmevae import __version__

    found = {"nlmevae": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
