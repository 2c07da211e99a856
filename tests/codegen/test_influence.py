"""Which inputs can matter where, told from data items alone."""

import numpy as np

from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.influence import influence


def function(build):
    graph = Graph()
    node = build(graph, *(graph.input(name) for name in ("x", "y", "item")))
    return Function(name="f", graph=graph, inputs=("x", "y", "item"), outputs=(("o", node),))


def found(build, item):
    """(rows, 2): does the output depend on x, on y?"""
    return influence(function(build), {"item": np.array(item)}, ("x", "y"), len(item))[:, 0].tolist()


def test_a_branch_taken_by_data_decides():
    def either(g, x, y, item):
        return g.select(g.apply("eq", item, g.constant(1.0)), g.apply("exp", x), y)

    assert found(either, [1.0, 2.0]) == [[True, False], [False, True]]


def test_an_indicator_that_is_zero_switches_off():
    def indicators(g, x, y, item):
        return g.add(g.mul(item, x), g.mul(g.sub(g.constant(1.0), item), y))

    assert found(indicators, [0.0, 1.0, 0.5]) == [[False, True], [True, False], [True, True]]


def test_a_branch_on_anything_else_leaves_both_sides_open():
    def limited(g, x, y, item):
        return g.select(g.apply("lt", x, g.constant(0.0)), g.constant(0.0), g.mul(item, y))

    assert found(limited, [1.0, 0.0]) == [[True, True], [True, False]]


def test_a_slope_of_zero_is_not_taken_for_independence():
    assert found(lambda g, x, y, item: g.mul(x, x), [1.0]) == [[True, False]]
    assert found(lambda g, x, y, item: g.mul(g.mul(item, x), y), [3.0]) == [[True, True]]


def test_outputs_that_are_constants_depend_on_nothing():
    assert found(lambda g, x, y, item: g.constant(3.0), [1.0, 2.0]) == [[False, False]] * 2
