"""Files that may not be copied into the repository: the folder of reference data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def reference(path: str) -> Path:
    """The file below the reference folder: NLMEVAE_REFERENCE, else ../shared/reference beside the repository.

    Skips the test when the file is absent.
    """
    folder = Path(os.environ.get("NLMEVAE_REFERENCE") or _ROOT.parent / "shared" / "reference")
    found = folder / path
    if not found.exists():
        pytest.skip(f"reference data {path} is absent (set NLMEVAE_REFERENCE to the folder that has it)")
    return found
