"""A value that a kind of record does not assign, where that kind does not use it."""

import pytest

import nlmevae
from nlmevae.frontends.nonmem.read import parse_control_stream

STREAM = """$PROBLEM an observation of the drug, or of a covariate (the code of full random effects models)
$INPUT ID TIME AMT DV TYPE
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*EXP(ETA(1))
V = THETA(2)
S1 = V
$ERROR
IF (TYPE.EQ.0) IPRED = F
Y0 = IPRED
IF (TYPE.EQ.0) Y = Y0 + Y0*EPS(1)
IF (TYPE.EQ.1) Y = THETA(3) + ETA(2) + EPS(2)
$THETA (0, 4) (0, 20) 70
$OMEGA 0.1 100
$SIGMA 0.04 1
"""
DATA = """ID,TIME,AMT,DV,TYPE
1,0,100,.,0
1,1,.,3,0
1,2,.,75,1
2,0,100,.,0
2,0,.,60,1
2,3,.,2,0
3,0,100,.,0
3,5,.,1.5,0
3,5,.,81,1
"""


def test_both_kinds_of_records_have_their_residual_errors():
    kinds = [(o.name, o.error.kind) for o in parse_control_stream(STREAM).observations]
    assert kinds == [("TYPE == 0", "proportional"), ("TYPE == 1", "additive")]


@pytest.mark.parametrize("backend", ["closed_form", "compiled", pytest.param("torchode", marks=pytest.mark.slow)])
def test_the_likelihood_is_that_of_code_that_assigns_it_everywhere(tmp_path, backend):
    (tmp_path / "data.csv").write_text(DATA, encoding="utf-8")
    found = []
    for name, text in (("sometimes", STREAM), ("always", STREAM.replace("IF (TYPE.EQ.0) IPRED", "IPRED"))):
        (tmp_path / f"{name}.ctl").write_text(text, encoding="utf-8")
        values = nlmevae.likelihoods(tmp_path / f"{name}.ctl", methods="focei", backend=backend)
        found.append(values.minus_two_ll("focei"))
    assert found[0] == pytest.approx(found[1], rel=1e-12)
