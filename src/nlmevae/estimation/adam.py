"""Adam (Kingma and Ba 2015, algorithm 1) on one flat vector.

torch.optim would import a compiler it does not use here, which takes longer than fitting a small model.
"""

from __future__ import annotations

import math

import numpy as np

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # the paper's values and torch's defaults


class Adam:
    """Minimises by changing `parameters` (n,) in place; `lr` may be changed between steps."""

    def __init__(self, parameters: np.ndarray, lr: float) -> None:
        self.parameters = parameters
        self.lr = lr
        self._first = np.zeros_like(parameters)
        self._second = np.zeros_like(parameters)
        self._steps = 0

    def step(self, gradient: np.ndarray) -> None:
        """One step along `gradient` (n,) of the loss."""
        self._steps += 1
        self._first += (1.0 - BETA1) * (gradient - self._first)
        self._second += (1.0 - BETA2) * (gradient * gradient - self._second)
        # floats of Python, not of numpy, which would make float64 of float32 arrays
        unbiased = math.sqrt(1.0 - BETA2**self._steps)
        size = float(self.lr) * unbiased / (1.0 - BETA1**self._steps)
        spread = np.sqrt(self._second)
        spread += EPSILON * unbiased
        self.parameters -= size * self._first / spread

    @property
    def state(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """All that steps have changed."""
        return self.parameters, self._first, self._second, self._steps

    def restore(self, state: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
        """Go on from there; the parameters are changed in place."""
        self.parameters[:], self._first[:], self._second[:], self._steps = state
