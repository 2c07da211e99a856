"""The Monte-Carlo error that importance sampling states is what repeated seeds show, on real data."""

from __future__ import annotations

import numpy as np
import pytest
from tests.benchmarks.importance_error import calibration, here, phenobarbital, warfarin

from nlmevae.likelihood.gauss_hermite import gauss_hermite

#: 5 % quantiles of the spread of 16 values over its expectation are 0.7 and 1.3; each bound leaves as much again.
SEEDS, TOO_SMALL, TOO_LARGE = range(16), 0.6, 1.6


def stated_and_spread(found):
    stated = np.sqrt((found["error"] ** 2).sum(axis=1).mean())
    return stated, found["value"].sum(axis=1).std(ddof=1)


def test_on_regular_data_error_and_value_are_right(tmp_path):
    place = here(phenobarbital(tmp_path))
    found = calibration(place, SEEDS, 1024)
    stated, spread = stated_and_spread(found)
    assert TOO_SMALL < stated / spread < TOO_LARGE
    exact = gauss_hermite(place.joint, place.mode)
    assert exact.total_error < 0.001
    assert abs(found["value"].sum(axis=1).mean() - exact.total) < 4 * spread / np.sqrt(len(SEEDS))


@pytest.mark.slow
def test_on_data_with_unreliable_subjects_the_error_is_of_the_right_size(tmp_path):
    """The lag time makes kinks: ten subjects keep a k-hat above 0.7, where errors are known to be too small."""
    found = calibration(here(warfarin(tmp_path)), SEEDS, 4096)
    stated, spread = stated_and_spread(found)
    assert 0.4 < stated / spread < 2.0
    assert spread < 0.3
