"""PROBIT written with the IR's functions is the inverse of the normal distribution function."""

import numpy as np
from scipy.special import ndtri

from nlmevae.frontends.monolix.model.probit import probit
from nlmevae.ir import Symbol
from nlmevae.ir.evaluate import evaluate

#: AS 241 states about 1e-16; rounding of the polynomials and of 1 - p adds a few units in the last place
ROUNDING = 5e-15


def test_it_equals_scipys_inverse_from_the_far_tails_to_the_centre():
    p = np.concatenate(
        [10.0 ** -np.arange(1.0, 300.0, 7.0), np.linspace(0.001, 0.999, 997), 1.0 - 2.0 ** -np.arange(2.0, 50)]
    )
    with np.errstate(all="ignore"):
        value = evaluate(probit(Symbol("P")), {"P": p})
    exact = ndtri(p)
    assert np.max(np.abs(value - exact) / np.maximum(np.abs(exact), 1.0)) < ROUNDING


def test_it_is_no_number_outside_zero_and_one():
    with np.errstate(all="ignore"):
        assert np.isnan(evaluate(probit(Symbol("P")), {"P": np.array([-0.1, 1.1])})).all()
