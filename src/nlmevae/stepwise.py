"""Stepwise baselines on our own engine: `nlmevae scm`, `nlmevae cossac`, `nlmevae samba`.

prepared selection -> candidate models, each from its parent's estimates -> final model -> written, read back, fitted
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.pipeline import (
    ModelSource,
    PreparedSelection,
    make_settings,
    prepare_selection,
    selected_model,
    with_stated_seed,
)
from nlmevae.results.stepwise_result import StepwiseMethod, StepwiseResult
from nlmevae.results.tool_result import ToolTest

if TYPE_CHECKING:
    from nlmevae.estimation.problem import Problem
    from nlmevae.estimation.search import SearchOutcome
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.stepwise_runs import CandidateRuns, FittedCandidate
    from nlmevae.selection.stepwise import Acceptance, Effects
    from nlmevae.selection.stepwise import Path as StepPath
    from nlmevae.writers.selection_files import SelectionFiles

#: What decides in `scm`: the likelihood-ratio test, or a criterion of `selection.criterion`.
CRITERIA = ("lrt", "bicc", "bic", "aic", "mbic", "ebic")
#: Told after each estimated model: its number, what it is, -2LL.
Told = Callable[[int, str, float], None]


def stepwise(
    source: ModelSource,
    method: StepwiseMethod,
    *,
    p_forward: float | None = None,
    p_backward: float | None = None,
    criterion: str | None = None,
    direction: str | None = None,
    data: str | os.PathLike[str] | None = None,
    **options: Any,
) -> StepwiseResult:
    """A stepwise search; `options` are those of `select`'s search and of the fit. See `run_stepwise`."""
    from dataclasses import fields

    from nlmevae.estimation.settings import FitSettings

    names = {f.name for f in fields(FitSettings)}
    own = {name: value for name, value in options.items() if name in names}
    prepared = prepare_selection(source, data=data, **{n: v for n, v in options.items() if n not in names})
    settings = with_stated_seed(make_settings(own), prepared.model, own)
    given = {"p_forward": p_forward, "p_backward": p_backward, "criterion": criterion, "direction": direction}
    how = decision_of_settings(options.get("settings_file"), method, criterion=criterion)
    how |= {name: value for name, value in given.items() if value is not None}
    return run_stepwise(prepared, settings, method, **how)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmPlan:
    """How a configuration file of scm decides: p-values, direction, and the effects it begins with (names)."""

    p_forward: float | None
    p_backward: float | None
    direction: str
    start: tuple[str, ...]


def scm_plan(path: str | os.PathLike[str], prepared: PreparedSelection, *, linear_as: str | None = None) -> ScmPlan:
    """
    Raises:
        SettingsError: the file decides by what this search does not have.
        UnsupportedError: a relation that it begins with cannot be searched.
    """
    from nlmevae.data.search.asked_pairs import AskedNames
    from nlmevae.data.search.scm_file import read_scm_file
    from nlmevae.data.search.scm_space import included_effects
    from nlmevae.data.search_spec import SearchSpec

    scm = read_scm_file(path)
    for what, hint in (
        ("gof=ofv, by limits of OFV" if scm.decides_by_ofv else "", "remove gof, and give p_forward and p_backward"),
        (f"max_steps={scm.max_steps}" if scm.max_steps else "", "remove max_steps"),
    ):
        if what:
            raise SettingsError(f"{scm.path} asks for {what}, which nlmevae scm does not have", hint=hint)
    inside = included_effects(scm, AskedNames(prepared.model, SearchSpec()), linear_as)
    wanted = {(e.parameter, e.covariate, e.form) for e in inside}
    start = tuple(
        c.name
        for c in prepared.search.space.candidates
        if {(c.parameter.upper(), c.covariate.upper(), form) for form in (c.form, _other_name(c.form))} & wanted
    )
    return ScmPlan(p_forward=scm.p_forward, p_backward=scm.p_backward, direction=scm.direction, start=start)


