"""The information of the exact likelihood at given parameters, from fresh draws, with its Monte-Carlo error.

    score_i   = sum_k w_ik l'_ik                    Fisher's identity: exact derivative of log p(y_i)
    observed  = - d (sum_i score_i) / d coordinates  Louis (1982), by central differences of the scores
    product   = sum_i score_i score_i'               NONMEM's S matrix

Differences of scores on common draws equal Louis's formula with nothing replaced by an expectation, and ask of a
residual error model no more than its score. Only structural THETAs need the model solved again.

Draws come in replicates with independent random shifts of the lattice. The ratio estimators w_ik are biased by
O(1 / draws), upwards in both matrices; leaving out one replicate at a time (jackknife) removes that bias and gives
the Monte-Carlo error of everything computed from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.newton import curvature, subject_scores
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.sample import Sample, draw_batch, solved_at
from nlmevae.likelihood.importance import mixture
from nlmevae.likelihood.proposal import safe_cholesky
from nlmevae.processes import each
from nlmevae.threads import parts

REPLICATES, FEWER, FEWEST_IN_ONE = 8, 4, 16  # independent random shifts of the lattice; fewer where each has few draws
STEP = 0.02  # of central differences, in standard errors of the complete data
LONGEST_STEP = 0.02  # in any coordinate
NUMBERS, FEWEST = 25_000_000, 256  # in memory at a time, of so many subjects at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Information:
    """In the coordinates `coordinates`: observed (1 + R, p, p) and product (1 + R, p, p), first from all draws, then
    without one replicate each; complete (p, p) complete-data information; scores (N, p)."""

    coordinates: Coordinates
    observed: np.ndarray
    product: np.ndarray
    complete: np.ndarray
    scores: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """(p,) roots of the complete-data information: coordinates times these have comparable sizes."""
        return np.sqrt(np.maximum(np.diag(self.complete), 1e-300))


@dataclass(frozen=True, slots=True, kw_only=True)
class Posteriors:
    """Where draws are taken: mode (N, d), mean (N, d) and covariance (N, d, d) of z given y."""

    mode: np.ndarray
    mean: np.ndarray
    cov: np.ndarray

    def of_subjects(self, subjects: np.ndarray) -> Posteriors:
        """Of some subjects (n,)."""
        return Posteriors(mode=self.mode[subjects], mean=self.mean[subjects], cov=self.cov[subjects])

    def of_latents(self, kept: np.ndarray) -> Posteriors:
        """Of some latents (d,) bool."""
        return Posteriors(mode=self.mode[:, kept], mean=self.mean[:, kept], cov=self.cov[:, kept][:, :, kept])


def information_at(
    problem: Problem,
    population: Population,
    posteriors: Posteriors,
    *,
    n_draws: int,
    rng: np.random.Generator,
    report: Callable[[float], None] | None = None,
) -> Information:
    """Of all subjects' data at `population`, from about `n_draws` new draws per subject.

    Not finite where the likelihood of a subject could not be computed. Subjects without observations have none.
    """
    coordinates, problem = Coordinates.of(problem), without_bounds(problem)
    replicates, size = _replicates(n_draws) if problem.n_latents else (1, 1)
    at_once = max(FEWEST, int(NUMBERS / (replicates * size * problem.numbers_per_draw)))
    some = parts(problem.n_subjects, at_once)
    if len(some) < 2:
        return _of_part(problem, coordinates, population, posteriors, (replicates, size), rng, None, report)
    seeds = rng.integers(2**63, size=(len(some), 4))
    first: list[Information] = []

    def of(k: int) -> Information:
        subjects = np.arange(some[k].start, some[k].stop)
        own = np.random.default_rng(seeds[k].tolist())
        # the first part's information, as if all had it: it only sets the steps
        scale = first[0].complete * (problem.n_subjects / len(first[0].scores)) if first else None
        known = posteriors.of_subjects(subjects)
        return _of_part(problem.part(subjects), coordinates, population, known, (replicates, size), own, scale)

    first.append(of(0))
    found = [first[0], *each(of, range(1, len(some)), what="information")]
    return Information(
        coordinates=coordinates,
        observed=np.sum([f.observed for f in found], axis=0),
        product=np.sum([f.product for f in found], axis=0),
        complete=np.sum([f.complete for f in found], axis=0),
        scores=np.concatenate([f.scores for f in found]),
    )


def _of_part(
    problem: Problem,
    coordinates: Coordinates,
    population: Population,
    posteriors: Posteriors,
    draws: tuple[int, int],
    rng: np.random.Generator,
    scale: np.ndarray | None,
    report: Callable[[float], None] | None = None,
) -> Information:
    """Of the subjects of `problem`, from `draws`: how many replicates, of how many draws. `scale` (p, p): the
    complete-data information that sets the steps of the differences; None: that of these subjects."""
    joint = problem.joint(population)
    chol = safe_cholesky(posteriors.cov)[0]
    replicates, size = draws
    moments = posteriors.mean, posteriors.cov
    proposal = mixture(joint, posteriors.mode, chol, moments, wide=replicates == FEWER)
    samples = [
        Sample.of(problem, coordinates, draw_batch(problem, joint, posteriors.mode, proposal, size, rng))
        for _ in range(replicates)
    ]
    seen = np.diff(problem.table.ob_ptr) > 0
    complete = np.mean([curvature(s, population, s.weigh(population)).complete for s in samples], axis=0)
    scores = _pooled_scores(samples, population)[:, seen]
    observed = np.empty((len(scores), *complete.shape))
    for j, step in enumerate(_steps(complete if scale is None else scale)):
        if report is not None:
            report(j / len(complete))
        up, down = (_pooled_scores(samples, _moved(problem, coordinates, population, j, s)) for s in (step, -step))
        observed[:, :, j] = -(up - down)[:, seen].sum(axis=1) / (2 * step)
    return Information(
        coordinates=coordinates,
        observed=0.5 * (observed + np.swapaxes(observed, -1, -2)),
        product=np.swapaxes(scores, -1, -2) @ scores,
        complete=complete,
        scores=scores[0],
    )


def _replicates(n_draws: int) -> tuple[int, int]:
    """How many replicates, of how many draws, make about `n_draws`. Where they are few their proposal has a wide part
    (of phenobarbital with 1024 draws it makes the product's noise twice that without, the observed one's half)."""
    replicates = REPLICATES if n_draws >= REPLICATES * FEWEST_IN_ONE else FEWER
    return replicates, max(n_draws // replicates, 8)


def without_bounds(problem: Problem) -> Problem:
    """Bounds do not limit a derivative."""
    thetas = tuple(replace(t, lower=-np.inf, upper=np.inf) for t in problem.model.thetas)
    return replace(problem, model=replace(problem.model, thetas=thetas))


def jackknife(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From (1 + R, ...) values: the one without the bias of order 1 / draws, and its standard error."""
    whole, without = values[0], values[1:]
    n = len(without)
    if n < 2:
        return whole, np.zeros_like(whole)
    spread = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return n * whole - (n - 1) * without.mean(axis=0), spread


