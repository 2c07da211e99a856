"""`nlmevae estimate-time` beside the fit it forecasts: calls `tests.benchmarks.time_forecast`."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator

from tests.benchmarks.measurement import Figure


def measure(scale: str) -> Iterator[Figure]:
    from tests.benchmarks.time_forecast import FIXTURES, MODELS, compare

    for name in MODELS[: {"tiny": 1, "quick": 1, "full": len(MODELS)}[scale]]:
        began = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            ratio = compare(FIXTURES / name)
        yield Figure(
            name="forecast and fit", seconds=time.process_time() - began, at={"model": name},
            more={"forecast_over_taken": ratio},
        )  # fmt: skip
