"""9. Random effects over covariates, and the size of the effects in the model."""

from __future__ import annotations

from functools import partial

import numpy as np

from nlmevae.report.page.blocks import Block, Heading, Paragraph, Section, Table
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.numbers import cell, interval_cell
from nlmevae.report.page.picture import picture
from nlmevae.report.page.sections.missing import without_diagnostics
from nlmevae.report.plots.eta_covariates import MOST_COLUMNS, MOST_ROWS, eta_covariates_figure
from nlmevae.report.plots.forest import forest_figure
from nlmevae.report.plots.random_effects import effect_name, varying

#: Rows of the forest plot in one figure.
MOST_EFFECTS = 24


def covariates(contents: Contents) -> Section:
    title = "Covariates"
    if contents.diagnostics is None:
        return without_diagnostics(contents, "covariates", title)
    blocks = [*_effects(contents), *_unexplained(contents)]
    return Section(anchor="covariates", title=title, blocks=tuple(blocks))


def _effects(contents: Contents) -> list[Block]:
    effects = contents.effects
    heading = Heading(text="Effects in the model")
    if not effects:
        return [heading, Paragraph(text="The model has no covariate effects on parameters with a random effect.")]
    references = dict.fromkeys(f"{e.covariate} {e.reference}" for e in effects)
    table = Table(
        caption=f"Typical parameters relative to the reference subject ({', '.join(references)}), at the 5 % and 95 % "
        "quantiles of continuous covariates and at each category, one covariate changed at a time.",
        header=("Parameter", "Covariate", "At", "Ratio", "95 % CI"),
        rows=tuple((e.parameter, e.covariate, e.at, cell(e.ratio, 3), interval_cell(e.low, e.high)) for e in effects),
        texts=(1, 2),
    )
    pictures = [
        picture(
            partial(forest_figure, effects[start : start + MOST_EFFECTS], theme=contents.theme),
            alt="Forest plot of covariate effects; the table has the same numbers.",
            caption="Covariate effects relative to the reference subject; shaded: 0.8 to 1.25.",
        )
        for start in range(0, len(effects), MOST_EFFECTS)
    ]
    return [heading, *pictures, table]


def _unexplained(contents: Contents) -> list[Block]:
    known, etas = contents.diagnostics.covariates, varying(contents.fit)
    heading = Heading(text="Random effects over covariates")
    if not known.names or not etas:
        reason = "no covariate that differs between subjects" if not known.names else "no random effects"
        return [heading, Paragraph(text=f"Nothing to show: there is {reason}.")]
    blocks: list[Block] = [heading]
    order = np.argsort(known.categorical, kind="stable")
    for first in range(0, len(etas), MOST_COLUMNS):
        for start in range(0, len(order), MOST_ROWS):
            rows, columns = order[start : start + MOST_ROWS], etas[first : first + MOST_COLUMNS]
            names = ", ".join(known.names[k] for k in rows)
            shown = ", ".join(effect_name(contents.fit, k) for k in columns)
            blocks.append(
                picture(
                    partial(
                        eta_covariates_figure, contents.fit, contents.diagnostics, rows, columns, theme=contents.theme
                    ),
                    alt=f"Conditional means of {shown} over {names}.",
                    caption=f"Conditional means of {shown} over {names} at each subject's first record: a trend "
                    "is what the "
                    "model leaves unexplained. Shrinkage flattens trends.",
                )
            )
    return blocks
