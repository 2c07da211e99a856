"""How long a run will take: what is counted, and what is scaled. That forecasts come true is measured in
tests/benchmarks/time_forecast.py."""

from dataclasses import replace

import pytest

import nlmevae
from nlmevae.cli.main import main
from nlmevae.estimation import forecast as module
from nlmevae.estimation.forecast import forecast
from nlmevae.estimation.settings import FitSettings
from nlmevae.pipeline import prepare
from tests.helpers.cases import stage


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path, _ = stage("theophylline_base", tmp_path_factory.mktemp("forecast"))
    return prepare(path)


@pytest.fixture(scope="module")
def found(run):
    return forecast(run.model, run.table, FitSettings())


def test_every_part_of_a_fit_has_its_time(found):
    assert list(found.parts) == ["vae", "approach", "polish", "covariance", "likelihood"]
    assert all(seconds > 0 for seconds in found.parts.values())
    assert found.low < found.seconds < found.high
    assert (found.n_subjects, found.n_tried, found.n_observations) == (12, 12, 120)


def test_the_published_algorithm_has_no_polish(run):
    parts = forecast(run.model, run.table, FitSettings(method="vae")).parts
    assert list(parts) == ["vae", "likelihood"]


def test_no_standard_errors_cost_nothing(run):
    assert "covariance" not in forecast(run.model, run.table, FitSettings(covariance="none")).parts


def test_ten_times_the_iterations_take_ten_times_as_long(run, found):
    longer = forecast(run.model, run.table, FitSettings(burn_in_iterations=300, training_iterations=600))
    assert longer.parts["vae"] / found.parts["vae"] == pytest.approx(10, rel=0.6)  # two clocks on a busy machine


def test_of_many_subjects_some_are_tried_and_their_costs_scaled(run, found, monkeypatch):
    monkeypatch.setattr(module, "START_SUBJECTS", 6)
    monkeypatch.setattr(module, "MANY_SUBJECTS", 6)
    half = forecast(run.model, run.table, FitSettings())
    assert (half.n_subjects, half.n_tried) == (12, 6)
    assert half.parts["likelihood"] == pytest.approx(found.parts["likelihood"], rel=0.9)


def test_a_fit_is_not_changed_by_its_forecast(run, found):
    quick = replace(FitSettings(), burn_in_iterations=2, training_iterations=2, max_outer=2, final_draws=64)
    first = nlmevae.fit(run.model, **{k: v for k, v in quick.as_dict().items() if v != getattr(FitSettings(), k)})
    forecast(run.model, run.table, quick)
    again = nlmevae.fit(run.model, **{k: v for k, v in quick.as_dict().items() if v != getattr(FitSettings(), k)})
    assert again.minus_two_ll == first.minus_two_ll


def test_the_command_says_how_long_a_search_takes_and_writes_nothing(tmp_path, capsys):
    path, _ = stage("theophylline_base", tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["estimate-time", str(path), "--covariates", "WT"]) == 0
    told = capsys.readouterr().out
    assert "nlmevae select will take about" in told
    assert "12 of 12 subjects" in told
    assert sorted(tmp_path.iterdir()) == before


def test_what_stops_a_fit_stops_its_forecast(tmp_path, capsys):
    path, _ = stage("theophylline_base", tmp_path)
    (tmp_path / "theophylline.csv").unlink()
    assert main(["estimate-time", str(path)]) == 2
    assert "theophylline.csv" in capsys.readouterr().err
