"""How the cost of a fit grows with the number of subjects.

    python -m tests.benchmarks.large_populations [--subjects 12 100 1000 10000] [--observations 8] [--threads 1]
        [--settings n_draws=128] [--out large.json]

One compartment with absorption ($SUBROUTINES ADVAN2), three covariates, `--observations` per subject at random times,
fitted from the control stream. Every size runs in a process of its own. Prints processor seconds (user and system, all
threads) by part of the run, peak memory, and the exponents of growth of both between the two largest sizes; the
machine's load does not matter to them. The decoder's share is that of its calls in one thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measurement import peak_memory_mb

DOSE = 320.0
TRUTH = {"KA": 1.2, "CL": 3.0, "V": 30.0, "CL~WT": 0.75, "V~WT": 0.9, "CL~SEX": -0.2}
SDS = {"KA": 0.4, "CL": 0.3, "V": 0.2}
RESIDUAL = 0.1
COLUMNS = "ID TIME AMT DV MDV WT AGE SEX"

STREAM = f"""$PROBLEM Many subjects
$INPUT {COLUMNS}
$DATA population.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  MU_1 = LOG(THETA(1))
  MU_2 = LOG(THETA(2)) + THETA(4)*LOG(WT/70) + THETA(6)*SEX
  MU_3 = LOG(THETA(3)) + THETA(5)*LOG(WT/70)
  KA = EXP(MU_1 + ETA(1))
  CL = EXP(MU_2 + ETA(2))
  V  = EXP(MU_3 + ETA(3))
  S2 = V
$ERROR
  Y = F*(1 + EPS(1))
$THETA (0, 1) (0, 4) (0, 40) 0.5 0.5 0
$OMEGA 0.1 0.1 0.1
$SIGMA 0.04
$ESTIMATION METHOD=IMP INTERACTION
"""


def simulate(n_subjects: int, n_observations: int, rng: np.random.Generator) -> str:
    """The data file: a dose at 0, then observations at random times of one day."""
    weight = np.exp(rng.normal(np.log(70), 0.2, n_subjects)).round(1)
    age, sex = rng.integers(20, 80, n_subjects), rng.integers(0, 2, n_subjects)
    size = np.log(weight / 70)
    means = {"KA": 0.0, "CL": TRUTH["CL~WT"] * size + TRUTH["CL~SEX"] * sex, "V": TRUTH["V~WT"] * size}
    draws = {k: TRUTH[k] * np.exp(means[k] + sd * rng.standard_normal(n_subjects))[:, None] for k, sd in SDS.items()}
    times = np.sort(rng.uniform(0.25, 24, (n_subjects, n_observations)), axis=1)
    ka, k, v = draws["KA"], draws["CL"] / draws["V"], draws["V"]
    f = DOSE / v * ka / (ka - k) * (np.exp(-k * times) - np.exp(-ka * times))
    y = f * (1 + RESIDUAL * rng.standard_normal(f.shape))
    lines = [COLUMNS.replace(" ", ",")]
    for i in range(n_subjects):
        own = f"{weight[i]},{age[i]},{sex[i]}"
        lines.append(f"{i + 1},0,{DOSE:g},.,1,{own}")
        lines += [f"{i + 1},{t:.3f},.,{value:.4f},0,{own}" for t, value in zip(times[i], y[i], strict=True)]
    return "\n".join(lines) + "\n"


class _Meter:
    """Processor seconds of the parts of a fit, in the places where the fit keeps its own clock, and of the decoder."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self.decoder, self._last = 0.0, time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.parts[name] = self.parts.get(name, 0.0) + now - self._last
        self._last = now

    def watch(self) -> None:
        """The clock of the fit laps this meter too; calls of the closed form count as the decoder's."""
        from nlmevae.decoder.closed_form import ClosedFormDecoder
        from nlmevae.estimation.stages import Clock

        lap, solve = Clock.lap, ClosedFormDecoder._solve

        def both(clock: Clock, name: str) -> None:
            lap(clock, name)
            self.lap(name)

        def timed(decoder: ClosedFormDecoder, *given: Any) -> Any:
            start = time.thread_time()
            solution = solve(decoder, *given)
            self.decoder += time.thread_time() - start
            return solution

        Clock.lap, ClosedFormDecoder._solve = both, timed


