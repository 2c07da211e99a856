"""Conversions without data, with something left out, and of every kind of event: all that is written, word for word."""

from __future__ import annotations

import pytest

from tests.translators.golden_cases import CASES, expected, produced


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_what_is_written_and_reported(case):
    found = produced(case)
    assert found == expected(case)
    assert "refused" in found["report.txt"] or "NOT the same" not in found["report.txt"]
    assert "proof: failed" not in found["report.txt"]
