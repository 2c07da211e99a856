"""2. The population parameters with their uncertainty."""

from __future__ import annotations

import math

import numpy as np

from nlmevae.report.page.blocks import Block, Heading, Paragraph, Section, Table
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.numbers import NONE, cell, interval_cell, percent_cell
from nlmevae.report.page.picture import picture
from nlmevae.report.plots.parameter_correlation import parameter_correlation_figure
from nlmevae.results.fit_result import FitResult
from nlmevae.results.summary_table import EstimateRow, estimate_rows

#: Correlations of estimates that are listed in words.
HIGH_CORRELATION = 0.9


def estimates(contents: Contents) -> Section:
    fit = contents.fit
    rows = estimate_rows(fit)
    blocks: list[Block] = []
    if fit.source_format == "monolix":
        tables = [_project(rows).without_empty_columns()] if rows else []
        return Section(anchor="estimates", title="Parameter estimates", blocks=(*tables, *_uncertainty(contents)))
    for kind, make in (("theta", _thetas), ("omega", _omegas), ("sigma", _sigmas)):
        chosen = [row for row in rows if row.kind == kind]
        if chosen:
            blocks.append(make(contents, chosen).without_empty_columns())
    if not rows:
        blocks.append(Paragraph(text="The model has no parameters."))
    blocks += _uncertainty(contents)
    return Section(anchor="estimates", title="Parameter estimates", blocks=tuple(blocks))


def _project(rows: tuple[EstimateRow, ...]) -> Table:
    return Table(
        caption="Population parameters of the project; omega are standard deviations. CV of log-normal parameters; "
        "shrinkage of the conditional means on the SD scale.",
        header=("Parameter", "Estimate", "SE", "RSE %", "95 % CI", "CV %", "Shrinkage %", "Initial", "Remark"),
        rows=tuple(
            (
                row.name, cell(row.value), cell(row.standard_error, 3), _rse(row),
                NONE if row.low is None or row.high is None else interval_cell(row.low, row.high),
                percent_cell(row.cv_percent), percent_cell(row.shrinkage_percent), cell(row.init), row.remark,
            )
            for row in rows
        ),
        texts=(8,),
        quiet=_fixed(list(rows)),
    )  # fmt: skip


def _thetas(contents: Contents, rows: list[EstimateRow]) -> Table:
    known = {e.name: e for e in contents.fit.estimates}
    return Table(
        caption="Fixed effects (THETA), on their own scale.",
        header=("Parameter", "Label", "Estimate", "SE", "RSE %", "95 % CI", "Initial", "Bounds", "Remark"),
        rows=tuple(
            (
                row.name, _label(row), cell(row.value), cell(row.standard_error, 3), _rse(row),
                _interval(contents, row.name), cell(row.init), _bounds(known[row.name]), row.remark,
            )
            for row in rows
        ),
        texts=(1, 7, 8),
        quiet=_fixed(rows),
    )  # fmt: skip


def _omegas(contents: Contents, rows: list[EstimateRow]) -> Table:
    return Table(
        caption="Random effects (OMEGA): variances and covariances; SD or correlation. CV of log-normal parameters; "
        "shrinkage of the conditional means on the SD scale.",
        header=(
            "Parameter", "Label", "Estimate", "SE", "RSE %", "95 % CI", "SD or corr.", "95 % CI of it", "CV %",
            "Shrinkage %", "Remark",
        ),
        rows=tuple(
            (
                row.name, _label(row), cell(row.value), cell(row.standard_error, 3), _rse(row),
                _interval(contents, row.name), cell(row.sd, 3),
                _interval(contents, row.name, of_sd=True), percent_cell(row.cv_percent),
                percent_cell(row.shrinkage_percent), row.remark,
            )
            for row in rows
        ),
        texts=(1, 10),
        quiet=_fixed(rows),
    )  # fmt: skip


