"""One part of an estimation in a process of its own, so that its memory is its own.

    python -m tests.benchmarks.one_part run.ctl "polish iteration" 64

Prints one JSON line: processor seconds of the part, peak memory of the process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nlmevae.likelihood.importance import importance_likelihood
from tests.benchmarks.measurement import ROOT, cpu_seconds, one_thread, peak_memory_mb, python
from tests.benchmarks.parts import FEW, Parts, gradient_step_seconds, laplace, parts_of, polish_iteration_seconds

LEAST = 256  # draws of the likelihood, whose parts have so many in any case
MANY = 5000  # subjects: with more, a gradient step is a median of fewer


def of_gradient_step(parts: Parts, n_draws: int) -> float:
    """With one draw per subject, whatever the number."""
    return gradient_step_seconds(parts.problem, iterations=8 if parts.problem.n_subjects < MANY else 2)


def of_polish_iteration(parts: Parts, n_draws: int) -> float:
    return polish_iteration_seconds(parts.problem, n_draws=n_draws)


def of_likelihood(parts: Parts, n_draws: int) -> float:
    problem = parts.problem
    joint = problem.joint(problem.initial)
    mode, chol = laplace(joint)

    def likelihood() -> None:
        importance_likelihood(joint, mode, chol, n_draws=max(n_draws, LEAST), rng=np.random.default_rng(1))

    if problem.n_subjects <= FEW:
        likelihood()
    return cpu_seconds(likelihood)


PARTS: dict[str, Callable[[Parts, int], float]] = {
    "gradient step": of_gradient_step,
    "polish iteration": of_polish_iteration,
    "likelihood": of_likelihood,
}


def in_its_own_process(path: Path, part: str, n_draws: int) -> dict[str, float]:
    """seconds and peak_memory_mb of one of PARTS.

    Raises:
        RuntimeError: it fails, with the end of what it printed.
    """
    command = python("-m", "tests.benchmarks.one_part", str(path), part, str(n_draws))
    done = subprocess.run(command, cwd=ROOT, env=one_thread(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-400:])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    _, stream, name, number = sys.argv
    with parts_of(Path(stream)) as model:
        spent = PARTS[name](model, int(number))
    print(json.dumps({"seconds": spent, "peak_memory_mb": peak_memory_mb()}))
