"""Many starts: where they lie, and what is made of their fits."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from nlmevae.diagnostics.fitted import problem_at
from nlmevae.errors import SettingsError
from nlmevae.estimation.start_points import scattered
from nlmevae.pipeline import prepare
from nlmevae.results.fit_record import FitRecord
from nlmevae.results.multistart_result import MultistartResult
from nlmevae.studies.multistart import multistart
from nlmevae.studies.pool import Workers
from tests.helpers.one_way import maximum_likelihood, write_one_way

THEOPHYLLINE = "fixtures/theophylline/run_wt.ctl"
QUICK = {"burn_in_iterations": 4, "training_iterations": 6, "n_alternatives": 0}


def test_starts_move_typical_values_and_deviations_within_the_spread():
    run = prepare(THEOPHYLLINE)
    problem = problem_at(run.model, run.table, None)
    start = problem.initial
    for k in range(50):
        moved = scattered(problem, np.random.default_rng([1, k]), spread=3.0)
        factors = moved.thetas[:3] / start.thetas[:3]
        assert ((factors > 1 / 3.001) & (factors < 3.001)).all()
        assert (moved.thetas[3:] == start.thetas[3:]).all()  # covariate effects stay
        sds = np.sqrt(np.diag(moved.omega) / np.diag(start.omega))
        assert ((sds > 1 / 3.001) & (sds < 3.001)).all()
        assert not np.allclose(factors, 1.0)
    problem.decoder.close()


def test_starts_stay_inside_bounds_and_leave_what_is_fixed(tmp_path):
    path = write_one_way(tmp_path, n_subjects=5)
    path.write_text(path.read_text().replace("$THETA 10", "$THETA (9, 10, 11)").replace("$SIGMA 1", "$SIGMA 1 FIX"))
    run = prepare(path)
    problem = problem_at(run.model, run.table, None)
    thetas = []
    for k in range(50):
        moved = scattered(problem, np.random.default_rng([1, k]), spread=10.0)
        thetas.append(moved.thetas[0])
        assert moved.sigma[0, 0] == 1.0
    problem.decoder.close()
    assert 9.0 < min(thetas) < 9.1
    assert 10.9 < max(thetas) < 11.0


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = write_one_way(tmp_path_factory.mktemp("multistart"), n_subjects=15)
    return path, multistart(path, starts=3, workers=Workers(n=0), **QUICK)


def test_all_starts_find_the_closed_form_maximum_and_the_best_is_written(study):
    path, result = study
    exact = maximum_likelihood(prepare(path).table.ob_value.reshape(15, 4))
    assert len(result.same) == 3
    for record in result.records:
        assert record.values == pytest.approx(exact, rel=1e-2)
    folder = path.parent / "run1_multistart"
    with (folder / "multistart_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["start"] for row in rows] == ["0", "1", "2"]
    assert (float(rows[0]["initial LEVEL"]), float(rows[0]["initial BETWEEN"])) == (10.0, 4.0)
    assert float(rows[1]["initial LEVEL"]) != 10.0
    final = (folder / "run1.ext").read_text()
    assert "-1000000000" in final


def result_of(*values):
    records = tuple(
        FitRecord(number=k, status=status, minus_two_ll=value, mc_se=0.01, values=(1.0,))
        for k, (status, value) in enumerate(values)
    )
    return MultistartResult(
        name="run1", source_path="run1.ctl", n_starts=len(records), seed=1, spread=3.0, parameters=(), starts=(),
        records=records, warnings=(), settings={},
    )  # fmt: skip


def test_the_best_is_the_lowest_that_converged():
    ok, bad = "CONVERGED", "NOT_CONVERGED"
    found = result_of((ok, 12.0), (bad, 3.0), (ok, 10.05), (ok, 10.0), (ok, math.nan), (ok, 10.0))
    assert [r.number for r in found.ranked] == [3, 5, 2, 0]
    assert [r.number for r in found.same] == [3, 5, 2]


def test_without_a_fit_there_is_no_best():
    assert result_of(("REFUSED", math.nan)).best is None
    assert result_of().same == ()


@pytest.mark.parametrize("options", [{"starts": 0}, {"spread": 1.0}, {"spread": math.inf}, {"spread": -2}])
def test_impossible_studies_are_refused(tmp_path, options):
    with pytest.raises(SettingsError):
        multistart(write_one_way(tmp_path), workers=Workers(n=0), **options)
