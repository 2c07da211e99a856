"""A bootstrap of a model whose maximum likelihood estimates are known: every sample's fit, and the whole study."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from nlmevae.errors import DataError, NlmevaeError, SettingsError
from nlmevae.pipeline import prepare
from nlmevae.studies.bootstrap import bootstrap
from nlmevae.studies.pool import Workers
from nlmevae.studies.resampling import resampled_subjects
from tests.helpers.one_way import maximum_likelihood, write_one_way

HERE = Workers(n=0)
QUICK = {"burn_in_iterations": 4, "training_iterations": 6, "n_alternatives": 0}
N, EACH = 30, 4


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bootstrap")
    path = write_one_way(folder, n_subjects=N, n_each=EACH)
    result = bootstrap(path, samples=8, stratify="GROUP", workers=HERE, covariance=True, **QUICK)
    return path, result


def table(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_every_sample_ends_at_the_closed_form_maximum(study):
    path, result = study
    y = prepare(path).table.ob_value.reshape(N, EACH)
    strata = np.arange(1, N + 1) % 3 == 0
    for record in result.records:
        drawn = resampled_subjects(strata.astype(int), seed=1, number=record.number)
        mean, between, within = maximum_likelihood(y[drawn])
        assert record.usable
        # a hundredth of the standard errors: the Monte-Carlo noise of the polish
        assert record.values == pytest.approx((mean, between, within), rel=1e-2)


def test_the_original_is_the_first_row_and_the_samples_follow(study):
    path, _ = study
    rows = table(path.parent / "run1_bootstrap" / "raw_results_run1.csv")
    assert [row["model"] for row in rows] == [str(k) for k in range(9)]
    assert {row["minimization_successful"] for row in rows} == {"1"}
    assert float(rows[0]["seLEVEL"]) == pytest.approx(np.sqrt(4.4 / 30), rel=0.5)


def test_the_included_individuals_are_those_that_were_drawn(study):
    path, _ = study
    lines = (path.parent / "run1_bootstrap" / "included_individuals1.csv").read_text().splitlines()
    strata = (np.arange(1, N + 1) % 3 == 0).astype(int)
    assert len(lines) == 8
    for k, line in enumerate(lines, 1):
        assert [int(i) - 1 for i in line.split(",")] == resampled_subjects(strata, seed=1, number=k).tolist()


def test_the_summary_is_that_of_the_samples(study):
    path, result = study
    rows = table(path.parent / "run1_bootstrap" / "bootstrap_results.csv")
    values = np.array([r.values for r in result.records])
    assert [row["parameter"] for row in rows] == ["LEVEL", "BETWEEN", "WITHIN"]
    assert [float(row["mean"]) for row in rows] == pytest.approx(values.mean(axis=0).tolist(), rel=1e-14)
    assert [float(row["p97.5"]) for row in rows] == np.percentile(values, 97.5, axis=0).tolist()
    document = json.loads((path.parent / "run1_bootstrap" / "bootstrap_results.json").read_text())
    assert document["generator"] == "nlmevae"
    assert len(document["records"]) == 8


def test_standard_errors_of_samples_are_those_of_the_closed_form(study):
    _, result = study
    for record in result.records:
        _, between, within = record.values
        assert record.standard_errors[0] == pytest.approx(np.sqrt((between + within / EACH) / N), rel=0.03)


def without_seconds(text):
    rows = list(csv.DictReader(text.splitlines()))
    return [{k: v for k, v in row.items() if k != "model_run_time"} for row in rows]


def test_a_study_that_lost_files_goes_on_to_the_same_tables(study):
    path, _ = study
    folder = path.parent / "run1_bootstrap"
    raw, summary = folder / "raw_results_run1.csv", folder / "bootstrap_results.csv"
    old_raw, old_summary = raw.read_text(), summary.read_bytes()
    for number in (2, 5, 7):
        (folder / "fits" / f"0-{number:05d}.json").unlink()
    told = []
    options = {"stratify": "GROUP", "workers": HERE, "covariance": True, **QUICK}
    bootstrap(path, samples=8, told=lambda r, done, total: told.append(r and r.number), **options)
    assert told == [None, 2, 5, 7]
    assert without_seconds(raw.read_text()) == without_seconds(old_raw)
    assert summary.read_bytes() == old_summary


def test_more_samples_are_added_to_those_there_are(study):
    path, before = study
    told = []
    options = {"stratify": "GROUP", "workers": HERE, "covariance": True, **QUICK}
    after = bootstrap(path, samples=9, told=lambda r, done, total: told.append(r and r.number), **options)
    assert told == [None, 9]
    assert [r.values for r in after.records[:8]] == [r.values for r in before.records]


@pytest.mark.parametrize("changed", [{"seed": 2}, {"stratify": None}, {"n_draws": 128}, {"covariance": False}])
def test_another_study_in_the_folder_is_refused(study, changed):
    path, _ = study
    with pytest.raises(SettingsError, match="holds another study"):
        bootstrap(path, samples=8, **{"stratify": "GROUP", "workers": HERE, "covariance": True, **QUICK, **changed})


@pytest.mark.parametrize("options", [{"samples": 0}, {"samples": True}, {"samples": 2.5}, {"method": "vae"}])
def test_impossible_studies_are_refused(tmp_path, options):
    with pytest.raises(NlmevaeError):
        bootstrap(write_one_way(tmp_path), workers=HERE, **options)
    assert not (tmp_path / "run1_bootstrap").exists()


def test_one_subject_cannot_be_resampled(tmp_path):
    with pytest.raises(DataError, match="only one"):
        bootstrap(write_one_way(tmp_path, n_subjects=1), workers=HERE)


def test_a_model_that_only_evaluates_is_refused(tmp_path):
    path = write_one_way(tmp_path)
    path.write_text(path.read_text().replace("MAXEVAL=9999", "MAXEVAL=0"))
    with pytest.raises(SettingsError, match="nothing to estimate"):
        bootstrap(path, workers=HERE)


def test_a_sample_without_anyone_in_a_category_is_not_counted(tmp_path):
    """One subject of 6 has GROUP 2; 33 % of samples lack it, and their THETA(2) would be that of the data."""
    path = write_one_way(tmp_path, n_subjects=6)
    text = (tmp_path / "data.csv").read_text().replace(",2\n", ",1\n").splitlines()
    last = text[-4:]
    (tmp_path / "data.csv").write_text("\n".join([*text[:-4], *(line[:-1] + "2" for line in last)]) + "\n")
    code = "IF (GROUP.EQ.2) THEN\n  M = THETA(1) + THETA(2)\nELSE\n  M = THETA(1)\nENDIF\n  Y = M +"
    text = path.read_text().replace("Y = THETA(1) +", code)
    path.write_text(text.replace("$OMEGA", "$THETA 0.1 ; SHIFT\n$OMEGA"))
    result = bootstrap(path, samples=12, workers=HERE, **QUICK)
    lacking = {k for k, ids in enumerate(result.subjects, 1) if "6" not in ids}
    assert lacking
    assert {r.number for r in result.records if r.status == "UNINFORMED"} == lacking
    assert "say nothing about THETA(2)" in next(r.message for r in result.records if r.status == "UNINFORMED")
    assert any(w.startswith(f"{len(lacking)} of 12 samples are left out") for w in result.warnings)
