"""-2 log-likelihood by importance sampling, with its Monte-Carlo error.

    p(y_i) = 1/K sum_k p(y_i | z_ik) p(z_ik) / q_i(z_ik)

Draws and their predictions are kept apart from the weights: new (beta, omega, sigma) re-weight them
without solving the model again, as long as z is what the solver reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from nlmevae import processes
from nlmevae.decoder.base import Decoder, Solution
from nlmevae.likelihood import kernels
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.pareto import RELIABLE, pareto_khat
from nlmevae.likelihood.posterior_draws import PosteriorDraws, SubjectDraws
from nlmevae.likelihood.proposal import Mixture, safe_cholesky
from nlmevae.threads import each, parts

SPREAD = 1.3  # of a part around a mode, in standard deviations of Laplace's approximation
PRIOR_SHARE = 1 / 8  # eighths: a part's draws are then whole runs of the lattice
#: A part that has the moments' centre and WIDE times their standard deviations. Of a parameter that a subject's data
#: hardly inform the posterior is as wide as the prior, and the others follow it along a curve: draws around mode and
#: mean missed its ends. The share is smaller of more than FEW_LATENTS: there most of it falls where nothing is, and a
#: quarter costs more than it saves (decision 23).
WIDE, WIDE_SHARE, FEW_LATENTS, SHARE_OF_MORE = 2.5, 1 / 4, 3, 1 / 8
#: Draws of a repetition, in units of those asked for. Measured on warfarin, whose lag time makes 8 to 13 subjects
#: unreliable: the spread of -2LL between seeds is .41 with one, .11 with two, and no smaller with more draws in them.
REPEATS = (4, 4)
#: Subjects are drawn some at a time if there are many, so that memory does not limit their number: numbers in memory at
#: a time, per draw of a subject besides its random effects, and fewest subjects.
_NUMBERS, _BESIDE, _FEWEST = 50_000_000, 12, 128
_SUBJECTS = 512  # whose draws one thread takes at a time
REPLICATES = 8  # independent random shifts: the spread between them is the error of the lattice rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """z (K, N, d), the predictions (K, M) there (NaN: not solved) and the log proposal density (K, N)."""

    z: np.ndarray
    prediction: np.ndarray
    log_q: np.ndarray

    @staticmethod
    def concat(batches: Sequence[Draws]) -> Draws:
        """All draws; each keeps the density it was drawn from, so the union stays unbiased."""
        if len(batches) == 1:
            return batches[0]
        return Draws(
            z=np.concatenate([b.z for b in batches]),
            prediction=np.concatenate([b.prediction for b in batches]),
            log_q=np.concatenate([b.log_q for b in batches]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Draws seen under one joint density.

    log_joint (K, N) log p(y_i, z_ik); log_q (K, N) the draws' log density; weight (K, N) sums to 1 over K;
    minus_two_ll (N,); variance (N,) of minus_two_ll as if draws were independent (conservative for lattice draws);
    ess (N,) effective share of the draws in (0, 1].
    """

    log_joint: np.ndarray
    log_q: np.ndarray
    weight: np.ndarray
    minus_two_ll: np.ndarray
    variance: np.ndarray
    ess: np.ndarray

    @property
    def log_weight(self) -> np.ndarray:
        """(K, N), not normalised."""
        return log_weight(self.log_joint, self.log_q)

    @property
    def best(self) -> np.ndarray:
        """(N,) the draw with the highest joint density."""
        best = np.zeros(self.log_joint.shape[1], dtype=np.int64)
        kernels.best_draws(self.log_joint, best)
        return best

    @property
    def total(self) -> float:
        return float(self.minus_two_ll.sum())

    @property
    def mc_se(self) -> float:
        return float(np.sqrt(self.variance.sum()))

    def khat(self) -> np.ndarray:
        """(N,) Pareto tail index."""
        columns = parts(self.log_joint.shape[1], _SUBJECTS)
        found = each(lambda p: pareto_khat(log_weight(self.log_joint[:, p], self.log_q[:, p])), columns)
        return np.concatenate(found) if found else np.empty(0)


