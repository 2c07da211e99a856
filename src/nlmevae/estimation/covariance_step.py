"""The covariance step: which matrix is asked for, how many draws it needs, and what is said about its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.decoders import is_integrated
from nlmevae.estimation.information import Posteriors, information_at
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.reduced import without_variances
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.uncertainty import FLAT, CovarianceMethod, Uncertainty, collapsed_variances, uncertainty
from nlmevae.ir import Model, estimated_names
from nlmevae.results.fit_result import Estimate
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import Estimated, UncertaintyResult, uncertainty_result

DEFAULT: CovarianceMethod = "observed"  # where the control stream asks for nothing (decision 0016)
OF_MATRIX: dict[str, CovarianceMethod] = {"": "sandwich", "R": "observed", "S": "cross-product"}
FEW = 5  # subjects per parameter below which products of scores are not trusted (decision 0016)
#: Draws per subject; factor and rounds if they do not suffice. Of many subjects each needs few: of 3000 (one
#: compartment) standard errors from 64 draws are within .6 % of those from 2048, from 256 within 1.1 %.
DRAWS, FEWEST_DRAWS, MORE_DRAWS, ROUNDS = 1024, 64, 4, 3
USUAL_TOTAL = 500_000  # draws of all subjects together in the first round
# Solutions in the last round. Where the model is integrated each costs tens of times as much, and a round that needs
# more would take longer than the fit (two variances at 0 of an indirect response: 125 s of a fit of 25 s, to no use).
LARGEST_TOTAL, LARGEST_INTEGRATED = 1_000_000, 200_000
ALWAYS = 256  # draws that a later round may have whatever they cost
NOISY = 0.03  # Monte-Carlo error of a standard error that asks for more draws
FLAT_SHARE = 1e-3  # negative observed information, relative to that of complete data, that is no noise
SEEN_CHANGE = 0.1  # of a parameter, relative to the most changed one, to be named
MATRICES = {
    "observed": "the inverse observed information (NONMEM: MATRIX=R)",
    "cross-product": "the inverse cross-product of the subjects' scores (NONMEM: MATRIX=S)",
    "sandwich": "the sandwich of observed information and cross-product of scores (NONMEM's default)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CovarianceStep:
    """What is asked for: `method` None if nothing; `unconditional`: also of a fit that did not converge."""

    method: CovarianceMethod | None
    unconditional: bool

    @classmethod
    def of(cls, model: Model, settings: FitSettings) -> CovarianceStep:
        """The setting, else $COVARIANCE, else the default method after convergence."""
        asked = model.covariance
        if settings.covariance == "none" or (settings.covariance == "auto" and asked is not None and asked.omitted):
            return cls(method=None, unconditional=False)
        if settings.covariance != "auto":
            return cls(method=settings.covariance, unconditional=True)
        if asked is None:
            return cls(method=DEFAULT, unconditional=False)
        return cls(method=OF_MATRIX[asked.matrix], unconditional=asked.unconditional)

    def refusal(self, status: FitStatus, *, maximum: bool) -> str:
        """Why there is nothing to compute at the estimates; "" if there is."""
        if not maximum:
            return (
                "Standard errors are not computed: method vae ends at the maximum of a bound of the likelihood, whose "
                "curvature is not the likelihood's; use method vae+polish."
            )
        if not (status.completed or status is FitStatus.MONTE_CARLO_LIMITED or self.unconditional):
            return (
                "Standard errors are not computed, because the fit did not converge; --covariance METHOD "
                "(NONMEM: also UNCONDITIONAL) asks for them all the same."
            )
        return ""


def run_covariance_step(
    problem: Problem,
    population: Population,
    posteriors: Posteriors,
    method: CovarianceMethod,
    rng: np.random.Generator,
    report: Callable[[float], None] | None = None,
) -> Uncertainty | None:
    """With as many draws as the noise of the standard errors needs; None where it cannot be computed."""
    for n_draws in rounds(problem, problem.n_subjects):
        information = information_at(problem, population, posteriors, n_draws=n_draws, rng=rng, report=report)
        if not (np.isfinite(information.observed).all() and np.isfinite(information.product).all()):
            return None
        gone = collapsed_variances(problem, population, information)
        if gone.any():
            known = _without(problem, population, posteriors, gone, method, rng)
            if known is not None:
                return known
        known = uncertainty(problem, population, information, method)
        if exact_enough(known):
            break
    return known


def rounds(problem: Problem, n_subjects: int) -> tuple[int, ...]:
    """Draws per subject in each of the rounds there may be, of so many subjects; THETAs that the decoder reads need all
    of them solved again, to either side."""
    solved = 1 + 2 * int(problem.structural_free.sum())
    most = LARGEST_INTEGRATED if is_integrated(problem.decoder) else LARGEST_TOTAL
    first = min(DRAWS, max(FEWEST_DRAWS, USUAL_TOTAL // n_subjects))
    more = (first * MORE_DRAWS**k for k in range(1, ROUNDS))
    return (first, *(n for n in more if n <= max(ALWAYS, most / (n_subjects * solved))))


def _without(
    problem: Problem,
    population: Population,
    posteriors: Posteriors,
    gone: np.ndarray,
    method: CovarianceMethod,
    rng: np.random.Generator,
) -> Uncertainty | None:
    """Of the model without the random effects `gone` (d,) bool; None where it cannot be without them."""
    found = without_variances(problem, population, gone)
    if found is None:
        return None
    reduced, there = found
    try:
        known = run_covariance_step(reduced, there, posteriors.of_latents(~gone), method, rng)
    finally:
        reduced.decoder.close()
    if known is None:
        return None
    effects = {int(i) + 1 for i in problem.latent_index[gone]}
    names, estimated = vector_names(problem.model), estimated_names(problem.model)
    held = [
        names.index(f"OMEGA({i},{j})")
        for i in range(1, len(population.omega) + 1)
        for j in range(1, i + 1)
        if {i, j} & effects and f"OMEGA({i},{j})" in estimated
    ]
    return replace(known, at_bound=(*known.at_bound, *held))


def exact_enough(known: Uncertainty) -> bool:
    """More draws cannot find information in a direction that has none at all."""
    undecided = any(share > FLAT for share in known.flat_share)
    return not undecided and float(np.nanmax(known.mc_error, initial=0.0)) < NOISY


def covariance_result(
    problem: Problem, population: Population, known: Uncertainty | None, estimates: tuple[Estimate, ...], reason: str
) -> UncertaintyResult:
    """With names and sentences; of nothing computed (`known` None) the `reason`."""
    names = vector_names(problem.model)
    estimated = Estimated(
        thetas=population.thetas,
        sigma=population.sigma,
        omega=population.omega,
        log=log_scale(problem, population),
    )
    n = len(names)
    fixed = {e.name: e.fixed for e in estimates}
    nothing = np.where([fixed[name] for name in names], 0.0, np.nan)
    labels = _labels(names, estimates)
    return uncertainty_result(
        estimated,
        known.covariance if known is not None else nothing[:, None] + nothing[None, :],
        method="none" if known is None or not np.any(np.diag(known.covariance) > 0) else known.method,
        status=reason if known is None else " ".join(_sentences(problem, population, known, labels)),
        names=names,
        mc_error=known.mc_error if known is not None else np.full(n, np.nan),
        repeats=_repeats(problem.model),
        gradient=known.gradient if known is not None else np.empty(0),
    )


def vector_names(model: Model) -> tuple[str, ...]:
    """(P,) names of `Population.vector()`: THETA, SIGMA, OMEGA."""
    thetas = [t.name for t in model.thetas]
    sizes = (("SIGMA", len(model.epsilons)), ("OMEGA", len(model.etas)))
    rest = [f"{word}({i + 1},{j + 1})" for word, n in sizes for i in range(n) for j in range(i + 1)]
    return (*thetas, *rest)


def _labels(names: tuple[str, ...], estimates: tuple[Estimate, ...]) -> tuple[str, ...]:
    label = {e.name: e.name if e.label == e.name else f"{e.name} ({e.label})" for e in estimates}
    return tuple(label[name] for name in names)


def log_scale(problem: Problem, population: Population) -> np.ndarray:
    """(P,) bool: variances, and THETAs that are estimated as logarithms."""
    coordinates = Coordinates.of(problem)
    n_theta, n_omega, n_residual = coordinates.sizes
    thetas = np.zeros(len(population.thetas), dtype=bool)
    thetas[coordinates.theta] = coordinates.log
    of_residual = np.concatenate([np.zeros(n_theta + n_omega), np.full(n_residual, 1e-4)])
    thetas |= coordinates.move(problem, population, of_residual).thetas != population.thetas
    diagonals = [np.equal(*np.tril_indices(len(m))) for m in (population.sigma, population.omega)]
    return np.concatenate([thetas, *diagonals])


def _repeats(model: Model) -> np.ndarray:
    """(P,) bool: variances of blocks that repeat an earlier one (SAME)."""
    found = [np.zeros(len(model.thetas), dtype=bool)]
    for blocks in (model.sigma, model.omega):
        same = np.array([block.same_as is not None for block in blocks for _ in block.names], dtype=bool)
        rows, _ = np.tril_indices(len(same))
        found.append(same[rows])
    return np.concatenate(found)


def _sentences(problem: Problem, population: Population, known: Uncertainty, labels: tuple[str, ...]) -> list[str]:
    noise = float(np.nanmax(known.mc_error, initial=0.0))
    sentences = []
    if np.any(np.diag(known.covariance) > 0):
        sentences.append(
            f"Standard errors are from {MATRICES[known.method]}; their Monte-Carlo error is at most "
            f"{100 * noise:.1f} %."
        )
    if known.at_bound:
        held = _listed([labels[i] for i in known.at_bound])
        sentences.append(
            f"{held}: at a bound or at 0, where there is no standard error; all others are those of the model with it "
            "fixed there."
        )
    n_seen, n_free = int((np.diff(problem.table.ob_ptr) > 0).sum()), sum(Coordinates.of(problem).sizes)
    if known.method != "observed" and n_seen < FEW * n_free:
        sentences.append(
            f"{n_seen} subjects are few for {n_free} parameters: the cross-product of their scores is too uncertain "
            f"({'too small' if known.method == 'sandwich' else 'too large'} standard errors of variances); MATRIX=R or "
            "--covariance observed does not need it."
        )
    for changes, share in zip(known.flat, known.flat_share, strict=True):
        if not np.any(changes):  # of what is held at 0
            continue
        sentences.append(_flat_sentence(population.vector(), changes, share, labels, known.method))
    return sentences


def _flat_sentence(
    values: np.ndarray, changes: np.ndarray, share: float, labels: tuple[str, ...], method: CovarianceMethod
) -> str:
    """Which parameters only go together, in relative changes; of what is 0 in absolute ones."""
    relative = changes / np.where(values != 0, np.abs(values), 1.0)
    largest = int(np.argmax(np.abs(relative)))
    relative = 0.1 * relative / (relative[largest] or 1.0)
    moved = [i for i in np.argsort(-np.abs(relative)) if abs(relative[i]) > SEEN_CHANGE * 0.1]
    amounts = [f"{100 * relative[i]:+.1f} %" if values[i] != 0 else f"{relative[i]:+.3g}" for i in moved]
    shown = _listed([f"{labels[i]} by {amount}" for i, amount in zip(moved, amounts, strict=True)])
    if method != "cross-product" and share < -FLAT_SHARE:
        return f"-2LL still falls along a change of {shown}: the estimates are not at a maximum of the likelihood."
    together = "these changes together leave" if len(moved) > 1 else "this leaves"
    return (
        f"The data do not determine {_listed([labels[i] for i in moved])}: changing {shown}, {together} the likelihood "
        "as it is. Parameters that this moves have no standard error."
    )


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
