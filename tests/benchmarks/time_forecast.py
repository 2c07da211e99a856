"""`nlmevae estimate-time` beside the time the run then takes.

    python -m tests.benchmarks.time_forecast            # the fixtures
    python -m tests.benchmarks.time_forecast run1.ctl   # other models

Prints seconds by part and the ratio of the two totals; both are of the estimation without start and writing, in one
process, one after the other.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from nlmevae.estimation.forecast import forecast
from nlmevae.estimation.settings import FitSettings
from nlmevae.pipeline import prepare, run_fit

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = (
    "theophylline/run_wt.ctl",
    "theophylline/run_wt_des.ctl",
    "theophylline_multiple/run_wt.ctl",
    "infusion_one_compartment/run1.ctl",
    "two_compartment_oral/run1.ctl",
    "parent_metabolite/run_cens.ctl",
    "indirect_response/run1.ctl",
    "tmdd/run1.ctl",
)


def compare(path: Path) -> float:
    """Forecast over the time of the run."""
    run, settings = prepare(path), FitSettings()
    found = forecast(run.model, run.table, settings)
    began = time.perf_counter()
    result = run_fit(run, settings)
    seconds = time.perf_counter() - began
    parts = {**found.parts, "approach": 0.0, "polish": found.parts["approach"] + found.parts["polish"]}
    told = ", ".join(f"{k} {parts[k]:.2f} ({result.seconds.get(k, 0.0):.2f})" for k in parts if k != "approach")
    counts = dict(Counter(row.phase for row in result.trace))
    ratio = found.seconds / seconds
    print(
        f"{'/'.join(path.parts[-2:]):<40} {found.seconds:8.2f} {seconds:8.2f} {ratio:6.2f}  {told}  {counts}",
        flush=True,
    )
    return ratio


def main(paths: list[str]) -> None:
    print(f"{'model':<40} {'forecast':>8} {'taken':>8} {'ratio':>6}  by part, taken in brackets")
    ratios = [compare(path) for path in (map(Path, paths) if paths else (FIXTURES / name for name in MODELS))]
    print(f"{sum(0.5 <= r <= 2 for r in ratios)} of {len(ratios)} within a factor of two")


if __name__ == "__main__":
    main(sys.argv[1:])
