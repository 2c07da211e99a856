"""How far a ridge is followed: along directions of little information every iteration gains less than its draws can
show, and there may be many iterations to go (decision 0011)."""

from __future__ import annotations

from dataclasses import dataclass

SHARE = 0.02  # observed over complete-data information that makes a direction a ridge
BATCHES, MEMORY = (4, 8), 400_000  # times the draws of an ordinary iteration; most of all subjects
ITERATIONS, NEWTON_STEPS, GAIN, PATIENCE = 18, 12, 0.1, 2


@dataclass(slots=True)
class Ridge:
    """How far a ridge has been followed: -2LL at its best, how many batches brought nothing, the sizes to come."""

    batches: list[int]
    best: float = float("inf")
    stalled: int = 0
    n_iterations: int = 0

    def add(self, minus_two_ll: float) -> None:
        self.n_iterations += 1
        self.stalled = 0 if minus_two_ll < self.best - GAIN else self.stalled + 1
        self.best = min(self.best, minus_two_ll)
        if self.stalled == PATIENCE:
            self.stalled = 0
            self.batches.pop(0)

    @property
    def done(self) -> bool:
        return not self.batches or self.n_iterations >= ITERATIONS


def batch_sizes(n_subjects: int, *, usual: int, test: int) -> list[int]:
    """Draws per subject of growing batches, from those of an ordinary iteration and of the test of convergence; none
    where memory does not allow half of the latter: a step on fewer draws would only follow their noise."""
    sizes = (min(k * usual, MEMORY // n_subjects) for k in BATCHES)
    return sorted({n for n in sizes if 2 * n >= test})
