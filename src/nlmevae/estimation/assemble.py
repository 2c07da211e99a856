"""From the estimator's arrays to the frozen result."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.estimation.covariance_step import covariance_result
from nlmevae.estimation.guards import at_bound
from nlmevae.estimation.parameter_count import count_parameters
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.selector import SearchState
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.uncertainty import Uncertainty
from nlmevae.ir import CovarianceBlock, Model, Transform
from nlmevae.likelihood.criteria import information_criteria
from nlmevae.likelihood.importance import ImportanceLikelihood
from nlmevae.likelihood.pareto import RELIABLE
from nlmevae.results.fit_result import Estimate, FitResult, IndividualResults, LikelihoodValue, TraceRow
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
    """mode (N, d); linearised (N,) -2LL; weighted_residual (M,) of individual predictions at the mode."""

    importance: ImportanceLikelihood
    mode: np.ndarray
    linearised: np.ndarray
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
    individuals = _individuals(problem, estimation, evaluation)
    estimates = _estimates(model, problem.initial, population)
    known = None
    if estimation.uncertainty is not None or estimation.no_uncertainty:
        known = covariance_result(
            problem, population, estimation.uncertainty, estimates, reason=estimation.no_uncertainty
        )
    transforms = {p.eta: p.transform.kind for p in model.individual_parameters}
    return FitResult(
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
        eta_shrinkage_sd=_eta_shrinkage(population, individuals),
        eps_shrinkage_sd=_eps_shrinkage(model, evaluation),
        trace=estimation.trace,
        warnings=_warnings(model, population, estimation, evaluation, individuals, known),
        settings={**settings.as_dict(), "backend": problem.decoder.backend},
        seconds=seconds,
        versions=_versions(),
        eta_transforms=tuple(transforms.get(eta, "") for eta in model.etas),
        uncertainty=known,
    )


def _individuals(problem: Problem, estimation: Estimation, evaluation: Evaluation | None) -> IndividualResults:
    n, d = problem.n_subjects, problem.n_latents
    unknown = np.full(n, np.nan)
    mean = problem.mean.mean(estimation.population.thetas)
    if evaluation is not None:
        importance = evaluation.importance
        z, cov, mode = importance.mean, importance.cov, evaluation.mode
        minus_two_ll, ess, khat = importance.minus_two_ll, importance.ess, importance.khat
    else:
        posterior = next(iter(estimation.posteriors), None)
        z = mean if posterior is None else posterior.mean
        cov = np.full((n, d, d), np.nan) if posterior is None else posterior.cov
        mode, minus_two_ll, ess, khat = z, unknown, unknown, unknown
    index, n_eta = problem.latent_index, len(problem.model.etas)
    eta_cov = np.zeros((n, n_eta, n_eta))
    eta_cov[np.ix_(range(n), index, index)] = cov
    psi = [_to_natural(latent.transform, z[:, k]) for k, latent in enumerate(problem.form.latents)]
    return IndividualResults(
        labels=problem.table.subject_labels,
        n_obs=np.diff(problem.table.ob_ptr),
        eta_mean=_all_etas(z - mean, index, n_eta),
        eta_cov=eta_cov,
        eta_mode=_all_etas(mode - mean, index, n_eta),
        minus_two_ll=minus_two_ll,
        ess=ess,
        khat=khat,
        psi_names=tuple(latent.name for latent in problem.form.latents),
        psi=np.column_stack(psi) if psi else np.empty((n, 0)),
    )


def _all_etas(latent: np.ndarray, index: np.ndarray, n_eta: int) -> np.ndarray:
    """ETAs fixed at zero have no latent: they are 0."""
    full = np.zeros((len(latent), n_eta))
    full[:, index] = latent
    return full


def _to_natural(transform: Transform, z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        if transform.kind == "log":
            return transform.lower + np.exp(z)
        if transform.kind == "logit":
            return transform.lower + (transform.upper - transform.lower) / (1.0 + np.exp(-z))
    return z


def _eta_labels(model: Model) -> tuple[str, ...]:
    """What the user calls it, else the parameter it acts on, else its name."""
    parameter = {p.eta: p.name for p in model.individual_parameters}
    return tuple(_effect_labels(model.omega, parameter))


def _sigma_labels(model: Model) -> list[str]:
    words: dict[str, str] = {}
    for observation in model.observations:
        for coefficient, word in ((observation.error.a, "additive"), (observation.error.b, "proportional")):
            if coefficient is not None and coefficient.kind == "sigma":
                words[coefficient.parameter] = word
    return _effect_labels(model.sigma, words)


def _effect_labels(blocks: tuple[CovarianceBlock, ...], fallback: dict[str, str]) -> list[str]:
    labels = []
    for block in blocks:
        for j, name in enumerate(block.names):
            own = block.labels[j] if j < len(block.labels) else ""
            labels.append(own or fallback.get(name, name))
    return labels


def _estimates(model: Model, initial: Population, population: Population) -> tuple[Estimate, ...]:
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
    """The lower triangle, row by row; elements between blocks are fixed at 0."""
    block_of = [b for b in blocks for _ in b.names]
    return [
        Estimate(
            name=f"{kind.upper()}({i + 1},{j + 1})",
            label=labels[i] if i == j else f"{labels[j]},{labels[i]}",
            kind=kind,  # type: ignore[arg-type]
            row=i + 1,
            column=j + 1,
            init=float(initial[i, j]),
            value=float(value[i, j]),
            fixed=block_of[i] is not block_of[j] or block_of[i].fixed,
        )
        for i in range(len(labels))
        for j in range(i + 1)
    ]


def _likelihoods(
    problem: Problem, settings: FitSettings, estimation: Estimation, evaluation: Evaluation | None
) -> tuple[LikelihoodValue, ...]:
    values = []
    if evaluation is not None:
        importance = evaluation.importance
        values = [("is", importance.total, importance.mc_se), ("lin", float(evaluation.linearised.sum()), 0.0)]
    if settings.method == "vae" and estimation.trace:
        values.append(("elbo", estimation.trace[-1].objective, 0.0))
    count = count_parameters(problem.model)
    found = []
    for method, value, error in values:
        criteria = information_criteria(
            value, count, n_subjects=problem.n_subjects, n_obs_total=max(problem.table.n_obs_total, 1)
        )
        found.append(
            LikelihoodValue(
                method=method,  # type: ignore[arg-type]
                minus_two_ll=value,
                mc_se=error,
                aic=criteria.aic,
                bic=criteria.bic,
                bicc=criteria.bicc,
            )
        )
    return tuple(found)


def _eta_shrinkage(population: Population, individuals: IndividualResults) -> np.ndarray:
    """(n_eta,) percent: 100 (1 - SD(conditional means) / omega), over subjects with observations."""
    sd = np.sqrt(np.diag(population.omega))
    seen = individuals.n_obs > 0
    if seen.sum() < 2:
        return np.full(len(sd), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sd > 0, 100.0 * (1.0 - individuals.eta_mean[seen].std(axis=0, ddof=1) / sd), np.nan)


def _eps_shrinkage(model: Model, evaluation: Evaluation | None) -> np.ndarray:
    """(n_eps,) percent: 100 (1 - SD(IWRES)), IWRES at the conditional modes."""
    if evaluation is None or len(evaluation.weighted_residual) < 2:
        return np.full(len(model.epsilons), np.nan)
    return np.full(len(model.epsilons), 100.0 * (1.0 - evaluation.weighted_residual.std(ddof=1)))


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
    free = {e.name for e in _estimates(model, population, population) if not e.fixed}
    if known is not None and any(
        not error > 0 for name, error in zip(known.names, known.standard_errors, strict=True) if name in free
    ):
        warnings.append(known.status)
    if evaluation is not None:
        poor = [label for label, k in zip(individuals.labels, individuals.khat, strict=True) if k > RELIABLE]
        if poor:
            shown = ", ".join(poor[:10]) + (", ..." if len(poor) > 10 else "")
            warnings.append(
                f"The importance sampling likelihood is unreliable for {len(poor)} subjects "
                f"(Pareto k-hat above {RELIABLE}): {shown}."
            )
    return tuple(warnings)


def _versions() -> dict[str, str]:
    from nlmevae import __version__

    found = {"nlmevae": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
