"""THETAs that the decoder reads itself: parameters without a random effect, moved by Adam in the VAE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.problem import Problem

LARGEST_UNIT = 10.0  # times the initial estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuralThetas:
    """One number `value` (s,) per estimated THETA that only the decoder reads, changed in place by the optimiser:
    log(THETA) where it is positive by its bounds, else THETA in units that matter for the predictions.

    `theta` (s,) indices among all THETAs, `column` (s,) among the structural inputs, `log` (s,) bool,
    `unit` (s,).
    """

    theta: np.ndarray
    column: np.ndarray
    log: np.ndarray
    unit: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, problem: Problem) -> StructuralThetas:
        """Those in the mean of z too are left to the M step."""
        in_mean = set(problem.mean.indices)
        column = [
            c
            for c, (i, free) in enumerate(zip(problem.structural_index, problem.structural_free, strict=True))
            if free and i not in in_mean
        ]
        theta = problem.structural_index[column]
        thetas = [problem.model.thetas[i] for i in theta]
        init = problem.initial.thetas[theta]
        log = np.array([t.lower >= 0 and t.init > 0 for t in thetas], dtype=bool)
        unit = np.where(log, 1.0, _units(problem, np.array(column, dtype=int), init))
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(log, np.log(init), init / unit)
        return cls(
            theta=theta,
            column=np.array(column, dtype=int),
            log=log,
            unit=unit,
            lower=np.array([t.lower for t in thetas], dtype=float),
            upper=np.array([t.upper for t in thetas], dtype=float),
            value=np.asarray(value, dtype=float),
        )

    def apply(self, thetas: np.ndarray) -> np.ndarray:
        """All THETAs with the current values of these, inside their bounds."""
        if not len(self.theta):
            return thetas
        result = thetas.copy()
        result[self.theta] = self._natural()
        return result

    def gradient(self, natural: np.ndarray) -> np.ndarray:
        """(s,) with respect to `value`, from that of all structural inputs on the natural scale."""
        slope = np.where(self.log, self._natural(), self.unit)
        return np.nan_to_num(natural[self.column] * slope)

    def _natural(self) -> np.ndarray:
        natural = np.where(self.log, np.exp(np.clip(self.value, -300, 300)), self.value * self.unit)
        return np.clip(natural, self.lower, self.upper)


def _units(problem: Problem, column: np.ndarray, init: np.ndarray) -> np.ndarray:
    """(s,) change that moves predictions by the spread of the data, 1 to 10 initial estimates."""
    if not len(column):
        return init
    joint = problem.joint(problem.initial)
    solution = problem.decoder.linearise(joint.inputs(joint.mean))
    by_theta = np.nan_to_num(solution.jacobian[:, problem.n_latents + column])
    effect = np.sqrt((by_theta**2).mean(axis=0))
    size = np.abs(init)
    matters = problem.y.std() / np.where(effect > 0, effect, np.inf)
    unit = np.where(size > 0, np.clip(matters, size, LARGEST_UNIT * size), matters)
    return np.where(unit > 0, unit, 1.0)
