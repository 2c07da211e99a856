"""The reference evaluator against plain Python and central differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlmevae.errors import SemanticError
from nlmevae.ir import FUNCTIONS, Assign, Call, Number, Symbol, Where
from nlmevae.ir.evaluate import derivative, evaluate, run
from tests.helpers.code_models import expression, statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 3*4", 14.0),
        ("2**3**2", 512.0),
        ("-2**2", -4.0),
        ("7/2", 3.5),
        ("INT(2.7)", 2.0),
        ("INT(-2.7)", -2.0),
        ("MOD(7, 3)", 1.0),
        ("MOD(-7, 3)", -1.0),
        ("MOD(7, -3)", 1.0),
        ("MIN(3, 1, 2)", 1.0),
        ("MAX(3, 1, 5)", 5.0),
        ("PHI(1.96)", 0.5 * math.erfc(-1.96 / math.sqrt(2))),
        ("GAMLN(5.5)", math.lgamma(5.5)),
        ("LOG10(1000)", 3.0),
        ("EXP(LOG(3))", 3.0),
    ],
)
def test_constant_expressions_have_fortran_values(text, expected):
    assert evaluate(expression(text), {}) == pytest.approx(expected, rel=1e-14)


def test_every_function_of_the_language_is_known():
    for name, count in FUNCTIONS.items():
        call = Call(name, tuple(Number(0.5 + 0.1 * k) for k in range(2 if count < 0 else count)))
        assert np.isfinite(evaluate(call, {})), name


def test_assignments_run_in_order_and_may_repeat():
    env = run(statements("X = 1\nY = X + 1\nX = X*10\nZ = X + Y"), {})
    assert (env["X"], env["Y"], env["Z"]) == (10.0, 2.0, 12.0)


def test_run_leaves_its_input_alone():
    env = {"X": 1.0}
    run(statements("X = 2"), env)
    assert env == {"X": 1.0}


BRANCHES = """IF (A.GT.2) THEN
  B = 1
ELSE IF (A.GT.1) THEN
  B = 2
  IF (A.EQ.1.5) B = 20
ELSE
  B = 3
END IF"""


@pytest.mark.parametrize(("a", "b"), [(3.0, 1.0), (1.7, 2.0), (1.5, 20.0), (0.0, 3.0)])
def test_the_first_true_arm_runs(a, b):
    assert run(statements(BRANCHES), {"A": a})["B"] == b


def test_arrays_take_their_own_arm_at_every_point():
    a = np.array([3.0, 1.7, 1.5, 0.0])
    np.testing.assert_array_equal(run(statements(BRANCHES), {"A": a})["B"], [1.0, 2.0, 20.0, 3.0])


def test_arrays_and_scalars_agree_on_a_long_program():
    code = statements(
        "X = A**2 + SIN(A)\nIF (X.GT.1.AND.B.LT.0) X = X - B\nIF (.NOT.(B.LT.0)) THEN\nY = MAX(X, B)\nX = X/2\n"
        "ELSE\nY = MIN(X, B, 0.5)\nENDIF\nZ = X*Y + MOD(A*10, 3)"
    )
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(50), rng.standard_normal(50)
    together = run(code, {"A": a, "B": b})
    for k in range(50):
        alone = run(code, {"A": a[k], "B": b[k]})
        for name in ("X", "Y", "Z"):
            assert alone[name] == pytest.approx(together[name][k], rel=1e-14)


def test_a_name_without_a_value_is_an_error_with_its_place():
    with pytest.raises(SemanticError, match="CL is read here but has no value") as caught:
        run(statements("V = 1\nK = CL/V"), {})
    assert caught.value.location.line == 2


def test_a_name_no_taken_arm_assigned_has_no_value():
    code = statements("IF (SEX.EQ.1) TV = 5\nCL = TV*2")
    with pytest.raises(SemanticError):
        run(code, {"SEX": 0.0})
    np.testing.assert_array_equal(run(code, {"SEX": np.array([1.0, 0.0])})["CL"], [10.0, np.nan])


def test_where_does_not_leak_the_other_branch():
    node = Where(expression("X.GT.0"), expression("LOG(X)"), Number(-1.0))
    np.testing.assert_allclose(evaluate(node, {"X": np.array([math.e, -1.0])}), [1.0, -1.0])
    slope = derivative((Assign("Y", node),), {"X": np.array([2.0, -1.0, 0.0])}, ("X",), "Y")
    np.testing.assert_array_equal(slope, [[0.5, 0.0, 0.0]])


def test_invalid_arithmetic_gives_nan_not_an_exception():
    assert np.isnan(evaluate(expression("LOG(-X)"), {"X": 1.0}))
    assert np.isinf(evaluate(expression("1/X"), {"X": 0.0}))


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "INT"])
def test_slopes_of_functions_equal_central_differences(name):
    count = 2 if FUNCTIONS[name] < 0 else FUNCTIONS[name]
    inputs = ("X", "W")[:count]
    code = (Assign("Y", Call(name, tuple(Symbol(n) for n in inputs))),)
    env = {"X": np.linspace(0.12, 0.93, 9), "W": np.linspace(0.31, 0.17, 9)}
    exact = derivative(code, env, inputs, "Y")
    for k, wrt in enumerate(inputs):
        step = 1e-6
        high, low = (run(code, {**env, wrt: env[wrt] + s})["Y"] for s in (step, -step))
        np.testing.assert_allclose(exact[k], (high - low) / (2 * step), rtol=1e-6, atol=1e-8)


def test_derivatives_through_a_program_equal_central_differences():
    code = statements(
        "TV = T1*(WT/70)**T2\nIF (WT.GT.50) THEN\nCL = TV*EXP(E)\nELSE\nCL = TV + E*T1\nEND IF\n"
        "Y = SQRT(CL)/(1 + CL**T2)"
    )
    rng = np.random.default_rng(1)
    env = {"T1": rng.uniform(1, 3, 40), "T2": rng.uniform(0.3, 1, 40), "WT": rng.uniform(20, 90, 40)}
    env["E"] = rng.normal(0, 0.2, 40)
    wrt = ("T1", "T2", "E", "WT")
    exact = derivative(code, env, wrt, "Y")
    for k, name in enumerate(wrt):
        step = 1e-6 * np.abs(env[name]) + 1e-7
        high, low = (run(code, {**env, name: env[name] + s})["Y"] for s in (step, -step))
        np.testing.assert_allclose(exact[k], (high - low) / (2 * step), rtol=1e-5, atol=1e-9)


def test_a_variable_independent_of_the_direction_has_derivative_zero():
    assert derivative(statements("Y = 3*A"), {"A": 1.0, "B": 2.0}, ("B",), "Y") == 0.0


def test_power_of_zero_has_a_finite_slope_in_its_exponent():
    slope = derivative(statements("Y = X**P"), {"X": 0.0, "P": 0.75}, ("P",), "Y")
    assert slope == 0.0


def test_digamma_matches_scipy():
    from scipy.special import digamma

    x = np.array([0.1, 0.7, 1.0, 3.3, 11.9, 40.0])
    slope = derivative(statements("Y = GAMLN(X)"), {"X": x}, ("X",), "Y")
    np.testing.assert_allclose(slope[0], digamma(x), rtol=1e-12)


def test_scalar_seeds_and_arrays_may_be_mixed():
    slope = derivative(statements("Y = A*X"), {"A": 2.0, "X": np.array([1.0, 2.0, 3.0])}, ("A", "X"), "Y")
    np.testing.assert_array_equal(slope, [[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])
