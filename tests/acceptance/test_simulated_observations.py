"""Fits of simulated data recover what the data were made with: two endpoints, two fifths of one of them censored."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

import nlmevae

FOLDER = Path(__file__).parents[2] / "fixtures" / "parent_metabolite"


@pytest.fixture(scope="module")
def m3():
    return nlmevae.fit(FOLDER / "run_m3.ctl", seed=1)


@pytest.fixture(scope="module")
def cens():
    return nlmevae.fit(FOLDER / "run_cens.ctl", seed=1)


def test_the_truth_is_recovered_within_three_standard_errors(m3):
    expected = tomllib.loads((FOLDER / "expected.toml").read_text())
    sds = expected["truth"].pop("standard_deviations", expected.get("standard_deviations", {}))
    truth = {f"THETA({k + 1})": v for k, v in enumerate(expected["truth"].values())}
    truth |= {f"THETA({k + 5})": sds[n] for k, n in enumerate(("PARENT_PROP", "METABOLITE_ADD", "METABOLITE_PROP"))}
    truth |= {f"OMEGA({k},{k})": sds[n] ** 2 for k, n in ((1, "IIV_CL"), (2, "IIV_V"), (3, "IIV_KM"))}
    found = {e.name: e for e in m3.estimates}
    for name, value in truth.items():
        assert found[name].value == pytest.approx(value, abs=3 * found[name].standard_error), name


@pytest.mark.slow
def test_m3_code_and_the_data_item_cens_are_one_model(m3, cens):
    assert cens.minus_two_ll == pytest.approx(m3.minus_two_ll, abs=0.2)
    assert np.sqrt(cens.sigma[0, 0]) == pytest.approx(m3.thetas[4], rel=0.02)
    assert np.sqrt(cens.sigma[1, 1]) == pytest.approx(m3.thetas[6], rel=0.02)
    assert np.sqrt(cens.sigma[2, 2]) == pytest.approx(m3.thetas[5], rel=0.02)


def test_censored_records_do_not_count_in_nonmems_constant(m3):
    """TOTAL DATA POINTS NORMALLY DISTRIBUTED are those with F_FLAG=0."""
    result = m3
    assert (result.n_obs_total, result.n_known) == (720, 578)
    assert result.ofv_nonmem == pytest.approx(result.minus_two_ll - 578 * np.log(2 * np.pi))
    assert [(e.name, e.n_obs, e.n_censored) for e in result.endpoints] == [
        ("DVID == 1", 360, 142), ("DVID != 1", 360, 0),
    ]  # fmt: skip
    assert result.likelihood("focei") is None
    value = result.likelihood("is")
    assert value.bicc == pytest.approx(value.minus_two_ll + 3 * np.log(40) + 7 * np.log(720))


@pytest.mark.slow
def test_every_eps_has_its_own_shrinkage(cens):
    shrinkage = cens.eps_shrinkage_sd
    assert np.isfinite(shrinkage).all()
    assert shrinkage[1] == shrinkage[2] != shrinkage[0]
