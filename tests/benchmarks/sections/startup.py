"""What a command costs before it does anything: help, import, check. References are Python and pharmpy."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from tests.benchmarks.measurement import Figure, commands_beside, nlmevae, python
from tests.benchmarks.populations import FIXTURES

STREAM = str(FIXTURES / "theophylline" / "run_wt.ctl")
PHARMPY = f"""
from pharmpy.modeling import read_model
model = read_model({STREAM!r})
print(model.statements, model.dataset.describe())
"""


def measure(scale: str) -> Iterator[Figure]:
    rounds = {"tiny": 1, "quick": 1, "full": 3}[scale]
    empty = python("-c", "pass")
    cases = {
        "import nlmevae": (python("-c", "import nlmevae"), empty, "python -c pass"),
        "nlmevae --help": (nlmevae("--help"), empty, "python -c pass"),
    }
    if scale != "tiny":
        cases["import of what a fit needs"] = (
            python("-c", "import nlmevae.estimation.fit"),
            python("-c", "import numba, scipy.special, scipy.linalg"),
            "import numba, scipy",
        )
        if find_spec("pharmpy"):
            reference = python("-c", PHARMPY), "pharmpy reads the same model and data"
        else:
            reference = python("-c", "import pandas"), "import pandas"
        cases["nlmevae check"] = (nlmevae("check", STREAM), *reference)
    for name, (own, reference, what) in cases.items():
        cpu, theirs, wall = commands_beside(own, reference, rounds=rounds)
        yield Figure(name=name, seconds=cpu, reference=what, reference_seconds=theirs, more={"wall_seconds": wall})
