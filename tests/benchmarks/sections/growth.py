"""How the parts of a fit grow with subjects, observations, random effects and covariates.

Three compartments with absorption in closed form. A gradient step is the published algorithm's (one draw per subject),
a polish iteration has 256 draws per subject (64 in a quick run), the likelihood 256. torchode, forward and backward,
stands beside a gradient step up to `MOST_BESIDE` observations.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlmevae.likelihood.importance import importance_likelihood
from tests.benchmarks.measurement import Figure, cpu_seconds, median_seconds
from tests.benchmarks.parts import FEW, Parts, gradient_step_seconds, laplace, parts_of, polish_iteration_seconds
from tests.benchmarks.populations import Design, made_up

DRAWS = {"tiny": 16, "quick": 64, "full": 256}
LEAST = 256  # of the likelihood, whose parts have so many in any case
MOST_BESIDE = 20_000  # observations
SUBJECTS = 200  # where something else varies
SIZES = {
    "tiny": {"N": (4, 8)},
    "quick": {"N": (12, 100, 500, 2000), "observations": (5, 80), "random effects": (1, 7), "covariates": (1, 20)},
    "full": {"N": (12, 100, 500, 2000, 5000), "observations": (5, 20, 80, 320),
             "random effects": (1, 2, 3, 4, 5, 6, 7), "covariates": (1, 2, 5, 10, 20, 40)},
}  # fmt: skip


def measure(scale: str) -> Iterator[Figure]:
    for varies, sizes in SIZES[scale].items():
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder, parts_of(made_up(_design(varies, size), Path(folder))) as p:
                yield from of_size(p, {"varies": varies, "size": size}, draws=DRAWS[scale])


def _design(varies: str, size: int) -> Design:
    base = Design(n_subjects=SUBJECTS)
    names = {
        "N": "n_subjects", "observations": "n_observations", "random effects": "n_random", "covariates": "n_covariates",
    }  # fmt: skip
    return replace(base, **{names[varies]: size})


def of_size(parts: Parts, at: dict[str, float | str], *, draws: int) -> Iterator[Figure]:
    problem, n_obs = parts.problem, parts.table.n_obs_total
    step = gradient_step_seconds(problem)
    if n_obs <= MOST_BESIDE:
        theirs = median_seconds(parts.torchode_step(), rounds=(1, 3))
        yield Figure(name="gradient step", seconds=step, at=at, reference="torchode alone", reference_seconds=theirs)
    else:
        yield Figure(name="gradient step", seconds=step, at=at)
    yield Figure(name="polish iteration", seconds=polish_iteration_seconds(problem, n_draws=draws), at=at)
    joint = problem.joint(problem.initial)
    mode, chol = laplace(joint)

    def likelihood() -> None:
        importance_likelihood(joint, mode, chol, n_draws=max(draws, LEAST), rng=np.random.default_rng(1))

    if problem.n_subjects <= FEW:
        likelihood()
    yield Figure(name="likelihood", seconds=cpu_seconds(likelihood), at=at)
