"""The text `nlmevae select` prints at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from nlmevae.cli.result_text import estimate_lines, likelihood_lines, uncertainty_lines
from nlmevae.cli.text_table import duration, short_number, text_table
from nlmevae.results.selection_result import Certificate, EffectResult, SelectionResult
from nlmevae.results.summary_table import estimate_rows, likelihood_rows

#: So many excluded effects are shown, those that came nearest to being selected.
N_EXCLUDED = 5

_SOLVERS = {
    "table": "built-in comparison of all subsets",
    "bnb": "built-in branch and bound",
    "table+bnb": "built-in comparison of all subsets and branch and bound",
    "bnb+table": "built-in comparison of all subsets and branch and bound",
    "native": "built-in exact search",
    "auto": "built-in exact search",
    "highs": "HiGHS",
    "scip": "SCIP",
    "gurobi": "Gurobi",
}


def selection_text(result: SelectionResult, *, paths: Sequence[Path]) -> str:
    """What was selected and how sure that is, the selected model, files. Warnings are not here: they go to
    stderr."""
    blocks = [
        _head(result),
        _selected(result),
        _excluded(result),
        _alternatives(result),
        _exchangeable(result),
        certificate_lines(result.certificate),
        estimate_lines(estimate_rows(result.fit)),
        uncertainty_lines(result.fit),
        _likelihoods(result),
        [f"Wrote {path}" for path in paths],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(result: SelectionResult) -> list[str]:
    fit = result.fit
    seconds = result.seconds.get("total", sum(result.seconds.values()))
    size = f"{fit.n_subjects} subjects, {fit.n_obs_total} observations, {_count(result.effects)}"
    return [
        f"{fit.source_path}: {fit.problem}" if fit.problem else fit.source_path,
        fit.message or fit.status.sentence,
        f"{size}; method {fit.method}, seed {fit.seed}, {duration(seconds)}",
        f"Criterion {result.criterion}: {result.criterion_text}",
    ]


def _count(effects: Sequence[EffectResult]) -> str:
    return "1 candidate effect" if len(effects) == 1 else f"{len(effects)} candidate effects"


def _selected(result: SelectionResult) -> list[str]:
    chosen = [e for e in result.effects if e.selected]
    if not chosen:
        return ["No covariate effect was selected."]
    rows = [row for effect in chosen for row in _coefficient_rows(effect)]
    header = ("Effect", "Form", "Coefficient", "Estimate", "SE", "Penalty", "Margin", "Frequency", "Remark")
    lines = [f"Selected effects: {len(chosen)} of {len(result.effects)}", *_table(header, rows, left=3)]
    if any(math.isfinite(e.margin) for e in result.effects):
        lines.append(
            "Margin: how much worse the criterion gets if this one decision is reversed; below 2 is borderline."
        )
    if any(math.isfinite(e.frequency) for e in result.effects):
        lines.append("Frequency: share of resamples of the subjects in which the effect is selected.")
    return lines


def _coefficient_rows(effect: EffectResult) -> list[tuple[str, ...]]:
    """One row per coefficient; what belongs to the effect as a whole stands in the first."""
    whole = (_number(effect.penalty), _number(effect.margin), _percent(effect.frequency), remark(effect))
    rows = []
    for k, (name, beta, error) in enumerate(zip(effect.coefficients, effect.beta, effect.standard_error, strict=True)):
        label, rest = ((effect.name, effect.form), whole) if k == 0 else (("", ""), ("",) * len(whole))
        rows.append((*label, name, short_number(beta), _number(error, 3), *rest))
    return rows


def remark(effect: EffectResult) -> str:
    """``forced``, ``borderline`` or nothing."""
    return "forced" if effect.forced else "borderline" if effect.borderline else ""


def _excluded(result: SelectionResult) -> list[str]:
    """Those that came nearest, nearest first."""
    known = [e for e in result.effects if not e.selected and math.isfinite(e.margin)]
    nearest = sorted(known, key=lambda e: e.margin)[:N_EXCLUDED]
    if not nearest:
        return []
    rows = [(e.name, e.form, _number(e.penalty), _number(e.margin), _percent(e.frequency), remark(e)) for e in nearest]
    header = ("Effect", "Form", "Penalty", "Margin", "Frequency", "Remark")
    return ["Nearest of the effects that were not selected", *_table(header, rows, left=2)]


def _alternatives(result: SelectionResult) -> list[str]:
    """What other criteria would change, by the final iteration's quadratic approximation."""
    others = {name: support for name, support in result.alternatives.items() if name != result.criterion}
    if not others:
        return []
    different = {name: support for name, support in others.items() if set(support) != set(result.support)}
    if not different:
        return [f"The other criteria ({', '.join(others)}) select the same effects."]
    width = max(len(name) for name in different)
    lines = ["Other criteria would select (approximately: the parameters are not estimated again)"]
    lines += [f"  {name:<{width}}  {_change(support, result.support)}" for name, support in different.items()]
    same = [name for name in others if name not in different]
    return lines + ([f"The same effects: {', '.join(same)}."] if same else [])


