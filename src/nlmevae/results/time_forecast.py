"""How long a run will take, as tried on its own model and data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartTime:
    """Seconds of a part of a run: usually, and of runs that need few or many iterations."""

    name: str
    low: float
    usual: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeForecast:
    """Seconds, as the clock shows them while the processor has nothing else to do.

    Attributes:
        parts: of a run, in the order in which they happen.
        sample: of the fit of a sample of such data (bootstrap), None where none was asked for.
        first_use: spent now on compiling the model, which a run would have spent at its first use; not in `parts`.
        loading: of code, which happens once in a run, wherever it is first used.
        trial: of the processor, spent on all of this.
        busy: of the clock per second of the processor, while the trial ran.
        threads, workers: that a run has.
        n_subjects, n_tried: subjects of the data, and those on which parts that draw were tried.
        n_observations: of all subjects.
    """

    parts: tuple[PartTime, ...]
    sample: PartTime | None = None
    first_use: float
    loading: float
    trial: float
    busy: float
    threads: int
    workers: int = 1
    n_subjects: int
    n_tried: int
    n_observations: int

    @property
    def seconds(self) -> float:
        """Of a whole run."""
        return sum(part.usual for part in self.parts)

    @property
    def low(self) -> float:
        return sum(part.low for part in self.parts)

    @property
    def high(self) -> float:
        return sum(part.high for part in self.parts)

    def part(self, name: str) -> PartTime:
        """By its name; KeyError if there is no such part."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)
