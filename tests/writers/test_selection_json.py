"""Reading a selection back gives the very same numbers; foreign files are refused."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nlmevae.errors import DataError
from nlmevae.results.selection_result import SelectionResult, SelectionTrace
from nlmevae.writers.selection_json import read_selection_json, selection_json_text, write_selection_json
from tests.helpers.selection_results import effect, make_large_selection, make_selection
from tests.writers.test_results_json import same


def round_trip(result: SelectionResult, tmp_path) -> SelectionResult:
    path = tmp_path / "run1_selected.selection.json"
    write_selection_json(path, result)
    return read_selection_json(path)


def test_a_selection_survives_the_round_trip_bit_for_bit(tmp_path):
    result = make_selection()
    back = round_trip(result, tmp_path)
    for field in dataclasses.fields(SelectionResult):
        assert same(getattr(back, field.name), getattr(result, field.name)), field.name


def test_infinite_and_missing_numbers_survive(tmp_path):
    effects = (effect("CL", "WT", beta=1e-310, margin=math.nan, forced=True, frequency=math.nan),)
    trace = dataclasses.replace(
        make_selection().trace, beta=np.full((100, 1), math.nan), support=np.ones((100, 1), dtype=bool)
    )
    result = make_selection(effects=effects, coefficients=("CL_WT",), trace=trace)
    back = round_trip(result, tmp_path)
    assert same(back.effects, effects)
    assert back.path[-1].high == math.inf
    assert same(back.trace, trace)


def test_an_audit_that_was_not_asked_for_survives(tmp_path):
    certificate = dataclasses.replace(
        make_selection().certificate, audit="", audit_objective=math.nan, audit_agrees=None
    )
    assert same(round_trip(make_selection(certificate=certificate), tmp_path).certificate, certificate)


def test_a_selection_that_was_interrupted_before_its_first_iteration_survives(tmp_path):
    empty = SelectionTrace(
        phase=(),
        objective=np.empty(0),
        criterion=np.empty(0),
        beta=np.empty((0, 6)),
        omega_sd=np.empty((0, 3)),
        support=np.empty((0, 6), dtype=bool),
    )
    assert same(round_trip(make_selection(trace=empty, path=(), model_text=""), tmp_path).trace, empty)


def test_bytes_of_any_encoding_in_the_control_stream_survive(tmp_path):
    text = b"$PROBLEM Th\xe9o\r\n".decode("utf-8", "surrogateescape")
    assert round_trip(make_selection(model_text=text), tmp_path).model_text == text


def test_the_file_is_strict_json_that_names_its_generator_first_and_the_support(tmp_path):
    text = selection_json_text(make_selection())
    document = json.loads(text, parse_constant=pytest.fail)
    assert text.startswith('{\n "generator": "nlmevae",\n "schema": 2,')
    assert document["support"] == ["KA~WT", "V~WT"]
    assert document["effects"][0]["coefficients"] == ["KA_WT"]
    assert document["path"][-1]["high"] == "Infinity"


def test_many_candidates_take_one_line_each_and_one_per_iteration():
    result = make_large_selection(6, 100, 8)
    fit_lines = len(selection_json_text(make_selection()).splitlines())
    expected = len(result.effects) + len(result.path) + 3 * len(result.trace.phase) + len(result.exchangeable)
    assert len(selection_json_text(result).splitlines()) < expected + fit_lines


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"generator": "other"}',
        '{"generator": "nlmevae", "schema": 99}',
        '{"generator": "nlmevae", "schema": 2}',
    ],
)
def test_foreign_or_broken_files_are_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"x\.json") as caught:
        read_selection_json(path)
    assert caught.value.hint
