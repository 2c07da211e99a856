"""6. Visual predictive checks."""

from __future__ import annotations

from functools import partial

import numpy as np

from nlmevae.report.page.blocks import Block, Paragraph, Picture, Section
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.numbers import counted
from nlmevae.report.page.picture import picture
from nlmevae.report.page.sections.missing import without_diagnostics
from nlmevae.report.plots.predictive_check import censored_share_figure, outside, spans_decades, vpc_figure
from nlmevae.results.diagnostics import VisualPredictiveCheck

#: Panels of strata in one figure.
MOST_PANELS = 6


def predictive_checks(contents: Contents) -> Section:
    title = "Visual predictive checks"
    diagnostics = contents.diagnostics
    if diagnostics is None:
        return without_diagnostics(contents, "vpc", title)
    if not diagnostics.vpcs:
        text = "No predictive check: no data were simulated, or there is no observation to compare."
        return Section(anchor="vpc", title=title, blocks=(Paragraph(text=text),))
    text = (
        f"{counted(diagnostics.n_simulations, 'data set')} of the same design simulated with the estimates "
        f"(seed {diagnostics.seed}). Bands: interval of a quantile over the simulations; lines: the same "
        "quantile of the "
        "data. Under the model a line leaves its band as rarely as the interval says. Ticks above: edges of the bins."
    )
    blocks: list[Block] = [Paragraph(text=text)]
    for number in range(len(diagnostics.endpoints)):
        for corrected in (False, True):
            for stratified in (False, True):
                chosen = [
                    c
                    for c in diagnostics.vpcs
                    if c.endpoint == number and c.prediction_corrected == corrected and bool(c.stratum) == stratified
                ]
                for start in range(0, len(chosen), MOST_PANELS):
                    blocks += _pictures(contents, chosen[start : start + MOST_PANELS])
    return Section(anchor="vpc", title=title, blocks=tuple(blocks))


def _pictures(contents: Contents, checks: list[VisualPredictiveCheck]) -> list[Picture]:
    diagnostics, theme = contents.diagnostics, contents.theme
    first = checks[0]
    name = diagnostics.endpoints[first.endpoint].name
    kind = "Prediction-corrected visual predictive check" if first.prediction_corrected else "Visual predictive check"
    strata = f", by {', '.join(c.stratum for c in checks)}" if first.stratum else ""
    verdict = _verdict(checks)
    made = [
        picture(
            partial(vpc_figure, diagnostics, checks, theme=theme),
            alt=f"{kind} of {name}{strata}. {verdict}",
            caption=f"{kind} of {name}{strata}. {verdict}",
        )
    ]
    logarithmic = not diagnostics.endpoints[first.endpoint].log_scale
    if logarithmic and any(spans_decades(c) for c in checks):
        made.append(
            picture(
                partial(vpc_figure, diagnostics, checks, logarithmic=True, theme=theme),
                alt=f"{kind} of {name}{strata} on a logarithmic axis. {verdict}",
                caption=f"The same on a logarithmic axis: {kind.lower()} of {name}{strata}.",
            )
        )
    if not first.prediction_corrected and any(c.below is not None for c in checks):
        made.append(
            picture(
                partial(censored_share_figure, diagnostics, checks, theme=theme),
                alt=f"Share of observations of {name} beyond the limit of quantification over time, observed "
                "and simulated.",
                caption=f"Share of {name} beyond the limit of quantification{strata}: observed, and interval of the "
                "simulations.",
            )
        )
    return made


def _verdict(checks: list[VisualPredictiveCheck]) -> str:
    """How many quantiles are outside; counts, not a test."""
    known = sum(int((np.isfinite(c.observed) & np.isfinite(c.simulated).all(axis=2)).sum()) for c in checks)
    n_outside = sum(int(outside(c).sum()) for c in checks)
    expected = known * (1.0 - checks[0].confidence)
    return (
        f"{n_outside} of {known} observed quantiles are outside their interval; about {expected:.0f} are "
        "expected under "
        "the model."
    )
