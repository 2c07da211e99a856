from __future__ import annotations

import math

import numpy as np
import pytest

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.labels import label_from_comment
from nlmevae.ir import free_elements
from tests.helpers.control_streams import accepted, lower

INF = math.inf


def test_every_form_of_theta_is_read():
    thetas = accepted("theta_forms").thetas
    rows = [(t.label, t.lower, t.init, t.upper, t.fixed) for t in thetas]
    assert rows == [
        ("plain number", -INF, 1.5, INF, False),
        ("THETA(2)", 0.0, 2.0, INF, False),  # CL is also the name of the last one
        ("POP_V", 0.0, 0.3, 1.0, False),
        ("WT_CL", -INF, 0.75, INF, True),
        ("KA", -INF, 1.0, INF, True),
        ("THETA(6)", 0.0, 1.0, 2.0, True),
        ("THETA(7)", -INF, 1.0, INF, False),
        ("THETA(8)", 0.0, 1.0, INF, False),
        ("THETA(9)", 0.0, 1.0, INF, False),
        ("THETA(10)", 0.0, 1.0, INF, False),
        ("THETA(11)", 0.0, 5.0, 10.0, False),
        ("THETA(12)", 0.0, 7.0, INF, False),
    ]


@pytest.mark.parametrize(
    ("text", "fixed"), [("(2,2,2)", True), ("(2,2)", False), ("(0,2,2)", False), ("(,2,2)", False)]
)
def test_a_theta_whose_bounds_are_its_initial_estimate_is_fixed(text, fixed):
    assert [t.fixed for t in lower(THETA=text).thetas] == [fixed]


def test_a_named_theta_can_be_read_by_its_name():
    assert "THETA(12)" in accepted("theta_forms").program.error[0].value.names()


@pytest.mark.parametrize(
    ("comment", "label"),
    [
        ("POP_CL", "POP_CL"), ("1. CL (L/h)", "CL"), ("CL; L/h; log", "CL"), ("[KA]", "KA"),
        ("6 : AGEEFF ; Age", "AGEEFF"),
        ("THETA(3) = V2", "V2"), ("IIV CL", "IIV CL"), ("TVCL, clearance", "TVCL"), ("", None), ("0.5", None),
        ("the typical value of clearance in healthy volunteers", None),
    ],
)  # fmt: skip
def test_labels_come_from_the_start_of_the_comment(comment, label):
    assert label_from_comment(comment) == label


def test_labels_of_omega_and_sigma_come_from_their_lines():
    model = lower(OMEGA="BLOCK(2)\n 0.1 ; IIV_CL\n 0.01 0.2 ; IIV_V\n", SIGMA="0.04 ; RUV_PROP",
                  PRED="\nY = THETA(1) + ETA(1) + ETA(2) + EPS(1)\n")  # fmt: skip
    assert model.omega[0].labels == ("IIV_CL", "IIV_V")
    assert model.sigma[0].labels == ("RUV_PROP",)


def test_every_form_of_omega_becomes_variances():
    omega = accepted("omega_forms").omega
    rows = [(b.names, b.fixed, b.same_as) for b in omega]
    singles = [((f"ETA({k})",), fixed, None) for k, fixed in
               enumerate([False, True, False, True, True, True, True, True], start=1)]  # fmt: skip
    assert rows == [
        *singles,
        (("ETA(9)", "ETA(10)"), False, None),
        (("ETA(11)", "ETA(12)"), False, None),
        (("ETA(13)", "ETA(14)"), False, None),
        (("ETA(15)", "ETA(16)"), True, None),
        (("ETA(17)",), False, None),
        (("ETA(18)",), False, 12),
        (("ETA(19)",), False, 12),
        (("ETA(20)", "ETA(21)"), False, None),
        (("ETA(22)", "ETA(23)"), False, 15),
    ]
    np.testing.assert_allclose([b.matrix[0][0] for b in omega[:8]], [0.1, 0.2, 0.09, 0.16, *[0.05] * 4], rtol=1e-14)
    np.testing.assert_allclose(omega[8].matrix, [[0.09, 0.5 * 0.3 * 0.4], [0.5 * 0.3 * 0.4, 0.16]], rtol=1e-14)
    np.testing.assert_allclose(omega[9].matrix, [[0.1, 0.01], [0.01, 0.1]], rtol=1e-14)
    factor = np.array([[0.3, 0.0], [0.1, 0.2]])
    np.testing.assert_allclose(omega[10].matrix, factor @ factor.T, rtol=1e-14)
    np.testing.assert_allclose(omega[11].matrix, [[0.1, 0.05], [0.05, 0.2]], rtol=1e-14)
    assert omega[13].matrix == omega[14].matrix == omega[12].matrix == ((0.02,),)
    assert omega[16].matrix == omega[15].matrix


