"""5. Single subjects."""

from __future__ import annotations

from functools import partial

import numpy as np

from nlmevae.report.page.blocks import Block, Paragraph, Section
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.picture import picture
from nlmevae.report.page.sections.missing import without_diagnostics
from nlmevae.report.plots.individual_fits import PER_PAGE, ShownSubject, chosen_subjects, individual_fits_figure


def individual_fits(contents: Contents) -> Section:
    title = "Individual fits"
    diagnostics, individuals = contents.diagnostics, contents.fit.individuals
    if diagnostics is None:
        return without_diagnostics(contents, "individuals", title)
    subjects = chosen_subjects(individuals.minus_two_ll, individuals.n_obs, contents.n_subjects, seed=contents.fit.seed)
    if not subjects:
        return Section(anchor="individuals", title=title, blocks=(Paragraph(text="No subjects were asked for."),))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(individuals.n_obs > 0, individuals.minus_two_ll / individuals.n_obs, np.nan)
    blocks: list[Block] = [Paragraph(text=_which(subjects, len(individuals.labels)))]
    for number, kind in enumerate(diagnostics.endpoints):
        for start in range(0, len(subjects), PER_PAGE):
            page = subjects[start : start + PER_PAGE]
            draw = partial(
                individual_fits_figure, diagnostics, page, number, doses=contents.run.data.dose_times,
                minus_two_ll_per_observation=score, theme=contents.theme,
            )  # fmt: skip
            names = ", ".join(diagnostics.labels[s.index] for s in page)
            blocks.append(
                picture(
                    draw,
                    alt=f"{kind.name} of subjects {names}: observed values with individual and population predictions.",
                    caption=f"{kind.name}, subjects {names}. Number beside the ID: −2 log-likelihood per "
                    "observation of the "
                    "subject. Ticks on the axis: doses. Every panel has its own scale.",
                )
            )
    return Section(anchor="individuals", title=title, blocks=tuple(blocks))


def _which(subjects: tuple[ShownSubject, ...], n: int) -> str:
    if not any(s.why for s in subjects):
        return f"All {n} subjects, in data order."
    counts = {why: sum(s.why == why for s in subjects) for why in ("best", "random", "worst")}
    return (
        f"{len(subjects)} of {n} subjects: the {counts['best']} with the lowest −2 log-likelihood per observation, "
        f"{counts['random']} at random in data order, the {counts['worst']} with the highest."
    )
