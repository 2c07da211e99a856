"""Reading a program backwards."""

from __future__ import annotations

from nlmevae.ir import needed_for, needed_names
from tests.helpers.code_models import statements


def test_statements_kept_only_for_tables_drop_out():
    code = statements("TV=THETA(1)\nCL=TV*WT\nIF (AMT.GT.0) BTIME=TIME\nTAD=TIME-BTIME\nK=CL/V")
    assert needed_for(code, ("K",)) == (code[0], code[1], code[4])
    assert needed_names(code, ("K",)) == {"K", "CL", "V", "TV", "WT", "THETA(1)"}


def test_conditions_and_earlier_values_are_needed():
    code = statements("X=A\nIF (S.EQ.1) X=B\nY=2")
    assert needed_for(code, ("X",)) == code[:2]
    assert needed_names(code, ("X",)) == {"X", "A", "B", "S"}


def test_a_later_use_does_not_make_an_earlier_statement_needed():
    code = statements("X=1\nY=X\nX=Z")
    assert needed_for(code, ("Y",)) == (code[0], code[1])
