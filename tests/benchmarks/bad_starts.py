"""How often the default method reaches the optimum from bad starting values.

    python -m tests.benchmarks.bad_starts [theophylline phenobarbital warfarin] [--starts 20]

Every THETA that carries a random effect is multiplied or divided by 5 (random sign each), every
OMEGA variance multiplied by 4. A start succeeds when -2LL (importance sampling) is at most the
optimum + 1. Optima: the best value known for the model on this data.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.helpers.cases import CASES, stage


def bad_start(model, rng: np.random.Generator):
    """The model with initial THETAs times 5**(+-1) within their bounds, and OMEGA times 4."""

    def moved(theta):
        if theta.fixed or theta.role != "typical_value":
            return theta
        init = theta.init * 5.0 ** rng.choice([-1, 1])
        return dataclasses.replace(theta, init=float(np.clip(init, theta.lower, theta.upper)))

    omega = tuple(
        block
        if block.fixed
        else dataclasses.replace(block, matrix=tuple(tuple(4 * v for v in row) for row in block.matrix))
        for block in model.omega
    )
    return dataclasses.replace(model, thetas=tuple(moved(t) for t in model.thetas), omega=omega)


def run(name: str, n_starts: int) -> int:
    """Number of successes; one line per start."""
    from nlmevae import read_model
    from nlmevae.data.event_table import event_table
    from nlmevae.data.read import read_dataset
    from nlmevae.estimation.fit import fit_model
    from nlmevae.estimation.settings import FitSettings

    with tempfile.TemporaryDirectory() as folder:
        stream, case = stage(name, Path(folder))
        stated = read_model(stream)
        dataset = read_dataset(stated)
    table = event_table(stated, dataset)
    successes = 0
    for start in range(n_starts):
        model = bad_start(stated, np.random.default_rng(1000 + start))
        began = time.perf_counter()
        result = fit_model(model, dataset, table, FitSettings(seed=start))
        reached = result.minus_two_ll <= case.optimum + 1
        successes += reached
        print(
            f"{name} {start:2d} {'ok  ' if reached else 'MISS'} -2LL {result.minus_two_ll:9.2f} "
            f"(optimum {case.optimum}) {result.status.name} {time.perf_counter() - began:.1f} s",
            flush=True,
        )
    print(f"{name}: {successes}/{n_starts}")
    return successes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--starts", type=int, default=20)
    arguments = parser.parse_args()
    for case_name in arguments.cases:
        run(case_name, arguments.starts)
