"""`nlmevae estimate-time` beside the time the run then takes.

    python -m tests.benchmarks.time_forecast            # fixtures, and reference data where they are
    python -m tests.benchmarks.time_forecast run1.ctl   # other models
    python -m tests.benchmarks.time_forecast --shared   # shares of the parts that threads divide
    python -m tests.benchmarks.time_forecast --commands # what commands take beside their fits

Prints the seconds of both, by part, and the ratio of the two totals. All are seconds of the processor on one thread:
what else the machine does is not counted. Start and writing are in neither.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nlmevae import pipeline
from nlmevae.cli.main import main as main_of_command
from nlmevae.estimation.forecast import forecast
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.estimation.stages import Clock
from nlmevae.pipeline import prepare, prepare_selection, run_fit, run_selection
from tests.benchmarks.populations import repeated
from tests.helpers.cases import stage

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = (
    "theophylline/run_wt.ctl",
    "theophylline/run_wt_des.ctl",  # integrated
    "theophylline_multiple/run_wt.ctl",
    "infusion_one_compartment/run1.ctl",
    "two_compartment_oral/run1.ctl",
    "parent_metabolite/run_cens.ctl",
    "indirect_response/run1.ctl",
    "tmdd/run1.ctl",
    "neonates/run_base.ctl",
)
#: Whose data are not in the repository.
CASES = ("phenobarbital", "phenobarbital_real", "warfarin")
#: What is searched -> covariates.
SEARCHES = {"theophylline/run_base.ctl": ["WT", "SEX"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Seconds of the processor by part; `told` is the forecast's with low and high, `spent` on making it."""

    name: str
    told: dict[str, float]
    taken: dict[str, float]
    low: float
    high: float
    spent: float
    iterations: dict[str, int]

    @property
    def ratio(self) -> float:
        """Forecast over taken."""
        return sum(self.told.values()) / sum(self.taken.values())

    def __str__(self) -> str:
        parts = dict.fromkeys([*self.told, *self.taken])
        both = ", ".join(f"{p} {self.told.get(p, 0.0):.2f} ({self.taken.get(p, 0.0):.2f})" for p in parts)
        total = f"{sum(self.told.values()):8.2f} {sum(self.taken.values()):8.2f} {self.ratio:6.2f}"
        return (
            f"{self.name:<40} {total}  [{self.low:.1f}, {self.high:.1f}] in {self.spent:.1f}  {both}  {self.iterations}"
        )


def compare(path: Path, covariates: list[str] | None = None) -> Comparison:
    """Forecast and run, in one process, one after the other; theophylline in $DES by the integrator."""
    backend = "compiled" if path.stem.endswith("_des") else "auto"
    settings, selection = FitSettings(threads=1, backend=backend), SelectionSettings()
    began = time.process_time()
    if covariates is None:
        run = prepare(path)
        found = forecast(run.model, run.table, settings)
        spent = time.process_time() - began
        with processor_clock():
            result = run_fit(run, settings)
    else:
        searched = prepare_selection(path, covariates=covariates)
        found = forecast(searched.model, searched.table, settings, searched.search, selection)
        spent = time.process_time() - began
        with processor_clock():
            result = run_selection(searched, settings, selection)
    fit = result if covariates is None else result.fit
    taken = {name: s for name, s in result.seconds.items() if name != "total"}
    taken["decisions"] = taken.pop("decisions", 0.0) + taken.pop("resamples", 0.0)
    told = {part.name: part.usual for part in found.parts}
    told["polish"] = told.pop("approach", 0.0) + told.get("polish", 0.0)
    return Comparison(
        name="/".join(path.parts[-2:]) + (" search" if covariates else ""),
        told=told,
        taken=taken,
        low=found.low,
        high=found.high,
        spent=spent,
        iterations=dict(Counter(row.phase for row in fit.trace)),
    )


@contextmanager
def processor_clock() -> Iterator[None]:
    """The run's own clock shows seconds of the processor."""
    before: Any = time.perf_counter
    time.perf_counter = time.process_time
    try:
        yield
    finally:
        time.perf_counter = before


def shared_by_threads(path: Path) -> dict[str, float]:
    """Part of a fit -> share of its processor seconds that are not those of the thread which waits for the others."""
    own: dict[str, float] = {}
    lap, last = Clock.lap, [time.thread_time()]

    def both(clock: Clock, name: str) -> None:
        lap(clock, name)
        now = time.thread_time()
        own[name] = own.get(name, 0.0) + now - last[0]
        last[0] = now

    Clock.lap = both
    try:
        with processor_clock():
            result = run_fit(prepare(path), FitSettings(threads=2))
    finally:
        Clock.lap = lap
    return {name: 1.0 - own[name] / result.seconds[name] for name in own if name != "setup"}


def after_the_run(*command: str) -> float:
    """Processor seconds of a command from the end of its fit or search: it writes, draws and shows."""
    ends: list[float] = []

    def marked(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            try:
                return work(*given, **named)
            finally:
                ends.append(time.process_time())

        return run

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for name in ("run_fit", "run_selection"):
            patch.setattr(pipeline, name, marked(getattr(pipeline, name)))
        main_of_command([*command, "--quiet", "--out", folder])
    return time.process_time() - ends[-1]


def all_paths(folder: Path) -> Iterator[Path]:
    yield from (FIXTURES / name for name in MODELS)
    for name in CASES:
        try:
            yield stage(name, folder)[0]
        except pytest.skip.Exception:
            continue


def main(paths: list[str]) -> None:
    if paths == ["--shared"]:
        with tempfile.TemporaryDirectory() as folder:
            print(shared_by_threads(repeated("theophylline/run_wt.ctl", 2000, Path(folder))))
        return
    if paths == ["--commands"]:
        model = str(FIXTURES / "theophylline/run_base.ctl")
        for command in (["fit", model], ["select", model, "--covariates", "WT"]):
            print(f"{command[0]}: {after_the_run(*command):.2f} s")
        return
    print(f"{'model':<40} {'forecast':>8} {'taken':>8} {'ratio':>6}  by part, taken in brackets")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, paths) if paths else all_paths(Path(folder)):
            found = compare(path)
            ratios.append(found.ratio)
            print(found, flush=True)
    for name, covariates in SEARCHES.items() if not paths else ():
        found = compare(FIXTURES / name, covariates)
        ratios.append(found.ratio)
        print(found, flush=True)
    print(f"{sum(0.5 <= r <= 2 for r in ratios)} of {len(ratios)} within a factor of two")


if __name__ == "__main__":
    main(sys.argv[1:])
