"""$PRIOR: the prior's parameters are told from the model's, the model can be computed, and nothing is estimated."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import nlmevae
from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream

FIXTURES = Path(__file__).parents[3] / "fixtures"
BEHIND = """
$PRIOR NWPRI NTHETA=3, NETA=3, NTHP=3, NETP=3, NPEXP=1
$THETA 1.5 FIX 0.08 FIX 30 FIX
$OMEGA BLOCK(3) FIX 1 0 1 0 0 1
$OMEGA BLOCK(3) FIX 0.3 0 0.05 0 0 0.05
$THETA 10 FIX
"""
APART = """
$PRIOR NWPRI
$THETAP 1.5 FIX 0.08 FIX 30 FIX
$THETAPV BLOCK(3) FIX 1 0 1 0 0 1
"""


def text(prior: str) -> str:
    """The theophylline model with a prior behind it."""
    plain = (FIXTURES / "theophylline" / "run_base.ctl").read_text()
    head, tail = plain.split("$ESTIMATION")
    return f"{head.rstrip()}{prior}$ESTIMATION{tail}"


@pytest.mark.parametrize("prior", [BEHIND, APART], ids=["behind the model's", "in records of its own"])
def test_the_model_is_the_one_without_the_prior(prior):
    plain = parse_control_stream((FIXTURES / "theophylline" / "run_base.ctl").read_text(), "run.ctl")
    model = parse_control_stream(text(prior), "run.ctl")
    assert (model.thetas, model.omega, model.sigma) == (plain.thetas, plain.omega, plain.sigma)
    assert model.fingerprint == plain.fingerprint
    assert any("prior" in d.message and d.severity == "warning" for d in model.diagnostics)


@pytest.fixture(params=[BEHIND, APART], ids=["behind", "apart"])
def run(request, tmp_path):
    shutil.copy(FIXTURES / "theophylline" / "theophylline.csv", tmp_path)
    (tmp_path / "run.ctl").write_text(text(request.param))
    return tmp_path / "run.ctl"


def test_nothing_is_estimated_with_a_prior(run):
    for verb, options in ((nlmevae.fit, {}), (nlmevae.fit, {"write": True}), (nlmevae.select, {"covariates": "WT"})):
        with pytest.raises(UnsupportedError, match="likelihood alone") as caught:
            verb(run, **options)
        assert caught.value.location.snippet.startswith("$PRIOR")
        assert "to estimate without the prior remove $PRIOR" in caught.value.hint


def test_the_likelihood_at_given_values_is_that_of_the_model(run):
    expected = nlmevae.likelihoods(FIXTURES / "theophylline" / "run_base.ctl", methods="focei")
    assert nlmevae.likelihoods(run, methods="focei").minus_two_ll("focei") == expected.minus_two_ll("focei")


def test_nonmems_estimates_of_the_prior_are_left_out(run):
    """NONMEM's .ext has the prior's THETAs and OMEGAs, too."""
    values = {"THETA1": 1.4, "THETA2": 0.09, "THETA3": 31.0, "THETA4": 1.5, "THETA7": 10.0, "SIGMA(1,1)": 0.5}
    values |= {f"OMEGA({i},{j})": (0.1 if i == j else 0.0) for i in range(1, 10) for j in range(1, i + 1)}
    lines = [" ITERATION    " + " ".join(values) + " OBJ", "-1000000000 " + " ".join(map(str, values.values())) + " 0"]
    run.with_suffix(".ext").write_text("TABLE NO.     1: First Order: Goal Function=X\n" + "\n".join(lines) + "\n")
    found = nlmevae.likelihoods(run, params=run.with_suffix(".ext"), methods="focei")
    assert np.isfinite(found.minus_two_ll("focei"))


def test_a_count_that_ends_within_a_block_stops():
    with pytest.raises(SemanticError, match="within a block"):
        parse_control_stream(text(BEHIND.replace("NETA=3", "NETA=4")), "run.ctl")
