"""Idioms of $PK and $PRED, with the transform and scale each must be recognised as."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.frontends.recognition import recognise
from tests.helpers.code_models import make_model

V_LINE = "V=THETA(2)*EXP(ETA(2))\n"
FREE = (-math.inf, 0.5)


def recognised(cl_lines: str, *extra_thetas, **options):
    """One-compartment model; `cl_lines` define CL from THETA(1), ETA(1) and further THETAs."""
    thetas = options.pop("thetas", ((0.0, 2.0), (0.0, 20.0), *extra_thetas))
    return recognise(make_model(pk=cl_lines + "\n" + V_LINE, thetas=thetas, **options))


def first(cl_lines: str, *extra_thetas, **options):
    return recognised(cl_lines, *extra_thetas, **options).individual_parameters[0]


def scales(model) -> list[str]:
    return [t.scale for t in model.thetas]


def roles(model) -> list[str]:
    return [t.role for t in model.thetas]


# accepted -----------------------------------------------------------------------------------------
LOG_NORMAL = {
    "plain": "CL=THETA(1)*EXP(ETA(1))",
    "typical value": "TVCL=THETA(1)\nCL=TVCL*EXP(ETA(1))",
    "exponential of a sum": "CL=EXP(LOG(THETA(1))+ETA(1))",
    "divided by the inverse": "CL=THETA(1)/EXP(-ETA(1))",
    "mu with log": "MU_1=LOG(THETA(1))\nCL=EXP(MU_1+ETA(1))",
    "effect in a variable": "ECL=EXP(ETA(1))\nCL=THETA(1)*ECL",
    "eta in a variable": "ET1=ETA(1)\nCL=THETA(1)*EXP(ET1)",
    "phi": "MU_1=LOG(THETA(1))\nPHI=MU_1+ETA(1)\nCL=EXP(PHI)",
    "assigned twice": "CL=THETA(1)\nCL=CL*EXP(ETA(1))",
    "eta kept for a table": "CL=THETA(1)*EXP(ETA(1))\nETCL=ETA(1)",
    "eta kept for a table, before": "ETCL=ETA(1)\nCL=THETA(1)*EXP(ETA(1))",
    "power of e": "CL=THETA(1)*2.718281828459045235**ETA(1)",
}


@pytest.mark.parametrize("code", LOG_NORMAL.values(), ids=LOG_NORMAL.keys())
def test_log_normal_idioms(code):
    model = recognised(code)
    cl = model.individual_parameters[0]
    assert (cl.name, cl.eta, cl.transform.kind, cl.transform.lower) == ("CL", "ETA(1)", "log", 0.0)
    assert cl.mu_linear
    assert cl.verified
    assert cl.thetas == ("THETA(1)",)
    assert scales(model) == ["log", "log"]
    assert roles(model) == ["typical_value", "typical_value"]


def test_mu_of_a_theta_on_the_log_scale_is_linear_in_the_theta_itself():
    model = recognised("MU_1=THETA(1)\nCL=EXP(MU_1+ETA(1))", thetas=((-math.inf, 0.7), (0.0, 20.0)))
    assert model.individual_parameters[0].transform.kind == "log"
    assert scales(model)[0] == "identity"
    assert model.individual_parameters[0].mu_linear


def test_additive_effects_are_normal():
    model = recognised("CL=THETA(1)+ETA(1)")
    assert model.individual_parameters[0].transform.kind == "identity"
    assert scales(model)[0] == "identity"


def test_a_constant_shift_is_part_of_the_transform():
    cl = first("CL=THETA(1)*EXP(ETA(1))+0.1")
    assert (cl.transform.kind, cl.transform.lower) == ("log", 0.1)


def test_a_shift_by_a_fixed_theta_is_a_constant():
    cl = first("CL=THETA(1)*EXP(ETA(1))+THETA(3)", (-math.inf, 0.25), fixed_thetas=(3,))
    assert (cl.transform.kind, cl.transform.lower) == ("log", 0.25)


@pytest.mark.parametrize(
    ("code", "bounds"),
    [
        ("F1=1/(1+EXP(-(THETA(3)+ETA(1))))", (0.0, 1.0)),
        ("F1=EXP(THETA(3)+ETA(1))/(1+EXP(THETA(3)+ETA(1)))", (0.0, 1.0)),
        ("LGT=THETA(3)+ETA(1)\nF1=EXP(LGT)/(1+EXP(LGT))", (0.0, 1.0)),
        ("F1=0.2+0.7/(1+EXP(-(THETA(3)+ETA(1))))", (0.2, 0.9)),
        ("TV=LOG(0.3/(1-0.3))*THETA(3)\nF1=5/(1+EXP(-TV-ETA(1)))-2", (-2.0, 3.0)),
    ],
)
def test_logit_bounds_are_found(code, bounds):
    f1 = first(code + "\nCL=THETA(1)*F1", FREE)
    assert f1.name == "F1"
    assert f1.transform.kind == "logit"
    assert (f1.transform.lower, f1.transform.upper) == pytest.approx(bounds, abs=1e-9)
    assert f1.mu_linear


def test_logit_of_a_typical_value_is_recognised_though_its_mean_is_not_linear():
    cl = first("L=LOG(THETA(3)/(1-THETA(3)))\nF1=1/(1+EXP(-L-ETA(1)))\nCL=THETA(1)*F1", (0.0, 0.4, 1.0))
    assert cl.transform.kind == "logit"
    assert not cl.mu_linear


def test_power_and_exponential_covariate_effects_are_linear_in_mu():
    model = recognised("CL=THETA(1)*(WT/70)**THETA(3)*EXP(THETA(4)*(AGE-40))*EXP(ETA(1))", FREE, FREE)
    cl = model.individual_parameters[0]
    assert cl.mu_linear
    assert cl.covariates == ("WT", "AGE")
    assert scales(model) == ["log", "log", "identity", "identity"]
    assert roles(model) == ["typical_value", "typical_value", "covariate_effect", "covariate_effect"]


def test_a_theta_to_the_power_of_a_group_is_linear_in_its_logarithm():
    model = recognised("CL=THETA(1)*THETA(3)**SEX*EXP(ETA(1))", (0.0, 1.2))
    assert model.individual_parameters[0].mu_linear
    assert scales(model)[2] == "log"
    assert roles(model)[2] == "covariate_effect"


def test_linear_covariate_effects_on_a_log_normal_are_not_linear_in_mu():
    model = recognised("CL=THETA(1)*(1+THETA(3)*(AGE-40))*EXP(ETA(1))", (-math.inf, 0.01))
    assert not model.individual_parameters[0].mu_linear
    assert scales(model) == ["log", "log", "identity"]
    assert roles(model)[2] == "covariate_effect"


def test_linear_covariate_effects_on_a_normal_parameter_are_linear_in_mu():
    model = recognised("CL=THETA(1)+THETA(3)*WT+ETA(1)", (0.0, 0.02))
    assert model.individual_parameters[0].mu_linear
    assert scales(model)[0] == scales(model)[2] == "identity"
    assert roles(model)[0] == "typical_value"


def test_one_typical_value_per_group():
    model = recognised(
        "IF (SEX.EQ.1) THEN\nTVCL=THETA(1)\nELSE\nTVCL=THETA(3)\nEND IF\nCL=TVCL*EXP(ETA(1))", (0.0, 3.0)
    )
    assert model.individual_parameters[0].mu_linear
    assert scales(model) == ["log", "log", "log"]
    assert roles(model) == ["typical_value"] * 3


def test_the_effect_may_be_given_in_every_branch():
    cl = first("IF (SEX.EQ.1) THEN\nCL=THETA(1)*EXP(ETA(1))\nELSE\nCL=THETA(3)*EXP(ETA(1))\nENDIF", (0.0, 3.0))
    assert cl.transform.kind == "log"
    assert cl.thetas == ("THETA(1)", "THETA(3)")


def test_one_line_ifs_without_an_else_are_followed():
    cl = first("IF (SEX.EQ.1) TVCL=THETA(1)\nIF (SEX.EQ.2) TVCL=THETA(3)\nCL=TVCL*EXP(ETA(1))", (0.0, 3.0))
    assert cl.mu_linear


def test_a_theta_shared_by_two_parameters_has_one_scale():
    model = recognised("CL=THETA(1)*(WT/70)**THETA(3)*EXP(ETA(1))\nQ=CL", FREE)
    shared = recognise(make_model(pk="TV=THETA(1)\nCL=TV*EXP(ETA(1))\nV=TV*10*EXP(ETA(2))", thetas=((0.0, 2.0),)))
    assert scales(model)[0] == "log"
    assert scales(shared) == ["log"]
    assert all(p.mu_linear for p in shared.individual_parameters)


def test_a_theta_linear_in_one_mean_and_log_linear_in_another_makes_one_of_them_nonlinear():
    model = recognise(make_model(pk="TV=THETA(1)\nCL=TV*EXP(ETA(1))\nV=TV*10+ETA(2)", thetas=((0.0, 2.0),)))
    assert [p.mu_linear for p in model.individual_parameters].count(True) <= 1


def test_a_theta_without_a_random_effect_is_structural():
    model = recognised("KA=THETA(3)\nCL=THETA(1)*EXP(ETA(1))", (0.0, 1.0), des="DADT(1) = -KA*CL/V*A(1)")
    assert roles(model)[2] == "structural"


def test_a_random_effect_around_one_needs_no_theta():
    f1 = first("F1=EXP(ETA(1))\nCL=THETA(1)*F1\nALAG=F1", des="DADT(1) = -CL/V*A(1)*ALAG")
    assert (f1.name, f1.transform.kind, f1.thetas) == ("F1", "log", ())
    assert f1.mu_linear


def test_derived_parameters_are_not_mistaken_for_carriers():
    model = recognised("CL=THETA(1)*EXP(ETA(1))", des="K=CL/V\nDADT(1) = -K*A(1)")
    assert [p.name for p in model.individual_parameters] == ["CL", "V"]


def test_effects_fixed_at_zero_count_as_zero():
    model = recognised("CL=THETA(1)*EXP(ETA(1)+ETA(3))", omega=(0.1, 0.2, 0.0), fixed_omegas=(3,))
    assert [p.eta for p in model.individual_parameters] == ["ETA(1)", "ETA(2)"]


def test_a_fixed_exponent_is_not_part_of_linearity():
    model = recognised("CL=THETA(1)*(1+THETA(3)*(AGE-40))*EXP(ETA(1))", (-math.inf, 0.01), fixed_thetas=(3,))
    assert model.individual_parameters[0].mu_linear


def test_a_log_scale_without_a_lower_bound_is_noted():
    model = recognised("CL=THETA(1)*EXP(ETA(1))", thetas=((-math.inf, 2.0), (0.0, 20.0)))
    assert scales(model)[0] == "log"
    assert [d.code for d in model.diagnostics] == ["theta-kept-positive"]
    assert "THETA(1)" in model.diagnostics[0].message


def test_a_formula_model_has_individual_parameters_too():
    model = recognise(
        make_model(error="CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\nIPRED=100/V*EXP(-CL/V*TIME)\nY=IPRED+EPS(1)")
    )
    assert [(p.name, p.transform.kind) for p in model.individual_parameters] == [("CL", "log"), ("V", "log")]
    assert model.observations[0].error.kind == "additive"


def test_a_parameter_named_by_its_synonym_column_reads_that_covariate():
    base = make_model(pk="CL=THETA(1)*(BW/70)**0.75*EXP(ETA(1))\n" + V_LINE)
    columns = tuple(replace(c, synonym="BW") if c.name == "WT" else c for c in base.data.columns)
    model = recognise(replace(base, data=replace(base.data, columns=columns)))
    assert model.individual_parameters[0].covariates == ("BW",)


@pytest.mark.parametrize("size", [1e-9, 1e-4, 1e5, 1e9])
def test_scales_do_not_depend_on_units(size):
    model = recognised("CL=THETA(1)*(WT/70)**THETA(3)*EXP(ETA(1))", thetas=((0.0, size), (0.0, 20.0), FREE))
    assert scales(model) == ["log", "log", "identity"]
    assert model.individual_parameters[0].mu_linear
    normal = recognised("CL=THETA(1)+THETA(3)*WT/10+ETA(1)", thetas=((0.0, size), (0.0, 20.0), (0.0, size)))
    assert normal.individual_parameters[0].transform.kind == "identity"
    assert scales(normal)[0] == "identity"


def test_an_effect_on_a_line_of_its_own_is_itself_the_parameter_when_nothing_better_is():
    model = recognised("ET=ETA(1)\nCL=THETA(1)*(1+ET)")
    et = model.individual_parameters[0]
    assert (et.name, et.transform.kind, et.thetas) == ("ET", "identity", ())
    assert roles(model)[0] == "structural"


def test_recognition_is_deterministic():
    model = make_model(pk="CL=THETA(1)*EXP(ETA(1))\n" + V_LINE)
    assert recognise(model) == recognise(model)


# not mu-referenced: the effect is a latent of its own ------------------------------------------------
GENERAL = {
    "proportional": ("CL=THETA(1)*(1+ETA(1))", "proportional form"),
    "scaled": ("CL=THETA(1)+THETA(3)*ETA(1)", "scaled, factor"),
    "scaled log-normal": ("CL=THETA(1)*EXP(THETA(3)*ETA(1))", "scaled log-normal"),
    "half an effect": ("CL=THETA(1)*EXP(ETA(1)/2)", "scaled log-normal"),
    "falling": ("CL=THETA(1)*EXP(-ETA(1))", "falls as ETA rises"),
    "shift by a theta": ("CL=THETA(1)*EXP(ETA(1))+THETA(3)", "shift that is not a constant"),
    "shift by a covariate": ("CL=THETA(1)*EXP(ETA(1))+WT", "shift that is not a constant"),
    "Box-Cox": ("CL=THETA(1)*EXP((EXP(ETA(1))**THETA(3)-1)/THETA(3))", "neither normal"),
    "bound by a theta": ("CL=THETA(1)/(1+EXP(-THETA(3)-ETA(1)))", "neither normal"),
    "limited above": ("CL=MIN(THETA(1)*EXP(ETA(1)),500)", "limited or piecewise"),
    "limited below": ("CL=MAX(THETA(1)*EXP(ETA(1)),0.001)", "limited or piecewise"),
    "absolute": ("CL=ABS(THETA(1)+ETA(1))", "limited or piecewise"),
    "limited by an IF": (
        "IF (THETA(1)+ETA(1).GT.0) THEN\nCL=THETA(1)+ETA(1)\nELSE\nCL=0\nENDIF",
        "limited or piecewise",
    ),
    "cubed": ("CL=(THETA(1)*EXP(ETA(1)))**3", "scaled log-normal"),
    "almost log-normal": ("CL=THETA(1)*(EXP(ETA(1))+0.00001*ETA(1))", "neither normal"),
    "square": ("CL=THETA(1)+ETA(1)**2", "neither normal"),
    "one branch only": ("CL=THETA(1)\nIF (SEX.EQ.1) CL=CL*EXP(ETA(1))", "in some branches only"),
    "assigned twice in one branch": (
        "IF (SEX.EQ.1) THEN\nCL=THETA(1)*EXP(ETA(1))\nCL=CL+1\nELSE\nCL=1+THETA(1)*EXP(ETA(1))\nENDIF",
        "assigned more than once",
    ),
    "normal in one branch": (
        "IF (SEX.EQ.1) THEN\nCL=THETA(1)*EXP(ETA(1))\nELSE\nCL=THETA(1)+ETA(1)\nENDIF",
        "neither normal",
    ),
    "normal above a threshold": (
        "IF (AGE.GT.4000) THEN\nCL=THETA(1)*EXP(ETA(1))\nELSE\nCL=THETA(1)+ETA(1)\nENDIF",
        "neither normal",
    ),
    "two variables": ("CL=THETA(1)*EXP(ETA(1))\nQ=THETA(3)*EXP(ETA(1))", r"several variables \(CL, Q\)"),
    "a variable and its own line": ("CL=THETA(1)*EXP(ETA(1))\nF1=1+ETA(1)\nQ=F1", r"several variables \(CL, F1"),
}


@pytest.mark.parametrize(("code", "name"), GENERAL.values(), ids=GENERAL.keys())
def test_an_effect_of_another_form_is_a_variable_of_its_own(code, name):
    des = "DADT(1) = -(CL+Q)/V*A(1)" if "Q=" in code else "DADT(1) = -CL/V*A(1)"
    model = recognised(code, (0.0, 0.5), des=des)
    assert [p.eta for p in model.individual_parameters] == ["ETA(2)"]
    (note,) = [d for d in model.diagnostics if d.code == "general-effect"]
    assert note.severity == "note"
    assert note.message.startswith("ETA(1) is not mu-referenced")
    assert re.search(name, note.message)
    assert note.location.line == 1 + next(k for k, t in enumerate(code.splitlines()) if "ETA(1)" in t.replace(
        "THETA(1)", ""))  # fmt: skip
    assert roles(model)[0] == "structural"


def test_every_one_of_several_ifs_is_verified():
    """Log-normal in the first, normal in the second."""
    code = "IF (SEX.EQ.1) CL=THETA(1)*EXP(ETA(1))\nIF (SEX.NE.1) CL=THETA(3)+ETA(1)"
    assert [p.eta for p in recognised(code, (0.0, 3.0)).individual_parameters] == ["ETA(2)"]
    code = code.replace("THETA(3)+ETA(1)", "THETA(3)*EXP(ETA(1))")
    assert recognised(code, (0.0, 3.0)).individual_parameters[0].thetas == ("THETA(1)", "THETA(3)")


def test_a_later_if_without_the_effect_is_seen():
    code = "IF (SEX.EQ.1) CL=THETA(1)*EXP(ETA(1))\nIF (SEX.NE.1) CL=THETA(3)"
    assert [p.eta for p in recognised(code, (0.0, 3.0)).individual_parameters] == ["ETA(2)"]
    code = "CL=THETA(1)*EXP(ETA(1))\nIF (SEX.EQ.1) CL=CL*THETA(3)"
    assert recognised(code, (0.0, 3.0)).individual_parameters[0].thetas == ("THETA(1)",)


def test_a_variable_that_first_holds_the_effect_and_then_the_parameter_is_the_effect():
    cl = first("CL=ETA(1)\nCL=THETA(1)*EXP(CL)")
    assert (cl.name, cl.transform.kind, cl.thetas) == ("CL", "identity", ())


def test_an_effect_given_twice_is_a_variable_of_its_own():
    assert first("CL=THETA(1)*EXP(ETA(1))\nCL=CL*EXP(ETA(1))").eta == "ETA(2)"


OCCASIONS = {
    "one IF for each": "IF (OCC.EQ.1) IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nCL=THETA(1)*EXP(ETA(1)+IOV)",
    "else": "IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nCL=THETA(1)*EXP(ETA(1)+IOV)",
    "indicator items": "CL=THETA(1)*EXP(ETA(1)+OCC*ETA(3)+(1-OCC)*ETA(4))",
    "indicators": "O1=0\nO2=0\nIF (OCC.EQ.1) O1=1\nIF (OCC.EQ.2) O2=1\nCL=THETA(1)*EXP(ETA(1)+O1*ETA(3)+O2*ETA(4))",
    "whole effect": "IF (OCC.EQ.1) THEN\nET=ETA(1)+ETA(3)\nELSE\nET=ETA(1)+ETA(4)\nENDIF\nCL=THETA(1)*EXP(ET)",
    "a line each": "IF (OCC.EQ.1) CL=THETA(1)*EXP(ETA(1)+ETA(3))\nIF (OCC.EQ.2) CL=THETA(1)*EXP(ETA(1)+ETA(4))",
    "after the parameter": "IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nCLI=THETA(1)*EXP(ETA(1))\nCL=CLI*EXP(IOV)",
}


@pytest.mark.parametrize("code", OCCASIONS.values(), ids=OCCASIONS.keys())
def test_between_subjects_a_parameter_stays_mu_referenced_whatever_varies_between_occasions(code):
    model = recognised(code, omega=(0.1, 0.2, 0.05, 0.05), items="ID TIME AMT DV OCC")
    cl, v = model.individual_parameters
    assert (cl.eta, cl.transform.kind, cl.thetas, cl.mu_linear) == ("ETA(1)", "log", ("THETA(1)",), True)
    assert cl.covariates == ()
    assert v.eta == "ETA(2)"
    assert [d.message.split()[0] for d in model.diagnostics if d.code == "general-effect"] == ["ETA(3)", "ETA(4)"]
    assert scales(model) == ["log", "log"]


def test_dozens_of_occasions_are_all_reached():
    lines = [f"IF (OCC.EQ.{k}) IOV=ETA({k + 2})" for k in range(1, 41)]
    model = recognised(
        "\n".join([*lines, "CL=THETA(1)*EXP(ETA(1)+IOV)"]), omega=(0.1,) * 42, items="ID TIME AMT DV OCC"
    )
    assert [p.eta for p in model.individual_parameters] == ["ETA(1)", "ETA(2)"]


def test_a_parameter_computed_from_a_random_one_keeps_only_its_own_theta():
    own = recognise(make_model(pk="CL=THETA(1)*EXP(ETA(1))\nV=CL*THETA(2)*EXP(ETA(2))"))
    assert [p.thetas for p in own.individual_parameters] == [("THETA(1)",), ("THETA(2)",)]
    none = recognise(make_model(pk="CL=THETA(1)*EXP(ETA(1))\nV=CL*10*EXP(ETA(2))", thetas=((0.0, 2.0),)))
    assert [p.eta for p in none.individual_parameters] == ["ETA(1)"]
    assert "computed from a parameter" in none.diagnostics[0].message


def test_two_effects_on_one_parameter_make_it_random_once():
    model = recognised("CL=THETA(1)*EXP(ETA(1)+ETA(3))", omega=(0.1, 0.2, 0.1))
    assert [p.eta for p in model.individual_parameters] == ["ETA(1)", "ETA(2)"]
    assert "another random effect" in model.diagnostics[0].message


@pytest.mark.parametrize("shift", ["1E-4", "WT*1E-6", "THETA(3)*1E-5"])
def test_a_tiny_departure_from_log_normal_is_noticed(shift):
    code = f"CL=THETA(1)*EXP(ETA(1))+{shift}"
    if shift == "1E-4":
        assert first(code, (0.0, 0.5)).transform.lower == 1e-4
    else:
        assert first(code, (0.0, 0.5)).eta == "ETA(2)"


def test_an_unused_effect_is_an_error():
    with pytest.raises(SemanticError, match=r"ETA\(3\) has no effect"):
        recognised("CL=THETA(1)*EXP(ETA(1))\nX=ETA(3)", omega=(0.1, 0.2, 0.1))


@pytest.mark.parametrize(
    ("des", "error", "record"),
    [
        ("DADT(1) = -CL/V*A(1)*EXP(ETA(3))", "Y=F+EPS(1)+THETA(3)", "DES"),
        ("DADT(1) = -CL/V*A(1)", "E=THETA(3)*EXP(ETA(3))\nY=E*F+EPS(1)", "ERROR"),
    ],
)
def test_effects_outside_the_individual_level_are_variables_of_their_own(des, error, record):
    model = recognised("CL=THETA(1)*EXP(ETA(1))", (0.0, 0.5), des=des, error=error, omega=(0.1, 0.2, 0.1))
    assert [p.eta for p in model.individual_parameters] == ["ETA(1)", "ETA(2)"]
    assert f"ETA(3) is not mu-referenced (it acts in ${record})" in model.diagnostics[0].message


def test_an_effect_on_the_size_of_the_residual_error_is_refused_by_the_residual_error():
    with pytest.raises(UnsupportedError, match=r"ETA\(3\) acts on the size of the residual error"):
        recognised("CL=THETA(1)*EXP(ETA(1))", error="Y=F+F*EXP(ETA(3))*EPS(1)", omega=(0.1, 0.2, 0.1))


def test_an_undefined_name_is_reported_with_its_line():
    with pytest.raises(SemanticError, match="TVCL is read here") as caught:
        recognised("CL=TVCL*EXP(ETA(1))")
    assert caught.value.location.line == 1


@pytest.mark.parametrize(
    "code",
    [
        "CL=THETA(1)+THETA(3)*LOG(WT/70)+ETA(1)",  # infinite at WT = 0, one of the points tried
        "CL=1/(1+EXP(-THETA(1)-THETA(3)*(WT-40)-ETA(1)))",  # 1 in float64 at large WT
        "CL=0.5+THETA(1)*EXP(THETA(3)*(WT-40))*EXP(ETA(1))",  # 0.5 in float64 at small WT
    ],
)
def test_a_covariate_effect_is_told_from_a_typical_value_far_from_the_data_too(code):
    model = recognised(code, FREE)
    assert roles(model)[::2] == ["typical_value", "covariate_effect"]
    assert model.individual_parameters[0].mu_linear


def test_many_covariates_that_may_be_missing_are_all_covariate_effects():
    names = [f"COV{k}" for k in range(10)]
    lines = [f"X{k}=0\nIF ({name}.NE.-99) X{k}=LOG({name}/30)" for k, name in enumerate(names)]
    total = "+".join(f"THETA({k + 3})*X{k}" for k in range(10))
    model = recognised("\n".join([*lines, f"CL=EXP(LOG(THETA(1))+{total}+ETA(1))"]), *[FREE] * 10,
                       items=f"ID TIME AMT DV {' '.join(names)}")  # fmt: skip
    assert roles(model)[2:] == ["covariate_effect"] * 10
