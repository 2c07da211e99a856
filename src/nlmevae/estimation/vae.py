"""The variational autoencoder of the paper's section 2.2, with a `selector` the augmented one of section 2.3.

    burn-in    the encoder learns where the individual parameters are
    training   every iteration: a few Adam steps on -ELBO, then the M step; KL annealing at the start,
               averaged statistics at the end. With candidate covariate effects the M step first chooses
               which of them are in the model (equation 13); their penalty is annealed like the KL term.

State goes in, state comes out: nothing outside this module changes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nlmevae.decoder.residual import ResidualModel
from nlmevae.estimation.adam import Adam
from nlmevae.estimation.encoder import Encoder, EncoderInput, encoder_input
from nlmevae.estimation.guards import latent_scale
from nlmevae.estimation.m_step import m_step
from nlmevae.estimation.objective import Elbo, antithetic_noise, elbo
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior, SufficientStatistics
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.schedule import Schedule
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.stages import Stage
from nlmevae.estimation.structural import StructuralThetas
from nlmevae.estimation.trace import Progress, ProgressEvent, tell_again
from nlmevae.likelihood.joint import JointDensity
from nlmevae.results.fit_result import TraceRow
from nlmevae.results.status import FitStatus

FAILED_ITERATIONS = 5  # in a row without one subject that can be evaluated
#: Of a run between two iterations; what is missing is made from the settings or from these.
_KEPT = ("problem", "population", "complete", "posterior", "average", "trace", "failed_iterations", "rng")


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeOutcome:
    """`posterior` is the encoder's, None if no iteration was completed. `problem` has the chosen support."""

    problem: Problem
    population: Population
    posterior: Posterior | None
    status: FitStatus
    message: str
    trace: tuple[TraceRow, ...]


class _Unusable(Exception):  # noqa: N818  (ends the loop, never leaves this module)
    """No subject can be evaluated; the text is the message of the outcome."""


def run_vae(
    problem: Problem,
    settings: FitSettings,
    progress: Progress | None = None,
    selector: Selector | None = None,
    stage: Stage | None = None,
) -> VaeOutcome:
    """Train from the initial estimates, or from the state of `stage`. Never raises for numerical reasons or on
    Ctrl-C."""
    schedule = Schedule.of(settings, n_latents=problem.n_latents, n_subjects=problem.n_subjects)
    run = _Run.start(problem, schedule, settings.seed, progress, selector)
    run.resume(stage)
    status, message = FitStatus.FINISHED_SCHEDULE, FitStatus.FINISHED_SCHEDULE.sentence
    try:
        run.burn_in()
        run.train()
    except KeyboardInterrupt:
        status, message = FitStatus.INTERRUPTED, FitStatus.INTERRUPTED.sentence
    except _Unusable as error:
        status, message = FitStatus.NUMERICAL_FAILURE, str(error)
    problem, population, posterior = run.complete
    return VaeOutcome(
        problem=problem,
        population=population,
        posterior=posterior,
        status=status,
        message=message,
        trace=tuple(run.trace),
    )


