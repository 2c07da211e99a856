"""OMEGA(i,j) and SIGMA(i,j) read by code."""

import numpy as np
import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import names_read

STREAM = """$PROBLEM variances in code
$INPUT ID TIME AMT DV BLQ
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*EXP(ETA(1))
V = THETA(2)
S1 = V
$ERROR
IPRED = F
{code}
$THETA (0, 4) (0, 30)
$OMEGA 0.1
$SIGMA {sigma}
"""
M3 = """SD = SQRT({variance})
IF (BLQ.EQ.0) THEN
F_FLAG = 0
Y = {density}
ELSE
F_FLAG = 1
Y = PHI((0.1 - IPRED)/SD)
ENDIF"""


def read(code: str, sigma: str = "0.04"):
    return parse_control_stream(STREAM.format(code=code, sigma=sigma), "run1.ctl")


def test_an_element_that_is_fixed_is_a_number():
    (observation,) = read("W = SQRT(SIGMA(1,1))\nY = F + W*EPS(1)", "0.04 FIX").observations
    assert observation.error.kind == "additive"
    assert observation.error.a.scale * np.sqrt(0.04) == pytest.approx(0.04)


@pytest.mark.parametrize("name", ["SIGMA(1,1)", "OMEGA(1,1)"])
def test_a_density_that_reads_an_estimated_element_is_refused_where_it_reads_it(name):
    with pytest.raises(UnsupportedError, match="which is estimated") as caught:
        read(f"W = 1 + SQRT({name})\nY = F + W*EPS(1)")
    assert (caught.value.location.line, caught.value.location.column) == (11, 14)


def test_what_only_tables_read_does_not_act():
    model = read("IWRES = (DV - F)/(F*SQRT(SIGMA(1,1)))\nY = F + F*EPS(1)")
    assert "SIGMA(1,1)" in names_read(model.program.error)
    assert "SIGMA(1,1)" not in names_read(model.executed.error)


@pytest.mark.parametrize(
    ("variance", "density", "sigma"),
    [
        ("SIGMA(1,1)", "IPRED + EPS(1)", "0.04"),
        ("SIGMA(1,1)*IPRED**2", "IPRED + IPRED*EPS(1)", "0.04"),
        ("SIGMA(1,1)*IPRED**2 + SIGMA(2,2)", "IPRED + IPRED*EPS(1) + EPS(2)", "0.04 0.5"),
        ("SIGMA(2,2) + IPRED**2*SIGMA(1,1) + 2*IPRED*SIGMA(2,1)", "IPRED + IPRED*EPS(1) + EPS(2)",
         "BLOCK(2) 0.04 0.05 0.5"),
    ],
)  # fmt: skip
def test_the_variance_of_a_censored_record_may_be_written_with_sigma(variance, density, sigma):
    (observation,) = read(M3.format(variance=variance, density=density), sigma).observations
    (censoring,) = observation.censoring
    assert (censoring.lower, censoring.upper.value) == (None, 0.1)
    assert not observation.error.b or not observation.error.b.fixed


def test_a_number_that_only_equals_the_initial_variance_is_refused():
    with pytest.raises(UnsupportedError, match="is estimated too"):
        read(M3.format(variance="0.04", density="IPRED + EPS(1)"))
    with pytest.raises(UnsupportedError, match="is estimated too"):
        read(M3.format(variance="SIGMA(1,1)*IPRED**2 + 0.5", density="IPRED + IPRED*EPS(1) + EPS(2)"), "0.04 0.5")
