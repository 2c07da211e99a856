"""How long a run will take: what is counted, and what is scaled. That forecasts come true is measured in
tests/benchmarks/time_forecast.py."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import nlmevae
from nlmevae.cli.main import main
from nlmevae.estimation import forecast as module
from nlmevae.estimation.covariance_step import rounds
from nlmevae.estimation.forecast import forecast
from nlmevae.estimation.iteration_counts import Usual
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.trial import Line, PosteriorTrial, Trial
from nlmevae.forecasting import EACH, WORKERS, bootstrap_time
from nlmevae.pipeline import prepare
from tests.helpers.cases import stage

BRIEF = FitSettings(n_draws=32, final_draws=64, its_iterations=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path, _ = stage("theophylline_base", tmp_path_factory.mktemp("forecast"))
    return prepare(path)


@pytest.fixture(scope="module")
def found(run):
    return forecast(run.model, run.table, FitSettings(), samples=True)


def names(forecast):
    return [part.name for part in forecast.parts]


def test_every_part_of_a_fit_has_its_time_and_its_range(found):
    assert names(found) == ["vae", "approach", "polish", "likelihood", "covariance"]
    assert all(0 < part.low <= part.usual <= part.high for part in found.parts)
    assert found.seconds == pytest.approx(sum(part.usual for part in found.parts))
    assert found.low < found.seconds < found.high
    assert (found.n_subjects, found.n_tried, found.n_observations, found.threads) == (12, 12, 120, 1)


def test_the_published_algorithm_has_no_polish(run):
    brief = FitSettings(method="vae", final_draws=64)
    assert names(forecast(run.model, run.table, brief)) == ["vae", "likelihood"]


def test_no_standard_errors_cost_nothing(run):
    assert "covariance" not in names(forecast(run.model, run.table, replace(BRIEF, covariance="none")))


def test_ten_times_the_iterations_take_ten_times_as_long(run, found):
    longer = forecast(run.model, run.table, FitSettings(burn_in_iterations=300, training_iterations=600))
    ratio = longer.part("vae").usual / found.part("vae").usual
    assert ratio == pytest.approx(10, rel=0.6)  # two trials on a busy machine


def test_of_many_subjects_some_are_tried_and_their_costs_scaled(run, monkeypatch):
    monkeypatch.setattr(module, "START_SUBJECTS", 6)
    monkeypatch.setattr(module, "MANY_SUBJECTS", 6)
    half = forecast(run.model, run.table, BRIEF)
    assert (half.n_subjects, half.n_tried) == (12, 6)
    monkeypatch.setattr(module._Run, "_all", lambda self, seconds: seconds(self.trial))  # as if those tried were all
    once = forecast(run.model, run.table, BRIEF)
    for name in ("polish", "likelihood"):
        assert half.part(name).usual == pytest.approx(2 * once.part(name).usual, rel=0.7)


def test_seconds_that_do_not_depend_on_the_data_are_not_scaled():
    def trial(n_obs, seconds, small=None):
        tried = SimpleNamespace(table=SimpleNamespace(n_obs_total=n_obs))
        return Trial(problem=None, tried=tried, screen=seconds, small=small)

    assert trial(400, 2.0).of_all(lambda t: t.screen, 4000) == pytest.approx(20.0)
    both = trial(400, 0.1 + 400e-3, small=trial(100, 0.1 + 100e-3))
    assert both.of_all(lambda t: t.screen, 400) == pytest.approx(0.5)
    assert both.of_all(lambda t: t.screen, 4000) == pytest.approx(0.1 + 4.0)


def test_threads_share_what_they_can_of_a_part():
    part = Usual(1.0, 2.0, 4.0)
    assert module._shared(part, 1, 0.9) == part
    assert module._shared(part, 4, 1.0) == Usual(0.25, 0.5, 1.0)
    assert module._shared(part, 4, 0.0) == part


def test_seconds_of_a_step_are_a_line_through_two_measured_ones():
    line = Line.through((64, 256), (0.02, 0.05))
    assert line.at(64) == pytest.approx(0.02)
    assert line.at(1024) == pytest.approx(0.05 + 768 * 0.03 / 192)
    noisy = Line.through((64, 256), (0.06, 0.05))  # the larger one was faster
    assert noisy.fixed >= 0.0
    assert noisy.at(1024) > 0.05


def test_errors_of_moments_fall_with_the_root_of_the_draws():
    tried = PosteriorTrial(modes=0, others=0, draws=Line(fixed=0, slope=0), error=np.array([0.01, 0.03, 0.05]), at=1024)
    assert tried.rough(1024, 100) == pytest.approx(2 / 3)
    assert tried.rough(4096, 100) == pytest.approx(1 / 3)
    assert tried.rough(16384, 100) == 0.0
    assert tried.rough(1024, 2000) == pytest.approx(1 / 3)  # of many subjects 4 % are allowed


@pytest.mark.parametrize(
    ("backend", "structural", "n_subjects", "draws"),
    [
        ("closed_form", 0, 12, (1024, 4096, 16384)),
        ("closed_form", 2, 12, (1024, 4096, 16384)),  # 200,000 draws, solved five times
        ("closed_form", 2, 100, (1024,)),
        ("compiled", 0, 12, (1024, 4096, 16384)),
        ("compiled", 0, 20, (1024, 4096)),
        ("compiled", 0, 189, (1024,)),
        ("closed_form", 0, 2000, (250,)),
        ("closed_form", 0, 20_000, (64, 256)),
    ],
)
def test_rounds_of_the_covariance_step_grow_fourfold_until_they_are_too_large(backend, structural, n_subjects, draws):
    problem = SimpleNamespace(structural_free=np.ones(structural, dtype=bool), decoder=SimpleNamespace(backend=backend))
    assert rounds(problem, n_subjects) == draws


def test_a_bootstrap_is_the_fit_of_the_data_and_samples_that_workers_share(found):
    samples = bootstrap_time(found, 100, 4)
    assert names(samples) == [*names(found), "start of the workers", "samples"]
    assert samples.part("samples").usual == pytest.approx(25 * (found.sample.usual + EACH))
    assert samples.seconds == pytest.approx(found.seconds + WORKERS[1] + samples.part("samples").usual)
    here = bootstrap_time(found, 100, 0)
    assert names(here) == [*names(found), "samples"]
    assert here.part("samples").high == pytest.approx(100 * found.sample.high)


@pytest.mark.parametrize(
    ("samples", "workers", "name"), [(0, 1, "bootstrap"), (-3, 1, "bootstrap"), (5, -1, "workers")]
)
def test_impossible_numbers_are_named(found, samples, workers, name):
    with pytest.raises(nlmevae.SettingsError, match=name):
        bootstrap_time(found, samples, workers)


def test_a_fit_is_not_changed_by_its_forecast(run):
    quick = {"burn_in_iterations": 2, "training_iterations": 2, "max_outer": 2, "final_draws": 64}
    first = nlmevae.fit(run.model, **quick)
    forecast(run.model, run.table, replace(FitSettings(), **quick))
    assert nlmevae.fit(run.model, **quick).minus_two_ll == first.minus_two_ll


def test_the_command_says_how_long_a_search_takes_and_writes_nothing(tmp_path, capsys):
    path, _ = stage("theophylline_base", tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["estimate-time", str(path), "--covariates", "WT", "--bootstrap", "10", "--workers", "2"]) == 0
    told = capsys.readouterr().out
    for part in ("start and reading", "polish", "decisions", "writing and plots", "samples", "all"):
        assert f"\n{part} " in told
    assert "nlmevae bootstrap will take about" in told
    assert "12 of 12 subjects" in told
    assert sorted(tmp_path.iterdir()) == before


def test_what_stops_a_fit_stops_its_forecast(tmp_path, capsys):
    path, _ = stage("theophylline_base", tmp_path)
    (tmp_path / "theophylline.csv").unlink()
    assert main(["estimate-time", str(path)]) == 2
    assert "theophylline.csv" in capsys.readouterr().err
