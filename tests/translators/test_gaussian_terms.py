"""Formulas as sums on the Gaussian scale."""

from __future__ import annotations

import pytest

from nlmevae.frontends.nonmem.parameter_expression import parse_parameter_expression
from nlmevae.ir import Transform
from nlmevae_translators.to_monolix.expression_text import expression_text
from nlmevae_translators.to_monolix.gaussian_terms import Split

NAMES = {n: n for n in ("TH1", "TH2", "E1", "WT", "AGE", "X")}
SPLIT = Split(parameters={"TH1", "TH2", "E1"}, items={"WT", "AGE"})
LOG, IDENTITY = Transform(kind="log"), Transform(kind="identity")
LOGIT = Transform(kind="logit", lower=0.0, upper=1.0)


def terms(text: str, transform: Transform):
    found = SPLIT.terms(parse_parameter_expression(text, NAMES), transform)
    return None if found is None else {(t.name, t.scale, expression_text(t.factor), t.mixed) for t in found}


@pytest.mark.parametrize(
    ("text", "transform", "expected"),
    [
        ("TH1*EXP(E1)", LOG, {("TH1", "log", "1", False), ("E1", "", "1", False)}),
        ("EXP(TH1 + E1)", LOG, {("TH1", "", "1", False), ("E1", "", "1", False)}),
        ("TH1*(WT/70)**TH2*EXP(E1)", LOG,
         {("TH1", "log", "1", False), ("TH2", "", "log(WT/70)", False), ("E1", "", "1", False)}),
        ("TH1*TH2**AGE*EXP(E1)", LOG,
         {("TH1", "log", "1", False), ("TH2", "log", "AGE", False), ("E1", "", "1", False)}),
        ("TH1/SQRT(WT)*EXP(E1)", LOG,
         {("TH1", "log", "1", False), ("", "", "-0.5*log(WT)", False), ("E1", "", "1", False)}),
        ("TH1*(1 + TH2*AGE)*EXP(E1)", LOG,
         {("TH1", "log", "1", False), ("", "", "log(1 + TH2*AGE)", True), ("E1", "", "1", False)}),
        ("TH1 + TH2*(AGE - 40) + E1", IDENTITY,
         {("TH1", "", "1", False), ("TH2", "", "AGE - 40", False), ("E1", "", "1", False)}),
        ("TH1*(1 + E1)", IDENTITY, {("", "", "TH1*(1 + E1)", True)}),
        ("1/(1 + EXP(-(TH1 + E1)))", LOGIT, {("TH1", "", "1", False), ("E1", "", "1", False)}),
        ("EXP(TH1 + E1)/(1 + EXP(TH1 + E1))", LOGIT, {("TH1", "", "1", False), ("E1", "", "1", False)}),
        ("1/(1 + EXP(-(LOG(TH1/(1 - TH1)) + E1)))", LOGIT, {("TH1", "logit", "1", False), ("E1", "", "1", False)}),
        ("TH1/(1 + EXP(-E1))", LOGIT, None),
    ],
)  # fmt: skip
def test_terms_of(text, transform, expected):
    assert terms(text, transform) == expected
