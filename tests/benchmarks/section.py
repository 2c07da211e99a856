"""One section in this process: `python -m tests.benchmarks.section NAME SCALE OUT`, a JSON line per figure.

Lines are written as figures are measured, so that a section that ends early leaves what it has.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def run(name: str, scale: str, out: Path) -> None:
    module = importlib.import_module(f"tests.benchmarks.sections.{name}")
    with out.open("w", encoding="utf-8") as stream:
        for figure in module.measure(scale):
            stream.write(json.dumps(figure.as_dict()) + "\n")
            stream.flush()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
