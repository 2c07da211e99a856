"""How long a run will take, as tried on its own model and data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeForecast:
    """Seconds.

    Attributes:
        parts: of a run, by part, in the order in which they happen.
        low, high: of a run in which fewer or more iterations are needed than usual.
        first_use: spent now on compiling the model, which a run would have spent at its first use; not in `parts`.
        trial: of the processor, spent on all of this.
        n_subjects, n_tried: subjects of the data, and those on which the parts were tried.
        n_observations: of all subjects.
    """

    parts: dict[str, float]
    low: float
    high: float
    first_use: float
    trial: float
    n_subjects: int
    n_tried: int
    n_observations: int

    @property
    def seconds(self) -> float:
        """Of a whole run."""
        return sum(self.parts.values())
