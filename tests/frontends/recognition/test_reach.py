"""What one ETA reaches agrees with what all inputs reach, and its effect taken out with a run of the whole code."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.frontends.recognition.dependencies import individual_program, outputs, piecewise_inputs, trace
from nlmevae.frontends.recognition.individual_level import run_individual_level, run_watching, without_effect
from nlmevae.frontends.recognition.reach import decides, reached, reaches_data
from nlmevae.ir.dual import tangent_of, value_of
from nlmevae.ir.evaluate import seeded
from tests.helpers.code_models import make_model

CODE = {
    "one after the other": "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2)+0.5*ETA(1))",
    "reassigned": "CL=THETA(1)\nCL=CL*EXP(ETA(1))\nX=CL\nCL=THETA(1)*EXP(ETA(2))\nV=THETA(2)+X",
    "branches": "X=ETA(1)\nIF (WT.GT.70) THEN\nX=ETA(2)\nELSE\nZ=ETA(1)\nENDIF\n"
    "CL=THETA(1)*EXP(X)\nV=THETA(2)*EXP(ETA(2))",
    "branch on an effect": "X=1\nIF (ETA(1).GT.0) X=ETA(2)\nCL=THETA(1)*EXP(X)\nV=THETA(2)*EXP(ETA(1))",
    "overwritten": "X=ETA(1)\nIF (WT.GT.70) THEN\nX=1\nELSE\nX=2\nENDIF\n"
    "CL=THETA(1)*EXP(ETA(1))*X\nV=THETA(2)*EXP(ETA(2))",
    "limited": "CL=THETA(1)*EXP(MAX(ETA(1),-1))\nV=THETA(2)*EXP(ABS(WT)*ETA(2))\nX=MOD(ETA(2),2)\nV=V+X",
    "nested": "IF (WT.GT.70) THEN\nIF (ETA(1).GT.0) THEN\nCL=THETA(1)\nELSE\nCL=THETA(1)*EXP(ETA(2))\nENDIF\nELSE\n"
    "CL=THETA(1)*EXP(ETA(1))\nENDIF\nV=THETA(2)*CL*EXP(ETA(2))",
    "occasions": "IOV=0\nIF (WT.LT.70) IOV=ETA(1)\nIF (WT.GE.70) IOV=ETA(2)\nCL=THETA(1)*EXP(IOV)\nV=THETA(2)*EXP(IOV)",
}  # fmt: skip


@pytest.fixture(params=CODE.values(), ids=CODE.keys())
def model(request):
    return make_model(pk=request.param, thetas=((0.0, 2.0), (0.0, 20.0)))


def test_one_eta_reaches_what_the_trace_of_all_inputs_says(model):
    program = individual_program(model)
    for eta in model.etas:
        for end in range(len(program) + 1):
            everything = trace(program[:end], {})
            expected = {name for name, reads in everything.items() if eta in reads}
            assert reached(program[:end], {eta}) - {eta} == expected
            for name in everything:
                assert decides(program[:end], eta, name) == (eta in piecewise_inputs(program[:end], (name,), {}))


def test_the_data_see_an_eta_where_the_trace_of_all_inputs_says(model):
    program = individual_program(model)
    for eta in model.etas:
        for end in range(1, len(program) + 1):
            for name in trace(program[:end], {}):
                seen = outputs(model, {}, {name: eta}, until=end)
                assert reaches_data(model, program, eta, name, end) == any(eta in reads for reads in seen.values())


def test_taking_an_effect_out_equals_running_all_the_code_without_it(model):
    level = run_individual_level(model, np.random.default_rng(3))
    for eta in model.etas:
        wanted = {(c.name, c.index) for c in level.candidates[eta]}
        full, _ = run_watching(level.statements, seeded({**level.points, eta: 0.0}, (eta,)), wanted)
        found = without_effect(level, eta)
        assert found.keys() == full.keys() == wanted
        for key in wanted:
            value = np.broadcast_to(value_of(full[key]), level.points[eta].shape)
            np.testing.assert_array_equal(np.broadcast_to(value_of(found[key]), value.shape), value)
            slopes = [
                np.broadcast_to(tangent_of(x[key], np.zeros((1, *value.shape))), (1, *value.shape))
                for x in (found, full)
            ]
            np.testing.assert_array_equal(*slopes)