def decision_of_settings(
    path: str | os.PathLike[str] | None, method: StepwiseMethod, *, criterion: str | None = None
) -> dict[str, Any]:
    """What a settings file says of the decision, as arguments of `run_stepwise`; p-values give way to a `criterion`
    that is asked for, and are of its criterion lrt:p where it has no others.

    Raises:
        SettingsError: its criterion is none that a stepwise search has.
    """
    from nlmevae.data.search.decision import decision_of_file
    from nlmevae.selection.criterion import parse_criterion

    stated = decision_of_file(path)
    if method == "samba":
        return {}
    found: dict[str, Any] = {"direction": stated.direction} if method == "scm" else {}
    p_values = {"p_forward": stated.p_forward, "p_backward": stated.p_backward}
    kind = parse_criterion(stated.criterion) if stated.criterion else None
    if kind is not None and not any(p_values.values()):
        if kind.kind == "lrt":
            p_values = {"p_forward": kind.level, "p_backward": kind.level}
        elif method == "scm":
            found["criterion"] = kind.kind
    if criterion in (None, "lrt"):
        found |= p_values
    return {name: value for name, value in found.items() if value is not None}


def _other_name(form: str) -> str:
    """w - centre is called by the parameter's distribution."""
    return {"linear": "exponential", "exponential": "linear"}.get(form, form)


def run_stepwise(
    prepared: PreparedSelection,
    settings: FitSettings,
    method: StepwiseMethod,
    *,
    p_forward: float | None = None,
    p_backward: float | None = None,
    criterion: str | None = None,
    direction: str = "both",
    start: tuple[str, ...] | None = None,
    files: SelectionFiles | None = None,
    told: Told | None = None,
) -> StepwiseResult:
    """
    Args:
        p_forward, p_backward: of the likelihood-ratio test; scm: 0.05 and 0.01 where not given; cossac: BICc decides
            where they are not given.
        criterion: of scm, one of `CRITERIA`: lrt (default), or what every step has to lower; samba and cossac know
            BICc only.
        direction: of scm: forward, backward (from the model with all candidates) or both.
        start: of scm: names of the effects it begins with (forced ones always).

    Raises:
        SettingsError: an impossible p-value, criterion or direction, or several forms of one effect in a backward
            search.
        KeyboardInterrupt: Ctrl-C.
    """
    from nlmevae.codegen.latent_form import latent_form
    from nlmevae.estimation.decoders import Decoders
    from nlmevae.estimation.problem import make_problem
    from nlmevae.estimation.search import effects_of
    from nlmevae.estimation.stepwise_runs import CandidateRuns
    from nlmevae.selection.stepwise import Effects

    if settings.method != "vae+polish":
        raise SettingsError(
            f"a stepwise search compares maximised likelihoods, and method {settings.method} does not maximise them",
            hint="leave method out",
        )
    _check(method, p_forward, p_backward, direction, prepared, start)
    criterion = _criterion(method, criterion, p_forward, p_backward)
    run, settings = prepared.run, settings.on(prepared.table)
    form = latent_form(run.model, run.table)
    decoders = Decoders.of(form, run.table, settings)
    try:
        base = make_problem(run.model, form, run.table, decoders.exact)
        problem = base.searching(effects_of(run.model, base, prepared.search))
        effects = Effects(
            size=tuple(int(n) for n in problem.effects.n_coefficients),
            forced=tuple(bool(f) for f in problem.effects.forced),
            exclusive=prepared.search.space.exclusive,
        )
        runs = CandidateRuns(problem, decoders, settings, told=_telling(problem, told))
        if method == "scm" and criterion == "lrt":
            p_forward, p_backward = _limits(p_forward, p_backward, direction)
        rule = _acceptance(problem, criterion, p_forward, p_backward)
        begin = _start(effects, [c.name for c in prepared.search.space.candidates], direction, start)
        path = _search(method, runs, effects, rule, direction, begin)
        seconds = runs.seconds
        outcome = _outcome(runs, path, criterion)
    finally:
        decoders.close()
    return _result(prepared, outcome, path, files, method, runs.n_runs, seconds, rule, criterion)


