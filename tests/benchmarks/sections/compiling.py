"""What the first fit on a machine waits for: engines and models compiled, and the same from the caches.

Every case is a process of its own; cold ones get empty folders for both caches. What is timed is the model from
text to its first predictions with derivatives, and the start of Python and imports are not. The reference needs no
compiler: the same gradient step by torchode, the first one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measurement import ROOT, Figure, one_thread, python
from tests.benchmarks.populations import FIXTURES

MODELS = {
    "one compartment, closed form": "theophylline/run_wt.ctl",
    "neonates, $DES": "neonates/run_base.ctl",
    "target-mediated disposition, $DES, stiff": "tmdd/run1.ctl",
}
SCRIPT = """
import sys, time
import nlmevae.estimation.fit, nlmevae.decoder.compiled, nlmevae.decoder.closed_form, nlmevae.decoder.ode_torch
from pathlib import Path
began = time.process_time()
from tests.benchmarks.parts import parts_of
with parts_of(Path(sys.argv[1])) as parts:
    if sys.argv[2] == "torchode":
        parts.torchode_step()()
    else:
        parts.problem.decoder.linearise(parts.inputs())
print(time.process_time() - began)
"""


def measure(scale: str) -> Iterator[Figure]:
    names = list(MODELS)[slice(*{"tiny": (0, 1), "quick": (1, 2), "full": (0, 3)}[scale])]
    for name in names:
        path = FIXTURES / MODELS[name]
        reference = _seconds(path, "torchode", None)
        what = "first gradient step by torchode"
        if scale != "tiny":
            with tempfile.TemporaryDirectory() as folder:
                cold = _seconds(path, "auto", Path(folder))
                known = _without_models(path, Path(folder))
            yield Figure(
                name="engines and model compiled", seconds=cold, at={"model": name}, reference=what,
                reference_seconds=reference,
            )  # fmt: skip
            yield Figure(
                name="model compiled, engines cached", seconds=known, at={"model": name}, reference=what,
                reference_seconds=reference,
            )  # fmt: skip
        _seconds(path, "auto", None)
        yield Figure(
            name="everything cached", seconds=_seconds(path, "auto", None), at={"model": name}, reference=what,
            reference_seconds=reference,
        )  # fmt: skip


def _without_models(path: Path, caches: Path) -> float:
    """With the engines in the cache, the model's own code not."""
    for file in (caches / "models").glob("*"):
        file.unlink()
    return _seconds(path, "auto", caches)


def _seconds(path: Path, backend: str, caches: Path | None) -> float:
    environment = one_thread()
    if caches is not None:
        environment |= {"NUMBA_CACHE_DIR": str(caches / "engines"), "NLMEVAE_CACHE_DIR": str(caches / "models")}
    command = python("-c", SCRIPT, str(path), backend)
    done = subprocess.run(command, cwd=ROOT, env=environment | _path(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-400:])
    return float(done.stdout.split()[-1])


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
