from __future__ import annotations

import pytest

from nlmevae.data import check_observations, event_table, read_dataset
from nlmevae.ir import ErrorCoefficient, ResidualError
from tests.helpers.models import data_model

EPS = ErrorCoefficient(parameter="EPS(1)", kind="sigma")


def check(folder, values, *, error_model=None, scale="natural"):
    records = "".join(f"1,{k + 1},.,{v}\n" for k, v in enumerate(values))
    (folder / "data.csv").write_text("1,0,100,.\n" + records)
    model = data_model(folder, "ID TIME AMT DV", error_model=error_model, scale=scale)
    dataset = read_dataset(model)
    return check_observations(model, event_table(model, dataset), dataset)


def test_zero_is_fine_with_additive_error(tmp_path):
    assert check(tmp_path, [3, 0, -0.2]) == ()


@pytest.mark.parametrize(("written_as", "words"), [("", "a proportional"), ("exponential", "an exponential")])
def test_non_positive_values_with_proportional_error_warn(tmp_path, written_as, words):
    error = ResidualError(kind="proportional", b=EPS, written_as=written_as)
    (warning,) = check(tmp_path, [3, 0, -0.2], error_model=error)
    assert "2 records (the first on line 3)" in warning.message
    assert words in warning.message
    assert warning.location.line == 3


def test_logarithms_may_be_negative_or_zero(tmp_path):
    assert check(tmp_path, [2.3, 0, -1.1], scale="log") == ()
