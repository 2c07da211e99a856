"""Covariate effects: form and coefficients."""

from __future__ import annotations

import math

import pytest

from nlmevae.frontends.recognition import covariate_effects, recognise
from tests.helpers.code_models import make_model

CASES = {
    "allometric": ("TV=THETA(1)*(WT/70)**0.75", [("WT", "power", ())]),
    "power": ("TV=THETA(1)*(WT/70)**THETA(3)", [("WT", "power", ("THETA(3)",))]),
    "power of the log": ("TV=EXP(LOG(THETA(1))+THETA(3)*LOG(WT/70))", [("WT", "power", ("THETA(3)",))]),
    "exponential": ("TV=THETA(1)*EXP(THETA(3)*(AGE-40))", [("AGE", "exponential", ("THETA(3)",))]),
    "linear": ("TV=THETA(1)*(1+THETA(3)*(AGE-40))", [("AGE", "linear", ("THETA(3)",))]),
    "shifted linear": ("TV=THETA(1)+THETA(3)*WT", [("WT", "linear", ("THETA(1)", "THETA(3)"))]),
    "categorical factor": (
        "EFF=1\nIF (SEX.EQ.1) EFF=THETA(3)\nTV=THETA(1)*EFF",
        [("SEX", "categorical", ("THETA(3)",))],
    ),
    "categorical levels": (
        "IF (SEX.EQ.1) THEN\nTV=THETA(1)\nELSE\nTV=THETA(3)\nENDIF",
        [("SEX", "categorical", ("THETA(1)", "THETA(3)"))],
    ),
    "hockey stick": (
        "EFF=0\nIF (AGE.GT.40) EFF=THETA(3)*(AGE-40)\nTV=THETA(1)*EXP(EFF)",
        [("AGE", "custom", ("THETA(3)",))],
    ),
    "two": (
        "TV=THETA(1)*(WT/70)**THETA(3)*EXP(THETA(4)*SEX)",
        [("WT", "power", ("THETA(3)",)), ("SEX", "exponential", ("THETA(4)",))],
    ),
    "coefficient that comes from afar": (
        "FAR=THETA(3)\nPOW=FAR+0\nTV=THETA(1)*(WT/70)**POW",
        [("WT", "power", ("THETA(3)",))],
    ),
    "one coefficient beside it and one from afar": (
        "FAR=EXP(THETA(4))\nPOW=THETA(3)*WT\nTV=THETA(1)*EXP(POW*FAR)",
        [("WT", "exponential", ("THETA(3)", "THETA(4)"))],
    ),
    "none": ("TV=THETA(1)", []),
    "read without influence": ("TV=THETA(1)*(WT/WT)", []),
    "fixed exponent": ("TV=THETA(1)*(WT/70)**THETA(5)", [("WT", "power", ("THETA(5)",))]),
}


@pytest.mark.parametrize(("code", "expected"), CASES.values(), ids=CASES.keys())
def test_form_and_coefficients(code, expected):
    model = recognise(
        make_model(
            pk=code + "\nCL=TV*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))",
            thetas=((0.0, 2.0), (0.0, 20.0), (-math.inf, 0.3), (-math.inf, 0.1), (-math.inf, 0.0)),
            fixed_thetas=(5,),
        )
    )
    found = [(e.covariate, e.form, e.coefficients) for e in model.covariate_effects]
    assert sorted(found) == sorted(expected)
    assert all(e.parameter == "CL" and e.state == "in_model" for e in model.covariate_effects)


def test_the_effects_found_do_not_depend_on_how_many_covariates_are_tried_together(monkeypatch):
    code = "TV=THETA(1)*(WT/70)**THETA(3)*EXP(THETA(4)*(AGE-40))\nFAR=THETA(5)\nIF (SEX.EQ.1) TV=TV*(1+FAR)"
    model = make_model(
        pk=code + "\nCL=TV*EXP(ETA(1))\nV=THETA(2)*(WT/70)*EXP(ETA(2))",
        thetas=((0.0, 2.0), (0.0, 20.0), (-math.inf, 0.3), (-math.inf, 0.1), (-math.inf, 0.2)),
    )
    together = recognise(model).covariate_effects
    monkeypatch.setattr(covariate_effects, "_LARGEST", 1)
    assert recognise(model).covariate_effects == together
    assert [(e.parameter, e.covariate, e.form, e.coefficients) for e in together] == [
        ("CL", "WT", "power", ("THETA(3)",)),
        ("CL", "AGE", "exponential", ("THETA(4)",)),
        ("CL", "SEX", "categorical", ("THETA(5)",)),
        ("V", "WT", "power", ()),
    ]


def test_a_normal_parameter_linear_in_a_covariate_has_a_linear_effect():
    model = recognise(
        make_model(
            pk="CL=THETA(1)+THETA(3)*(WT-70)+ETA(1)\nV=THETA(2)*EXP(ETA(2))",
            thetas=((0.0, 2.0), (0.0, 20.0), (-math.inf, 0.01)),
        )
    )
    (effect,) = model.covariate_effects
    assert (effect.form, effect.coefficients) == ("linear", ("THETA(3)",))


def test_each_parameter_has_its_own_entry():
    model = recognise(
        make_model(
            pk="S=WT/70\nCL=THETA(1)*S**0.75*EXP(ETA(1))\nV=THETA(2)*S*EXP(ETA(2))",
        )
    )
    assert [(e.parameter, e.covariate) for e in model.covariate_effects] == [("CL", "WT"), ("V", "WT")]
