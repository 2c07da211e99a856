"""Protected functions against the limits of NONMEM's help."""

import math

import numpy as np
import pytest

from nlmevae.ir.evaluate import derivative, run
from tests.helpers.control_streams import code

SMALLZ = 2.8e-103
VALUES = {
    "PEXP": [(1.5, math.exp(1.5)), (100.0, math.exp(100)), (700.0, math.exp(100)), (-800.0, 0.0)],
    "PLOG": [(2.0, math.log(2)), (0.0, math.log(SMALLZ)), (-3.0, math.log(SMALLZ))],
    "PLOG10": [(2.0, math.log10(2)), (0.0, math.log10(SMALLZ))],
    "PSQRT": [(2.0, math.sqrt(2)), (0.0, 0.0), (-3.0, 0.0)],
    "PASIN": [(0.3, math.asin(0.3)), (1.2, math.pi / 2), (-1.2, -math.pi / 2)],
    "PACOS": [(0.3, math.acos(0.3)), (1.2, 0.0), (-1.2, math.pi)],
    "PDZ": [(4.0, 0.25), (0.0, 1 / SMALLZ), (-4.0, -0.25)],
    "PZR": [(4.0, 4.0), (0.0, SMALLZ), (-4.0, -4.0)],
    "PNP": [(4.0, 4.0), (0.0, SMALLZ), (-4.0, SMALLZ)],
    "PHE": [(4.0, 4.0), (101.0, 100.0), (-4.0, -4.0)],
    "PNG": [(4.0, 4.0), (0.0, 0.0), (-4.0, 0.0)],
}


@pytest.mark.parametrize("name", VALUES)
def test_values_and_slopes(name):
    statements = code(f"X = {name}(WT)")
    arguments, expected = (np.array(column) for column in zip(*VALUES[name], strict=True))
    assert run(statements, {"WT": arguments})["X"] == pytest.approx(expected, rel=1e-14)
    # where an argument is cut off, the slope is 0 and never NaN
    cut = [k for k, x in enumerate(arguments) if abs(x) > 100 or (x < 0 and name in ("PLOG", "PSQRT", "PNP", "PNG"))]
    slopes = derivative(statements, {"WT": arguments}, ["WT"], "X")[0]
    assert slopes[cut] == pytest.approx(0.0, abs=1e-300)
