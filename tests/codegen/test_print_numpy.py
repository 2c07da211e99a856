"""Generated numpy code computes what the graph says, with exact derivatives, quickly and quietly."""

from __future__ import annotations

import time
import traceback
import warnings

import numpy as np
import pytest
from scipy import special

from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.print_numpy import emit_numpy, link_numpy

REFERENCE = {
    "neg": np.negative, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "trunc": np.trunc, "normal_cdf": special.ndtr,
    "lgamma": special.gammaln, "digamma": special.digamma,
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip


def one_op(op: str, arity: int) -> Function:
    graph = Graph()
    inputs = tuple(f"X({i})" for i in range(arity))
    node = graph.apply(op, *(graph.input(name) for name in inputs))
    return Function(name="f", graph=graph, inputs=inputs, outputs=(("Y", node),))


@pytest.mark.parametrize("op", sorted(REFERENCE))
def test_every_operation_is_the_one_it_names(op):
    reference = REFERENCE[op]
    columns = [np.array([0.3, 0.9, 0.5]), np.array([0.7, 0.9, 0.2])][: reference.nin]
    outputs, jacobian = link_numpy(one_op(op, reference.nin))(*columns)
    assert jacobian is None
    np.testing.assert_array_equal(outputs[:, 0], reference(*columns).astype(float))


@pytest.mark.parametrize("op", [o for o in sorted(REFERENCE) if o not in ("digamma", "trunc", "lt", "le", "eq", "ne")])
def test_derivatives_are_central_differences(op):
    function = one_op(op, REFERENCE[op].nin)
    x = np.array([[0.3, 0.9, 0.5], [0.7, 1.4, 0.2]][: len(function.inputs)])
    call, h = link_numpy(function, function.inputs), 1e-6
    jacobian = call(*x)[1][:, 0]
    for j in range(len(x)):
        shift = h * np.eye(len(x))[:, j : j + 1]
        difference = (call(*(x + shift))[0] - call(*(x - shift))[0])[:, 0] / (2 * h)
        np.testing.assert_allclose(jacobian[:, j], difference, rtol=1e-8, atol=1e-9)


def logistic() -> Function:
    """IF (X > 0) Y = LOG(X) + 1 ELSE Y = -1 / X**2: logarithm and division fail in the branch not taken."""
    graph = Graph()
    x, zero = graph.input("X"), graph.constant(0.0)
    positive = graph.apply("lt", zero, x)
    then = graph.add(graph.apply("log", x), graph.constant(1.0))
    orelse = graph.div(graph.constant(-1.0), graph.mul(x, x))
    return Function(name="f", graph=graph, inputs=("X",), outputs=(("Y", graph.select(positive, then, orelse)),))


def test_a_branch_not_taken_neither_warns_nor_leaks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs, jacobian = link_numpy(logistic(), ("X",))(np.array([-2.0, 0.5, 0.0]))
    np.testing.assert_allclose(outputs[:2, 0], [-0.25, np.log(0.5) + 1.0])
    np.testing.assert_allclose(jacobian[:2, 0, 0], [-0.25, 2.0])  # 2 / x^3 at -2; 1 / x at 0.5
    assert np.isneginf(outputs[2, 0])


def test_names_that_look_alike_stay_apart():
    graph = Graph()
    a, b, keyword = graph.input("A(1)"), graph.input("A_1"), graph.input("lambda")
    node = graph.sub(graph.mul(graph.constant(10.0), a), graph.add(b, keyword))
    function = Function(name="f", graph=graph, inputs=("A(1)", "A_1", "lambda"), outputs=(("A(1)", node), ("V2", b)))
    outputs, jacobian = link_numpy(function, ("A_1",))(1.0, 2.0, 3.0)
    np.testing.assert_array_equal(outputs, [[5.0, 2.0]])
    np.testing.assert_array_equal(jacobian, [[[-1.0], [1.0]]])


def test_division_of_constants_by_zero_is_infinite_not_an_exception():
    graph = Graph()
    node = graph.add(graph.div(graph.constant(1.0), graph.constant(0.0)), graph.input("X"))
    function = Function(name="f", graph=graph, inputs=("X",), outputs=(("Y", node),))
    assert np.isposinf(link_numpy(function)(1.0)[0][0, 0])
    assert np.isneginf(link_numpy(one_op("log", 1))(0.0)[0][0, 0])
    assert np.isposinf(link_numpy(one_op("div", 2))(1.0, 0.0)[0][0, 0])


def test_constant_outputs_and_scalars_are_broadcast():
    graph = Graph()
    x, y = graph.input("X"), graph.input("Y")
    outputs = (("ONE", graph.constant(1.0)), ("SUM", graph.add(x, y)))
    function = Function(name="f", graph=graph, inputs=("X", "Y"), outputs=outputs)
    values, jacobian = link_numpy(function, ("X",))(np.arange(3.0), 2.0)
    np.testing.assert_array_equal(values, [[1.0, 2.0], [1.0, 3.0], [1.0, 4.0]])
    np.testing.assert_array_equal(jacobian[:, :, 0], [[0.0, 1.0]] * 3)


def absorption() -> Function:
    """One compartment with absorption in closed form."""
    graph = Graph()
    ka, cl, v = (graph.apply("exp", graph.input(f"Z({i})")) for i in (1, 2, 3))
    k, t = graph.div(cl, v), graph.input("T")
    decay = [graph.apply("exp", graph.apply("neg", graph.mul(rate, t))) for rate in (k, ka)]
    share = graph.div(graph.mul(graph.constant(320.0), ka), graph.mul(v, graph.sub(ka, k)))
    outputs = (("CP", graph.mul(share, graph.sub(*decay))),)
    return Function(name="prediction", graph=graph, inputs=("Z(1)", "Z(2)", "Z(3)", "T"), outputs=outputs)


def test_the_source_is_a_documented_function_with_the_models_names():
    source = emit_numpy(absorption(), ("Z(1)",), title="theophylline")
    assert source.startswith('def prediction(Z_1_, Z_2_, Z_3_, T_):\n    """theophylline of the model, generated."""')
    assert "    CP_ = " in source
    assert "    d_CP_by_Z_1_ = " in source


def test_tracebacks_show_the_generated_line():
    call = link_numpy(absorption())
    try:
        call(np.zeros(3), np.zeros(2), np.zeros(3), np.zeros(3))
    except ValueError:
        assert "np.exp(Z_" in traceback.format_exc() or "CP_ = " in traceback.format_exc()
    else:
        pytest.fail("columns of different lengths must not pass")


@pytest.mark.slow
def test_a_small_function_of_twelve_subjects_takes_less_than_100_microseconds():
    call, z = link_numpy(absorption(), ("Z(1)", "Z(2)", "Z(3)")), np.full(12, 0.1)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        call(z, z, z, z)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-4
