"""Whole covariate searches, beside the same with the published algorithm (`--method vae`: 400 iterations of 5 steps).

The published algorithm as it was published also integrates by torchode: that time is 2000 times torchode
forward and backward.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measurement import Figure, commands_beside, median_seconds, nlmevae
from tests.benchmarks.one_fit import in_its_own_process
from tests.benchmarks.parts import parts_of
from tests.benchmarks.populations import FIXTURES, repeated, two_compartments_with_covariates
from tests.benchmarks.sections.fits import TINY
from tests.benchmarks.selection import neonates_data

THEOPHYLLINE = "theophylline/run_base.ctl"
PUBLISHED_STEPS = 5 * (100 + 300)


def measure(scale: str) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weight_and_sex = {"covariates": ["WT"], "categorical": ["SEX"]}
        path = repeated(THEOPHYLLINE, 12, folder / "t")
        if scale == "tiny":
            found = in_its_own_process(path, TINY, weight_and_sex | {"resamples": 0})
            yield Figure(name="search", seconds=found["seconds"], at={"case": "theophylline, 12 subjects"})
            return
        theophylline = FIXTURES / THEOPHYLLINE
        first = beside_the_published("theophylline, 12 subjects, 6 candidates", theophylline, weight_and_sex)
        yield from (first, by_torchode(first, theophylline))
        yield as_a_command(theophylline, folder, rounds=1 if scale == "quick" else 3)
        if scale == "quick":
            return
        path = two_compartments_with_covariates(80, folder / "ode")
        case = "two compartments, $DES in closed form, 80 subjects, 10 candidates"
        yield beside_the_published(case, path, {"covariates": ["WT", "AGE"]})
        for n in (189, 2425):
            case = f"neonates, $DES, {n} subjects, 25 candidates"
            yield beside_the_published(case, _neonates(n, folder / str(n)), _COVARIATES)


_COVARIATES = {"covariates": list(neonates_data.CONTINUOUS), "categorical": list(neonates_data.CATEGORICAL)}


def _neonates(n: int, folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng([n, 0])
    (folder / "neonates.csv").write_text(neonates_data.simulate(rng, n), encoding="ascii")
    (folder / "run.ctl").write_text(neonates_data.control_stream("neonates.csv"), encoding="ascii")
    return folder / "run.ctl"


def beside_the_published(case: str, path: Path, search: dict[str, Any]) -> Figure:
    found = in_its_own_process(path, {}, search)
    published = in_its_own_process(path, {"method": "vae"}, search)
    return Figure(
        name="search", seconds=found["seconds"], at={"case": case}, reference="the published algorithm, our decoder",
        reference_seconds=published["seconds"], more=_more(found) | {"published": _more(published)},
    )  # fmt: skip


def by_torchode(first: Figure, path: Path) -> Figure:
    """The same search beside the published algorithm's gradient steps on torchode."""
    with parts_of(path) as parts:
        step = median_seconds(parts.torchode_step(), rounds=(3, 5))
    reference = "the published algorithm, torchode in its 2000 steps alone"
    return replace(first, reference=reference, reference_seconds=PUBLISHED_STEPS * step, more={})


def as_a_command(path: Path, folder: Path, *, rounds: int) -> Figure:
    words = ["select", str(path), "--covariates", "WT", "--categorical", "SEX", "--quiet", "--overwrite"]
    own, theirs, wall = commands_beside(
        nlmevae(*words, "--out", str(folder / "own")),
        nlmevae(*words, "--method", "vae", "--out", str(folder / "published")), rounds=rounds,
    )  # fmt: skip
    return Figure(
        name="search as a command", seconds=own, at={"case": "theophylline, 12 subjects, 6 candidates"},
        reference="the same with --method vae", reference_seconds=theirs, more={"wall_seconds": wall},
    )  # fmt: skip


def _more(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("wall_seconds", "peak_memory_mb", "parts", "status", "support", "minus_two_ll")}
