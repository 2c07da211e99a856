"""What the tasks of a project ask for, as settings of the fit; what is not done is named."""

import dataclasses

import pytest

from nlmevae.errors import Location, SemanticError
from nlmevae.estimation.settings import FitSettings
from nlmevae.frontends.monolix.model.asked_tasks import SAMPLES, asked_tasks
from nlmevae.frontends.monolix.project import Task

AT = Location(path="p.mlxtran", line=7, column=1)


def task(name, method="", *, run=True):
    return Task(name=name, arguments={"method": method} if method else {}, run=run, at=AT)


def test_a_usual_project_asks_for_everything():
    asked = asked_tasks(
        [
            task("populationParameters"),
            task("individualParameters", "{conditionalMean, conditionalMode }"),
            task("fim", "StochasticApproximation"),
            task("logLikelihood", "ImportanceSampling"),
            task("plotResult", "{indfits, vpc}"),
        ]
    )
    assert asked.estimates
    assert asked.settings == {"covariance": "observed", "samples": SAMPLES}
    assert asked.likelihood == "is"
    assert [n.message for n in asked.notes] == [
        "plotResult draws nothing here; nlmevae report draws the plots of a fit"
    ]
    assert asked.notes[0].location == AT


def test_tasks_that_are_not_run_are_not_done():
    asked = asked_tasks(
        [
            task("populationParameters"),
            task("individualParameters", "none", run=False),
            task("fim", "StochasticApproximation", run=False),
            task("logLikelihood", "ImportanceSampling", run=False),
            task("plotResult", "none", run=False),
        ]
    )
    assert asked.settings == {"covariance": "none", "samples": 0}
    assert asked.likelihood is None
    assert asked.notes == ()


@pytest.mark.parametrize("run", [True, False])
def test_the_method_none_of_the_fim_asks_for_no_standard_errors(run):
    assert asked_tasks([task("fim", "none", run=run)]).settings["covariance"] == "none"
    assert asked_tasks([task("fim", "{none}", run=run)]).notes[0].code == "task-not-run"


@pytest.mark.parametrize(
    ("method", "samples"),
    [
        ("", SAMPLES),
        ("none", 0),
        ("All", SAMPLES),
        ("{conditionalMode}", 0),
        ("{conditionalMean}", SAMPLES),
        ("{'conditionalMode' 'conditionalMean'}", SAMPLES),
    ],
)
def test_modes_alone_need_no_samples(method, samples):
    asked = asked_tasks([task("populationParameters"), task("individualParameters", method)])
    assert asked.settings["samples"] == samples


def test_linearisation_is_named_where_it_is_not_what_is_done():
    asked = asked_tasks(
        [task("populationParameters"), task("fim", "Linearization"), task("logLikelihood", "Linearization")]
    )
    assert asked.settings["covariance"] == "observed"
    assert asked.likelihood == "lin"
    assert "observed information" in asked.notes[0].message


def test_without_tasks_everything_is_done():
    assert asked_tasks([]).estimates
    assert asked_tasks([]).settings == {"covariance": "observed", "samples": SAMPLES}


@pytest.mark.parametrize("tasks", [[task("populationParameters", run=False)], [task("fim")]])
def test_without_estimation_that_is_said(tasks):
    asked = asked_tasks(tasks)
    assert not asked.estimates
    assert "values of <PARAMETER>" in asked.notes[-1].message


def test_other_tasks_are_named():
    asked = asked_tasks([task("populationParameters"), task("modelBuilding"), task("assessment", run=False)])
    assert [n.message for n in asked.notes] == ["modelBuilding is skipped: it has no counterpart here"]


def test_names_and_methods_are_read_without_case():
    asked = asked_tasks([task("POPULATIONPARAMETERS"), task("loglikelihood", "linearization")])
    assert asked.estimates
    assert asked.likelihood == "lin"


@pytest.mark.parametrize("name", ["fim", "logLikelihood", "individualParameters"])
def test_an_unknown_method_stops_with_its_place(name):
    with pytest.raises(SemanticError, match=f"the task {name} has no method guess") as caught:
        asked_tasks([task("populationParameters"), task(name, "guess")])
    assert caught.value.location == AT
    assert caught.value.hint


def test_settings_are_settings_of_a_fit():
    names = {f.name for f in dataclasses.fields(FitSettings)}
    assert set(asked_tasks([]).settings) <= names
    FitSettings(**asked_tasks([]).settings)
