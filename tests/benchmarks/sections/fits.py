"""Whole fits by model and number of subjects, each in a process of its own: the table a user asks for.

Seconds without start and imports; beside them, at the smallest size, the published algorithm (`--method vae`).
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
    "one compartment, single dose, $DES": "theophylline/run_base_des.ctl",
    "two compartments, 12 doses": "two_compartment_oral/run1.ctl",
    "neonates, $DES": "neonates/run_base.ctl",
    "indirect response, 12 doses, $DES": "indirect_response/run1.ctl",
    "target-mediated disposition, $DES": "tmdd/run1.ctl",
}
SUBJECTS = {"tiny": (4,), "quick": (20, 100), "full": (20, 100, 500, 2000)}
QUICK = 2  # models
LONGEST = 80.0  # seconds: a fit that would take longer, in proportion to the one before, is not run
TINY = {"training_iterations": 2, "burn_in_iterations": 1, "n_draws": 16, "final_draws": 64, "max_outer": 2}


def measure(scale: str) -> Iterator[Figure]:
    settings = TINY if scale == "tiny" else {}
    names = list(MODELS)[: {"tiny": 1, "quick": QUICK, "full": len(MODELS)}[scale]]
    for name in names:
        each = 0.0  # seconds of a subject, of the last size
        for k, n in enumerate(SUBJECTS[scale]):
            if each * n > LONGEST:
                break
            with tempfile.TemporaryDirectory() as folder:
                path = repeated(MODELS[name], n, Path(folder))
                found = in_its_own_process(path, settings)
                reference, theirs = "", None
                if k == 0 and (scale == "full" or (scale == "quick" and name == names[0])):
                    reference = "the published algorithm"
                    theirs = in_its_own_process(path, {"method": "vae"})["seconds"]
            each = found["seconds"] / n
            more = {key: found[key] for key in ("wall_seconds", "peak_memory_mb", "parts", "status")}
            yield Figure(
                name="fit", seconds=found["seconds"], reference=reference, reference_seconds=theirs,
                at={"model": name, "N": n}, more=more,
            )  # fmt: skip
