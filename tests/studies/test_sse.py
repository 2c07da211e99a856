"""Simulation and estimation with a model whose maximum likelihood estimates and their bias are known."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from nlmevae.errors import DataError, SettingsError, UnsupportedError
from nlmevae.pipeline import prepare
from nlmevae.studies.pool import Workers
from nlmevae.studies.simulated_tables import Simulator, require_same_design, require_simulation, with_values
from nlmevae.studies.sse import plan_sse, sse
from tests.helpers.one_way import maximum_likelihood, write_one_way

HERE = Workers(n=0)
QUICK = {"burn_in_iterations": 4, "training_iterations": 6, "n_alternatives": 0}
N, EACH, SAMPLES = 20, 4, 12
BETWEEN, WITHIN = 4.0, 1.0


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sse")
    path = write_one_way(folder, n_subjects=N, n_each=EACH)
    smaller = folder / "run0.ctl"
    smaller.write_text(path.read_text().replace("$THETA 10 ; LEVEL", "$THETA 9.5 FIX ; LEVEL"))
    return path, sse(path, samples=SAMPLES, alternatives=[smaller], workers=HERE, **QUICK)


def simulated(path, number):
    run = prepare(path)
    simulator = Simulator(model=run.model, table=run.table, backend="auto", rtol=None, seed=1)
    return simulator.values(number).reshape(N, EACH)


def test_every_data_set_ends_at_the_closed_form_maximum(study):
    path, result = study
    assert len(result.of_model(0)) == SAMPLES
    for record in result.of_model(0):
        assert record.usable
        assert record.values == pytest.approx(maximum_likelihood(simulated(path, record.number)), rel=1e-2)


def test_the_bias_is_that_of_the_closed_form_on_the_same_data_sets(study):
    """E between = ((N-1)/N (n between + within) - within) / n: the maximum likelihood estimate is too small."""
    path, result = study
    exact = np.array([maximum_likelihood(simulated(path, k)) for k in range(1, SAMPLES + 1)])
    summaries = {s.parameter.label: s for s in result.summaries if s.model == 0}
    for name, column in zip(("LEVEL", "BETWEEN", "WITHIN"), exact.T, strict=True):
        assert summaries[name].mean == pytest.approx(column.mean(), rel=3e-3)
    expected = ((N - 1) / N * (EACH * BETWEEN + WITHIN) - WITHIN) / EACH - BETWEEN
    error = summaries["BETWEEN"].sd / np.sqrt(SAMPLES)
    assert abs(summaries["BETWEEN"].bias - expected) < 3.5 * error


def test_simulated_data_sets_are_those_of_nlmevae_simulate(study, tmp_path):
    import nlmevae

    path, _ = study
    nlmevae.simulate(path, tmp_path / "sim.csv", n=3, seed=1)
    with (tmp_path / "sim.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if int(float(row["REP"])) == 3]
    assert [float(row["DV"]) for row in rows] == pytest.approx(simulated(path, 3).ravel().tolist(), rel=1e-6)


def test_the_objectives_differ_as_the_closed_form_says(study):
    """Of a fixed mean 0.5 from the truth: -2LL rises by N log(1 + d^2 / (mean square of the subjects' means))."""
    path, result = study
    (comparison,) = result.comparisons
    assert (comparison.n, comparison.df) == (SAMPLES, -1)
    rises = []
    for k in range(1, SAMPLES + 1):
        means = simulated(path, k).mean(axis=1)
        rises.append(N * np.log(((means - 9.5) ** 2).mean() / means.var()))
    assert comparison.mean == pytest.approx(-np.mean(rises), abs=0.02)  # Monte-Carlo errors of the likelihoods


def test_the_alternative_has_true_values_by_label_only(study):
    _, result = study
    theirs = {s.parameter.label: s.true for s in result.summaries if s.model == 1}
    assert theirs == {"BETWEEN": BETWEEN, "WITHIN": WITHIN}


def test_the_tables_are_written(study):
    path, _ = study
    folder = path.parent / "run1_sse"
    with (folder / "sse_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["parameter"] for row in rows] == ["LEVEL", "BETWEEN", "WITHIN", "BETWEEN", "WITHIN"]
    assert all(int(row["n_intervals"]) == SAMPLES for row in rows)
    with (folder / "sse_delta_ofv.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["critical"]) == pytest.approx(3.841459, abs=1e-6)
    assert (folder / "raw_results_run1_alternative1.csv").exists()


def test_an_alternative_of_other_records_is_refused(tmp_path):
    here, there = tmp_path / "a", tmp_path / "b"
    here.mkdir()
    there.mkdir()
    first = prepare(write_one_way(here, n_subjects=5))
    second = prepare(write_one_way(there, n_subjects=6))
    with pytest.raises(DataError, match="does not observe the same records"):
        require_same_design(first, second)
    require_same_design(first, first)


def test_censored_observations_are_refused(tmp_path):
    run = prepare(write_one_way(tmp_path, n_subjects=5))
    limits = np.full((run.table.n_obs_total, 3), np.nan)
    limits[:, 2] = -np.inf
    limits[3] = (-np.inf, 2.0, -np.inf)
    censored = replace(run, table=replace(run.table, ob_limits=limits))
    with pytest.raises(UnsupportedError, match="1 observations are censored"):
        require_simulation(censored)
    require_simulation(run)


def test_other_values_keep_the_design(tmp_path):
    table = prepare(write_one_way(tmp_path, n_subjects=5)).table
    values = np.arange(table.n_obs_total, dtype=float)
    assert (with_values(table, values).ob_value == values).all()
    scale = np.tile([1.0, 0.0, np.inf], (table.n_obs_total, 1))  # logarithm
    logarithmic = with_values(replace(table, ob_scale=scale), values + 1)
    assert logarithmic.ob_value == pytest.approx(np.log(values + 1))


def test_impossible_numbers_of_data_sets_are_refused(tmp_path):
    from nlmevae.pipeline import make_settings

    with pytest.raises(SettingsError):
        plan_sse(prepare(write_one_way(tmp_path)), make_settings({}), samples=0)
