"""3. Objective and parameters along the iterations."""

from __future__ import annotations

from functools import partial

from nlmevae.report.page.blocks import Block, Paragraph, Section
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.picture import picture
from nlmevae.report.plots.convergence import comparable_rows, convergence_figure, n_pages, objective_figure


def convergence(contents: Contents) -> Section:
    fit = contents.fit
    if not fit.trace:
        text = "No iteration was recorded: nothing was estimated, or the run ended before its first iteration."
        return Section(anchor="convergence", title="Convergence", blocks=(Paragraph(text=text),))
    last = fit.trace[-1]
    blocks: list[Block] = []
    if contents.selection is not None:
        text = "Iterations of the selected model, after the search; those of the search are in its own section."
        blocks.append(Paragraph(text=text))
    blocks.append(
        picture(
            partial(objective_figure, fit, theme=contents.theme),
            alt=f"Objective over {len(fit.trace)} iterations; it ends at {last.objective:.2f} in phase {last.phase}.",
            caption="Objective over the iterations. While the variational autoencoder is trained it is −2 ELBO, later "
            "−2 log-likelihood of that iteration's draws: the two are not the same quantity, and neither is the final "
            "−2LL. Of many subjects, the phases before the polish see only some. Values of the burn-in may be beyond "
            "the axis.",
        )
    )
    left_out = len(fit.trace) - len(comparable_rows(fit))
    note = f" {left_out} iterations of the search had other parameters and are not shown." if left_out else ""
    for page in range(n_pages(fit)):
        blocks.append(
            picture(
                partial(convergence_figure, fit, page=page, theme=contents.theme),
                alt="Estimated parameters over the iterations, one panel each.",
                caption="Estimated parameters over the iterations; dashed: the estimate. The strip above each "
                "panel shows "
                f"the phase.{note}",
            )
        )
    return Section(anchor="convergence", title="Convergence", blocks=tuple(blocks))