def _check(
    method: str,
    p_forward: float | None,
    p_backward: float | None,
    direction: str,
    prepared: PreparedSelection,
    start: tuple[str, ...] | None,
) -> None:
    for name, value in (("p_forward", p_forward), ("p_backward", p_backward)):
        if value is not None and not 0.0 < value < 1.0:
            raise SettingsError(f"{name} is {value:g}", hint="give a number between 0 and 1")
        if value is not None and method == "samba":
            raise SettingsError("samba chooses by BICc and knows no p-values", hint=f"leave {name} out")
    if direction not in ("forward", "backward", "both"):
        raise SettingsError(f"direction is {direction!r}", hint="forward, backward and both are possible")
    if direction != "both" and method != "scm":
        raise SettingsError(f"{method} has no direction", hint="leave it out")
    if direction == "backward" and start is None and prepared.search.space.exclusive:
        raise SettingsError(
            "a backward search begins with all effects, and here some have several forms",
            hint="give one form of each effect",
        )


def _criterion(method: str, criterion: str | None, p_forward: float | None, p_backward: float | None) -> str:
    """What decides; of cossac BICc if no p-value is given.

    Raises:
        SettingsError: there is no such criterion, or the method does not have it, or p-values are given beside it.
    """
    by_p_values = p_forward is not None or p_backward is not None
    if criterion is None:
        return "lrt" if method == "scm" or by_p_values else "bicc"
    if criterion not in CRITERIA:
        raise SettingsError(f"criterion is {criterion!r}", hint=f"{', '.join(CRITERIA)} are possible")
    if method != "scm":
        raise SettingsError(f"{method} has no choice of criteria", hint="leave criterion out")
    if criterion != "lrt" and by_p_values:
        raise SettingsError(
            f"p-values are given, and criterion {criterion} decides without them",
            hint="leave p_forward and p_backward out, or the criterion",
        )
    return criterion


def _limits(p_forward: float | None, p_backward: float | None, direction: str) -> tuple[float | None, float | None]:
    """PsN's 0.05 and 0.01, None for the direction that is not searched."""
    forward = None if direction == "backward" else 0.05 if p_forward is None else p_forward
    backward = None if direction == "forward" else 0.01 if p_backward is None else p_backward
    return forward, backward


def _start(effects: Effects, names: list[str], direction: str, start: tuple[str, ...] | None) -> tuple[bool, ...]:
    if start is None:
        return tuple(direction == "backward" or forced for forced in effects.forced)
    return tuple(name in start or forced for name, forced in zip(names, effects.forced, strict=True))


def _acceptance(problem: Problem, criterion: str, p_forward: float | None, p_backward: float | None) -> Acceptance:
    """A penalty is used in a direction that has no p-value."""
    from nlmevae.estimation.selector import penalties_of
    from nlmevae.estimation.settings import SelectionSettings
    from nlmevae.selection.criterion import parse_criterion
    from nlmevae.selection.stepwise import Acceptance

    charging = parse_criterion("bicc" if criterion == "lrt" else criterion)
    penalty = penalties_of(charging, problem, SelectionSettings())
    return Acceptance(penalty=tuple(penalty.tolist()), p_forward=p_forward, p_backward=p_backward)


def _search(
    method: StepwiseMethod,
    runs: CandidateRuns,
    effects: Effects,
    rule: Acceptance,
    direction: str,
    start: tuple[bool, ...],
) -> StepPath:
    from nlmevae.estimation.conditional_samples import chosen_by_regression, correlation_p_values
    from nlmevae.selection import stepwise as steps

    columns = runs.problem.effects
    penalty = np.array(rule.penalty)
    if method == "scm":
        return steps.scm(runs.fit, effects, rule, direction=direction, start=start)
    if method == "cossac":

        def p_values(model: FittedCandidate) -> np.ndarray:
            return correlation_p_values(columns, model.support, model.samples, model.mean)

        return steps.cossac(runs.fit, effects, p_values, rule)

    def criterion(model: FittedCandidate) -> float:
        return model.minus_two_ll + float(penalty[list(model.support)].sum())

    def choose(model: FittedCandidate) -> tuple[bool, ...]:
        if math.isnan(model.minus_two_ll):
            return model.support  # of a model that failed there are no samples
        return chosen_by_regression(columns, effects, penalty, model.samples)

    return steps.samba(runs.fit, effects, choose, criterion)


