"""4. Observations over predictions, and weighted residuals."""

from __future__ import annotations

from functools import partial

import numpy as np

from nlmevae.report.page.blocks import Block, Heading, Section
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.numbers import cell, counted
from nlmevae.report.page.picture import picture
from nlmevae.report.page.sections.missing import without_diagnostics
from nlmevae.report.plots.goodness_of_fit import predictions_figure, residuals_figure


def goodness_of_fit(contents: Contents) -> Section:
    diagnostics = contents.diagnostics
    if diagnostics is None:
        return without_diagnostics(contents, "gof", "Goodness of fit")
    blocks: list[Block] = []
    for number, kind in enumerate(diagnostics.endpoints):
        o = diagnostics.observations
        chosen = o.endpoint == number
        n, n_limit = int(chosen.sum()), int((chosen & o.censored).sum())
        size = counted(n, "observation") + (
            f", {n_limit} of them beyond the limit of quantification" if n_limit else ""
        )
        if len(diagnostics.endpoints) > 1:
            blocks.append(Heading(text=f"{kind.name}: {size}"))
        scale = " DV is a logarithm." if kind.log_scale else " Below: the same on logarithmic axes."
        limit = " Triangles: observations beyond the limit of quantification, at their limit." if n_limit else ""
        blocks.append(
            picture(
                partial(predictions_figure, diagnostics, number, theme=contents.theme),
                alt=f"Scatter plots of {size} over population and individual predictions, with line of identity "
                "and trend.",
                caption=f"{kind.name}: observed over predicted, {size}. Left population prediction, right individual "
                f"prediction.{scale}{limit} Trend: local linear regression, two thirds of the points each.",
            )
        )
        blocks.append(
            picture(
                partial(residuals_figure, diagnostics, number, theme=contents.theme),
                alt=f"Weighted residuals of {kind.name}: {_moments('CWRES', o.cwres[chosen])}, "
                f"{_moments('IWRES', o.iwres[chosen])}.",
                caption=f"{kind.name}: weighted residuals. {_moments('CWRES', o.cwres[chosen])}; "
                f"{_moments('IWRES', o.iwres[chosen])}. Dashed lines hold 95 % of standard normal values; bands in the "
                "normal plots hold 95 % of each order statistic of independent normal values."
                + (" Observations beyond the limit have no weighted residual." if n_limit else ""),
            )
        )
    return Section(anchor="gof", title="Goodness of fit", blocks=tuple(blocks))


def _moments(name: str, values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return f"{name} not available"
    return f"{name} mean {cell(float(values.mean()), 2)}, SD {cell(float(values.std(ddof=1)), 3)}"
