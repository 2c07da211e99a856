"""The text `nlmevae profile` prints at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from nlmevae.cli.text_table import short_number, text_table
from nlmevae.results.fit_result import FitResult
from nlmevae.results.profile_result import ParameterProfile, ProfileResult


def profile_text(result: ProfileResult, fitted: FitResult, *, paths: Sequence[Path]) -> str:
    """Intervals beside those from standard errors, notes, files."""
    level = f"{100 * result.level:g} %"
    known = fitted.uncertainty
    same = known is not None and known.level == result.level
    by_label = fitted.source_format == "monolix"  # whose THETA(n) are nobody's names
    rows = [[*_row(p, by_label=by_label), _wald(p, fitted) if same else ""] for p in result.profiles]
    header = ["Parameter", "", "Estimate", f"{level} profile interval", "MC error", f"{level} CI from SE"]
    blocks = [text_table(header, rows, left=2)] if rows else []
    blocks.append([f"{_own_name(p) if by_label else p.name}: {p.note}" for p in result.profiles if p.note])
    blocks.append([f"Wrote {path}" for path in paths])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _row(profile: ParameterProfile, *, by_label: bool) -> list[str]:
    error = max((e for e in profile.mc_error if math.isfinite(e)), default=math.nan)
    return [
        _own_name(profile) if by_label else profile.name,
        profile.label if profile.label != profile.name and not by_label else "",
        short_number(profile.estimate),
        f"{short_number(profile.low)} to {short_number(profile.high)}",
        "" if math.isnan(error) else short_number(error, 2),
    ]


def _own_name(profile: ParameterProfile) -> str:
    """A project's name; what is profiled of omega is its square."""
    if not profile.name.startswith("OMEGA("):
        return profile.label
    row, column = profile.name.removeprefix("OMEGA(").removesuffix(")").split(",")
    return f"{profile.label}^2" if row == column else f"covariance of {profile.label}"


def _wald(profile: ParameterProfile, fitted: FitResult) -> str:
    low, high = fitted.uncertainty.intervals[fitted.uncertainty.names.index(profile.name)].tolist()
    return "" if math.isnan(low) else f"{short_number(low)} to {short_number(high)}"
