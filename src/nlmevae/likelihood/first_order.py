"""NONMEM's first-order method (METHOD=0): the model is linear around the typical individual.

y_i ~ N(f(mean_i), J Omega J' + R),  f, J and R at z = mean_i (Beal and Sheiner 1980)
"""

from __future__ import annotations

import numpy as np

from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.linearisation import linearised_minus_two_ll
from nlmevae.likelihood.marginal import Marginal, of_subjects


def first_order(joint: JointDensity) -> Marginal:
    """A closed form: no numerical error beyond that of the predictions."""
    value = linearised_minus_two_ll(joint, joint.mean)
    return of_subjects(joint, value, np.zeros_like(value))
