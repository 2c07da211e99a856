"""One iteration of the polish, 256 draws per subject: modes, draws, weights and Newton steps; beside torchode's
predictions of as many draws alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measurement import Figure, cpu_seconds
from tests.benchmarks.parts import parts_of, polish_iteration_seconds
from tests.benchmarks.populations import repeated

#: Name -> control stream and back end.
MODELS = {
    "theophylline": ("theophylline/run_wt.ctl", "closed_form"),
    "theophylline, integrated": ("theophylline/run_wt.ctl", "compiled"),
    "neonates, $DES": ("neonates/run_base.ctl", "compiled"),
}
DRAWS = 256


def measure(scale: str) -> Iterator[Figure]:
    names = list(MODELS)[: {"tiny": 1, "quick": 2, "full": 3}[scale]]
    n = 3 if scale == "tiny" else 12
    draws = 16 if scale == "tiny" else DRAWS
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            stream, backend = MODELS[name]
            with parts_of(repeated(stream, n, Path(folder) / str(len(name))), backend=backend) as parts:
                own = polish_iteration_seconds(parts.problem, n_draws=draws)
                theirs = cpu_seconds(parts.torchode_predictions(draws=draws))
            yield Figure(
                name="polish iteration", seconds=own,
                reference="torchode's predictions alone", reference_seconds=theirs,
                at={"model": name, "N": n, "draws": draws},
            )  # fmt: skip
