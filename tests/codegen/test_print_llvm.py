"""Machine code of graph functions against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from nlmevae.codegen.batch_llvm import link_batch
from nlmevae.codegen.graph import ARITY, Function, Graph

RNG = np.random.default_rng(20)

NUMPY = {
    "neg": np.negative, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "trunc": np.trunc,
    "normal_cdf": scipy.special.ndtr, "lgamma": scipy.special.gammaln, "digamma": scipy.special.digamma,
    "not": np.logical_not, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "pow": np.power, "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "select": np.where,
}  # fmt: skip
LOGICAL = {"not", "and", "or"}
COMPARISONS = {"lt", "le", "eq", "ne"}
POSITIVE = {"log", "sqrt", "pow", "lgamma", "digamma", "div"}
UNIT = {"asin", "acos"}


def function(graph, **outputs):
    return Function(name="f", graph=graph, inputs=("a", "b", "c"), outputs=tuple(outputs.items()))


def points(op, n=203):
    """(3, n) arguments inside the domain of `op`; some pairs are equal."""
    values = RNG.normal(size=(3, n)) * 2
    if op in POSITIVE:
        values = np.clip(np.exp(values), 0.2, 6.0)
    if op in UNIT:
        values = np.tanh(values)
    values[1, ::5] = values[0, ::5]
    return values


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("op", [name for name in ARITY if name not in ("constant", "input")])
def test_every_operation_agrees_with_numpy(op, width):
    graph = Graph()
    arguments = [graph.input(name) for name in "abc"[: ARITY[op]]]
    values = points(op)
    known = list(values[: ARITY[op]])
    zero = graph.constant(0.0)
    if op in LOGICAL:
        arguments = [graph.apply("lt", zero, a) for a in arguments]
        known = [v > 0 for v in known]
    if op == "select":
        arguments[0] = graph.apply("lt", zero, arguments[0])
        known[0] = known[0] > 0
    found, _ = link_batch(function(graph, y=graph.apply(op, *arguments)), width=width)(values)
    np.testing.assert_allclose(found[0], NUMPY[op](*known).astype(float), rtol=4e-15, atol=1e-14)


DIFFERENTIABLE = [n for n in ARITY if n not in {"constant", "input", "trunc", "digamma"} | LOGICAL | COMPARISONS]


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_every_derivative_agrees_with_central_differences(op):
    graph = Graph()
    names = "abc"[: ARITY[op]]
    arguments = [graph.input(name) for name in names]
    if op == "select":
        arguments[0] = graph.apply("lt", graph.constant(0.0), arguments[0])
        arguments[1] = graph.apply("exp", arguments[1])
    batch = link_batch(function(graph, y=graph.apply(op, *arguments)), names)
    values = points(op)
    values[0][np.abs(values[0]) < 1e-3] = 0.5  # away from the kinks of abs and select
    if op in UNIT:
        values *= 0.9
    _, derivatives = batch(values)
    for entry, (_, k) in enumerate(batch.pattern):
        step = np.zeros((3, 1))
        step[k] = 1e-4
        near = batch(values + step)[0] - batch(values - step)[0]
        far = batch(values + 2 * step)[0] - batch(values - 2 * step)[0]
        central = (8 * near - far)[0] / 12e-4
        np.testing.assert_allclose(derivatives[entry], central, rtol=1e-6, atol=1e-6 * max(1, abs(central).max()))


def ulps(found, exact):
    return np.max(np.abs(found - exact) / np.spacing(np.abs(exact)))


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("exp", RNG.uniform(-745, 709.7, (1, 20_003))),
        ("exp", RNG.uniform(-2, 2, (1, 20_003))),
        ("log", np.exp(RNG.uniform(-740, 700, (1, 20_003)))),
        ("log", RNG.uniform(0.4, 2.1, (1, 20_003))),
        ("pow", np.stack([np.exp(RNG.uniform(-30, 30, 20_003)), RNG.uniform(-8, 8, 20_003)])),
        ("pow", np.stack([RNG.uniform(0.9, 1.1, 20_003), RNG.uniform(-500, 500, 20_003)])),
    ],
)
def test_vector_functions_are_accurate_to_two_units_in_the_last_place(op, arguments):
    graph = Graph()
    names = "ab"[: len(arguments)]
    node = graph.apply(op, *(graph.input(n) for n in names))
    batch = link_batch(Function(name="f", graph=graph, inputs=tuple(names), outputs=(("y", node),)))
    exact = NUMPY[op](*arguments.astype(np.longdouble)).astype(float)
    assert ulps(batch(arguments)[0][0], exact) <= 2


@pytest.mark.parametrize("op", ["exp", "log", "pow"])
def test_special_values_follow_ieee(op):
    special = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, np.inf, -np.inf, np.nan, 5e-324, 1e-310, 8e2])
    graph = Graph()
    if op == "pow":
        first, second = (v.ravel() for v in np.meshgrid(special, [0.0, 0.5, -0.5, 2.0, -2.0, 3.0, 7.5]))
        arguments, names = np.stack([first, second]), ("a", "b")
    else:
        arguments, names = special[None], ("a",)
    node = graph.apply(op, *(graph.input(n) for n in names))
    batch = link_batch(Function(name="f", graph=graph, inputs=names, outputs=(("y", node),)))
    with np.errstate(all="ignore"):
        exact = NUMPY[op](*arguments)
    if op == "pow":  # an odd power of -0 or -infinity keeps numpy's value up to the sign of zero
        exact = np.where((exact == 0), 0.0, exact)
        odd = (arguments[0] == -np.inf) | (np.signbit(arguments[0]) & (arguments[0] == 0))
        exact, found = exact[~odd], batch(arguments)[0][0][~odd]
    else:
        found = batch(arguments)[0][0]
    np.testing.assert_allclose(found, exact, rtol=1e-15)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_random_graphs_agree_with_numpy(width):
    """Deep random expressions, shared subexpressions, several outputs."""
    graph = Graph()
    values = RNG.normal(size=(3, 57))
    nodes = [graph.input(n) for n in "abc"]
    known = list(values)
    for _ in range(150):
        op = RNG.choice(["add", "sub", "mul", "tanh", "sin", "abs", "select", "exp"])
        chosen = RNG.integers(0, len(nodes), ARITY[op])
        arguments, numbers = [nodes[i] for i in chosen], [known[i] for i in chosen]
        if op == "select":
            arguments[0] = graph.apply("lt", arguments[0], graph.constant(0.25))
            numbers[0] = numbers[0] < 0.25
        if op == "exp":
            arguments[0], numbers[0] = graph.apply("tanh", arguments[0]), np.tanh(numbers[0])
        if op == "mul":
            arguments[1], numbers[1] = graph.apply("sin", arguments[1]), np.sin(numbers[1])
        nodes.append(graph.apply(op, *arguments))
        known.append(NUMPY[op](*numbers))
    outputs = {f"y{i}": nodes[i] for i in range(0, len(nodes), 10)}
    found, _ = link_batch(function(graph, **outputs), width=width)(values)
    np.testing.assert_allclose(found, [known[i] for i in range(0, len(nodes), 10)], rtol=1e-9, atol=1e-9)


def test_a_nan_in_the_branch_not_taken_does_not_leak():
    graph = Graph()
    a = graph.input("a")
    condition = graph.apply("lt", graph.constant(0.0), a)
    node = graph.select(condition, graph.apply("log", a), graph.constant(-1.0))
    values, derivatives = link_batch(function(graph, y=node), ("a",))(np.array([[-2.0, 2.0], [0, 0], [0, 0]]))
    np.testing.assert_allclose(values[0], [-1.0, np.log(2)])
    np.testing.assert_allclose(derivatives[0], [0.0, 0.5])


def test_conditions_and_constants_can_be_outputs():
    graph = Graph()
    a = graph.input("a")
    outputs = {"c": graph.apply("lt", a, graph.constant(1.0)), "k": graph.constant(3.5), "a": a}
    values, derivatives = link_batch(function(graph, **outputs), ("a", "b"))(np.array([[0.5, 2.0], [0, 0], [0, 0]]))
    np.testing.assert_array_equal(values, [[1.0, 0.0], [3.5, 3.5], [0.5, 2.0]])
    np.testing.assert_array_equal(derivatives, [[1.0, 1.0]])
