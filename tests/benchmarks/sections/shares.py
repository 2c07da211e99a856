"""The decoder's share of a large fit, and what Python costs in a gradient step of a small one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nlmevae.estimation.problem import Problem
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.trace import ProgressEvent
from nlmevae.estimation.vae import run_vae
from nlmevae.pipeline import prepare, run_fit
from tests.benchmarks.measurement import Figure, median_seconds
from tests.benchmarks.parts import gradient_step_seconds, parts_of
from tests.benchmarks.populations import repeated
from tests.benchmarks.stopwatch import Stopwatch

LARGE = {"one compartment, closed form": "theophylline/run_wt.ctl",
         "neonates, $DES": "neonates/run_base.ctl",
         "two compartments, 12 doses": "two_compartment_oral/run1.ctl"}  # fmt: skip

FEWEST = 100  # subjects: with fewer only whether it works is of interest
#: Parts whose time is spent in compiled code, if the data are not tiny.
COMPILED = ("decoder", "encoder", "densities")


def measure(scale: str) -> Iterator[Figure]:
    n = {"tiny": 20, "quick": 200, "full": 500}[scale]
    small = {"closed form": "closed_form", "compiled": "compiled"}
    with tempfile.TemporaryDirectory() as folder:
        path = repeated("theophylline/run_wt.ctl", 12, Path(folder) / "small")
        for name, backend in list(small.items())[: 1 if scale == "tiny" else 2]:
            yield small_step(name, path, backend, scale)
        for k, (name, stream) in enumerate(list(LARGE.items())[: {"tiny": 1, "quick": 2, "full": 2}[scale]]):
            yield large_fit(name, repeated(stream, n, Path(folder) / f"large{k}"), n)


def large_fit(name: str, path: Path, n: int) -> Figure:
    """Without a second side: what is looked at is what a fit's seconds consist of."""
    run, watch = prepare(path), Stopwatch()
    short = {"max_outer": 1, "its_iterations": 1, "n_alternatives": 0, "final_draws": 64}
    settings = FitSettings(**(short if n < FEWEST else {}))
    run_fit(prepare(path), FitSettings(**short, burn_in_iterations=1, training_iterations=1))  # loads kernels
    with watch.watching():
        began = time.process_time()
        result = run_fit(run, settings)
        seconds = time.process_time() - began
    share = {part: s / seconds for part, s in watch.seconds.items()}
    return Figure(
        name="a large fit", seconds=seconds, at={"model": name, "N": n},
        more={
            "share": share | {"everything else": 1.0 - sum(share.values())},
            "parts": result.seconds,
            "status": result.status.name,
        },
    )  # fmt: skip


def small_step(name: str, path: Path, backend: str, scale: str) -> Figure:
    """N = 12, the method's own schedule. Python is what is neither in the decoder, nor in encoder and Adam, nor in the
    kernels of the densities, and a call of the decoder for one subject, which is mostly Python."""
    iterations = 4 if scale == "tiny" else 60
    with parts_of(path, backend=backend) as parts:
        gradient_step_seconds(parts.problem, method="vae+polish", iterations=2)
        each = step_by_part(parts.problem, iterations)
        whole = gradient_step_seconds(parts.problem, method="vae+polish", iterations=iterations)
        x, decoder = parts.inputs(), parts.problem.decoder
        one = median_seconds(lambda: decoder.linearise(x[:1], np.zeros(1, dtype=np.int32)))
        theirs = median_seconds(parts.torchode_step(draws=8), budget=0.1 if scale == "tiny" else 2.0)
    return Figure(
        name="a gradient step of the VAE", seconds=whole, reference="torchode alone, as many draws",
        reference_seconds=theirs, at={"model": name, "N": 12}, 
        more={"parts": each, "one_subject_seconds": one, "python_seconds": each["Python"] + one},
    )  # fmt: skip


def step_by_part(problem: Problem, iterations: int) -> dict[str, float]:
    """Median seconds of a gradient step in each part; "Python" is the rest, with the step's share of the M step."""
    watch, seen = Stopwatch(), []

    def note(event: ProgressEvent) -> None:
        if event.row.phase == "vae":
            seen.append([time.process_time(), *watch.seconds.values()])

    settings = FitSettings(burn_in_iterations=1, training_iterations=iterations)
    with watch.watching():
        run_vae(problem, settings, note)
    whole, *parts = np.median(np.diff(seen, axis=0), axis=0) / settings.steps
    found = {part: s for part, s in zip(watch.seconds, map(float, parts), strict=True) if part in COMPILED}
    return found | {"Python": float(whole) - sum(found.values())}
