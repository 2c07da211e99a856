"""The text `nlmevae fit` prints at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlmevae.cli.text_table import duration, short_number, text_table
from nlmevae.results.fit_result import FitResult
from nlmevae.results.summary_table import EstimateRow, LikelihoodRow, estimate_rows, likelihood_rows


def result_text(result: FitResult, *, paths: Sequence[Path]) -> str:
    """Status, estimates, likelihoods, files. Warnings are not here: they go to stderr."""
    blocks = [_head(result), estimate_lines(estimate_rows(result)), uncertainty_lines(result)]
    blocks.append(derived_lines(result))
    blocks.append(likelihood_lines(likelihood_rows(result)))
    blocks.append([f"Wrote {path}" for path in paths])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(result: FitResult) -> list[str]:
    title = f"{result.source_path}: {result.problem}" if result.problem else result.source_path
    size = f"{result.n_subjects} subjects, {result.n_obs_total} observations"
    seconds = sum(result.seconds.values()) if "total" not in result.seconds else result.seconds["total"]
    return [
        title,
        result.message or result.status.sentence,
        f"{size}; method {result.method}, seed {result.seed}, {duration(seconds)}",
    ]


def estimate_lines(rows: Sequence[EstimateRow]) -> list[str]:
    """Table of the population parameters; columns that would be empty are left out."""
    if not rows:
        return []
    columns = [
        ("Parameter", [row.name for row in rows]),
        ("", [row.label if row.label != row.name else "" for row in rows]),
        ("Initial", [short_number(row.init) for row in rows]),
        ("Estimate", [short_number(row.value) for row in rows]),
        ("SE", [short_number(row.standard_error, 3) for row in rows]),
        ("RSE %", [_percent(row.rse_percent) for row in rows]),
        ("95 % CI", [_interval(row.low, row.high) for row in rows]),
        ("SD|corr", [short_number(row.sd, 3) for row in rows]),
        ("CV %", [_percent(row.cv_percent) for row in rows]),
        ("Shrinkage %", [_percent(row.shrinkage_percent) for row in rows]),
        ("Remark", [row.remark for row in rows]),
    ]
    shown = [(name, cells) for name, cells in columns if any(cells)]
    table = [[cells[k] for _, cells in shown] for k in range(len(rows))]
    return text_table([name for name, _ in shown], table, left=2 if any(columns[1][1]) else 1)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{short_number(low, 3)} to {short_number(high, 3)}"


def uncertainty_lines(result: FitResult) -> list[str]:
    """How the standard errors were computed and how well conditioned they are. Why there are none is a warning."""
    known = result.uncertainty
    if known is None or known.method == "none":
        return []
    return [known.status, f"Condition number of the correlation matrix: {short_number(known.condition_number, 3)}."]


def derived_lines(result: FitResult) -> list[str]:
    """Functions of the parameters that were asked for."""
    if not result.derived:
        return []
    rows = [
        [
            q.text,
            short_number(q.value),
            short_number(q.standard_error, 3),
            "" if q.standard_error is None or q.value == 0 else f"{100 * q.standard_error / abs(q.value):.1f}",
            "" if q.standard_error is None else _interval(q.low, q.high),
        ]
        for q in result.derived
    ]
    return text_table(["Derived", "Value", "SE", "RSE %", "95 % CI"], rows)


def likelihood_lines(rows: Sequence[LikelihoodRow]) -> list[str]:
    """Every likelihood and criterion by its name."""
    width = max((len(row.label) for row in rows), default=0)
    return [
        f"{row.label:<{width}}  {row.value:12.3f}" + (f"  (Monte-Carlo SE {row.mc_se:.3f})" if row.mc_se else "")
        for row in rows
    ]