def test_a_block_in_standard_deviations_keeps_covariances_as_written():
    (sigma,) = accepted("omega_forms").sigma
    np.testing.assert_allclose(sigma.matrix, [[0.04, 0.001], [0.001, 0.09]], rtol=1e-14)


def test_correlations_of_variances_are_scaled_by_them():
    model = lower(OMEGA="BLOCK(2) CORRELATION 0.25 0.5 4", PRED="\nY = THETA(1) + ETA(1)*ETA(2) + EPS(1)\n")
    np.testing.assert_allclose(model.omega[0].matrix, [[0.25, 0.5], [0.5, 4.0]], rtol=1e-14)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_cholesky_option_is_the_lower_factor_by_rows(n):
    generator = np.random.default_rng(n)
    factor = np.tril(generator.normal(size=(n, n)), -1) + np.diag(generator.uniform(0.5, 2.0, n))
    numbers = " ".join(f"{factor[i, j]:.17g}" for i in range(n) for j in range(i + 1))
    etas = "+".join(f"ETA({k})" for k in range(1, n + 1))
    model = lower(OMEGA=f"BLOCK({n}) CHOLESKY {numbers}", PRED=f"\nY = THETA(1) + {etas} + EPS(1)\n")
    np.testing.assert_allclose(model.omega[0].matrix, factor @ factor.T, rtol=1e-12, atol=1e-14)


def test_named_effects_can_be_read_by_their_names():
    model = lower(OMEGA="ECL=0.1 EV=0.2", PRED="\nY = THETA(1) + ETA(ECL) + ETA(EV) + EPS(1)\n")
    assert {"ETA(1)", "ETA(2)"} <= model.program.error[0].value.names()


@pytest.mark.parametrize("triangle", ["1 2 1", "1 -1.5 2", "1 0.9 1 -0.9 0.9 1", "0 0 1"])
def test_blocks_that_are_no_covariance_matrix_are_refused(triangle):
    n = {3: 2, 6: 3}[len(triangle.split())]
    etas = "+".join(f"ETA({k})" for k in range(1, n + 1))
    with pytest.raises(SemanticError, match="not positive definite"):
        lower(OMEGA=f"BLOCK({n}) {triangle}", PRED=f"\nY = THETA(1) + {etas} + EPS(1)\n")


@pytest.mark.parametrize(
    ("block", "zeros"),
    [("BLOCK(2) 1 0 1", {(1, 0)}), ("BLOCK(3) 1 0.1 1 0 0.1 1", {(2, 0)}), ("BLOCK(2) VALUES(1,0)", {(1, 0)})],
)
def test_a_covariance_of_zero_in_a_block_stays_zero_as_in_nonmem(block, zeros):
    n = int(block[6])
    etas = "+".join(f"ETA({k})" for k in range(1, n + 1))
    (omega,) = lower(OMEGA=block, PRED=f"\nY = THETA(1) + {etas} + EPS(1)\n").omega
    free = free_elements(omega)
    assert {(i, j) for i in range(n) for j in range(i) if not free[i][j]} == zeros


