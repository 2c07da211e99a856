"""Several models at once: each as it is fitted alone; what has not changed is not fitted again."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import nlmevae
from nlmevae.errors import SettingsError
from nlmevae.studies.batch import fit_all, plan_batch
from nlmevae.studies.pool import Workers
from tests.helpers.one_way import write_one_way

HERE = Workers(n=0)
QUICK = {"burn_in_iterations": 4, "training_iterations": 6, "n_alternatives": 0, "covariance": "none"}


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = write_one_way(tmp_path, n_subjects=8)
    second = tmp_path / "run2.ctl"
    second.write_text(first.read_text().replace("; LEVEL", "; MEAN").replace("$SIGMA 1", "$SIGMA 1 FIX"))
    broken = tmp_path / "run3.ctl"
    broken.write_text("$PROBLEM nothing\n$INPUT ID\n")
    return first, second, broken


def test_each_is_fitted_as_alone_and_a_broken_one_is_a_row(models, tmp_path):
    first, _, _ = models
    records = fit_all(models, workers=HERE, **QUICK)
    assert [r.status for r in records] == ["CONVERGED", "CONVERGED", "REFUSED"]
    assert "run3.ctl:1:1: the control stream has no $DATA" in records[2].message
    alone = nlmevae.fit(first, **QUICK)
    together = nlmevae.read_results(tmp_path / "run1.results.json")
    assert np.array_equal(alone.thetas, together.thetas)
    assert alone.minus_two_ll == together.minus_two_ll
    assert (tmp_path / "run2.ext").exists()
    with (tmp_path / "nlmevae_fits" / "raw_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["LEVEL"]) == alone.thetas[0]
    assert (rows[1]["LEVEL"], rows[2]["LEVEL"]) == ("", "")
    assert float(rows[1]["WITHIN"]) == 1.0


def test_only_what_changed_is_fitted_again(models, tmp_path):
    first, second, _ = models
    fit_all((first, second), workers=HERE, **QUICK)
    told = []

    def again(paths=(first, second)):
        told.clear()
        fit_all(paths, workers=HERE, told=lambda r, done, total: told.append(r and r.name), **QUICK)
        return [name for name in told if name]

    assert again() == []
    second.write_text(second.read_text() + "; a comment\n")
    assert again() == [str(second)]
    (tmp_path / "run1.results.json").unlink()
    assert again() == [str(first)]
    assert again((second,)) == []


def test_names_that_would_collide_are_refused(models, tmp_path):
    first, _, _ = models
    (tmp_path / "other").mkdir()
    other = write_one_way(tmp_path / "other")
    with pytest.raises(SettingsError, match="is given twice"):
        plan_batch((first, first), {})
    with pytest.raises(SettingsError, match="would write the same files"):
        plan_batch((first, other), {}, out=tmp_path / "results")


def test_other_settings_are_another_study(models):
    first, second, _ = models
    plan_batch((first, second), {})
    with pytest.raises(SettingsError, match="the settings differ"):
        plan_batch((first, second), {"n_draws": 512})
