"""Reading back gives the very same numbers; foreign files are refused."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nlmevae.errors import DataError, OutputError
from nlmevae.results.fit_result import DerivedQuantity, FitResult, IndividualResults
from nlmevae.results.status import FitStatus
from nlmevae.writers.results_json import indented, plain, read_results_json, results_json_text, write_results_json
from tests.helpers.results import estimate, make_result, with_uncertainty


def same(a, b) -> bool:
    """Equal in type, shape and every bit; NaN equals NaN."""
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, np.ndarray):
        return (
            a.dtype.kind == b.dtype.kind and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


def round_trip(result: FitResult, tmp_path) -> FitResult:
    path = tmp_path / "run1.results.json"
    write_results_json(path, result)
    return read_results_json(path)


def test_a_result_survives_the_round_trip_bit_for_bit(tmp_path):
    result = make_result(covariates=({"parameter": "CL", "covariate": "WT"},))
    assert same(round_trip(result, tmp_path), result)


@pytest.mark.parametrize("unknown", [(), (0, 3)])
def test_the_uncertainty_and_derived_quantities_survive(tmp_path, unknown):
    derived = DerivedQuantity(text="CL/V", value=0.1, standard_error=None, low=math.nan, high=math.nan, scale="log")
    result = dataclasses.replace(with_uncertainty(make_result(), unknown=unknown), derived=(derived,))
    assert same(round_trip(result, tmp_path), result)


@pytest.mark.parametrize("status", list(FitStatus))
def test_every_status_survives(tmp_path, status):
    assert round_trip(make_result(status=status), tmp_path).status is status


def test_infinite_bounds_and_standard_errors_survive(tmp_path):
    rows = (estimate("THETA(1)", "CL", "theta", 1, 1, init=-math.inf, value=1e-310, standard_error=0.25),)
    back = round_trip(make_result(estimates=rows), tmp_path)
    assert same(back.estimates, rows)


def test_a_run_interrupted_before_any_individual_result_survives(tmp_path):
    empty = IndividualResults(
        labels=(),
        n_obs=np.empty(0, dtype=int),
        eta_mean=np.empty((0, 0)),
        eta_cov=np.empty((0, 0, 0)),
        eta_mode=np.empty((0, 0)),
        minus_two_ll=np.empty(0),
        ess=np.empty(0),
        khat=np.empty(0),
    )
    result = make_result(individuals=empty, likelihoods=(), trace=(), sigma=np.empty((0, 0)))
    assert same(round_trip(result, tmp_path), result)


def test_the_file_is_strict_json_with_null_for_nan():
    document = json.loads(results_json_text(make_result()), parse_constant=pytest.fail)
    assert document["individuals"]["khat"] == [0.1, None]
    assert document["generator"] == "nlmevae"
    assert document["estimates"][0]["upper"] == "Infinity"


def test_the_objective_on_nonmems_scale_is_in_the_file():
    document = json.loads(results_json_text(make_result()))
    assert document["ofv_nonmem"] == pytest.approx(40.123456789012345)


@pytest.mark.parametrize("content", ["{", "[]", '{"generator": "other"}', '{"generator": "nlmevae", "schema": 99}'])
def test_foreign_or_broken_files_are_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError):
        read_results_json(path)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "run1.results.json"
    path.write_text("old")

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_results_json(path, make_result())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_text_is_that_of_the_usual_encoder():
    odd = {"none": [], "nested": [[], [1, "x\n, y"], [[1.5, None]]], "é": [{"a": True}, 1e-310], "empty": {}}
    for document in (odd, plain(make_result())):
        assert indented(document) == json.dumps(document, indent=1, allow_nan=False)
    with pytest.raises(ValueError, match="not JSON compliant"):
        indented([1.0, math.nan])
