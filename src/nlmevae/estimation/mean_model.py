"""The prior mean of the latents: mu_i(theta) = z_pop + beta c_i of the paper's equation 3."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_numpy import BatchFunction, link_numpy
from nlmevae.data.events import EventTable
from nlmevae.estimation.effects import Effects
from nlmevae.ir import Model

LARGEST_LOG_STEP = 5.0  # of one step of a THETA on the log scale: keeps exp finite, no limit in practice


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanModel:
    """mu_i as a function of all THETAs (n_theta,) on their natural scale.

    Attributes:
        indices: (q,) the estimated THETAs in mu, as indices among all THETAs.
        log_scale: (q,) bool, True where estimation moves log THETA.
        lower, upper: (q,) bounds on the natural scale.
        linear: mu is linear in the THETAs on their estimation scale.
        effects: candidate covariate effects beside the model's own mu, None when there is no search; those in the
            support are the last of `indices`.
    """

    indices: np.ndarray
    log_scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    linear: bool
    n_subjects: int
    _value: BatchFunction
    _derivative: BatchFunction
    _theta_inputs: np.ndarray
    _covariates: tuple[np.ndarray, ...]
    _linear: _LinearMean | None = None
    effects: Effects | None = None
    _free_columns: np.ndarray | None = None

    @classmethod
    def of(cls, model: Model, form: LatentForm, table: EventTable) -> MeanModel:
        """mu of `form`; covariates are those of each subject's first row (they are constant where mu reads them)."""
        number = {t.name: i for i, t in enumerate(model.thetas)}
        inputs = [number[name] for name in form.mu.inputs if name in number]
        free = [i for i in inputs if not model.thetas[i].fixed]
        thetas = [model.thetas[i] for i in free]
        etas = {latent.eta for latent in form.latents}
        made = cls(
            indices=np.array(free, dtype=int),
            log_scale=np.array([t.scale == "log" for t in thetas], dtype=bool),
            lower=np.array([t.lower for t in thetas], dtype=float),
            upper=np.array([t.upper for t in thetas], dtype=float),
            linear=all(p.mu_linear for p in model.individual_parameters if p.eta in etas),
            n_subjects=table.n_subjects,
            _value=link_numpy(form.mu),
            _derivative=link_numpy(form.mu, tuple(t.name for t in thetas)),
            _theta_inputs=np.array(inputs, dtype=int),
            _covariates=tuple(np.ascontiguousarray(table.cov[table.cov_ptr[:-1]].T)),
        )
        start = np.array([t.init for t in model.thetas], dtype=float)
        return replace(made, _linear=_LinearMean.of(made, start)) if made.linear else made

    def on_support(self, effects: Effects, support: np.ndarray) -> MeanModel:
        """With the coefficients of the support (n_units,) among the estimated THETAs."""
        columns = np.flatnonzero(support[effects.unit])
        n, free = self.n_base, len(columns)
        return replace(
            self,
            indices=np.concatenate([self.indices[:n], effects.theta[columns]]),
            log_scale=np.concatenate([self.log_scale[:n], np.zeros(free, dtype=bool)]),
            lower=np.concatenate([self.lower[:n], np.full(free, -np.inf)]),
            upper=np.concatenate([self.upper[:n], np.full(free, np.inf)]),
            effects=effects,
            _free_columns=columns,
        )

    def of_subjects(self, subjects: np.ndarray) -> MeanModel:
        """mu of some of the subjects (n,)."""
        linear = self._linear
        return replace(
            self,
            n_subjects=len(subjects),
            _covariates=tuple(c[subjects] for c in self._covariates),
            _linear=None if linear is None else linear.of_subjects(subjects),
            effects=None if self.effects is None else self.effects.subset(subjects),
        )

    @property
    def n_base(self) -> int:
        """Number of the model's own THETAs among `indices`."""
        return len(self.indices) - (0 if self._free_columns is None else len(self._free_columns))

    @property
    def apart(self) -> bool:
        """mu is linear, and every THETA moves one latent only: least squares then fit each latent by itself, whatever
        the weights of the latents are."""
        return self._linear is not None and self._linear.apart

    def mean(self, thetas: np.ndarray) -> np.ndarray:
        """(N, d)."""
        if self._linear is not None:
            mean = self._linear.mean(self.scaled(thetas)[: self.n_base])
        else:
            values, _ = self._value(*thetas[self._theta_inputs], *self._covariates)
            mean = np.array(np.broadcast_to(values, (self.n_subjects, values.shape[1])))
        return mean if self.effects is None else self.effects.add_to(mean, thetas)

    def design(self, thetas: np.ndarray) -> np.ndarray:
        """(N, d, q): d mu / d log THETA or d mu / d THETA, by the scale on which each is estimated."""
        base = self.base_design(thetas)
        if self.effects is None:
            return base
        n, columns = self.n_base, self._free_columns
        full = np.zeros((*base.shape[:2], n + len(columns)))
        full[:, :, :n] = base
        full[:, self.effects.latent[columns], n + np.arange(len(columns))] = self.effects.values[:, columns]
        return full

    def base_design(self, thetas: np.ndarray) -> np.ndarray:
        """(N, d, n_base): `design` of the model's own THETAs."""
        if self._linear is not None:
            return self._linear.design
        values, jacobian = self._derivative(*thetas[self._theta_inputs], *self._covariates)
        n = self.n_base
        shape = (self.n_subjects, values.shape[1], n)
        if jacobian is None:
            return np.zeros(shape)
        return np.broadcast_to(jacobian, shape) * np.where(self.log_scale[:n], thetas[self.indices[:n]], 1.0)

    def room(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(q,) smallest and largest step within the bounds, on the estimation scale."""
        current = thetas[self.indices]
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(self.log_scale, np.log(np.maximum(self.lower, 0.0) / current), self.lower - current)
            high = np.where(self.log_scale, np.log(self.upper / current), self.upper - current)
        limit = np.where(self.log_scale, LARGEST_LOG_STEP, np.inf)
        return np.maximum(low, -limit), np.minimum(high, limit)

    def scaled(self, thetas: np.ndarray) -> np.ndarray:
        """(q,) the estimated THETAs on the scale on which they are estimated."""
        current = thetas[self.indices]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(current, out=current, where=self.log_scale)

    def reached(self, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether the step from THETAs `before` to `after` was not cut short by the longest step allowed."""
        return bool((np.abs(self.scaled(after) - self.scaled(before))[self.log_scale] < 0.99 * LARGEST_LOG_STEP).all())

    def base_step(self, thetas: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """All THETAs after a step (n_base,) of the model's own ones, inside the bounds."""
        full = np.zeros(len(self.indices))
        full[: self.n_base] = delta
        return self.step(thetas, full)

    def step(self, thetas: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """All THETAs after a step (q,) on the estimation scale, inside the bounds."""
        current = thetas[self.indices]
        limited = np.clip(delta, -LARGEST_LOG_STEP, LARGEST_LOG_STEP)
        moved = np.where(self.log_scale, current * np.exp(limited), current + delta)
        result = thetas.copy()
        result[self.indices] = np.clip(moved, self.lower, self.upper)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinearMean:
    """mu = origin + design (u - start), u the THETAs on their estimation scale: no code to run for a new u.

    origin (N, d), design (N, d, q), start (q,).
    """

    origin: np.ndarray
    design: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, mean: MeanModel, thetas: np.ndarray) -> _LinearMean | None:
        """At `thetas`; None where mu has no value there (the problem says so to the user)."""
        origin, design, start = mean.mean(thetas), np.ascontiguousarray(mean.design(thetas)), mean.scaled(thetas)
        if not (np.isfinite(origin).all() and np.isfinite(design).all() and np.isfinite(start).all()):
            return None
        return cls(origin=origin, design=design, start=start)

    def of_subjects(self, subjects: np.ndarray) -> _LinearMean:
        return replace(self, origin=self.origin[subjects], design=np.ascontiguousarray(self.design[subjects]))

    @property
    def apart(self) -> bool:
        return bool(((self.design != 0.0).any(axis=0).sum(axis=0) <= 1).all())

    def mean(self, u: np.ndarray) -> np.ndarray:
        return self.origin + self.design @ (u - self.start)
