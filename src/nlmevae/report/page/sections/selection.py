"""10. How the covariate model was chosen; only of a run that searched."""

from __future__ import annotations

import math
from functools import partial

from nlmevae.report.margins import margins_figure
from nlmevae.report.page.blocks import Block, Paragraph, Section, Table
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.numbers import NONE, cell
from nlmevae.report.page.picture import picture
from nlmevae.report.selection_path import path_figure
from nlmevae.report.selection_trace import trace_figure
from nlmevae.report.support_matrix import support_figure
from nlmevae.results.selection_result import EffectResult, SelectionResult

#: Rows of the table of effects that were not selected: those with the smallest margins.
MOST_EXCLUDED = 30


def selection(contents: Contents) -> Section:
    result = contents.selection
    chosen = ", ".join(result.support) or "none"
    blocks: list[Block] = [
        Paragraph(
            text=f"{len(result.support)} of {len(result.effects)} candidate effects were selected by "
            f"{result.criterion}: "
            f"{chosen}. {result.criterion_text} Criterion of the selected model: {result.criterion_value:.2f}."
        ),
        _effects(result),
    ]
    blocks += _pictures(result)
    if result.alternatives:
        blocks.append(
            Table(
                caption="What other criteria would select, by the quadratic form of the final iteration.",
                header=("Criterion", "Effects", "Number"),
                rows=tuple(
                    (name, ", ".join(support) or "none", str(len(support)))
                    for name, support in result.alternatives.items()
                ),
                texts=(1,),
            )
        )
    blocks.append(Paragraph(text=_certificate(result)))
    return Section(anchor="selection", title="Covariate selection", blocks=tuple(blocks))


def _pictures(result: SelectionResult) -> list[Block]:
    made: list[Block] = []
    if result.effects:
        made.append(
            picture(
                partial(support_figure, result),
                alt=f"Matrix of parameters and covariates; selected: {', '.join(result.support) or 'none'}.",
                caption="Which covariate acts on which parameter.",
            )
        )
        made.append(
            picture(
                partial(margins_figure, result),
                alt="Margins of the decisions; the table has the numbers.",
                caption="Margins: how much worse the criterion gets if the decision on one effect is reversed. "
                "Left of the "
                "dashed line the decision is borderline.",
            )
        )
    if any(step.support for step in result.path):
        made.append(
            picture(
                partial(path_figure, result),
                alt="Selection path: effects in the model as the penalty grows.",
                caption="Which effects are in the model as the price of an effect rises from left to right.",
            )
        )
    if len(result.trace.phase) > 1:
        made.append(
            picture(
                partial(trace_figure, result),
                alt="Criterion, number of effects, random effects and coefficients over the iterations.",
                caption="The search, iteration by iteration.",
            )
        )
    return made


def _effects(result: SelectionResult) -> Table:
    inside = [e for e in result.effects if e.selected]
    outside = sorted(
        (e for e in result.effects if not e.selected), key=lambda e: math.inf if math.isnan(e.margin) else e.margin
    )
    more = (
        f" Of {len(outside)} effects that were not selected the {MOST_EXCLUDED} nearest."
        if len(outside) > MOST_EXCLUDED
        else ""
    )
    shown = [*inside, *outside[:MOST_EXCLUDED]]
    return Table(
        caption="Candidate effects: estimate, margin of the decision in units of the criterion, and the share "
        "of subject "
        f"resamples in which the effect is chosen.{more}",
        header=("Effect", "Decision", "Estimate", "SE", "Penalty", "Margin", "Frequency %", "Remark"),
        rows=tuple(_row(e) for e in shown),
        texts=(1, 7),
        quiet=tuple(k for k, e in enumerate(shown) if not e.selected),
    ).without_empty_columns()


def _row(effect: EffectResult) -> tuple[str, ...]:
    decision = "forced" if effect.forced else "selected" if effect.selected else "not selected"
    frequency = NONE if math.isnan(effect.frequency) else f"{100 * effect.frequency:.0f}"
    return (
        effect.name,
        decision,
        ", ".join(cell(b, 3) for b in effect.beta) if effect.selected else NONE,
        ", ".join(cell(s, 3) for s in effect.standard_error) if effect.selected else NONE,
        cell(effect.penalty, 3),
        cell(effect.margin, 3),
        frequency,
        "borderline" if effect.borderline and not effect.forced else "",
    )


def _certificate(result: SelectionResult) -> str:
    c = result.certificate
    proof = "all to a proof of optimality" if not c.n_uncertified else f"{c.n_uncertified} of them without a proof"
    text = f"The exact step was solved {c.n_solves} times, {proof} (last by {c.solver})."
    if c.audit:
        agrees = {True: "agrees", False: "disagrees", None: "gave no answer"}[c.audit_agrees]
        text += f" The independent solver {c.audit} {agrees}."
    return text
