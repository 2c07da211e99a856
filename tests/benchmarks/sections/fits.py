"""Whole fits by model and number of subjects, each in a process of its own: the table a user asks for.

Seconds without start and imports; beside them, at the smallest size, the published algorithm (`--method vae`). Where
the sizes that were fitted say nothing of memory, because every process has some hundred MB whatever its data, short
runs with all draws of a fit tell it (figures "memory").
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measurement import Figure
from tests.benchmarks.one_fit import in_its_own_process
from tests.benchmarks.populations import repeated

MODELS = {
    "one compartment, single dose": "theophylline/run_base.ctl",
    "one compartment, single dose, integrated": "theophylline/run_base.ctl",
    "two compartments, 12 doses": "two_compartment_oral/run1.ctl",
    "neonates, $DES": "neonates/run_base.ctl",
    "indirect response, 12 doses, $DES": "indirect_response/run1.ctl",
    "target-mediated disposition, $DES": "tmdd/run1.ctl",
}
#: Models with a closed form that are to be fitted without it.
INTEGRATED = {"one compartment, single dose, integrated": {"backend": "compiled"}}
SUBJECTS = {"tiny": (4,), "quick": (20, 100), "full": (20, 100, 500, 2000)}
QUICK = 2  # models
LONGEST = 40.0  # seconds: a fit that would take longer, in proportion to the one before, is not run
TINY = {"training_iterations": 2, "burn_in_iterations": 1, "n_draws": 16, "final_draws": 64, "max_outer": 2}
#: Subjects of the runs that tell memory, and their settings: an iteration, and one that tests convergence.
MEMORY = {"tiny": (4, 8), "quick": (100, 500), "full": (100, 500)}
SHORT = {
    "training_iterations": 1, "burn_in_iterations": 1, "its_iterations": 1, "n_alternatives": 0, "max_outer": 2,
    "gain_tolerance": 1e9, "final_draws": 256, "covariance": "none",
}  # fmt: skip


def measure(scale: str) -> Iterator[Figure]:
    names = list(MODELS)[: {"tiny": 1, "quick": QUICK, "full": len(MODELS)}[scale]]
    for name in names:
        largest, beside = 0, scale == "full" or (scale == "quick" and name == names[0])
        for figure in fits(name, scale, beside=beside):
            largest = max(largest, int(figure.at["N"]))
            yield figure
        if largest < MEMORY[scale][1] * 4:  # else two sizes with full samples were fitted
            yield from memory(name, scale)


def fits(name: str, scale: str, *, beside: bool) -> Iterator[Figure]:
    """By number of subjects; `beside`: the smallest also by the published algorithm."""
    settings = INTEGRATED.get(name, {}) | (TINY if scale == "tiny" else {})
    each = 0.0  # seconds of a subject, of the last size
    for k, n in enumerate(SUBJECTS[scale]):
        if each * n > LONGEST:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = repeated(MODELS[name], n, Path(folder))
            found = in_its_own_process(path, settings)
            reference, theirs = "", None
            if k == 0 and beside:
                reference = "the published algorithm"
                theirs = in_its_own_process(path, INTEGRATED.get(name, {}) | {"method": "vae"})["seconds"]
        each = found["seconds"] / n
        more = {key: found[key] for key in ("wall_seconds", "peak_memory_mb", "parts", "status")}
        yield Figure(
            name="fit", seconds=found["seconds"], reference=reference, reference_seconds=theirs,
            at={"model": name, "N": n}, more=more,
        )  # fmt: skip


def memory(name: str, scale: str) -> Iterator[Figure]:
    for n in MEMORY[scale]:
        with tempfile.TemporaryDirectory() as folder:
            found = in_its_own_process(
                repeated(MODELS[name], n, Path(folder)),
                SHORT | INTEGRATED.get(name, {}) | (TINY if scale == "tiny" else {}),
            )
        yield Figure(
            name="memory", seconds=found["seconds"], at={"model": name, "N": n},
            more={"peak_memory_mb": found["peak_memory_mb"]},
        )  # fmt: skip
