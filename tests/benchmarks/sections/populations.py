"""Fits of up to 100,000 subjects: calls `tests.benchmarks.large_populations`, which prints what it finds as JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measurement import Figure, command_seconds, python

SUBJECTS = {
    "tiny": (12,),
    "quick": (12, 100),
    "full": (12, 100, 2000, 20_000),
    "large": (12, 100, 2000, 20_000, 100_000),
}


def measure(scale: str) -> Iterator[Figure]:
    few = ["--settings", "n_draws=16", "final_draws=64"] if scale == "tiny" else []
    for n in SUBJECTS[scale]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "large.json"
            sizes = ["--subjects", str(n), "--out", str(out)]
            command_seconds(python("-m", "tests.benchmarks.large_populations", *sizes, *few))
            found = json.loads(out.read_text(encoding="utf-8"))["runs"][0]
        yield Figure(
            name="fit of a large population", seconds=found["cpu_seconds"], at={"varies": "N", "size": n},
            more={
                "wall_seconds": found["wall_seconds"], "peak_memory_mb": found["peak_memory_mb"],
                "parts": found["cpu_by_part"], "decoder_share": found["decoder_share"], "status": found["status"],
            },
        )  # fmt: skip