def measure(n_subjects: int, n_observations: int, threads: int, settings: list[str]) -> dict[str, Any]:
    """One fit in this process."""
    import nlmevae

    options = dict(text.split("=", 1) for text in settings)
    numbers = {name: int(value) for name, value in options.items()}
    meter = _Meter()
    meter.watch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = simulate(n_subjects, n_observations, np.random.default_rng([n_subjects, n_observations]))
        (folder / "population.csv").write_text(text, encoding="ascii")
        (folder / "run.ctl").write_text(STREAM, encoding="ascii")
        del text
        meter.lap("simulation")
        wall = time.perf_counter()
        result = nlmevae.fit(folder / "run.ctl", threads=threads, **numbers)
        meter.lap("result and files")
    estimates = dict(zip(("KA", "CL", "V", "CL~WT", "V~WT", "CL~SEX"), result.thetas.tolist(), strict=True))
    parts = {name: s for name, s in meter.parts.items() if name != "simulation"}
    return {
        "subjects": n_subjects,
        "observations": result.n_obs_total,
        "threads": threads,
        "cpu_seconds": sum(parts.values()),
        "cpu_by_part": parts,
        "decoder_share": meter.decoder / sum(parts.values()) if threads == 1 else None,
        "wall_seconds": time.perf_counter() - wall,
        "peak_memory_mb": peak_memory_mb(),
        "status": result.status.name,
        "minus_two_ll": result.likelihood("is").minus_two_ll,
        "estimates": estimates,
    }


def exponent(found: list[dict[str, Any]], key: str, of: str = "observations") -> float:
    """p of key = c of^p, from the two largest runs."""
    small, large = sorted(found, key=lambda r: r[of])[-2:]
    return math.log(large[key] / small[key]) / math.log(large[of] / small[of])


def memory_per_subject(found: list[dict[str, Any]]) -> float:
    """kB of one more subject, from the two largest runs."""
    small, large = sorted(found, key=lambda r: r["subjects"])[-2:]
    return 1024 * (large["peak_memory_mb"] - small["peak_memory_mb"]) / (large["subjects"] - small["subjects"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[12, 100, 1000, 10_000])
    parser.add_argument("--observations", type=int, nargs="+", default=[8])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", nargs="*", default=[], metavar="NAME=WHOLE_NUMBER")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        size = arguments.subjects[0], arguments.observations[0]
        print(json.dumps(measure(*size, arguments.threads, arguments.settings)))
        return
    found = []
    for n, m in itertools.product(arguments.subjects, arguments.observations):
        command = [sys.executable, "-m", __spec__.name, "--one", "--subjects", str(n), "--observations", str(m)]
        command += ["--threads", str(arguments.threads), "--settings", *arguments.settings]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(run.stdout.splitlines()[-1]))
        last = found[-1]
        parts = " ".join(f"{name} {s:.1f}" for name, s in last["cpu_by_part"].items())
        share = "" if last["decoder_share"] is None else f", decoder {last['decoder_share']:.0%}"
        print(
            f"{n} subjects, {last['observations']} observations: {last['cpu_seconds']:.1f} s of processor ({parts})"
            f"{share}, {last['wall_seconds']:.1f} s, {last['peak_memory_mb']:.0f} MB, {last['status']}",
            flush=True,
        )
    summary = {"runs": found}
    if len(found) > 1:
        summary["exponent_of_cpu"] = exponent(found, "cpu_seconds")
        print(f"processor seconds grow as observations^{summary['exponent_of_cpu']:.2f} (the two largest)")
    if len(arguments.subjects) > 1 and len(arguments.observations) == 1:
        summary["memory_kb_per_subject"] = memory_per_subject(found)
        print(f"{summary['memory_kb_per_subject']:.0f} kB of memory per subject")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