def test_a_fixed_block_may_have_zero_covariances():
    model = lower(OMEGA="BLOCK(2) FIX 1 0 1", PRED="\nY = THETA(1) + ETA(1) + ETA(2) + EPS(1)\n")
    assert model.omega[0].matrix == ((1.0, 0.0), (0.0, 1.0))


def test_a_singular_block_is_refused_unless_its_effects_are_zero():
    code = "\nY = THETA(1) + ETA(1) + ETA(2) + EPS(1)\n"
    with pytest.raises(UnsupportedError, match="singular"):
        lower(OMEGA="BLOCK(2) FIX 1 1 1", PRED=code)
    assert lower(OMEGA="BLOCK(2) FIX 1 0 0", PRED=code).zero_etas == {"ETA(2)"}


def test_a_theta_that_nothing_reads_is_kept_as_it_is():
    assert [d.message for d in lower(THETA="1 (2 FIX)").diagnostics] == []
    model = lower(THETA="1 2")
    assert [t.fixed for t in model.thetas] == [False, True]
    assert [d.message for d in model.diagnostics] == ["Y does not depend on THETA(2): it stays at 2"]


def test_effects_that_do_not_act_on_y_are_taken_out_of_a_diagonal():
    code = "\nX = ETA(2)\nY = THETA(1) + ETA(1) + ETA(3) + EPS(1)\n"
    model = lower(OMEGA="0.1 0.2 0.3", PRED=code)
    assert [(b.names, b.fixed, b.idle) for b in model.omega] == [
        (("ETA(1)",), False, False), (("ETA(2)",), True, True), (("ETA(3)",), False, False)
    ]  # fmt: skip
    assert model.zero_etas == {"ETA(2)"}
    assert [d.message for d in model.diagnostics] == ["Y does not depend on ETA(2): its $OMEGA stays at 0.2"]


def test_blocks_and_what_repeats_them_are_idle_as_a_whole():
    code = "\nY = THETA(1) + ETA(1) + ETA(6) + EPS(1)\n"
    model = lower(OMEGA="0.1\n$OMEGA BLOCK(2) 0.2 0.1 0.3\n$OMEGA BLOCK(2) SAME\n$OMEGA 0.4", PRED=code)
    assert [(b.idle, b.same_as) for b in model.omega] == [(False, None), (True, None), (True, 1), (False, None)]
    code = "\nY = THETA(1) + ETA(1) + ETA(4) + EPS(2)\n"
    model = lower(
        OMEGA="0.1 0.2\n$OMEGA BLOCK(1) 0.2\n$OMEGA BLOCK(1) SAME", PRED=code.replace("4", "3)+ETA(4"), SIGMA="1 2"
    )
    assert [b.same_as for b in model.omega] == [None, None, None, 2]
    assert [(b.names, b.idle) for b in model.sigma] == [(("EPS(1)",), True), (("EPS(2)",), False)]


@pytest.mark.parametrize(
    ("omega", "code"),
    [
        ("BLOCK(2) 0.1 0.01 0.2", "THETA(1) + ETA(1)"),
        ("BLOCK(1) 0.1\n$OMEGA BLOCK(1) SAME", "THETA(1) + ETA(1)"),
        ("BLOCK(2) FIX 0.1 0.01 0.2", "THETA(1) + ETA(1)"),
    ],
)
def test_an_effect_tied_to_others_that_act_must_act(omega, code):
    with pytest.raises(SemanticError, match=r"Y does not depend on ETA\(2\)"):
        lower(OMEGA=omega, PRED=f"\nY = {code} + EPS(1)\n")


def test_fix_needs_a_value():
    with pytest.raises(ModelSyntaxError, match="FIX without a value"):
        lower(THETA="FIX 1")


def test_a_block_of_effects_fixed_at_zero_is_no_effect():
    model = accepted("omega_block_of_zero")
    assert [b.matrix for b in model.omega] == [((0.1,),), ((0.0,),)]
    assert model.zero_etas == {"ETA(2)"}
