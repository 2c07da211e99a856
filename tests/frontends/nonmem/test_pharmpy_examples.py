"""Real runs that the installed pharmpy wheel carries; pharmpy itself is not imported."""

from __future__ import annotations

import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.read import lower_control_stream
from nlmevae.frontends.nonmem.records import read_source
from nlmevae.ir import Model
from tests.helpers.pharmpy_wheel import wheel_file


def read(name: str) -> Model:
    return lower_control_stream(read_source(wheel_file(name)))


def test_pheno_is_one_compartment_with_three_thetas():
    model = read("pheno.mod")
    assert [(t.label, t.init, t.lower) for t in model.thetas] == [
        ("POP_CL", 0.00469307, 0.0),
        ("POP_VC", 1.00916, 0.0),
        ("COVAPGR", 0.1, -0.99),
    ]
    assert [b.matrix for b in model.omega] == [((0.0309626,),), ((0.031128,),)]
    assert model.structural.closed_form == "one"
    assert model.structural.compartments[0].scale == "S1"
    assert (model.data.path, model.data.ignore_character) == ("pheno.dta", "@")


def test_moxo_has_occasions_by_same_and_a_lag():
    model = read("moxo.mod")
    assert [b.names for b in model.omega] == [
        ("ETA(1)", "ETA(2)"), ("ETA(3)",), ("ETA(4)",), ("ETA(5)",), ("ETA(6)",), ("ETA(7)",),
    ]  # fmt: skip
    assert [b.same_as for b in model.omega] == [None, None, None, 2, None, 4]
    assert model.structural.closed_form == "one_absorption"
    assert model.structural.compartments[0].lag == "ALAG1"
    assert [c.role for c in model.data.columns if c.name == "CMT"] == ["drop"]


def test_pheno_linear_is_refused_for_having_no_theta():
    with pytest.raises(UnsupportedError, match=r"no \$THETA"):
        read("pheno_linear.mod")
