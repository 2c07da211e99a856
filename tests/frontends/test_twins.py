"""One model in two languages, fixtures/twins: equal models, and equal predictions to the last digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nlmevae
from nlmevae import pipeline
from tests.helpers.equal_models import Read, model_differences, prediction_difference

FOLDER = Path(__file__).parents[2] / "fixtures" / "twins"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/project.mlxtran"))
#: Of predictions: rounding of the closed forms; the integrators' steps depend on how equations are written.
ROUNDING = 1e-9


def both(case: str):
    return [pipeline.read_model(FOLDER / case / name) for name in ("run.ctl", "project.mlxtran")]


@pytest.mark.parametrize("case", CASES)
def test_both_texts_are_one_model(case):
    assert model_differences(*both(case)) == []


@pytest.mark.parametrize("case", CASES)
def test_both_texts_predict_the_same(case):
    one, two = (Read.of(model) for model in both(case))
    assert prediction_difference(one, two, np.random.default_rng(1)) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("case", ["infusion_two_compartments", "censored", "michaelis_menten"])
def test_fits_of_both_texts_end_at_the_same_likelihood(case):
    """They number parameters differently and so draw other random numbers; both end at the maximum."""
    one, two = (nlmevae.fit(FOLDER / case / name, seed=1) for name in ("run.ctl", "project.mlxtran"))
    assert one.minus_two_ll == pytest.approx(two.minus_two_ll, abs=0.1)
