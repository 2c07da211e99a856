"""NONMEM runs that the pharmpy-core wheel ships, found without importing pharmpy (that takes seconds)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


def wheel_file(name: str) -> Path:
    """A file of pharmpy's example models (``pheno.dta``, ``pheno.mod``, ...); skips the test without pharmpy."""
    spec = importlib.util.find_spec("pharmpy")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("pharmpy-core is not installed (pip install nlmevae[pharmpy])")
    found = Path(spec.submodule_search_locations[0]) / "internals" / "example_models" / name
    if not found.exists():
        pytest.skip(f"this pharmpy-core does not ship {name}")
    return found
