"""Random weights before training, number by number those that torch draws for `nn.LSTM` and `nn.Linear` from the same
seed: the Mersenne twister with 24 bits per uniform number, and Box and Muller's method (1958) in blocks of 16.

So a seed means one network wherever it is made, and any paper's torch code can be followed digit by digit.
"""

from __future__ import annotations

import numpy as np

BLOCK = 16  # normal numbers made at a time: from 8 radii and 8 angles
OUTPUT_SD = 1e-3  # of the weights of the last layer: before training q is nearly the same for all subjects


def initial_weights(n_features: int, hidden: int, n_covariates: int, outputs: int, *, seed: int) -> list[np.ndarray]:
    """float32, in torch's order: of the LSTM input (4 H, F), recurrent (4 H, H), two biases (4 H,), uniform within
    1 / sqrt(H); of the linear layer weight (P, H + C), normal with `OUTPUT_SD`, and bias (P,), all 0."""
    state = np.random.RandomState(seed % 2**32)
    largest = np.float32(1.0 / np.sqrt(hidden))
    lstm = [
        _uniform(state, shape) * (largest + largest) - largest
        for shape in ((4 * hidden, n_features), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,))
    ]
    shape = outputs, hidden + n_covariates
    _uniform(state, shape), _uniform(state, (outputs,))  # nn.Linear's own choice, which ours replaces
    weight = (OUTPUT_SD * _normal(state, shape[0] * shape[1])).astype(np.float32)
    return [*lstm, weight.reshape(shape), np.zeros(outputs, dtype=np.float32)]


def _uniform(state: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
    """float32 in [0, 1)."""
    bits = state.randint(0, 2**32, shape, dtype=np.uint32) & np.uint32(2**24 - 1)
    return bits.astype(np.float32) * np.float32(2.0**-24)


def _normal(state: np.random.RandomState, n: int) -> np.ndarray:
    """(n,); the last block is drawn once more where 16 do not divide n."""
    uniform = _uniform(state, (max(n, BLOCK),)).astype(float)
    whole = len(uniform) - len(uniform) % BLOCK
    found = _box_muller(uniform[:whole])
    if whole < n:
        last = _box_muller(_uniform(state, (BLOCK,)).astype(float))
        found = np.concatenate([found, last[whole - n :]])
        found[-BLOCK:] = last
    return found[:n]


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    """Standard normal numbers from as many uniform ones, a multiple of 16."""
    first, second = uniform.reshape(-1, 2, BLOCK // 2).swapaxes(0, 1)
    radius, angle = np.sqrt(-2.0 * np.log(1.0 - first)), 2.0 * np.pi * second
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