@dataclass(slots=True)
class _Run:
    """What the loop carries from one iteration to the next; `complete` is the last finished iteration's
    problem (with its support), population and posterior."""

    problem: Problem
    schedule: Schedule
    encoder: Encoder
    structural: StructuralThetas
    optimisers: tuple[Adam, Adam]
    rng: np.random.Generator
    progress: Progress | None
    population: Population
    complete: tuple[Problem, Population, Posterior | None]
    selector: Selector | None = None
    posterior: Posterior | None = None
    average: SufficientStatistics | None = None
    joint: tuple[Population, bool, JointDensity] | None = None
    trace: list[TraceRow] = field(default_factory=list)
    clock: float = field(default_factory=time.perf_counter)
    failed_iterations: int = 0
    stage: Stage | None = None

    @classmethod
    def start(
        cls, problem: Problem, schedule: Schedule, seed: int, progress: Progress | None, selector: Selector | None
    ) -> _Run:
        encoder = Encoder(
            _inputs(problem, schedule),
            problem.mean.mean(problem.initial.thetas),
            scale=latent_scale(problem),
            hidden=schedule.hidden,
            sd0=schedule.sd0,
            seed=seed,
        )
        structural = StructuralThetas.of(problem)
        return cls(
            problem=problem,
            schedule=schedule,
            encoder=encoder,
            structural=structural,
            optimisers=(Adam(encoder.weights, schedule.burn_in_lr), Adam(structural.value, schedule.burn_in_lr)),
            rng=np.random.default_rng(seed),
            progress=progress,
            population=problem.initial,
            complete=(problem, problem.initial, None),
            selector=selector,
        )

    def resume(self, stage: Stage | None) -> None:
        """Go on where the stage stands; its finished iterations are told again."""
        self.stage = stage
        if stage is None or stage.state is None:
            return
        state = dict(stage.state)
        for i, optimiser in enumerate(self.optimisers):
            optimiser.restore(state.pop(f"optimiser {i}"))
        self.clock = time.perf_counter() - state.pop("seconds")
        for name, value in state.items():
            setattr(self, name, value)
        tell_again(self.progress, self.trace, total=self.schedule.total)

    def _state(self) -> dict[str, Any]:
        return {
            **{f"optimiser {i}": optimiser.state for i, optimiser in enumerate(self.optimisers)},
            "seconds": time.perf_counter() - self.clock,
            **{name: getattr(self, name) for name in _KEPT},
        }

    def _reached(self) -> None:
        if self.stage is not None:
            self.stage.reached(self._state)

    def burn_in(self) -> None:
        """Pre-training (paper, section 2.2.4)."""
        schedule = self.schedule
        wide = schedule.burn_in_prior == "wide"
        steps: list[Elbo] = []
        for _ in range(len(self.trace), schedule.burn_in_iterations):
            self._reached()
            steps = []
            for _ in range(schedule.steps):
                steps.append(self._adam_step(schedule.burn_in_kl, wide=wide))
                if not wide:
                    self._m_step(self._statistics(steps[-1:]))
            if wide:
                self._m_step(self._statistics(steps[-1:]), residual_only=True)
            self._finish_iteration("burn-in", steps)
        if wide and steps:
            self._m_step(self._statistics(steps[-1:]))

    def train(self) -> None:
        """Adam steps on the encoder, M step on the population (paper, equations 8 and 10)."""
        schedule = self.schedule
        for optimiser in self.optimisers:
            optimiser.lr = schedule.training_lr
        for iteration in range(len(self.trace) - schedule.burn_in_iterations, schedule.training_iterations):
            self._reached()
            steps = [self._adam_step(schedule.kl_weight(iteration)) for _ in range(schedule.steps)]
            weight = schedule.average_weight(iteration)
            self.average = running_average(self.average, self._statistics(steps), weight)
            self._select(schedule.penalty_factor(iteration))
            self._m_step(self.average)
            self._finish_iteration("vae", steps)

    def _select(self, penalty_factor: float) -> None:
        """The paper's equation 13: which effects are in, by the exact quadratic program at the current Omega."""
        if self.selector is None:
            return
        self.problem = self.selector.complete_data(self.problem, self.population, self.average, penalty_factor)
        self.population = self.problem.restricted(self.population)

    def _adam_step(self, kl_weight: float, *, wide: bool = False) -> Elbo:
        """One gradient step on -ELBO at a fresh draw; the posterior of the step is kept."""
        joint = self._joint(wide=wide)
        self.posterior = self.encoder.posterior()
        noise = antithetic_noise(self.rng, self.schedule.draws, self.posterior.mean.shape)
        value = elbo(joint, self.posterior.mean, self.posterior.chol, noise, kl_weight=kl_weight)
        weights, structural = self.optimisers
        weights.step(self.encoder.gradient(self.posterior, -value.loc, -value.scale_tril))
        if len(self.structural.theta):
            structural.step(self.structural.gradient(-value.structural))
            self.population = replace(self.population, thetas=self.structural.apply(self.population.thetas))
        return value

    def _joint(self, *, wide: bool) -> JointDensity:
        """At the current population, kept as long as that does not change."""
        if self.joint is None or self.joint[0] is not self.population or self.joint[1] != wide:
            joint = self.problem.joint(self.population)
            if wide:
                scale = self.encoder.scale * self.schedule.wide_sd
                joint = replace(joint, mean=self.encoder.start, omega=np.diag(scale**2))
            self.joint = self.population, wide, joint
        return self.joint[2]

    def _statistics(self, steps: list[Elbo]) -> SufficientStatistics:
        """From the last posterior; residuals of its draws, averaged first over the last Adam steps."""
        last = steps[-self.schedule.residual_steps :]
        prediction = np.mean([step.prediction for step in last], axis=0)
        usable = np.isfinite(prediction)
        return SufficientStatistics(
            z_mean=self.posterior.mean,
            z_cov=self.posterior.cov,
            prediction=np.where(usable, prediction, 1.0),
            weight=usable / np.maximum(usable.sum(axis=0), 1),
            multiplier=self._multiplier(last),
        )

    def _multiplier(self, steps: list[Elbo]) -> np.ndarray | None:
        """(K, M) logarithms, from the mean of the same draws as the predictions."""
        problem, z = self.problem, np.mean([step.z for step in steps], axis=0)
        return problem.residual.multiplier(z, problem.observed, problem.table.ob_subject)

    def _m_step(self, statistics: SufficientStatistics, *, residual_only: bool = False) -> None:
        updated = m_step(statistics, self.population, self.problem)
        residual = self.problem.residual
        coefficients = residual.coefficients(updated.thetas, updated.sigma)
        if self.schedule.balance is not None:
            coefficients = balanced(coefficients, self.problem, statistics, self.schedule.balance)
        base = self.population if residual_only else updated
        thetas, sigma = residual.with_coefficients(base.thetas, base.sigma, coefficients)
        self.population = replace(base, thetas=thetas, sigma=sigma)

    def _finish_iteration(self, phase: str, steps: list[Elbo]) -> None:
        failed = np.sum([step.failed for step in steps], axis=0)
        self.failed_iterations = self.failed_iterations + 1 if (failed == len(steps)).all() else 0
        if self.failed_iterations >= FAILED_ITERATIONS:
            raise _Unusable(f"{FitStatus.NUMERICAL_FAILURE.sentence} {_reason(steps[-1])}")
        if not np.isfinite(self.population.vector()).all():
            raise _Unusable(f"{FitStatus.NUMERICAL_FAILURE.sentence} An update gave parameters that are not finite.")
        row = TraceRow(
            iteration=len(self.trace),
            phase=phase,
            objective=-2.0 * float(np.mean([step.value for step in steps])),
            parameters=self.population.vector(),
            seconds=time.perf_counter() - self.clock,
            extra={"failed": float((failed > 0).sum())},
            support=None if self.problem.support is None else self.problem.support.copy(),
        )
        self.trace.append(row)
        self.complete = (self.problem, self.population, self.posterior)
        if self.progress is not None:
            self.progress(ProgressEvent.of(row, total=self.schedule.total))


