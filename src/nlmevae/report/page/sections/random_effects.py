"""8. Random effects."""

from __future__ import annotations

from functools import partial

from nlmevae.report.page.blocks import Paragraph, Section
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.picture import picture
from nlmevae.report.plots.random_effects import (
    MOST_PAIRS,
    effect_name,
    eta_distribution_figure,
    eta_pairs_figure,
    eta_precision_figure,
    varying,
)


def random_effects(contents: Contents) -> Section:
    fit, theme = contents.fit, contents.theme
    shown = varying(fit)
    title = "Random effects"
    if not shown:
        text = "The model has no random effects with a variance above 0."
        return Section(anchor="etas", title=title, blocks=(Paragraph(text=text),))
    names = ", ".join(effect_name(fit, k) for k in shown)
    blocks = [
        picture(
            partial(eta_distribution_figure, fit, theme=theme),
            alt=f"Histograms and normal plots of the conditional means of {names}.",
            caption="Conditional means of the random effects beside the model's distribution N(0, ω²), and "
            "their normal "
            "plots. With shrinkage the conditional means vary less than the model's random effects: a narrow histogram "
            "is then no sign of a wrong model.",
        )
    ]
    if len(shown) > 1:
        more = f" The first {MOST_PAIRS} of {len(shown)}." if len(shown) > MOST_PAIRS else ""
        blocks.append(
            picture(
                partial(eta_pairs_figure, fit, theme=theme),
                alt=f"Scatter-plot matrix of the conditional means of {names}, with correlations.",
                caption="Conditional means against each other; r is their correlation, below it the correlation in the "
                f"model.{more} Shrinkage can create or hide correlation.",
            )
        )
    blocks.append(
        picture(
            partial(eta_precision_figure, fit, theme=theme),
            alt=f"Box plots of the posterior standard deviation relative to omega for {names}.",
            caption="Posterior standard deviation of each subject's random effects relative to ω. Near 0 the "
            "data tell the "
            "subject's value; at 1 they say nothing about it. Whiskers hold 90 % of the subjects.",
        )
    )
    return Section(anchor="etas", title=title, blocks=tuple(blocks))
