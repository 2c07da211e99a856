"""A stepwise search as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from nlmevae.cli.text_table import duration, short_number, text_table
from nlmevae.results.stepwise_result import StepwiseResult
from nlmevae.selection.criterion import title_of

_NAMES = {"scm": "Stepwise covariate modelling", "cossac": "COSSAC", "samba": "SAMBA"}


def stepwise_text(result: StepwiseResult, *, paths: Sequence[Path]) -> str:
    parts = [_head(result), _tests(result), _effects(result), _files(paths)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _head(result: StepwiseResult) -> list[str]:
    fit = result.selection.fit
    value = fit.likelihood("is")
    lines = [f"{_NAMES[result.method]}: {result.n_runs} models estimated in {duration(result.seconds)}"]
    lines.append(f"Criterion: {_criterion(result)}")
    lines.append(f"Final model: {', '.join(result.selection.support) or 'no effects'}")
    if value is not None:
        lines.append(f"-2LL {value.minus_two_ll:.2f} (importance sampling), BICc {value.bicc:.2f}")
    if not fit.status.completed:
        lines.append(fit.message or fit.status.sentence)
    return lines


def _criterion(result: StepwiseResult) -> str:
    if result.criterion != "lrt":
        return f"{title_of(result.criterion)}, which a change has to lower"
    limits = (("to add", result.p_forward), ("to keep", result.p_backward))
    given = ", ".join(f"p < {p:g} {what}" for what, p in limits if p is not None)
    rest = "" if result.method == "scm" else "".join(f"; {what} BICc" for what, p in limits if p is None)
    return f"likelihood-ratio test, {given}{rest}"


def _tests(result: StepwiseResult) -> list[str]:
    """Of samba the sets of effects instead: it tests none alone."""
    if not result.tests:
        return [f"iteration {k}: {', '.join(step) or 'no effects'}" for k, step in enumerate(result.steps)]
    rows = [
        [
            str(t.step),
            ("remove " if t.backward else "add ") + t.state,
            f"{t.base:.2f}",
            "failed" if math.isnan(t.new) else f"{t.new:.2f}",
            "" if math.isnan(t.drop) else f"{t.drop:+.2f}",
            f"{t.goal:.2f}",
            "" if math.isnan(t.p_value) else f"{t.p_value:.2g}",
            "taken" if t.chosen else "",
        ]
        for t in result.tests
    ]
    return text_table(["step", "change", "-2LL before", "after", "drop", "must exceed", "p", ""], rows, left=2)


def _effects(result: StepwiseResult) -> list[str]:
    rows = [
        [
            e.name,
            e.form,
            *(" ".join(short_number(v) for v in values if not math.isnan(v)) for values in (e.beta, e.standard_error)),
        ]
        for e in result.selection.effects
        if e.selected
    ]
    return text_table(["effect", "form", "estimate", "SE"], rows, left=2) if rows else []


def _files(paths: Sequence[Path]) -> list[str]:
    return ["Files:", *(f"  {path}" for path in paths)]
