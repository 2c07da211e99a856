"""Counts of endpoints and censored observations in results, their files and texts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nlmevae.cli.result_text import result_text
from nlmevae.results.fit_result import EndpointCount
from nlmevae.writers.phi import phi_text
from nlmevae.writers.results_json import read_results_json, write_results_json
from tests.helpers.results import LOG_2PI, make_result

ENDPOINTS = (
    EndpointCount(name="DVID == 1", n_obs=12, n_censored=3),
    EndpointCount(name="DVID != 1", n_obs=8, n_censored=0),
)


@pytest.fixture
def result():
    plain = make_result(endpoints=ENDPOINTS)
    people = dataclasses.replace(plain.individuals, n_censored=np.array([3, 0]))
    return dataclasses.replace(plain, individuals=people)


def test_censored_observations_are_left_out_of_nonmems_constant(result):
    assert result.n_known == 17
    assert result.ofv_nonmem == pytest.approx(result.minus_two_ll - 17 * LOG_2PI)
    assert make_result().n_known == 20


def test_the_phi_column_sums_to_the_objective(result):
    rows = [line.split() for line in phi_text(result).splitlines()[2:]]
    assert sum(float(row[-1]) for row in rows) == pytest.approx(result.ofv_nonmem, abs=1e-4)


def test_the_json_file_keeps_them(result, tmp_path):
    write_results_json(tmp_path / "r.json", result)
    read = read_results_json(tmp_path / "r.json")
    assert read.endpoints == ENDPOINTS
    assert read.individuals.n_known.tolist() == [17, 0]


def test_the_text_names_several_endpoints(result):
    text = result_text(result, paths=[])
    assert "20 observations (3 of them censored)" in text
    assert "Endpoints: DVID == 1 12 (3 censored), DVID != 1 8" in text
    assert "Endpoints" not in result_text(make_result(), paths=[])
