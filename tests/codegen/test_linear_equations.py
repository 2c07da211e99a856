"""Rate matrices read from right-hand sides: exact where they are linear, none where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.code_models import statements

from nlmevae.codegen.execute import Executor
from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.linear_equations import LinearEquations, linear_equations
from nlmevae.codegen.print_numpy import link_numpy

PARAMETERS = ("CL", "V", "Q", "V2", "KA", "F", "WT")
N = 3


def of(code: str) -> tuple[Function, LinearEquations | None]:
    """The right-hand side of $DES code for three compartments; one without an equation stays as it is."""
    graph = Graph()
    inputs = ("T", *(f"A({k + 1})" for k in range(N)), *PARAMETERS)
    after = Executor(graph, lambda name: graph.input(name) if name in inputs else None).run(statements(code), {})
    outputs = tuple((f"DADT({k})", after.get(f"DADT({k})", graph.constant(0.0))) for k in range(1, N + 1))
    rhs = Function(name="rhs", graph=graph, inputs=inputs, outputs=outputs)
    return rhs, linear_equations(rhs, N)


LINEAR = {
    "rates": "DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2)",
    "concentrations": "C = A(2)/V\nP = A(3)/V2\nDADT(1) = -A(1)*KA\n"
    "DADT(2) = KA*A(1) - CL*C - Q*(C - P)\nDADT(3) = Q*(C - P)",
    "sums in coefficients": "DADT(2) = -(CL + Q)/V*A(2) + (Q*A(3))/V2\nDADT(3) = (Q/V*A(2) - Q*A(3)/V2)*2",
    "a branch of parameters": "K = CL/V\nIF (WT.GT.1) K = 2*K\nDADT(1) = -K*A(1)\n"
    "IF (WT.GT.1.2) THEN\nDADT(2) = K*A(1) - EXP(-V)*A(2)\nELSE\nDADT(2) = SQRT(V)*A(3)\nENDIF",
    "constant inputs": "DADT(1) = KA - CL*(A(1) - V)/V\nDADT(2) = A(1)*(1 - F)*KA",
    "mixed signs": "DADT(1) = (KA - CL)*(A(1) - A(2))*(1 - F)\nDADT(2) = -(-A(1) - (KA - CL)*(F - Q))",
    "long products": "DADT(1) = (CL+V+Q+V2)*(CL+V+KA+F)*A(1)*(KA+F)",
}


@pytest.mark.parametrize("code", LINEAR.values(), ids=LINEAR)
def test_the_matrix_gives_the_right_hand_side_at_any_point(code):
    rhs, equations = of(code)
    m = len(equations.matrix)
    entries = tuple((f"M{i}", node) for i, node in enumerate(node for row in equations.matrix for node in row))
    coefficients = Function(name="matrix", graph=rhs.graph, inputs=PARAMETERS, outputs=entries)
    rng = np.random.default_rng(0)
    parameters, amounts = np.exp(rng.normal(size=(50, len(PARAMETERS)))), rng.normal(size=(50, N))
    matrix = link_numpy(coefficients)(*parameters.T)[0].reshape(50, m, m)
    state = np.hstack([amounts, np.ones((50, m - N))])
    expected = link_numpy(rhs)(rng.normal(size=50), *amounts.T, *parameters.T)[0]
    found = np.einsum("rij,rj->ri", matrix, state)
    size = np.einsum("rij,rj->ri", np.abs(matrix), np.abs(state))[:, :N]
    np.testing.assert_allclose(found[:, :N] / (size + 1e-300), expected / (size + 1e-300), rtol=0, atol=1e-13)
    assert not found[:, N:].any()


@pytest.mark.parametrize(
    "slope",
    ["A(1)*A(2)", "-CL*A(1)/(KA + A(1))", "EXP(A(1))", "CL/A(1)", "ABS(A(1))", "INT(A(1))", "A(1)**2", "MAX(A(1), 0)",
     "KA*T", "SIN(T)*A(1)", "A(1)*A(2)/A(2)", "A(1)**F"],
)  # fmt: skip
def test_what_is_not_linear_in_the_amounts_or_reads_the_time_has_none(slope):
    assert of(f"DADT(1) = -KA*A(1)\nDADT(2) = {slope}")[1] is None


@pytest.mark.parametrize("condition", ["A(1).GT.1", "T.GT.5", "WT.GT.1.AND.A(2).LT.3"])
def test_neither_has_one_that_switches_with_an_amount_or_the_time(condition):
    code = f"DADT(1) = -KA*A(1)\nIF ({condition}) THEN\nDADT(2) = KA*A(1)\nELSE\nDADT(2) = KA*2\nENDIF"
    assert of(code)[1] is None


def test_a_switch_between_equals_is_none():
    assert of("DADT(1) = -KA*A(1)\nIF (A(1).GT.1) THEN\nDADT(2) = KA*A(1)\nELSE\nDADT(2) = KA*A(1)\nENDIF")[1]


@pytest.mark.parametrize("way", ["rates", "concentrations", "one quotient"])
def test_what_is_gained_elsewhere_is_no_loss(way):
    """CL/V of compartment 2 and nothing of 1 and 3, whatever the style: numbers that cancel would cost digits."""
    code = {
        "rates": "DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2) - Q/V*A(2) + Q/V2*A(3)\n"
        "DADT(3) = Q/V*A(2) - Q/V2*A(3)",
        "concentrations": LINEAR["concentrations"],
        "one quotient": "DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - (CL + Q)*A(2)/V + Q*A(3)/V2\n"
        "DADT(3) = Q*(A(2)/V - A(3)/V2)",
    }[way]
    rhs, equations = of(code)
    graph = rhs.graph
    assert equations.blocks == ((0,), (1, 2))
    assert equations.losses[1:] == (graph.div(graph.input("CL"), graph.input("V")), graph.constant(0.0))


@pytest.mark.parametrize(
    ("code", "keeps"),
    [
        ("DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL*A(2)\nDADT(3) = -Q*A(3)", False),
        ("DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL*A(2)\nDADT(3) = CL*A(2)", True),
        ("DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - Q*A(2) + CL*A(3)\nDADT(3) = Q*A(2) - CL*A(3)", True),
        ("DADT(1) = F - KA*A(1)\nDADT(2) = - CL*A(2)\nDADT(3) = -Q*A(3)", True),
    ],
    ids=["all leaves", "one that nothing leaves", "a closed pair", "a constant input"],
)
def test_amounts_that_nothing_leaves_are_known(code, keeps):
    rhs, equations = of(code)
    assert equations.keeps_drug(rhs.graph) == keeps
