"""Graphs share subexpressions, fold constants exactly, and differentiate like central differences."""

import math

import numpy as np
import pytest

from nlmevae.codegen.graph import ARITY, Function, Graph

UNARY = {
    "neg": lambda x: -x, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh,
}  # fmt: skip


def evaluate(graph, node, env):
    """Recursive numpy evaluation, written for these tests only."""
    op, args, value = graph.nodes[node]
    if op == "constant":
        return value
    if op == "input":
        return env[value]
    a = [evaluate(graph, n, env) for n in args]
    if op in UNARY:
        return UNARY[op](a[0])
    if op in ("normal_cdf", "lgamma", "digamma"):
        from scipy import special

        return {"normal_cdf": special.ndtr, "lgamma": special.gammaln, "digamma": special.digamma}[op](a[0])
    if op == "trunc":
        return math.trunc(a[0])
    return {
        "add": lambda: a[0] + a[1], "sub": lambda: a[0] - a[1], "mul": lambda: a[0] * a[1], "div": lambda: a[0] / a[1],
        "pow": lambda: a[0] ** a[1], "lt": lambda: a[0] < a[1], "le": lambda: a[0] <= a[1],
        "eq": lambda: a[0] == a[1], "ne": lambda: a[0] != a[1], "not": lambda: not a[0],
        "and": lambda: a[0] and a[1], "or": lambda: a[0] or a[1], "select": lambda: a[1] if a[0] else a[2],
    }[op]()  # fmt: skip


@pytest.mark.parametrize("op", sorted(set(ARITY) - {"constant", "input", "not", "and", "or", "digamma", "trunc"}))
def test_every_operation_differentiates_like_central_differences(op):
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    if op == "select":
        node = graph.select(graph.apply("lt", x, y), graph.mul(x, x), graph.apply("sin", y))
    elif op in ("lt", "le", "eq", "ne"):
        node = graph.select(graph.apply(op, x, y), graph.mul(x, y), graph.add(x, y))
    else:
        node = graph.apply(op, *(x, y)[: ARITY[op]])
    for at in ({"x": 0.3, "y": 0.7}, {"x": 0.8, "y": 0.2}):
        for name in ("x", "y"):
            (tangent,) = graph.tangents([node], {graph.input(name): graph.constant(1.0)})
            step = 1e-6
            up, down = dict(at), dict(at)
            up[name] += step
            down[name] -= step
            slope = (evaluate(graph, node, up) - evaluate(graph, node, down)) / (2 * step)
            assert evaluate(graph, tangent, at) == pytest.approx(slope, rel=1e-7, abs=1e-8)


def test_the_branch_not_taken_cannot_poison_a_derivative():
    graph = Graph()
    x = graph.input("x")
    guarded = graph.select(graph.apply("lt", graph.constant(0.0), x), graph.apply("log", x), graph.constant(0.0))
    (tangent,) = graph.tangents([guarded], {x: graph.constant(1.0)})
    op, args, _ = graph.nodes[tangent]
    assert op == "select"
    assert graph.value_of(args[2]) == 0.0


def test_power_of_zero_has_a_finite_derivative_in_the_exponent():
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    (tangent,) = graph.tangents([graph.apply("pow", x, y)], {y: graph.constant(1.0)})
    assert evaluate(graph, tangent, {"x": 0.0, "y": 2.0}) == 0.0


def test_equal_subexpressions_are_one_node_whatever_their_order():
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    assert graph.add(x, y) == graph.add(y, x)
    assert graph.mul(x, graph.add(x, y)) == graph.mul(graph.add(y, x), x)


def test_small_integer_powers_become_products_and_large_ones_stay_powers():
    graph = Graph()
    x = graph.input("x")
    cube = Function(name="f", graph=graph, inputs=("x",), outputs=(("o", graph.apply("pow", x, graph.constant(3))),))
    assert {graph.nodes[n].op for n in cube.body()} == {"input", "mul"}
    assert graph.nodes[graph.apply("pow", x, graph.constant(30))].op == "pow"
    inverse = graph.apply("pow", x, graph.constant(-2))
    assert evaluate(graph, inverse, {"x": 3.0}) == pytest.approx(1 / 9)


def test_jacobian_leaves_structural_zeros_out():
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    function = Function(
        name="f", graph=graph, inputs=("x", "y"), outputs=(("a", graph.apply("exp", x)), ("b", graph.mul(x, y)))
    )
    assert set(function.jacobian(["x", "y"])) == {("a", "x"), ("b", "x"), ("b", "y")}


def test_constants_that_cannot_fold_are_left_to_run_time():
    graph = Graph()
    node = graph.apply("log", graph.constant(-1.0))
    assert graph.nodes[node].op == "log"
    assert graph.nodes[graph.apply("div", graph.constant(1.0), graph.constant(0.0))].op == "div"
