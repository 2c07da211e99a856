"""Bootstrap samples against numpy's own drawing, and what cannot be a stratum."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.errors import DataError, SettingsError
from nlmevae.pipeline import prepare
from nlmevae.studies.resampling import resampled_subjects, strata_of
from tests.helpers.one_way import write_one_way


def test_a_sample_without_strata_is_what_numpy_draws_from_seed_and_number():
    found = resampled_subjects(np.zeros(10, dtype=int), seed=5, number=3)
    assert found.tolist() == np.random.default_rng([5, 21, 3]).integers(0, 10, 10).tolist()


def test_samples_differ_between_numbers_and_seeds():
    drawn = {tuple(resampled_subjects(np.zeros(20, dtype=int), seed=s, number=k)) for s in (1, 2) for k in range(1, 9)}
    assert len(drawn) == 16


def test_every_stratum_keeps_its_number_of_subjects():
    strata = np.array([2, 0, 0, 1, 0, 2, 2, 1, 0])
    for number in range(1, 30):
        drawn = strata[resampled_subjects(strata, seed=1, number=number)]
        assert np.bincount(drawn).tolist() == np.bincount(strata).tolist()


def test_all_subjects_of_a_stratum_are_drawn_equally_often():
    strata = np.repeat([0, 1], [3, 5])
    counts = sum(np.bincount(resampled_subjects(strata, seed=1, number=k), minlength=8) for k in range(4000))
    expected = 4000.0
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected)  # 8 counts, each within 4.5 SD


def test_strata_follow_a_data_item(tmp_path):
    dataset = prepare(write_one_way(tmp_path, n_subjects=7, n_each=2)).dataset
    assert strata_of(dataset, "group").tolist() == [0, 0, 1, 0, 0, 1, 0]
    assert strata_of(dataset, None).tolist() == [0] * 7


def test_an_unknown_item_is_named_with_the_nearest_one(tmp_path):
    dataset = prepare(write_one_way(tmp_path, n_subjects=3)).dataset
    with pytest.raises(SettingsError, match="no data item GROPU") as error:
        strata_of(dataset, "GROPU")
    assert "did you mean GROUP?" in error.value.hint


def test_an_item_that_changes_within_a_subject_is_refused_with_its_line(tmp_path):
    dataset = prepare(write_one_way(tmp_path, n_subjects=3)).dataset
    with pytest.raises(DataError, match=r"TIME changes within subject 1 .*line 3"):
        strata_of(dataset, "TIME")
