"""Numbers as cells of a table."""

from __future__ import annotations

import math

from nlmevae.results.number_text import short_number

#: Where there is no number.
NONE = "–"


def cell(value: float | None, digits: int = 4) -> str:
    """Significant digits; a dash where there is no number; typographic minus."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return short_number(value, digits).replace("-", "−")


def percent_cell(value: float | None) -> str:
    """Without decimals from 100 on, one below."""
    if value is None or not math.isfinite(value):
        return NONE
    return (f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}").replace("-", "−")


def interval_cell(low: float, high: float, digits: int = 3) -> str:
    """``0.72 to 0.90``."""
    return NONE if math.isnan(low) or math.isnan(high) else f"{cell(low, digits)} to {cell(high, digits)}"


def p_cell(value: float) -> str:
    """p-values, three decimals."""
    if math.isnan(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def counted(n: int, noun: str) -> str:
    """``1 subject``, ``12 subjects``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
