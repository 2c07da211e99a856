"""How the parts of a fit grow with subjects, observations, random effects and covariates.

Three compartments with absorption in closed form. A gradient step is the published algorithm's (one draw per subject),
a polish iteration has 64 draws per subject, the likelihood 256. torchode, forward and backward, stands beside a
gradient step up to `MOST_BESIDE` observations. With `OWN` subjects or more every part has a process of its own, whose
peak memory is told.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.measurement import Figure, median_seconds
from tests.benchmarks.one_part import PARTS, in_its_own_process
from tests.benchmarks.parts import parts_of
from tests.benchmarks.populations import Design, made_up

DRAWS = {"tiny": 16, "quick": 64, "full": 64}
MOST_BESIDE = 20_000  # observations
SUBJECTS = 200  # where something else varies
OWN = {"tiny": 5000, "quick": 500, "full": 5000}
SIZES = {
    "tiny": {"N": (4, 8)},
    "quick": {"N": (12, 100, 500, 2000), "observations": (5, 80), "random effects": (1, 7), "covariates": (1, 20)},
    "full": {"N": (12, 100, 500, 2000, 5000, 20_000), "observations": (5, 20, 80, 320),
             "random effects": (1, 3, 5, 7), "covariates": (1, 5, 20, 40)},
}  # fmt: skip


def measure(scale: str) -> Iterator[Figure]:
    for varies, sizes in SIZES[scale].items():
        for size in sizes:
            at: dict[str, float | str] = {"varies": varies, "size": size}
            with tempfile.TemporaryDirectory() as folder:
                path = made_up(_design(varies, size), Path(folder))
                if varies == "N" and size >= OWN[scale]:
                    yield from with_memory(path, at, draws=DRAWS[scale])
                else:
                    yield from here(path, at, draws=DRAWS[scale])


def _design(varies: str, size: int) -> Design:
    base = Design(n_subjects=SUBJECTS)
    names = {
        "N": "n_subjects", "observations": "n_observations", "random effects": "n_random", "covariates": "n_covariates",
    }  # fmt: skip
    return replace(base, **{names[varies]: size})


def here(path: Path, at: dict[str, float | str], *, draws: int) -> Iterator[Figure]:
    """In this process, the gradient step beside torchode."""
    with parts_of(path) as parts:
        for name, seconds_of in PARTS.items():
            seconds = seconds_of(parts, draws)
            if name == "gradient step" and parts.table.n_obs_total <= MOST_BESIDE:
                theirs = median_seconds(parts.torchode_step(), rounds=(1, 3))
                yield Figure(name=name, seconds=seconds, at=at, reference="torchode alone", reference_seconds=theirs)
            else:
                yield Figure(name=name, seconds=seconds, at=at)


def with_memory(path: Path, at: dict[str, float | str], *, draws: int) -> Iterator[Figure]:
    """Every part in a process of its own."""
    for name in PARTS:
        found = in_its_own_process(path, name, draws)
        yield Figure(
            name=name, seconds=found["seconds"], at=at, more={"peak_memory_mb": round(found["peak_memory_mb"], 1)}
        )