def _sigmas(contents: Contents, rows: list[EstimateRow]) -> Table:
    return Table(
        caption="Residual error (SIGMA): variances; SD; shrinkage of the weighted residuals.",
        header=("Parameter", "Label", "Estimate", "SE", "RSE %", "95 % CI", "SD or corr.", "Shrinkage %", "Remark"),
        rows=tuple(
            (
                row.name, _label(row), cell(row.value), cell(row.standard_error, 3), _rse(row),
                _interval(contents, row.name), cell(row.sd, 3), percent_cell(row.shrinkage_percent), row.remark,
            )
            for row in rows
        ),
        texts=(1, 8),
        quiet=_fixed(rows),
    )  # fmt: skip


def _fixed(rows: list[EstimateRow]) -> tuple[int, ...]:
    return tuple(k for k, row in enumerate(rows) if row.remark == "fixed")


def _label(row: EstimateRow) -> str:
    return row.label if row.label != row.name else ""


def _rse(row: EstimateRow) -> str:
    if row.standard_error is None or not row.value:
        return NONE
    return percent_cell(100.0 * row.standard_error / abs(row.value))


def _bounds(estimate) -> str:
    if estimate.fixed or (math.isinf(estimate.lower) and math.isinf(estimate.upper)):
        return ""
    return f"({cell(estimate.lower)}, {cell(estimate.upper)})"


def _interval(contents: Contents, name: str, *, of_sd: bool = False) -> str:
    known = contents.uncertainty
    if known is None or name not in known.names:
        return NONE
    low, high = (known.sd_intervals if of_sd else known.intervals)[known.names.index(name)]
    return interval_cell(float(low), float(high))


def _uncertainty(contents: Contents) -> list[Block]:
    known = contents.uncertainty
    if known is None:
        some = any(e.standard_error is not None for e in contents.fit.estimates)
        return [] if some else [Paragraph(text="No standard errors were computed.")]
    method = {"none": "not computed"}.get(known.method, f"method {known.method}")
    blocks: list[Block] = [
        Heading(text="Uncertainty of the estimates"),
        Paragraph(
            text=f"Covariance of the estimates: {method}. {known.status} Intervals of positive parameters and "
            "variances "
            "are symmetric on the logarithmic scale, of correlations on that of Fisher's z."
        ),
    ]
    shown = np.flatnonzero(known.distinct)
    if len(shown) < 2:
        return blocks
    correlation = known.correlation[np.ix_(shown, shown)]
    labels = _labels(contents.fit, known, shown)
    number = cell(known.condition_number, 3)
    text = f"Condition number of the correlation matrix: {number}. {_high(correlation, labels)}"
    caption = "Correlations between the estimates."
    draw = lambda: parameter_correlation_figure(correlation, labels, theme=contents.theme)  # noqa: E731
    alt = f"Heat map of the correlations between {len(shown)} estimates. {_high(correlation, labels)}"
    return [*blocks, Paragraph(text=text), picture(draw, alt=alt, caption=caption)]


def _labels(fit: FitResult, known, shown: np.ndarray) -> list[str]:
    by_name = {e.name: e for e in fit.estimates}
    texts = []
    for k in shown:
        e = by_name[known.names[k]]
        prefix = {"theta": "", "omega": "ω² ", "sigma": "σ² "}[e.kind]
        if fit.source_format == "monolix" and e.kind == "omega":
            prefix = "square of " if e.row == e.column else "covariance of "
        texts.append(f"{prefix}{e.label}" if e.label != e.name else e.name)
    return texts


def _high(correlation: np.ndarray, labels: list[str]) -> str:
    pairs = [
        f"{labels[j]} and {labels[i]} ({correlation[i, j]:.2f})"
        for i in range(len(labels))
        for j in range(i)
        if abs(correlation[i, j]) > HIGH_CORRELATION
    ]
    if not pairs:
        return f"No correlation is above {HIGH_CORRELATION} in size."
    return f"Correlations above {HIGH_CORRELATION} in size: {', '.join(pairs[:8])}".replace("(-", "(−") + "."
