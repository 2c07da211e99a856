"""Final estimates as initial values: numbers change in the user's records, and nothing else does."""

import dataclasses
import difflib

import numpy as np
import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.writers.stream_estimates import stream_at


def stream(thetas="(0, 4) (0, 30)", omega="$OMEGA 0.1 0.2", sigma="$SIGMA 0.04"):
    return (
        "$PROBLEM test\n$INPUT ID TIME AMT DV\n$DATA data.csv IGNORE=@\n$SUBROUTINES ADVAN1 TRANS2\n"
        "$PK\nCL = THETA(1)*EXP(ETA(1))\nV = THETA(2)*EXP(ETA(2))\nS1 = V\n"
        f"$ERROR\nY = F + F*EPS(1)\n$THETA {thetas}\n{omega}\n{sigma}\n$ESTIMATION METHOD=1\n"
    )


def target(text, thetas=(3.21, 28.4567891), omega=((0.09, 0.0), (0.0, 0.16)), sigma=0.05):
    """The model at these values, those that are fixed aside."""
    model = parse_control_stream(text, "run1.ctl")
    at, blocks = 0, []
    for block in model.omega:
        n = len(block.names)
        rows = tuple(tuple(float(omega[at + i][at + j]) for j in range(n)) for i in range(n))
        blocks.append(block if block.fixed else dataclasses.replace(block, matrix=rows))
        at += n
    new = [t if t.fixed else dataclasses.replace(t, init=v) for t, v in zip(model.thetas, thetas, strict=True)]
    last = dataclasses.replace(model.sigma[0], matrix=((sigma,),))
    return dataclasses.replace(model, thetas=tuple(new), omega=tuple(blocks), sigma=(last,))


def records(text, name):
    return [line for line in text.splitlines() if line.startswith(f"${name}")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(0, 4) (0, 30)", "(0, 3.21) (0, 28.4568)"),
        ("4 30", "3.21 28.4568"),
        ("(0,4,100) ; 4 and 30\n$THETA  (0 30 1E3);V", "(0,3.21,100) ; 4 and 30\n$THETA  (0 28.4568 1E3);V"),
        ("(0, 4 FIX) (0,30)", "(0, 4 FIX) (0,28.4568)"),
        ("(0, 4)x2", "(0, 3.21) (0, 28.4568)"),
        ("CL=(0,4) V=(0,30)", "CL=(0,3.21) V=(0,28.4568)"),
        ("(,4,) 30 FIXED", "(,3.21,) 30 FIXED"),
    ],
)
def test_thetas(before, after):
    text = stream(before)
    written, notes = stream_at(text, "run1.ctl", target(text))
    assert written.split("$THETA", 1)[1].split("$OMEGA")[0] == f" {after}\n"
    assert written.split("$THETA")[0] == text.split("$THETA")[0]
    assert notes == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("$OMEGA 0.1 0.2", "$OMEGA 0.09 0.16"),
        ("$OMEGA 0.3 SD ; one\n$OMEGA (0.2 FIX) ; two", "$OMEGA 0.3 SD ; one\n$OMEGA (0.2 FIX) ; two"),
        ("$OMEGA 1 SD 1", "$OMEGA 0.3 SD 0.16"),
        ("$OMEGA (0.1)x2", "$OMEGA (0.09) (0.16)"),
        ("$OMEGA DIAGONAL(2) (0.1) (0.5 SD)", "$OMEGA DIAGONAL(2) (0.09) (0.4 SD)"),
        ("$OMEGA BLOCK(2)\n 0.1 ; a\n 0.01 0.2 ; b", "$OMEGA BLOCK(2)\n 0.09 ; a\n 0.012 0.16 ; b"),
        ("$OMEGA BLOCK(2) SD CORR 0.3 0.5 0.4", "$OMEGA BLOCK(2) SD CORR 0.3 0.1 0.4"),
        ("$OMEGA BLOCK(2) CHOLESKY 1 0.5 1", "$OMEGA BLOCK(2) CHOLESKY 0.3 0.04 0.397995"),
        ("$OMEGA BLOCK(2) VALUES(0.1,0.01)", "$OMEGA BLOCK(2) 0.09 0.012 0.16"),
        ("$OMEGA BLOCK(2) FIX 0.1 0.01 0.2", "$OMEGA BLOCK(2) FIX 0.1 0.01 0.2"),
    ],
)
def test_variances_in_the_form_they_are_written_in(before, after):
    text = stream(omega=before)
    block = "BLOCK" in before
    written, _ = stream_at(text, "run1.ctl", target(text, omega=((0.09, 0.012 * block), (0.012 * block, 0.16))))
    assert written.split("$OMEGA", 1)[1].split("$SIGMA")[0] == (after.split("$OMEGA", 1)[1] + "\n")
    changed = [x for x in difflib.ndiff(text.splitlines(), written.splitlines()) if x[0] in "+-"]
    assert not [x for x in changed if not any(c.isdigit() for c in x)]


def test_a_repeated_block_keeps_its_same():
    text = stream(omega="$OMEGA BLOCK(1) 0.1\n$OMEGA BLOCK(1) SAME")
    written, _ = stream_at(text, "run1.ctl", target(text, omega=((0.09, 0.0), (0.0, 0.09))))
    assert records(written, "OMEGA") == ["$OMEGA BLOCK(1) 0.09", "$OMEGA BLOCK(1) SAME"]


def test_a_theta_at_its_bound_starts_beside_it_and_says_so():
    text = stream("(0, 4) ; CL\n (0, 30, 40) ; V")
    written, notes = stream_at(text, "run1.ctl", target(text, thetas=(0.0, 40.0)))
    model = parse_control_stream(written, "run1.ctl")
    assert [t.init for t in model.thetas] == [0.0001, 39.996]
    assert notes == ("CL, V: estimated at a bound, starts beside it",)


def test_more_digits_where_six_are_no_covariance_matrix():
    text = stream(omega="$OMEGA BLOCK(2) 0.1 0.01 0.2")
    near = 0.3 * 0.4 * (1 - 1e-9)
    written, _ = stream_at(text, "run1.ctl", target(text, omega=((0.09, near), (near, 0.16))))
    matrix = np.array(parse_control_stream(written, "run1.ctl").omega[0].matrix)
    assert np.linalg.eigvalsh(matrix)[0] > 0.0


def test_a_block_of_which_the_data_show_a_part_is_refused_by_name():
    text = stream(sigma="$SIGMA BLOCK(2) 0.04 0.01 0.04").replace(
        "Y = F + F*EPS(1)", "IF (DVID.EQ.1) THEN\nY = F + F*EPS(1)\nELSE\nY = F + F*EPS(2)\nENDIF"
    )
    text = text.replace("AMT DV", "AMT DV DVID")
    model = parse_control_stream(text, "run1.ctl")
    with pytest.raises(UnsupportedError, match=r"\$SIGMA BLOCK\(2\): the data show only some") as refused:
        stream_at(text, "run1.ctl", model)
    assert refused.value.location.line == 17


def test_values_that_cannot_be_read_back_are_refused_by_name():
    text = stream(omega="$OMEGA BLOCK(1) 0.1\n$OMEGA BLOCK(1) SAME")
    wrong = target(text, omega=((0.09, 0.0), (0.0, 0.25)))
    with pytest.raises(UnsupportedError, match=r"final estimates cannot be written.*0.25 then reads as 0.09"):
        stream_at(text, "run1.ctl", wrong)