def _inputs(problem: Problem, schedule: Schedule) -> EncoderInput:
    read = problem.form.mu.graph.inputs_of(problem.form.mu.output_nodes)
    covariates = [name for name in problem.table.covariate_names if name in read]
    if not schedule.deviation_input:
        return encoder_input(problem.table, covariates, extra=_candidate_values(problem))
    joint = problem.joint(problem.initial)
    return encoder_input(problem.table, covariates, problem.y - joint.predict(joint.mean))


def _candidate_values(problem: Problem) -> np.ndarray | None:
    """(N, C') the distinct regressors of the candidate effects: the paper's c_i."""
    return None if problem.effects is None else np.unique(problem.effects.values, axis=1)


def _reason(step: Elbo) -> str:
    if np.isfinite(step.prediction).all():
        return "Every prediction is finite, but no subject has a likelihood: the residual error is 0 somewhere."
    return "No subject's predictions are all finite at the individual parameters tried; check the initial estimates."


def balanced(coefficients: np.ndarray, problem: Problem, statistics: SufficientStatistics, factor: float) -> np.ndarray:
    """Coefficients (q,) with a and g = b |f|^p of every endpoint within `factor` of each other at its mean prediction,
    and the likelihood's own choice of their common size; unchanged unless both are estimated, for it alone."""
    residual, found = problem.residual, np.array(coefficients, dtype=float)
    for e, point in enumerate(residual.endpoints):
        if not _balanceable(residual, e):
            continue
        here = problem.observed.endpoint == e
        f, weight = statistics.prediction[:, here], statistics.weight[:, here]
        size = float((weight * np.abs(f) ** residual.of_endpoint(e, "power", found)).sum() / weight.sum())
        a, b = residual.of_endpoint(e, "a", found), residual.of_endpoint(e, "b", found) * size
        if not np.isfinite([a, b]).all() or max(a, b) <= 0.0 or max(a, b) <= factor * min(a, b):
            continue
        slots = point.slots["a"], point.slots["b"]
        index = [slot.coefficient for slot in slots]
        moved = found.copy()
        moved[index] = max(a, b / factor) / slots[0].factor, max(b, a / factor) / size / slots[1].factor
        sd = residual.sd(statistics.prediction, problem.observed, moved, statistics.multiplier)[:, here]
        scaled = ((problem.y[here] - f) / sd) ** 2
        common = float(np.sqrt((weight * scaled).sum() / weight.sum()))
        moved[index] *= common if np.isfinite(common) and common > 0 else 1.0
        found = moved
    return found


def _balanceable(residual: ResidualModel, e: int) -> bool:
    """Additive and proportional part are estimated, and no other endpoint has them."""
    slots = residual.endpoints[e].slots
    if not {"a", "b"} <= set(slots):
        return False
    own = {slots["a"].coefficient, slots["b"].coefficient}
    others = {s.coefficient for k, p in enumerate(residual.endpoints) if k != e for s in p.slots.values()}
    return len(own) == 2 and not own & others and all(residual.free[c] for c in own)


def running_average(old: SufficientStatistics | None, new: SufficientStatistics, weight: float) -> SufficientStatistics:
    """(1 - weight) old + weight new of E[z], E[zz'] and the residual sums: SAEM's stochastic approximation."""
    if old is None or weight >= 1.0:
        return new
    keep = 1.0 - weight
    mean = keep * old.z_mean + weight * new.z_mean
    second = keep * _second_moment(old) + weight * _second_moment(new)
    return SufficientStatistics(
        z_mean=mean,
        z_cov=second - mean[:, :, None] * mean[:, None, :],
        prediction=np.concatenate([old.prediction, new.prediction]),
        weight=np.concatenate([keep * old.weight, weight * new.weight]),
        multiplier=None if new.multiplier is None else np.concatenate([old.multiplier, new.multiplier]),
    )


def _second_moment(statistics: SufficientStatistics) -> np.ndarray:
    return statistics.z_cov + statistics.z_mean[:, :, None] * statistics.z_mean[:, None, :]
