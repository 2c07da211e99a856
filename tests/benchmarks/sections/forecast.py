"""`nlmevae estimate-time` beside the runs it forecasts: calls `tests.benchmarks.time_forecast`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measurement import Figure
from tests.benchmarks.time_forecast import FIXTURES, MODELS, SEARCHES, all_paths, compare


def measure(scale: str) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "reference"
        folder.mkdir()
        paths = all_paths(folder) if scale == "full" else [FIXTURES / MODELS[0]]
        for path in paths:
            yield _figure(path)
        for name, covariates in SEARCHES.items() if scale != "tiny" else ():
            yield _figure(FIXTURES / name, covariates)


def _figure(path: Path, covariates: list[str] | None = None) -> Figure:
    found = compare(path, covariates)
    return Figure(
        name="forecast", seconds=found.spent, reference="the run", reference_seconds=sum(found.taken.values()),
        at={"model": found.name},
        more={
            "told": found.told, "taken": found.taken, "low": found.low, "high": found.high,
            "forecast_over_taken": found.ratio,
        },
    )  # fmt: skip
