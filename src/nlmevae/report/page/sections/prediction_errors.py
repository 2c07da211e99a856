"""7. Normalised prediction distribution errors."""

from __future__ import annotations

from functools import partial

import numpy as np

from nlmevae.report.page.blocks import Block, Paragraph, Section, Table
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.numbers import cell, p_cell
from nlmevae.report.page.picture import picture
from nlmevae.report.page.sections.missing import without_diagnostics
from nlmevae.report.plots.prediction_errors import npde_figure, npde_tests


def prediction_errors(contents: Contents) -> Section:
    title = "Normalised prediction distribution errors (NPDE)"
    diagnostics = contents.diagnostics
    if diagnostics is None:
        return without_diagnostics(contents, "npde", title)
    if not np.isfinite(diagnostics.observations.npde).any():
        text = "No NPDE were computed: no data were simulated, or too few to make observations independent."
        return Section(anchor="npde", title=title, blocks=(Paragraph(text=text),))
    rows, pictures = [], []
    for number, kind in enumerate(diagnostics.endpoints):
        tests = npde_tests(diagnostics.observations.npde[diagnostics.observations.endpoint == number])
        rows.append(
            (
                kind.name,
                str(tests.n),
                cell(tests.mean_value, 3),
                cell(tests.variance_value, 3),
                p_cell(tests.mean),
                p_cell(tests.variance),
                p_cell(tests.normality),
                p_cell(tests.overall),
            )
        )
        pictures.append(
            picture(
                partial(npde_figure, diagnostics, number, theme=contents.theme),
                alt=f"NPDE of {kind.name}: normal plot, histogram, over time and over PRED. Mean "
                f"{cell(tests.mean_value, 3)}, variance {cell(tests.variance_value, 3)}.",
                caption=f"NPDE of {kind.name}: under the model independent and N(0, 1) at every time and prediction.",
            )
        )
    table = Table(
        caption="Tests of the hypothesis that NPDE are N(0, 1) (Brendel et al. 2010): mean 0 (t), variance 1 "
        "(chi-squared), normal (Shapiro and Wilk; above 5000 values D'Agostino and Pearson), and all three "
        "(Bonferroni). "
        "With many observations irrelevant deviations have small p-values.",
        header=("Observation", "n", "Mean", "Variance", "p mean", "p variance", "p normal", "p overall"),
        rows=tuple(rows),
    )
    blocks: tuple[Block, ...] = (table, *pictures)
    return Section(anchor="npde", title=title, blocks=blocks)
