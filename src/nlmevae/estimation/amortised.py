"""The encoder for new subjects: q(z | x) trained at the final population on data simulated from it.

The encoder of the VAE was trained along the way, at populations that have changed since, on the few subjects of the
data: for those it is stale, for others it is a guess. At a fixed population amortised inference needs no ELBO: draw
z from the prior of a subject of the data, simulate its observations, and maximise log q(z | x) on fresh subjects at
every step (neural posterior estimation, Papamakarios and Murray 2016), which is min KL(p(z | x) || q) averaged over x.
Of some subjects it sees the first or a few of the observations, so that other designs are less of a surprise.

Besides time, observation and dose history the network reads, per observation, how far it lies from the typical
prediction, in residual standard deviations, and how much one prior standard deviation of each latent changes it. Its
output corrects the posterior of the model linearised at the typical values, which needs no search: what the network
has to learn is how the model bends, and a design the data do not have costs it little.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from nlmevae.data.batch import dose_history
from nlmevae.data.events import EventTable
from nlmevae.errors import DataError
from nlmevae.estimation.adam import Adam
from nlmevae.estimation.encoder import Encoder, EncoderInput
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.subset import spread_subjects
from nlmevae.estimation.trace import Progress, ProgressEvent
from nlmevae.likelihood.joint import JointDensity
from nlmevae.results.fit_result import FitResult
from nlmevae.results.saved_encoder import InputScales, SavedEncoder

MOST_SUBJECTS = 256  # designs of the data that are simulated
ROWS = 128  # simulated subjects per step, at least
STEPS, HIDDEN = 1500, 32
FIRST_RATE, LAST_RATE = 1e-2, 2e-4
REPORTS = 30
WIDE = 3.0  # inputs are compressed, asinh(x / WIDE): an outlier must not saturate the network
FARTHEST = 4.0  # prior standard deviations that the linearised model may claim
LARGEST = 1e4  # of an input
SAME = 1e-12  # relative difference between populations


def with_encoder(
    result: FitResult, problem: Problem, settings: FitSettings, progress: Progress | None = None
) -> FitResult:
    """The result with an encoder, where one was asked for and the fit has an end. Ctrl-C costs the encoder only."""
    if not settings.save_encoder or result.likelihood("is") is None or not problem.n_latents:
        return result
    population = Population(thetas=result.thetas, omega=result.omega, sigma=result.sigma)
    start = time.perf_counter()
    try:
        encoder = train_encoder(problem, population, seed=settings.seed, progress=progress)
    except KeyboardInterrupt:
        return replace(result, warnings=(*result.warnings, "Training the encoder was interrupted: it is not saved."))
    except np.linalg.LinAlgError:  # a standard deviation of 0
        encoder = None
    if encoder is None or not np.isfinite(encoder.weights).all():
        return replace(result, warnings=(*result.warnings, "The encoder could not be trained: it is not saved."))
    spent = time.perf_counter() - start
    seconds = {**result.seconds, "encoder": spent, "total": result.seconds["total"] + spent}
    return replace(result, encoder=encoder, seconds=seconds)


def train_encoder(
    problem: Problem, population: Population, *, seed: int, steps: int = STEPS, progress: Progress | None = None
) -> SavedEncoder:
    """Train from scratch; about 1500 simulated data sets of at most 256 subjects each."""
    start = time.perf_counter()
    scales = input_scales(problem)
    chosen = spread_subjects(problem.table, MOST_SUBJECTS)
    part = problem if len(chosen) == problem.n_subjects else problem.subset(chosen)
    try:
        run = _Training.start(part, population, scales, seed)
        history = run.train(steps, start, progress)
    finally:
        if part is not problem:
            part.decoder.close()
    return SavedEncoder(
        fingerprint=problem.model.fingerprint,
        latents=tuple(latent.name for latent in problem.form.latents),
        thetas=population.thetas,
        omega=population.omega,
        sigma=population.sigma,
        hidden=HIDDEN,
        weights=run.encoder.weights.copy(),
        scales=scales,
        history=history,
    )


def encode(saved: SavedEncoder, problem: Problem, population: Population) -> Posterior:
    """q(z | x_i) of all subjects of `problem`; the prior for those without observations.

    Raises:
        DataError: the encoder belongs to another model or another fit of it.
    """
    _check_belongs(saved, problem, population)
    joint = problem.joint(population)
    inputs = _Inputs.of(joint, saved.scales, problem.table)
    given = inputs.given(joint.y[None], inputs.mask)
    encoder = _network(given, inputs, saved.hidden, seed=0)
    encoder.weights[:] = saved.weights
    q = given.corrected(encoder.posterior())
    empty = np.diff(problem.table.ob_ptr) == 0
    prior = np.linalg.cholesky(joint.omega)
    return Posterior(
        mean=np.where(empty[:, None], joint.mean, q.mean),
        chol=np.where(empty[:, None, None], prior, q.chol),
        kind="encoder",
        ok=q.ok | empty,
    )


def _check_belongs(saved: SavedEncoder, problem: Problem, population: Population) -> None:
    names = tuple(latent.name for latent in problem.form.latents)
    pairs = ((saved.thetas, population.thetas), (saved.omega, population.omega), (saved.sigma, population.sigma))
    if saved.fingerprint != problem.model.fingerprint or saved.latents != names:
        what = "another model"
    elif not all(a.shape == b.shape and np.allclose(a, b, rtol=SAME, atol=0.0) for a, b in pairs):
        what = "another fit of this model"
    else:
        return
    raise DataError(
        f"the encoder belongs to {what}",
        hint="give the encoder that was saved with the fit, or fit with --save-encoder",
    )


def input_scales(problem: Problem) -> InputScales:
    """Of the data of a fit; covariates are those the typical values read."""
    table = problem.table
    elapsed = table.ob_time - table.start_time[table.ob_subject]
    doses = table.ev_amt[table.ev_is_dose]
    mean_dose = float(doses.mean()) if len(doses) and doses.mean() > 0 else 1.0
    given = np.log1p(dose_history(table)[1] / mean_dose)
    read = problem.form.mu.graph.inputs_of(problem.form.mu.output_nodes)
    names = tuple(name for name in table.covariate_names if name in read)
    covariates = _covariates(table, names)
    return InputScales(
        longest=max(float(elapsed.max(initial=0.0)), np.finfo(float).tiny),
        value_mean=float(table.ob_value.mean()),
        value_sd=_spread(table.ob_value),
        mean_dose=mean_dose,
        log_dose_mean=float(given.mean()),
        log_dose_sd=_spread(given),
        compartments=tuple(int(c) for c in np.unique(table.ob_cmt)),
        covariate_names=names,
        covariate_mean=covariates.mean(axis=0),
        covariate_sd=np.array([_spread(column) for column in covariates.T]),
    )


def _spread(values: np.ndarray) -> float:
    spread = float(values.std())
    return spread if spread > 0 else 1.0


def _covariates(table: EventTable, names: tuple[str, ...]) -> np.ndarray:
    """(N, C) at each subject's first record."""
    return table.cov[table.cov_ptr[:-1]][:, [table.covariate_names.index(name) for name in names]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What the network is given of R subjects: features (R, T, F) and the index `last` (R,) of the last observation.
    loc (R, d), tril (R, d, d): posterior of the linearised model."""

    features: np.ndarray
    last: np.ndarray
    loc: np.ndarray
    tril: np.ndarray

    def corrected(self, q: Posterior) -> Posterior:
        """The network's q is in units of the linearised posterior."""
        return replace(q, mean=self.loc + (self.tril @ q.mean[..., None])[..., 0], chol=self.tril @ q.chol)

    def in_units(self, z: np.ndarray) -> np.ndarray:
        """Latents (R, d) in units of the linearised posterior."""
        return np.linalg.solve(self.tril, (z - self.loc)[..., None])[..., 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What does not depend on the observed values, for N subjects padded to T observations.

    mask (N, T); fixed (N, T, F') columns; typical, sd (M,): typical predictions with their residual standard
    deviations; effect (N, T, d): change of the prediction per prior standard deviation, in residual ones; mean (N, d)
    and root (d, d): of the prior; covariates (N, C).
    """

    scales: InputScales
    mask: np.ndarray
    fixed: np.ndarray
    typical: np.ndarray
    sd: np.ndarray
    effect: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    covariates: np.ndarray

    @classmethod
    def of(cls, joint: JointDensity, scales: InputScales, table: EventTable) -> _Inputs:
        solution = joint.decoder.linearise(joint.inputs(joint.mean))
        sd = np.maximum(joint.sd(solution.prediction, joint.mean), np.finfo(float).tiny)
        root = np.linalg.cholesky(joint.omega)
        effect = np.nan_to_num(solution.jacobian[:, : joint.n_latents] @ root / sd[:, None])
        since, given = dose_history(table)
        elapsed = table.ob_time - table.start_time[table.ob_subject]
        columns = [elapsed / scales.longest, since / scales.longest]
        columns.append((np.log1p(given / scales.mean_dose) - scales.log_dose_mean) / scales.log_dose_sd)
        columns += [(table.ob_cmt == c).astype(float) for c in scales.compartments[1:]]
        columns += [_compressed(column) for column in effect.T]
        counts = np.diff(table.ob_ptr)
        mask = np.arange(max(1, int(counts.max(initial=0)))) < counts[:, None]
        return cls(
            scales=scales,
            mask=mask,
            fixed=_padded(np.column_stack(columns), mask),
            typical=solution.prediction,
            sd=sd,
            effect=_padded(effect, mask),
            mean=joint.mean,
            root=root,
            covariates=(_covariates(table, scales.covariate_names) - scales.covariate_mean) / scales.covariate_sd,
        )

    def given(self, y: np.ndarray, seen: np.ndarray) -> _Given:
        """For observations y (K, M) of which `seen` (K * N, T) are shown."""
        copies = len(y)
        deviation = _bounded((y - self.typical) / self.sd)
        value = _bounded((y - self.scales.value_mean) / self.scales.value_sd)
        own = np.stack([self._pad(_compressed(deviation)), self._pad(value)], axis=-1)
        fixed = np.broadcast_to(self.fixed, (copies, *self.fixed.shape))
        features = np.concatenate([own, fixed], axis=-1).reshape(len(seen), self.mask.shape[1], -1)
        order = np.argsort(~seen, axis=1, kind="stable")  # what is shown comes first, in its order
        features = np.take_along_axis(features * seen[..., None], order[..., None], axis=1)
        away = self._pad(deviation).reshape(seen.shape)
        loc, tril = _linearised(np.tile(self.effect, (copies, 1, 1)), away, seen)
        return _Given(
            features=features,
            last=np.maximum(seen.sum(axis=1) - 1, 0),
            loc=np.tile(self.mean, (copies, 1)) + loc @ self.root.T,
            tril=self.root @ tril,
        )

    def _pad(self, values: np.ndarray) -> np.ndarray:
        """(K, N, T) for values (K, M); 0 where there is no observation."""
        out = np.zeros((len(values), *self.mask.shape))
        out[:, self.mask] = values
        return out


def _linearised(effect: np.ndarray, away: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (R, d), kept within a few prior standard deviations, and Cholesky factor (R, d, d) of the covariance, in
    the prior's units."""
    shown = effect * seen[..., None]
    precision = np.einsum("rti,rtj->rij", shown, shown) + np.eye(effect.shape[-1])
    tril = np.linalg.cholesky(np.linalg.inv(precision))
    loc = np.linalg.solve(precision, np.einsum("rti,rt->ri", shown, away)[..., None])[..., 0]
    return FARTHEST * np.tanh(loc / FARTHEST), tril


def _padded(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N, T, c) for values (M, c); 0 where there is no observation."""
    out = np.zeros((*mask.shape, values.shape[-1]))
    out[mask] = values
    return out


def _bounded(values: np.ndarray) -> np.ndarray:
    """Of a simulated subject at absurd parameters (a negative clearance): its loss does not count, but a number that
    is not finite would spoil the gradient of all."""
    return np.clip(np.nan_to_num(values, nan=0.0, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)


def _compressed(values: np.ndarray) -> np.ndarray:
    return np.arcsinh(values / WIDE)


def _network(given: _Given, inputs: _Inputs, hidden: int, *, seed: int) -> Encoder:
    """Before training its posterior is that of the linearised model."""
    covariates = np.tile(inputs.covariates, (len(given.features) // len(inputs.covariates), 1))
    read = EncoderInput(features=given.features, last=given.last, covariates=covariates)
    d = inputs.mean.shape[1]
    return Encoder(read, np.zeros((len(given.loc), d)), scale=np.ones(d), hidden=hidden, sd0=1.0, seed=seed)


@dataclass(slots=True)
class _Training:
    """Simulated subjects: `copies` of each design of `joint`, new ones at every step."""

    joint: JointDensity
    inputs: _Inputs
    encoder: Encoder
    optimiser: Adam
    copies: int
    rng: np.random.Generator

    @classmethod
    def start(cls, problem: Problem, population: Population, scales: InputScales, seed: int) -> _Training:
        joint = problem.joint(population)
        inputs = _Inputs.of(joint, scales, problem.table)
        copies = -(-ROWS // joint.n_subjects)
        given = inputs.given(np.tile(joint.y, (copies, 1)), np.tile(inputs.mask, (copies, 1)))
        encoder = _network(given, inputs, HIDDEN, seed=seed)
        return cls(joint, inputs, encoder, Adam(encoder.weights, FIRST_RATE), copies, np.random.default_rng([seed, 7]))

    def train(self, steps: int, clock: float, progress: Progress | None) -> np.ndarray:
        """History (H, 2)."""
        history, losses = [], []
        every = max(1, steps // REPORTS)
        for step in range(1, steps + 1):
            self.optimiser.lr = LAST_RATE + (FIRST_RATE - LAST_RATE) * 0.5 * (1 + np.cos(np.pi * step / steps))
            losses.append(self._step())
            if step % every == 0 or step == steps:
                history.append((step, float(np.mean(losses))))
                losses = []
                if progress is not None:
                    spent, loss = time.perf_counter() - clock, history[-1][1]
                    progress(ProgressEvent.of_step("encoder", step, steps, seconds=spent, objective=loss))
        return np.array(history)

    def _step(self) -> float:
        joint, d = self.joint, self.joint.n_latents
        noise = self.rng.standard_normal((self.copies, joint.n_subjects, d))
        z = joint.mean + noise @ np.linalg.cholesky(joint.omega).T
        with np.errstate(all="ignore"):
            f = joint.predict(z)
            y = joint.simulate(z, f, self.rng)
        usable = np.isfinite(joint.per_subject(y)).ravel()
        given = self.inputs.given(y, self._seen())
        self.encoder.read(given.features, given.last)
        q = self.encoder.posterior()
        share = usable / max(usable.sum(), 1)
        loss = negative_log_density(q, given.in_units(z.reshape(-1, d)), share)
        self.optimiser.step(self.encoder.gradient(q, loss.by_loc, loss.by_tril))
        units = np.log(np.diagonal(given.tril, axis1=1, axis2=2)).sum(axis=1)
        return loss.value + float(share @ units)

    def _seen(self) -> np.ndarray:
        """(R, T) observations the network is shown: all for half of the subjects, the first ones for a quarter, a
        random choice for a quarter."""
        mask = np.tile(self.inputs.mask, (self.copies, 1))
        n, longest = mask.shape
        kind, share = self.rng.random(n), self.rng.random(n)
        first = np.arange(longest) < (share * mask.sum(axis=1))[:, None]
        chosen = self.rng.random((n, longest)) < share[:, None]
        return mask & ((kind < 0.5)[:, None] | np.where((kind < 0.75)[:, None], first, chosen))


class Loss(NamedTuple):
    """Its value and its derivatives with respect to the mean (R, d) and the factor (R, d, d) of q."""

    value: float
    by_loc: np.ndarray
    by_tril: np.ndarray


def negative_log_density(q: Posterior, z: np.ndarray, share: np.ndarray) -> Loss:
    """Sum of -log q(z_i) with factors `share` (R,), without the constant; z (R, d), of no account where share is 0."""
    d = z.shape[1]
    inverse = np.linalg.inv(q.chol)
    away = np.where(share[:, None] > 0, z - q.mean, 0.0)
    white = (inverse @ away[..., None])[..., 0]
    diagonal = np.diagonal(q.chol, axis1=1, axis2=2)
    value = float((share * (0.5 * (white**2).sum(axis=1) + np.log(diagonal).sum(axis=1))).sum())
    pull = (np.swapaxes(inverse, 1, 2) @ white[..., None])[..., 0]  # inverse covariance times away
    by_tril = np.tril(-pull[:, :, None] * white[:, None, :])
    by_tril[:, np.arange(d), np.arange(d)] += 1.0 / diagonal
    return Loss(value=value, by_loc=-share[:, None] * pull, by_tril=share[:, None, None] * by_tril)
