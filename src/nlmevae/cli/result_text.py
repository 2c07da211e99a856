"""The text `nlmevae fit` prints at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from nlmevae.cli.text_table import duration, short_number, text_table
from nlmevae.results.fit_result import FitResult
from nlmevae.results.summary_table import EstimateRow, LikelihoodRow, estimate_rows, likelihood_rows


def result_text(result: FitResult, *, paths: Sequence[Path]) -> str:
    """Status, estimates, likelihoods, files. Warnings are not here: they go to stderr."""
    blocks = [
        _head(result),
        estimate_lines(estimate_rows(result)),
        uncertainty_lines(result),
        derived_lines(result),
        likelihood_lines(likelihood_rows(result)),
        shrinkage_lines(result),
    ]
    blocks.append([f"Wrote {path}" for path in paths])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(result: FitResult) -> list[str]:
    title = f"{result.source_path}: {result.problem}" if result.problem else result.source_path
    size = f"{result.n_subjects} subjects, {result.n_obs_total} observations{_censored(result)}"
    seconds = sum(result.seconds.values()) if "total" not in result.seconds else result.seconds["total"]
    return [
        title,
        result.message or result.status.sentence,
        f"{size}; method {result.method}, seed {result.seed}, {duration(seconds)}",
        *_endpoints(result),
    ]


def _endpoints(result: FitResult) -> list[str]:
    """Where there are several."""
    if len(result.endpoints) < 2:
        return []
    counts = [f"{e.n_obs}" + (f" ({e.n_censored} censored)" if e.n_censored else "") for e in result.endpoints]
    return [f"Endpoints: {', '.join(f'{e.name} {n}' for e, n in zip(result.endpoints, counts, strict=True))}"]


def _censored(result: FitResult) -> str:
    n = result.n_obs_total - result.n_known
    return f" ({n} of them censored)" if n else ""


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


def shrinkage_lines(result: FitResult) -> list[str]:
    """ETABAR and every shrinkage in percent, one row per random effect; nothing where none could be computed."""
    found, rows, monolix = result.shrinkage, [], result.source_format == "monolix"
    for k, (name, label) in enumerate(zip(result.eta_names, result.eta_labels, strict=True)):
        if math.isfinite(found.means.sd[k]):
            percent = (found.means.sd[k], found.modes.sd[k], found.ebv_sd[k], found.relative_information[k])
            bar = (found.means.bar[k], found.means.standard_error[k], found.means.p_value[k])
            names = (label.removeprefix("omega_"),) if monolix else (name, label)
            rows.append((*names, *(short_number(float(v), 3) for v in bar), *map(_known_percent, percent)))
    if not rows:
        return []
    header = (
        "Random effect",
        *(() if monolix else ("",)),
        "ETABAR",
        "SE",
        "p",
        "Shrinkage %",
        "of modes",
        "EBV",
        "Information %",
    )
    names = [e.name for e in result.endpoints] if monolix else []
    eps = ", ".join(
        f"{names[k] if k < len(names) else f'EPS({k + 1})'} {value:.1f} %"
        for k, value in enumerate(found.eps_sd)
        if math.isfinite(value)
    )
    return [*text_table(header, rows, left=1 if monolix else 2), *([f"Shrinkage of residuals: {eps}"] if eps else [])]


def _known_percent(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else ""
