"""What a finished search tells: every effect with its margin, the path, other criteria, the certificate."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlmevae.estimation.search import SearchOutcome
from nlmevae.estimation.search_evidence import Evidence
from nlmevae.estimation.selector import penalties_of
from nlmevae.estimation.settings import SelectionSettings
from nlmevae.results.fit_result import FitResult, TraceRow
from nlmevae.results.selection_result import (
    Certificate,
    EffectResult,
    SelectionResult,
    SelectionTrace,
)
from nlmevae.selection.criterion import parse_criterion
from nlmevae.selection.program import Program, Solution


def search_report(
    outcome: SearchOutcome,
    evidence: Evidence,
    fit: FitResult,
    thetas: tuple[tuple[str, ...], ...],
    model_text: str,
    exchangeable: tuple[tuple[str, ...], ...],
    *,
    audit: str,
) -> SelectionResult:
    """The result of a search whose selected model, written as `model_text`, was fitted with the result `fit`.

    Args:
        thetas: names, in that model, of the coefficients of each selected effect.
        audit: solver that solves the last program again, "" for none.
    """
    effects, selector, problem = outcome.problem.effects, outcome.selector, outcome.problem
    sizes = {
        "n_subjects": problem.n_subjects,
        "n_obs_total": problem.table.n_obs_total,
        "n_candidates": effects.n_units,
        "n_on_parameter": effects.n_on_parameter,
    }
    certificate = _certificate(outcome, audit)
    return SelectionResult(
        fit=fit,
        criterion=selector.criterion.name,
        criterion_text=selector.criterion.sentence(**sizes),
        criterion_value=_criterion_value(outcome, fit),
        effects=_effects(outcome, evidence, fit, thetas),
        path=evidence.path,
        alternatives=evidence.alternatives or {},
        certificate=certificate,
        trace=_trace(outcome),
        parameters=tuple(latent.name for latent in problem.form.latents),
        coefficients=effects.names,
        model_text=model_text,
        exchangeable=exchangeable,
        warnings=(*evidence.warnings, *_warnings(certificate)),
        settings={**outcome.settings.as_dict(), **outcome.selection.as_dict()},
        seconds=outcome.clock.seconds,
    )


#: Criteria of whole models that the others differ from in what they charge for effects.
_WHOLE_MODEL = {"bicc": "bicc", "mbic": "bicc", "bic": "bic", "ebic": "bic", "aic": "aic"}


def _criterion_value(outcome: SearchOutcome, fit: FitResult) -> float:
    """Of the whole model; `lrt` charges effects only."""
    likelihood = fit.likelihood("is")
    if likelihood is None:
        return float("nan")
    selector, problem = outcome.selector, outcome.problem
    base = _WHOLE_MODEL.get(selector.criterion.kind)
    if base is None:
        return likelihood.minus_two_ll + selector.total_penalty(problem)
    included = penalties_of(parse_criterion(base), problem, SelectionSettings())[problem.support].sum()
    return getattr(likelihood, base) + selector.total_penalty(problem) - float(included)


def _effects(
    outcome: SearchOutcome, evidence: Evidence, fit: FitResult, thetas: tuple[tuple[str, ...], ...]
) -> tuple[EffectResult, ...]:
    effects, support = outcome.problem.effects, outcome.problem.support
    estimates = {e.name: e for e in fit.estimates}
    names = dict(zip(np.flatnonzero(support).tolist(), thetas, strict=True))
    found = []
    for u, candidate in enumerate(effects.space.candidates):
        own = [estimates[name] for name in names.get(u, ())]
        missing = len(candidate.columns) - len(own)
        found.append(
            EffectResult(
                name=candidate.name,
                parameter=candidate.parameter,
                covariate=candidate.covariate,
                form=candidate.form,
                coefficients=tuple(column.name for column in candidate.columns),
                selected=bool(support[u]),
                forced=candidate.forced,
                thetas=names.get(u, ()),
                beta=(*(e.value for e in own), *(0.0 for _ in range(missing))),
                standard_error=(
                    *(np.nan if e.standard_error is None else e.standard_error for e in own),
                    *(np.nan for _ in range(missing)),
                ),
                penalty=float(outcome.selector.penalty[u]),
                margin=float(evidence.margin[u]),
                frequency=float(evidence.frequency[u]),
            )
        )
    return tuple(found)


def _certificate(outcome: SearchOutcome, audit: str) -> Certificate:
    count = outcome.selector.count
    if count.last is None:
        nan = float("nan")
        return Certificate(
            n_solves=0, n_uncertified=0, largest_gap=0.0, solver="", objective=nan, bound=nan, nodes=0, seconds=0.0
        )
    program, solution = count.last
    checked = _audited(program, solution, audit) if audit else {}
    return Certificate(
        n_solves=count.solves,
        n_uncertified=count.uncertified,
        largest_gap=count.largest_gap,
        solver=solution.solver,
        objective=solution.objective,
        bound=solution.bound,
        nodes=solution.nodes,
        seconds=count.seconds,
        **checked,
    )


def _audited(program: Program, solution: Solution, solver: str) -> dict[str, Any]:
    """What an independent solver says; Ctrl-C leaves it open."""
    from nlmevae.selection.audit import audit

    try:
        report = audit(program, solution, solver=solver)
    except KeyboardInterrupt:
        return {"audit": f"{solver} (interrupted)"}
    return {"audit": report.solver, "audit_objective": report.objective, "audit_agrees": report.agrees}


def _trace(outcome: SearchOutcome) -> SelectionTrace:
    rows, effects = outcome.estimation.trace, outcome.problem.effects
    n_theta = len(outcome.problem.model.thetas)
    objective = np.array([row.objective for row in rows])
    support = np.array([row.support for row in rows], dtype=bool).reshape(len(rows), effects.n_units)
    return SelectionTrace(
        phase=tuple(row.phase for row in rows),
        objective=objective,
        criterion=objective + support @ outcome.selector.penalty,
        beta=np.array([row.parameters[effects.theta] for row in rows]).reshape(len(rows), len(effects.names)),
        omega_sd=np.array([_latent_sd(row, n_theta, outcome) for row in rows]),
        support=support,
    )


def _latent_sd(row: TraceRow, n_theta: int, outcome: SearchOutcome) -> np.ndarray:
    n_eta = len(outcome.problem.model.etas)
    lower = row.parameters[len(row.parameters) - n_eta * (n_eta + 1) // 2 :]
    diagonal = np.cumsum(np.arange(1, n_eta + 1)) - 1
    return np.sqrt(lower[diagonal][outcome.problem.latent_index])


def _warnings(certificate: Certificate) -> list[str]:
    gap = certificate.objective - certificate.bound
    if not certificate.n_solves or not gap > 1e-6 * max(abs(certificate.objective), 1.0):
        return []
    return [
        f"The last search over covariate models ended at its limit: a better one, by up to {gap:.3g} in the criterion, "
        f"is not ruled out."
    ]