def _telling(problem: Any, told: Told | None) -> Callable[[int, FittedCandidate], None] | None:
    if told is None:
        return None
    names = [c.name for c in problem.effects.space.candidates]

    def tell(number: int, model: FittedCandidate) -> None:
        inside = [n for n, s in zip(names, model.support, strict=True) if s]
        told(number, ", ".join(inside) or "no effects", model.minus_two_ll)

    return tell


def _outcome(runs: CandidateRuns, path: StepPath, criterion: str) -> SearchOutcome:
    """The final model as the outcome of a search that made no integer programs; its whole models are compared by BICc
    where p-values decided."""
    from dataclasses import replace

    from nlmevae.estimation.search import SearchOutcome
    from nlmevae.estimation.selector import Selector
    from nlmevae.estimation.settings import SelectionSettings
    from nlmevae.estimation.stages import Stages

    selection = SelectionSettings(criterion="bicc" if criterion == "lrt" else criterion, resamples=0)
    estimation = path.model.estimation
    support = np.array(path.model.support)
    rows = tuple(replace(row, support=support) for row in estimation.trace)
    return SearchOutcome(
        estimation=replace(estimation, trace=rows),
        selector=Selector.of(runs.problem, selection),
        settings=runs.settings,
        selection=selection,
        stages=Stages(),
    )


def _result(
    prepared: PreparedSelection,
    outcome: SearchOutcome,
    path: StepPath,
    files: SelectionFiles | None,
    method: StepwiseMethod,
    n_runs: int,
    seconds: float,
    rule: Acceptance,
    criterion: str,
) -> StepwiseResult:
    from nlmevae.estimation.search import fit_of_selected
    from nlmevae.estimation.search_evidence import Evidence
    from nlmevae.estimation.search_report import search_report

    selected, text = selected_model(prepared, outcome, files)
    fit = fit_of_selected(outcome, selected)
    selection = search_report(
        outcome, Evidence.unknown(outcome), fit, selected.thetas, text, prepared.search.exchangeable, audit=""
    )
    candidates = prepared.search.space.candidates
    tests = tuple(
        ToolTest(
            step=t.step,
            backward=t.backward,
            parameter=candidates[t.effect].parameter,
            covariate=candidates[t.effect].covariate,
            state=candidates[t.effect].name,
            base=t.base,
            new=t.new,
            drop=t.drop,
            goal=t.goal,
            df=t.df,
            p_value=t.p_value,
            significant=t.significant,
            chosen=t.chosen,
        )
        for t in path.tests
    )
    steps = tuple(
        tuple(c.name for c, inside in zip(candidates, support, strict=True) if inside) for support in path.supports
    )
    return StepwiseResult(
        method=method,
        selection=selection,
        tests=tests,
        steps=steps,
        criterion=criterion,
        p_forward=rule.p_forward,
        p_backward=rule.p_backward,
        n_runs=n_runs,
        seconds=seconds,
    )


def open_stepwise_files(
    prepared: PreparedSelection, method: StepwiseMethod, *, out: str | None = None, overwrite: bool = False
) -> SelectionFiles:
    """In the folder `out`, by default ``<run>_scm`` beside the control stream.

    Raises:
        OutputError: they cannot be written, or a file that is not ours would be lost.
    """
    from nlmevae.results.selection_folder import SelectionFolder
    from nlmevae.writers.selection_files import SelectionFiles

    source = Path(prepared.model.source.path or prepared.model.name)
    folder = SelectionFolder.beside(source, out or source.parent / f"{source.stem}_{method}")
    folder.prepare(overwrite=overwrite, inputs=[prepared.model.source.path, prepared.run.dataset.path])
    return SelectionFiles(folder)
