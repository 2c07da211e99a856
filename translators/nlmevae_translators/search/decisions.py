"""How a search decides, from one program's terms to another's, with what becomes of each number."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nlmevae.data.search.decision import SearchDecision
from nlmevae.selection.criterion import Criterion, parse_criterion
from nlmevae_translators.report import Entry
from nlmevae_translators.search.asked import AskedSearch, KnownSearch, note

#: The criterion of `nlmevae select` where none is named.
USUAL = "mbic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """p-values to add and to keep an effect; `bic`: BICc decides instead."""

    forward: float
    backward: float
    bic: bool = False


def p_values(decision: SearchDecision) -> tuple[float, float] | None:
    """To add and to keep; one stands for both where only one is known."""
    known = [p for p in (decision.p_forward, decision.p_backward) if p is not None]
    criterion = parse_criterion(decision.criterion) if decision.criterion else None
    if not known and criterion is not None and criterion.kind == "lrt":
        known = [criterion.level]
    return (known[0], known[-1]) if known else None


def criterion_of(decision: SearchDecision) -> str:
    """For `nlmevae select`: what an effect must be worth to stay in the end."""
    if decision.criterion:
        return decision.criterion
    limits = p_values(decision)
    if limits is None:
        return USUAL
    return f"lrt:{limits[0] if decision.direction == 'forward' else limits[1]:g}"


def for_select(asked: AskedSearch) -> tuple[SearchDecision, list[Entry]]:
    """With a criterion beside the p-values."""
    decision = asked.decision
    criterion = criterion_of(decision)
    entries = []
    if decision.p_forward is not None or decision.p_backward is not None:
        for key in ("p_forward", "p_backward"):
            value = getattr(decision, key)
            if value is not None:
                own = "" if decision.at(key) else ", where nothing is said its own limit"
                reason = f"the same test in nlmevae scm and nlmevae cossac{own}"
                entries.append(note(f"{key}={value:g}", "lossless", reason, decision.at(key), f"{key} ="))
        reason = (
            f"nlmevae select compares all sets of effects: each must be worth what chi-squared exceeds with p = "
            f"{criterion[4:]}, the limit that counts last; BICc, its own criterion, knows no p-values"
        )
        at = decision.at("p_backward") or decision.at("p_forward")
        entries.append(note("p-values", "rule", reason, at, "criterion ="))
    elif decision.criterion is not None:
        reason = "BICc as Monolix counts it" if criterion == "bicc" else "the same criterion"
        kind = "rule" if asked.language == "cossac" else "lossless"
        entries.append(note(f"criterion={criterion}", kind, reason, decision.at("criterion"), "criterion ="))
    if decision.direction is not None:
        reason = "for nlmevae scm; nlmevae select searches in all directions at once"
        entries.append(note(f"direction={decision.direction}", "rule", reason, decision.at("direction"), "direction ="))
    return replace(decision, criterion=criterion if decision.criterion or p_values(decision) else None), entries


def for_tests(search: KnownSearch, program: str) -> tuple[Limits, list[Entry]]:
    """p-values, which PsN has only; a criterion becomes that of one coefficient."""
    decision = search.asked.decision
    given = p_values(decision)
    if given is not None:
        return Limits(forward=given[0], backward=given[1]), [_limit_entry(search, given)]
    criterion = parse_criterion(decision.criterion or USUAL)
    p = _tail(search, criterion)
    what = f"criterion={decision.criterion or USUAL}" + ("" if decision.criterion else " (default)")
    reason = (
        f"{program} has p-values only: {p:.3g} is what {criterion.kind} charges for one coefficient with "
        f"{search.run.table.n_subjects} subjects; more coefficients, and a number of candidates, it charges otherwise"
    )
    p = float(f"{p:.4g}")
    return Limits(forward=p, backward=p), [note(what, "lossy", reason, decision.at("criterion"))]


def for_monolix(search: KnownSearch) -> tuple[Limits, list[Entry]]:
    """BIC is Monolix's BICc; LRT has p-values."""
    decision = search.asked.decision
    given = p_values(decision)
    if given is not None:
        return Limits(forward=given[0], backward=given[1]), [_limit_entry(search, given)]
    kind = parse_criterion(decision.criterion or USUAL).kind
    if kind == "bicc":
        entry = note("criterion=bicc", "rule", "Monolix's BIC is BICc", decision.at("criterion"), "set$criterion")
    else:
        what = f"criterion={kind}" + ("" if decision.criterion else " (default)")
        reason = "Monolix has LRT and BICc only: BICc is the nearest"
        entry = note(what, "lossy", reason, decision.at("criterion"), "set$criterion")
    return Limits(forward=0.0, backward=0.0, bic=True), [entry]


def _limit_entry(search: KnownSearch, given: tuple[float, float]) -> Entry:
    decision = search.asked.decision
    same = decision.p_forward is not None and decision.p_backward is not None
    reason = "the same tests" if same else "one limit to add and to keep"
    at = decision.at("p_forward") or decision.at("criterion")
    return note(f"p={given[0]:g}, {given[1]:g}", "lossless" if same else "rule", reason, at)


def _tail(search: KnownSearch, criterion: Criterion) -> float:
    """The probability with which chi-squared of one degree exceeds what the criterion charges for one coefficient."""
    n, m = search.run.table.n_subjects, max(1, len(search.candidates))
    charge = {"aic": 2.0, "ebic": math.log(n) + 2.0 * math.log(m)}.get(criterion.kind, math.log(n))
    return math.erfc(math.sqrt(charge / 2.0))
