from __future__ import annotations

import numpy as np

from nlmevae.data import event_table, padded, read_dataset
from tests.helpers.models import data_model


def build(folder, text: str, items: str = "ID TIME AMT DV"):
    (folder / "data.csv").write_text(text)
    model = data_model(folder, items, initial="W0")
    return padded(event_table(model, read_dataset(model)))


TEXT = "1,0,100,.\n1,1,.,4\n1,10,.,2\n2,5,50,.\n2,5,150,.\n2,9,.,6\n"


def test_padding_is_masked_and_zero(tmp_path):
    batch = build(tmp_path, TEXT)
    assert batch.mask.tolist() == [[True, True], [True, False]]
    assert batch.time.tolist() == [[1, 10], [9, 0]]
    assert batch.value.tolist() == [[4, 2], [6, 0]]
    assert not batch.features[1, 1].any()


def test_features_are_scaled_and_follow_the_doses(tmp_path):
    batch = build(tmp_path, TEXT)
    assert batch.feature_names == ("time", "value", "time_since_dose", "log_cumulative_dose")
    flat = batch.features[batch.mask]
    np.testing.assert_allclose(flat[:, 0], [0.1, 1.0, 0.4])  # since the subject's first record, over 10
    np.testing.assert_allclose(flat[:, 1], (np.array([4, 2, 6]) - 4) / np.std([4, 2, 6]))
    np.testing.assert_allclose(flat[:, 2], [0.1, 1.0, 0.4])
    given = np.log1p(np.array([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(flat[:, 3], (given - given.mean()) / given.std())


def test_without_doses_there_are_no_dose_features_and_constants_are_zero(tmp_path):
    batch = build(tmp_path, "1,0,3\n2,0,3\n", "ID TIME DV")
    assert batch.feature_names == ("time", "value")
    assert not batch.features.any()


def test_a_subject_without_observations_has_an_empty_row(tmp_path):
    batch = build(tmp_path, "1,0,100,.\n2,0,100,.\n2,1,.,4\n")
    assert batch.mask.tolist() == [[False], [True]]