def draw(joint: JointDensity, proposal: Mixture, n_draws: int, rng: np.random.Generator) -> Draws:
    """K quasi-random draws per subject with their predictions."""
    z, log_q = proposal.draw(n_draws, rng)
    return Draws(z=z, prediction=joint.for_draws.predict(z), log_q=log_q)


def weigh(joint: JointDensity, draws: Draws) -> Weighted:
    """Weights of existing draws under `joint`; the decoder is not called."""
    return weights_of(joint.log_joint(draws.z, draws.prediction), draws.log_q)


def weights_of(log_joint: np.ndarray, log_q: np.ndarray) -> Weighted:
    """Self-normalised weights, likelihood and diagnostics from log p(y, z) and log q(z), both (K, N)."""
    n_draws, n_subjects = log_joint.shape
    weight = np.empty_like(log_joint)
    top, squares, minus_two_ll = np.empty((3, n_subjects))

    def weigh(part: slice) -> None:
        own = log_weight(log_joint[:, part], log_q[:, part])
        top[part] = own.max(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            own -= top[part]
            raw = np.exp(own, out=own)
            total = raw.sum(axis=0)
            raw /= total
            weight[:, part] = raw
            squares[part] = (raw**2).sum(axis=0)
            minus_two_ll[part] = -2.0 * (top[part] + np.log(total / n_draws))

    each(weigh, parts(n_subjects, _SUBJECTS))
    return Weighted(
        log_joint=log_joint,
        log_q=log_q,
        weight=weight,
        minus_two_ll=np.where(np.isfinite(top), minus_two_ll, np.inf),
        variance=4.0 * np.maximum(squares - 1.0 / n_draws, 0.0) * n_draws / max(n_draws - 1, 1),
        ess=1.0 / (n_draws * squares),
    )


def log_weight(log_joint: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """(K, N), -inf where the joint density is not finite."""
    return np.where(np.isfinite(log_joint), log_joint - log_q, -np.inf)


def weighted_moments(z: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, d) and covariance (N, d, d) of z (K, N, d) under weights (K, N)."""
    _, n_subjects, d = z.shape
    mean, cov = np.zeros((n_subjects, d)), np.zeros((n_subjects, d, d))

    def add(part: slice) -> None:
        own, share = np.ascontiguousarray(z[:, part]), np.ascontiguousarray(weight[:, part])
        kernels.moments(own, share, mean[part], cov[part])

    each(add, parts(n_subjects, _SUBJECTS))
    return mean, cov


def mixture(
    joint: JointDensity,
    mode: np.ndarray,
    chol: np.ndarray,
    moments: tuple[np.ndarray, np.ndarray] | None = None,
    second: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    wide: bool = False,
) -> Mixture:
    """1/2 t(mode, Laplace) + 3/8 t(weighted mean, covariance) + 1/8 t(prior); without moments 7/8 and 1/8.

    `wide`: with moments a share of the first part is t(weighted mean, WIDE^2 covariance) instead. `second` (mode,
    chol) of another mode takes half of the first share. Where a mode or moment is unusable the prior takes its place:
    every subject keeps a proper proposal. The parts around modes are wider than Laplace's approximation (SPREAD).
    Measured on the neonatal model, five parameters, 256 draws, 32 repeats: the noise of the score is worth 1.1 units of
    -2LL instead of 1.9.
    """
    prior = np.broadcast_to(np.linalg.cholesky(joint.omega), (*joint.mean.shape, joint.n_latents))
    modes = [_usable(mode, SPREAD * chol, joint.mean, prior)]
    if second is not None:
        modes.append(_usable(second[0], SPREAD * second[1], joint.mean, prior))
    around, first = [], 1.0 - PRIOR_SHARE
    if moments is not None:
        factor, positive = safe_cholesky(moments[1])
        centre = np.where(positive[:, None], moments[0], np.nan)
        wide_share = (WIDE_SHARE if joint.n_latents <= FEW_LATENTS else SHARE_OF_MORE) if wide else 0.0
        around = [(0.5 - PRIOR_SHARE, 1.0)] + [(wide_share, WIDE)] * wide
        first = 0.5 - wide_share
    spread = [_usable(centre, width * factor, joint.mean, prior) for _, width in around]
    components = [*modes, *spread, (joint.mean, prior)]
    return Mixture(
        share=np.array([first / len(modes)] * len(modes) + [share for share, _ in around] + [PRIOR_SHARE]),
        loc=np.stack([loc for loc, _ in components]),
        chol=np.stack([scale for _, scale in components]),
    )


def _usable(
    loc: np.ndarray, chol: np.ndarray, fallback_loc: np.ndarray, fallback_chol: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    good = np.isfinite(loc).all(axis=-1) & np.isfinite(chol).all(axis=(-2, -1))
    good &= (np.diagonal(chol, axis1=-2, axis2=-1) > 0).all(axis=-1)
    return np.where(good[:, None], loc, fallback_loc), np.where(good[:, None, None], chol, fallback_chol)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceLikelihood:
    """-2LL with the 2 pi constant, per subject, and the posterior moments of the same draws.

    minus_two_ll, variance (of minus_two_ll, between independent lattice shifts), ess, khat, n_draws:
    (N,). mean (N, d), cov (N, d, d) of z; moment_error (N,): largest Monte-Carlo error, in standard deviations, of a
    mean or a standard deviation, from the same shifts; draws: what they were computed from. best (N, d): the draw with
    the highest log p(y_i, z), which is best_log_joint (N,).
    """

    minus_two_ll: np.ndarray
    variance: np.ndarray
    ess: np.ndarray
    khat: np.ndarray
    n_draws: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    moment_error: np.ndarray
    best: np.ndarray
    best_log_joint: np.ndarray
    draws: PosteriorDraws

    @property
    def total(self) -> float:
        return float(self.minus_two_ll.sum())

    @property
    def mc_se(self) -> float:
        return float(np.sqrt(self.variance.sum()))

    @staticmethod
    def joined(found: Sequence[ImportanceLikelihood], first: Sequence[int]) -> ImportanceLikelihood:
        """Of all subjects, from those of neighbours, the first of whom has number first[k]."""
        names = [field.name for field in fields(ImportanceLikelihood) if field.name != "draws"]
        draws = PosteriorDraws(
            n_subjects=sum(f.draws.n_subjects for f in found),
            parts=tuple(
                replace(part, subjects=part.subjects + start)
                for f, start in zip(found, first, strict=True)
                for part in f.draws.parts
            ),
        )
        return ImportanceLikelihood(**{n: np.concatenate([getattr(f, n) for f in found]) for n in names}, draws=draws)

    def without_draws(self) -> ImportanceLikelihood:
        """As another process gets it: draws stay where they were made."""
        elsewhere = tuple(replace(part, z=part.z[:0], weight=part.weight[:0]) for part in self.draws.parts)
        return replace(self, draws=replace(self.draws, parts=elsewhere))

    def replaced(self, subjects: np.ndarray, other: ImportanceLikelihood) -> ImportanceLikelihood:
        """With the results of `subjects` (n,) from `other`, which has them alone."""
        changes = {}
        for field in fields(self):
            if field.name != "draws":
                values = getattr(self, field.name).copy()
                values[subjects] = getattr(other, field.name)
                changes[field.name] = values
        again = (replace(part, subjects=subjects[part.subjects]) for part in other.draws.parts)
        return ImportanceLikelihood(**changes, draws=replace(self.draws, parts=(*self.draws.parts, *again)))


def importance_likelihood(
    joint: JointDensity,
    mode: np.ndarray,
    chol: np.ndarray,
    *,
    second: tuple[np.ndarray, np.ndarray] | None = None,
    n_draws: int = 4096,
    rng: np.random.Generator,
    report: Callable[[float], None] | None = None,
) -> ImportanceLikelihood:
    """-2LL at the parameters of `joint` from about `n_draws` draws per subject.

    Pilot draws from the Laplace approximation (mode (N, d), chol (N, d, d) of the posterior covariance)
    give moments; the estimate uses only draws from the mixture with those moments. Subjects whose
    k-hat exceeds 0.7 are repeated around the moments found, with more draws (REPEATS). Subjects without observations
    have 0 and the prior's moments. `second` (mode, chol) of another mode gets its share of the draws. `report` is told
    the share of the first draws that are done.
    """
    modes = [(mode, chol)] if second is None else [(mode, chol), second]
    some = parts(joint.n_subjects, max(_FEWEST, _NUMBERS // (n_draws * (joint.n_latents + _BESIDE))))
    if len(some) > 1:
        return _in_parts(joint, modes, some, n_draws, rng, report)
    result = _sample(joint, modes, n_draws, rng, report)
    for factor in REPEATS:
        poor = np.flatnonzero(result.khat > RELIABLE)
        if not len(poor):
            break
        found = result.mean[poor], safe_cholesky(result.cov[poor])[0]
        centres = [found, *((z[poor], scale[poor]) for z, scale in modes[1:])]
        again = _sample(restrict(joint, poor), centres, factor * n_draws, rng)
        result = result.replaced(poor, again)
    empty = np.diff(joint.decoder.table.ob_ptr) == 0
    return replace(
        result,
        minus_two_ll=np.where(empty, 0.0, result.minus_two_ll),
        variance=np.where(empty, 0.0, result.variance),
        mean=np.where(empty[:, None], joint.mean, result.mean),
        cov=np.where(empty[:, None, None], joint.omega, result.cov),
    )


def _in_parts(
    joint: JointDensity,
    modes: list[tuple[np.ndarray, np.ndarray]],
    some: list[slice],
    n_draws: int,
    rng: np.random.Generator,
    report: Callable[[float], None] | None,
) -> ImportanceLikelihood:
    """`importance_likelihood`, some subjects at a time: each part has random numbers of its own."""
    seeds = rng.integers(2**63, size=(len(some), 4))
    done, asking = np.zeros(len(some), dtype=bool), threading.current_thread()

    def likelihood(k: int) -> ImportanceLikelihood:
        subjects = np.arange(some[k].start, some[k].stop)
        here = [(z[subjects], scale[subjects]) for z, scale in modes]
        found = importance_likelihood(
            restrict(joint, subjects),
            *here[0],
            second=here[1] if len(here) > 1 else None,
            n_draws=n_draws,
            rng=np.random.default_rng(seeds[k].tolist()),
        )
        done[k] = True
        if report is not None and threading.current_thread() is asking:
            report(done.mean())
        return found

    found = processes.each(likelihood, range(len(some)), what="likelihood", sent=ImportanceLikelihood.without_draws)
    return ImportanceLikelihood.joined(found, [part.start for part in some])


def _sample(
    joint: JointDensity,
    modes: list[tuple[np.ndarray, np.ndarray]],
    n_draws: int,
    rng: np.random.Generator,
    report: Callable[[float], None] | None = None,
) -> ImportanceLikelihood:
    moments = _pilot_moments(joint, modes, max(n_draws // 16, 64), rng)
    proposal = _around(joint, modes, moments)
    size = max(n_draws // REPLICATES, 32)
    z, log_weights, log_joints = [], [], []
    for k in range(REPLICATES):
        if report is not None:
            report(k / REPLICATES)
        batch = draw(joint, proposal, size, rng)
        weighted = weigh(joint, batch)
        log_weights.append(weighted.log_weight)
        log_joints.append(weighted.log_joint)
        z.append(batch.z)
    together = np.concatenate(log_weights)
    pooled = weights_of(together, np.zeros_like(together))
    drawn = np.concatenate(z)
    mean, cov = weighted_moments(drawn, pooled.weight)
    everyone = np.arange(joint.n_subjects)
    joint_density, best = np.concatenate(log_joints), np.zeros(joint.n_subjects, dtype=np.int64)
    kernels.best_draws(joint_density, best)
    share = pooled.weight.reshape(REPLICATES, size, -1).sum(axis=1) * REPLICATES
    spread = share.var(axis=0, ddof=1) / REPLICATES
    return ImportanceLikelihood(
        minus_two_ll=pooled.minus_two_ll - spread,  # -2 log of a mean is too large by its relative variance
        variance=4.0 * spread,
        ess=pooled.ess,
        khat=pareto_khat(together),
        n_draws=np.full(joint.n_subjects, REPLICATES * size),
        mean=mean,
        cov=cov,
        moment_error=_moment_error(z, pooled.weight, mean, cov),
        best=drawn[best, everyone],
        best_log_joint=joint_density[best, everyone],
        draws=PosteriorDraws(
            n_subjects=joint.n_subjects,
            parts=(SubjectDraws(subjects=everyone, z=drawn, weight=pooled.weight),),
        ),
    )


def _around(
    joint: JointDensity,
    modes: list[tuple[np.ndarray, np.ndarray]],
    moments: tuple[np.ndarray, np.ndarray] | None = None,
) -> Mixture:
    return mixture(joint, *modes[0], moments, *modes[1:], wide=True)


def _moment_error(batches: list[np.ndarray], weight: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """(N,) from replicates z (K / R, N, d) each with their share of the weights (K, N)."""
    shares = weight.reshape(len(batches), -1, weight.shape[1])
    variance = np.diagonal(cov, axis1=1, axis2=2)
    means, variances = [], []
    with np.errstate(invalid="ignore", divide="ignore"):
        for z, share in zip(batches, shares, strict=True):
            own, spread = weighted_moments(z, share / share.sum(axis=0))
            means.append((own - mean) / np.sqrt(variance))
            variances.append((np.diagonal(spread, axis1=1, axis2=2) + (own - mean) ** 2) / variance)
        errors = np.stack([np.std(means, axis=0, ddof=1), 0.5 * np.std(variances, axis=0, ddof=1)])
    return errors.max(axis=(0, 2), initial=0.0) / np.sqrt(len(batches))


def _pilot_moments(
    joint: JointDensity, modes: list[tuple[np.ndarray, np.ndarray]], n_draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two rounds, because the moments of the first miss what the Laplace approximation misses."""
    batches = [draw(joint, _around(joint, modes), n_draws, rng)]
    moments = weighted_moments(batches[0].z, weigh(joint, batches[0]).weight)
    batches.append(draw(joint, _around(joint, modes, moments), n_draws, rng))
    pooled = Draws.concat(batches)
    return weighted_moments(pooled.z, weigh(joint, pooled).weight)


def restrict(joint: JointDensity, subjects: np.ndarray) -> JointDensity:
    """The joint density of some subjects only, in the order given; one may come several times."""
    view = SubjectView(joint.decoder, subjects)
    constant = None if joint.constant is None else joint.constant[subjects]
    observed = joint.observed.at(view.observations)
    return replace(joint, decoder=view, observed=observed, mean=joint.mean[subjects], constant=constant)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The columns of an event table that densities read."""

    ob_ptr: np.ndarray

    @property
    def ob_subject(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.ob_ptr) - 1), np.diff(self.ob_ptr))


class SubjectView(Decoder):
    """A decoder that sees only `subjects`, renumbered from 0."""

    def __init__(self, decoder: Decoder, subjects: np.ndarray) -> None:
        counts = np.diff(decoder.table.ob_ptr)[subjects]
        self.backend = decoder.backend
        self.whole = decoder
        self.subjects = np.asarray(subjects, dtype=np.int32)
        self.observations = observation_index(decoder.table.ob_ptr, self.subjects)
        self.table = _Rows(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))  # type: ignore[assignment]
        self.n_inputs = decoder.n_inputs
        self.n_latents = decoder.n_latents
        self.n_subjects = len(subjects)
        self.n_obs_total = int(counts.sum())

    def at(self, rtol: float) -> SubjectView:
        return SubjectView(self.whole.at(rtol), self.subjects)

    @property
    def for_draws(self) -> SubjectView:
        other = self.whole.for_draws
        return self if other is self.whole else SubjectView(other, self.subjects)

    def _rows(self, rows: np.ndarray | None) -> np.ndarray:
        return self.subjects if rows is None else self.subjects[rows]

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self.whole.predict(x, self._rows(rows))

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self.whole.linearise(x, self._rows(rows))


def observation_index(ob_ptr: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Indices of the observations of subjects `rows`, in that order, subjects repeated at will."""
    counts = np.diff(ob_ptr)[rows]
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts - ob_ptr[:-1][rows], counts)
