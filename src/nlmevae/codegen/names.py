"""Names in generated code: the model's own, made legal and kept apart from everything else."""

from __future__ import annotations

import re


def identifier(name: str) -> str:
    """``THETA(3)`` -> ``THETA_3``, ``DADT(1)`` -> ``DADT_1``, ``A_0(1)`` -> ``A_0_1``.

    A trailing underscore keeps user names from meeting Python keywords and library names.
    """
    return re.sub(r"\W+", "_", name).strip("_") + "_"