def _change(support: Sequence[str], selected: Sequence[str]) -> str:
    if not support:
        return "nothing"
    more = [name for name in support if name not in selected]
    less = [name for name in selected if name not in support]
    parts = [f"{word} {', '.join(names)}" for word, names in (("also", more), ("not", less)) if names]
    return "; ".join(parts)


def _exchangeable(result: SelectionResult) -> list[str]:
    if not result.exchangeable:
        return []
    title = "The data cannot tell the effects of one line apart; which of them is taken is arbitrary"
    return [title, *(f"  {', '.join(group)}" for group in result.exchangeable)]


def certificate_lines(certificate: Certificate) -> list[str]:
    """Were the answers of the search proven to be the best ones?"""
    if certificate.n_solves == 0:
        return []
    lines = [f"Search: {_proof(certificate)} ({_solver(certificate.solver)})."]
    return lines + ([_audit(certificate)] if certificate.audit else [])


def _proof(certificate: Certificate) -> str:
    steps = "1 selection step" if certificate.n_solves == 1 else f"{certificate.n_solves} selection steps"
    if certificate.n_uncertified == 0:
        return f"{steps}, every answer proven to be the best of all combinations"
    return (
        f"{steps}; in {certificate.n_uncertified} of them the search stopped before its answer was proven best "
        f"(a better one would gain at most {short_number(certificate.largest_gap, 3)} criterion units)"
    )


def _audit(certificate: Certificate) -> str:
    name = _solver(certificate.audit)
    if certificate.audit_agrees:
        return f"Audit: {name} solved the last step again, independently, and agrees."
    return f"Audit: {audit_failure(certificate) or f'{name} did not finish; the last step is not confirmed.'}"


def audit_failure(certificate: Certificate) -> str:
    """A sentence if the independent solver contradicts the selection, else ""."""
    if certificate.audit_agrees is not False:
        return ""
    return (
        f"{_solver(certificate.audit)} found {certificate.audit_objective:.6g} for the last selection step, this run "
        f"{certificate.objective:.6g}: do not use this selection as final"
    )


def _solver(name: str) -> str:
    return _SOLVERS.get(name, name)


def _likelihoods(result: SelectionResult) -> list[str]:
    lines = likelihood_lines(likelihood_rows(result.fit))
    if result.criterion == "bicc" or not math.isfinite(result.criterion_value):
        return lines
    width = max((len(row.label) for row in likelihood_rows(result.fit)), default=0)
    return [*lines, f"{'Criterion ' + result.criterion:<{width}}  {result.criterion_value:12.3f}"]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Without the columns that would be empty."""
    kept = [k for k in range(len(header)) if any(row[k] for row in rows)]
    return text_table([header[k] for k in kept], [[row[k] for k in kept] for row in rows], left=left)


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else short_number(value, digits)


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100.0 * share:.0f} %"
