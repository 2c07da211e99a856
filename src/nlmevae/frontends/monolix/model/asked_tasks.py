"""<MONOLIX> [TASKS]: what each asks for here.

    populationParameters    the fit; not run: the likelihood and what follows at the values of <PARAMETER>
    individualParameters    conditional mode, mean and samples, which every fit has; `conditionalMean` or `All` keeps
                            samples for the tests
    fim                     standard errors from the observed information of the exact likelihood, whatever its method
    logLikelihood           importance sampling and linearisation are both always computed; the method says which one
                            LogLikelihood/ of the results folder has
    plotResult, [PLOTS]     nothing: `nlmevae report` draws
    everything else         nothing; named

Names are compared without case, as Monolix of different versions writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from nlmevae.errors import SemanticError
from nlmevae.frontends.monolix.project import Task
from nlmevae.ir import Diagnostic

#: Draws of each subject's parameters (nbsimulatedparameters of Monolix).
SAMPLES = 10

_PLOTS = ("plotresult", "plots", "plot")
_FIM = {"stochasticapproximation": "StochasticApproximation", "linearization": "Linearization", "none": "none"}
_LIKELIHOOD = {"importancesampling": "ImportanceSampling", "linearization": "Linearization"}
_INDIVIDUAL = {
    "none": "none",
    "all": "All",
    "conditionalmean": "conditionalMean",
    "conditionalmode": "conditionalMode",
    "conditionaldistribution": "conditionalDistribution",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTasks:
    """What a project asks for.

    Attributes:
        estimates: the population parameters are estimated.
        settings: fields of the fit's settings.
        likelihood: the method of the -2LL in the results folder; None: no log-likelihood task.
        notes: what is done otherwise than written, and what is skipped.
    """

    estimates: bool = True
    settings: dict[str, object] = field(default_factory=dict)
    likelihood: Literal["is", "lin"] | None = None
    notes: tuple[Diagnostic, ...] = ()


def asked_tasks(tasks: Iterable[Task]) -> AskedTasks:
    """From `Project.tasks`. A project without any asks for what Monolix does by default: all of them.

    Raises:
        SemanticError: a method that no version of Monolix has.
    """
    given = tuple(tasks)
    if not given:
        return AskedTasks(settings={"covariance": "observed", "samples": SAMPLES}, likelihood="is")
    asked = AskedTasks(estimates=False, settings={"covariance": "none", "samples": 0})
    for task in given:
        asked = _with(asked, task)
    if asked.estimates:
        return asked
    note = Diagnostic(
        code="task-not-run",
        severity="note",
        message="populationParameters is not run: everything is computed at the values of <PARAMETER>",
        location=given[0].at,
    )
    return replace(asked, notes=(*asked.notes, note))


def _with(asked: AskedTasks, task: Task) -> AskedTasks:
    """With one more task; of two of a name the second counts."""
    settings, name = dict(asked.settings), task.name.lower()
    match name:
        case "populationparameters":
            return replace(asked, estimates=task.run)
        case "individualparameters":
            methods = _methods(task, _INDIVIDUAL) or ["all"]
            drawn = task.run and not set(methods) <= {"none", "conditionalmode"}  # modes alone need no draws
            return replace(asked, settings=settings | {"samples": SAMPLES if drawn else 0})
        case "fim":
            methods = _methods(task, _FIM)
            notes = [_note(task, _BY_LINEARISATION)] if task.run and methods == ["linearization"] else []
            covariance = "observed" if task.run and methods != ["none"] else "none"
            return replace(asked, settings=settings | {"covariance": covariance}, notes=(*asked.notes, *notes))
        case "loglikelihood":
            methods = _methods(task, _LIKELIHOOD)
            likelihood = ("lin" if methods == ["linearization"] else "is") if task.run else None
            return replace(asked, likelihood=likelihood)
    if not task.run:
        return asked
    message = _NOT_DRAWN if name in _PLOTS else "is skipped: it has no counterpart here"
    return replace(asked, notes=(*asked.notes, _note(task, message)))


_BY_LINEARISATION = (
    "asks for linearisation; standard errors are from the observed information of the exact likelihood instead"
)
_NOT_DRAWN = "draws nothing here; nlmevae report draws the plots of a fit"


def _methods(task: Task, known: dict[str, str]) -> list[str]:
    """In lower case, of one method or a list ``{conditionalMean, conditionalMode}``; empty where none is written.

    Raises:
        SemanticError: one of them is not known.
    """
    words = re.split(r"[\s,]+", task.arguments.get("method", "").strip("{} "))
    written = [word.strip("'\"") for word in words if word.strip("'\"")]
    for word in written:
        if word.lower() not in known:
            raise SemanticError(
                f"the task {task.name} has no method {word}",
                hint=f"write {' or '.join(known.values())}",
                location=task.at,
            )
    return [word.lower() for word in written]


def _note(task: Task, message: str) -> Diagnostic:
    return Diagnostic(code="task", severity="note", message=f"{task.name} {message}", location=task.at)
