"""The prior mean of the latents: mu_i(theta) = z_pop + beta c_i of the paper's equation 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_numpy import BatchFunction, link_numpy
from nlmevae.data.events import EventTable
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

    @classmethod
    def of(cls, model: Model, form: LatentForm, table: EventTable) -> MeanModel:
        """mu of `form`; covariates are those of each subject's first row (they are constant where mu reads them)."""
        number = {t.name: i for i, t in enumerate(model.thetas)}
        inputs = [number[name] for name in form.mu.inputs if name in number]
        free = [i for i in inputs if not model.thetas[i].fixed]
        thetas = [model.thetas[i] for i in free]
        etas = {latent.eta for latent in form.latents}
        return cls(
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

    def mean(self, thetas: np.ndarray) -> np.ndarray:
        """(N, d)."""
        values, _ = self._value(*thetas[self._theta_inputs], *self._covariates)
        return np.array(np.broadcast_to(values, (self.n_subjects, values.shape[1])))

    def design(self, thetas: np.ndarray) -> np.ndarray:
        """(N, d, q): d mu / d log THETA or d mu / d THETA, by the scale on which each is estimated."""
        values, jacobian = self._derivative(*thetas[self._theta_inputs], *self._covariates)
        shape = (self.n_subjects, values.shape[1], len(self.indices))
        if jacobian is None:
            return np.zeros(shape)
        return np.broadcast_to(jacobian, shape) * np.where(self.log_scale, thetas[self.indices], 1.0)

    def room(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(q,) smallest and largest step within the bounds, on the estimation scale."""
        current = thetas[self.indices]
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(self.log_scale, np.log(np.maximum(self.lower, 0.0) / current), self.lower - current)
            high = np.where(self.log_scale, np.log(self.upper / current), self.upper - current)
        limit = np.where(self.log_scale, LARGEST_LOG_STEP, np.inf)
        return np.maximum(low, -limit), np.minimum(high, limit)

    def step(self, thetas: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """All THETAs after a step (q,) on the estimation scale, inside the bounds."""
        current = thetas[self.indices]
        limited = np.clip(delta, -LARGEST_LOG_STEP, LARGEST_LOG_STEP)
        moved = np.where(self.log_scale, current * np.exp(limited), current + delta)
        result = thetas.copy()
        result[self.indices] = np.clip(moved, self.lower, self.upper)
        return result