def _steps(complete: np.ndarray) -> np.ndarray:
    """(p,) steps of the differences."""
    return np.minimum(STEP / np.sqrt(np.maximum(np.diag(complete), 1e-300)), LONGEST_STEP)


def _moved(problem: Problem, coordinates: Coordinates, population: Population, j: int, step: float) -> Population:
    direction = np.zeros(sum(coordinates.sizes))
    direction[j] = step
    return coordinates.move(problem, population, direction)


def _pooled_scores(samples: list[Sample], population: Population) -> np.ndarray:
    """(1 + R, N, p) scores of subjects from all replicates together and without one each."""
    log_mean, scores = [], []
    for sample in samples:
        here = replace(sample, batch=solved_at(sample.batch, sample.problem.joint(population)))
        weighted = here.weigh(population)
        log_mean.append(-0.5 * weighted.minus_two_ll)
        scores.append(subject_scores(here, population, weighted))
    return np.array([_combined(np.array(log_mean), np.array(scores), keep) for keep in _leaving_out(len(samples))])


def _leaving_out(n: int) -> list[np.ndarray]:
    """Indices of all replicates, then without one each (none to leave out of a single one)."""
    everyone = np.arange(n)
    return [everyone, *(np.delete(everyone, r) for r in range(n) if n > 1)]


def _combined(log_mean: np.ndarray, scores: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Replicates (R, N) and (R, N, p) as one set of draws: each counts by its mean weight."""
    with np.errstate(invalid="ignore"):
        share = np.exp(log_mean[keep] - log_mean[keep].max(axis=0))
        share = share / share.sum(axis=0)
    return (share[..., None] * scores[keep]).sum(axis=0)
