"""Idioms of Y, with the residual error each must be recognised as."""

from __future__ import annotations

import dataclasses
import math

import pytest

from nlmevae.decoder.residual import ResidualModel
from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.frontends.recognition import recognise
from tests.helpers.code_models import make_model

PK = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\n"
THETAS = ((0.0, 2.0), (0.0, 20.0), (0.0, 0.3), (0.0, 0.15))


def recognised(error: str, sigma=(0.04,), **options):
    thetas = THETAS[: 4 if "THETA(4)" in error else 3 if "THETA(3)" in error else 2]
    return recognise(make_model(pk=options.pop("pk", PK), error=error, thetas=thetas, sigma=sigma, **options))


def error_of(error: str, sigma=(0.04,), **options):
    return recognised(error, sigma, **options).observations[0].error


def coefficient(c):
    return None if c is None else (c.parameter, c.kind, c.scale)


EPS1, EPS2 = ("EPS(1)", "sigma", 1.0), ("EPS(2)", "sigma", 1.0)
TH3, TH4 = ("THETA(3)", "theta", 1.0), ("THETA(4)", "theta", 1.0)

SIGMA_FORMS = {
    "additive": ("Y=F+EPS(1)", (0.04,), "additive", EPS1, None),
    "proportional": ("Y=F+F*EPS(1)", (0.04,), "proportional", None, EPS1),
    "proportional, factored": ("Y=F*(1+EPS(1))", (0.04,), "proportional", None, EPS1),
    "proportional, W": ("IPRED=F\nW=IPRED\nY=IPRED+W*EPS(1)", (0.04,), "proportional", None, EPS1),
    "two EPS": ("Y=F*(1+EPS(1))+EPS(2)", (0.04, 0.1), "combined2", EPS2, EPS1),
    "two EPS, other order": ("Y=F+EPS(1)+F*EPS(2)", (0.04, 0.1), "combined2", EPS1, EPS2),
    "amount over volume": ("CP=A(1)/V\nY=CP+CP*EPS(1)", (0.04,), "proportional", None, EPS1),
    "prediction spelled twice": ("CP=A(1)/V\nY=CP+F*EPS(1)", (0.04,), "proportional", None, EPS1),
    "factor": ("Y=F+0.5*EPS(1)", (0.04,), "additive", ("EPS(1)", "sigma", 0.5), None),
    "minus": ("Y=F-F*EPS(1)", (0.04,), "proportional", None, EPS1),
}


@pytest.mark.parametrize(("code", "sigma", "kind", "a", "b"), SIGMA_FORMS.values(), ids=SIGMA_FORMS.keys())
def test_coefficients_that_are_sigmas(code, sigma, kind, a, b):
    error = error_of(code, sigma)
    assert error.kind == kind
    assert coefficient(error.a) == a
    assert coefficient(error.b) == b
    assert error.written_as == ""


THETA_FORMS = {
    "additive": ("W=THETA(3)\nY=F+W*EPS(1)", "additive", TH3, None),
    "proportional": ("W=THETA(3)*F\nY=F+W*EPS(1)", "proportional", None, TH3),
    "combined1": ("W=THETA(3)+THETA(4)*F\nY=F+W*EPS(1)", "combined1", TH3, TH4),
    "combined2": ("W=SQRT(THETA(3)**2+THETA(4)**2*F**2)\nY=F+W*EPS(1)", "combined2", TH3, TH4),
    "combined2, products": ("W=SQRT(THETA(3)**2*F*F+THETA(4)*THETA(4))\nY=F+W*EPS(1)", "combined2", TH4, TH3),
    "combined2, power": ("IPRED=F\nW=(THETA(3)**2+(IPRED*THETA(4))**2)**0.5\nY=IPRED+EPS(1)*W", "combined2", TH3, TH4),
    "with weighted residuals": (
        "IPRED=F\nIRES=DV-IPRED\nW=THETA(3)*IPRED\nIWRES=IRES/W\nY=IPRED+W*EPS(1)", "proportional", None, TH3,
    ),
    "percent": ("Y=F+F*THETA(3)/100*EPS(1)", "proportional", None, ("THETA(3)", "theta", 0.01)),
}  # fmt: skip


@pytest.mark.parametrize(("code", "kind", "a", "b"), THETA_FORMS.values(), ids=THETA_FORMS.keys())
def test_coefficients_that_are_thetas(code, kind, a, b):
    model = recognised(code, (1.0,), fixed_sigmas=(1,))
    error = model.observations[0].error
    assert error.kind == kind
    assert coefficient(error.a) == a
    assert coefficient(error.b) == b
    assert [t.role for t in model.thetas[2:]] == ["residual_error"] * (len(model.thetas) - 2)


def test_a_fixed_sigma_scales_the_theta():
    error = error_of("Y=F+THETA(3)*EPS(1)", (0.25,), fixed_sigmas=(1,))
    assert coefficient(error.a) == ("THETA(3)", "theta", 0.5)


def test_a_fixed_theta_scales_the_sigma():
    error = error_of("Y=F+THETA(3)*EPS(1)", fixed_thetas=(3,))
    assert coefficient(error.a) == ("EPS(1)", "sigma", 0.3)
    assert not error.a.fixed


def test_two_thetas_with_two_fixed_eps_are_combined2():
    error = error_of("Y=F+THETA(3)*EPS(1)+F*THETA(4)*EPS(2)", (1.0, 1.0), fixed_sigmas=(1, 2))
    assert (error.kind, coefficient(error.a), coefficient(error.b)) == ("combined2", TH3, TH4)


def test_fixed_coefficients_say_so():
    error = error_of("Y=F+THETA(3)*EPS(1)", (1.0,), fixed_sigmas=(1,), fixed_thetas=(3,))
    assert error.a.fixed
    assert error_of("Y=F+EPS(1)", (0.04,), fixed_sigmas=(1,)).a.fixed


def test_an_eps_fixed_at_zero_drops_out():
    assert error_of("Y=F*(1+EPS(1))+EPS(2)", (0.04, 0.0), fixed_sigmas=(2,)).kind == "proportional"


def test_a_theta_fixed_at_zero_drops_out():
    thetas = ((0.0, 2.0), (0.0, 20.0), (0.0, 0.0), (0.0, 0.15))
    model = recognise(
        make_model(
            pk=PK, error="W=SQRT(THETA(3)**2+THETA(4)**2*F**2)\nY=F+W*EPS(1)", thetas=thetas, sigma=(1.0,),
            fixed_sigmas=(1,), fixed_thetas=(3,),
        )
    )  # fmt: skip
    error = model.observations[0].error
    assert (error.kind, coefficient(error.b)) == ("proportional", TH4)


def test_a_number_beside_a_theta_is_a_fixed_coefficient():
    error = error_of("W=SQRT(THETA(3)**2*F**2+0.01)\nY=F+W*EPS(1)", (1.0,), fixed_sigmas=(1,))
    assert (error.kind, coefficient(error.a), coefficient(error.b)) == ("combined2", ("EPS(1)", "sigma", 0.1), TH3)
    assert error.a.fixed
    assert not error.b.fixed


def test_a_combined_error_of_fixed_numbers_is_allowed():
    error = error_of("W=SQRT(0.25+0.01*F**2)\nY=F+W*EPS(1)", (1.0,), fixed_sigmas=(1,))
    assert (error.a.scale, error.b.scale, error.a.fixed, error.b.fixed) == (0.5, 0.1, True, True)


def test_exponential_is_proportional_with_a_note():
    model = recognised("Y=F*EXP(EPS(1))")
    error = model.observations[0].error
    assert (error.kind, error.written_as) == ("proportional", "exponential")
    assert [d.code for d in model.diagnostics] == ["error-linearised"]
    assert model.diagnostics[0].location.line == 1


LOG_SCALE = {
    "plain": "Y=LOG(F)+EPS(1)",
    "guarded": "IPRED=-5\nIF (F.GT.0) IPRED=LOG(F)\nY=IPRED+EPS(1)",
    "guarded, nothing else": "IF (F.GT.0) IPRED=LOG(F)\nY=IPRED+EPS(1)",
    "of an amount": "CP=A(1)/V\nIPRED=LOG(CP+1E-5)\nY=IPRED+EPS(1)",
}


@pytest.mark.parametrize("code", LOG_SCALE.values(), ids=LOG_SCALE.keys())
def test_additive_on_the_log_scale(code):
    (observation,) = recognised(code).observations
    assert observation.scale == "log"
    assert (observation.error.kind, observation.error.written_as) == ("additive", "log")


def test_a_log_elsewhere_does_not_make_the_scale_logarithmic():
    (observation,) = recognised("LF=LOG(F+1)\nY=F+EPS(1)").observations
    assert observation.scale == "natural"


def test_a_log_scale_error_with_a_theta():
    (observation,) = recognised("IPRED=LOG(F)\nW=THETA(3)\nY=IPRED+W*EPS(1)", (1.0,), fixed_sigmas=(1,)).observations
    assert (observation.scale, coefficient(observation.error.a)) == ("log", TH3)


AT_ZERO = {
    "DEL": ("DEL=0\nIF (F.EQ.0) DEL=1\nW=F+DEL\nY=F+W*EPS(1)", 1.0),
    "W when F is zero": ("W=F\nIF (F.EQ.0) W=0.5\nY=F+W*EPS(1)", 0.5),
    "W when W is zero": ("W=F\nIF (W.EQ.0) W=1\nY=F+W*EPS(1)", 1.0),
    "none": ("Y=F+F*EPS(1)", None),
    "DEL in the residual only": ("DEL=0\nIF (F.EQ.0) DEL=1\nW=F\nIWRES=(DV-F)/(W+DEL)\nY=F+W*EPS(1)", None),
}


@pytest.mark.parametrize(("code", "expected"), AT_ZERO.values(), ids=AT_ZERO.keys())
def test_what_the_code_substitutes_at_zero_is_kept(code, expected):
    assert error_of(code).at_zero == expected


def test_at_zero_with_a_theta_is_a_standard_deviation():
    code = "W=THETA(3)*F\nIF (W.EQ.0) W=1\nY=F+W*EPS(1)"
    assert error_of(code, (0.25,), fixed_sigmas=(1,)).at_zero == 0.5


def test_a_guard_that_never_acts_is_not_kept():
    code = "W=SQRT(THETA(3)**2+THETA(4)**2*F**2)\nIF (W.EQ.0) W=1\nY=F+W*EPS(1)"
    error = error_of(code, (1.0,), fixed_sigmas=(1,))
    assert (error.kind, error.at_zero) == ("combined2", None)


def test_endpoints_may_share_one_residual_error():
    code = "CP=A(1)/V\nIF (CMT.EQ.2) CP=A(2)\nY=CP+CP*EPS(1)"
    error = error_of(code, items="ID TIME AMT DV CMT WT", des="DADT(1)=-CL/V*A(1)\nDADT(2)=A(1)-A(2)", n_compartments=2)
    assert error.kind == "proportional"


def test_a_formula_models_prediction_is_what_varies():
    model = recognise(
        make_model(
            error="A=THETA(1)*EXP(ETA(1))\nB=THETA(2)+ETA(2)\nIPRED=A*EXP(-B*TIME)\n"
            "W=SQRT(THETA(3)**2+THETA(4)**2*IPRED**2)\nY=IPRED+W*EPS(1)",
            thetas=((0.0, 2.0), (0.0, 0.5), (0.0, 0.3), (0.0, 0.15)), sigma=(1.0,), fixed_sigmas=(1,),
        )
    )  # fmt: skip
    assert model.observations[0].error.kind == "combined2"
    assert [t.role for t in model.thetas] == ["typical_value"] * 2 + ["residual_error"] * 2


GUARDS = {
    "below zero": ("IPRED=F\nIF (IPRED.LT.0) IPRED=0\nY=IPRED+IPRED*EPS(1)", 1),
    "equal to zero": ("W=F+1-1\nIF (W.EQ.0) W=1\nY=F+F*EPS(1)", 0),
    "log of a positive": ("IPRED=0\nIF (F.GT.0) IPRED=LOG(F)\nY=IPRED+EPS(1)", 0),
    "reached at small predictions": ("IPRED=MAX(F,0.0001)\nY=IPRED+IPRED*EPS(1)", 0),
}


@pytest.mark.parametrize(("code", "count"), GUARDS.values(), ids=GUARDS.keys())
def test_guards_no_point_reached_are_warned_about(code, count):
    warnings = [d for d in recognised(code).diagnostics if d.severity == "warning"]
    assert len(warnings) == count
    assert all(w.code == "error-branch-not-reached" and w.location.line == 2 for w in warnings)


def test_a_limit_on_the_weight_alone_is_refused():
    with pytest.raises(UnsupportedError, match="no form"):
        error_of("W=MAX(F,0.0001)\nY=F+W*EPS(1)")


# refused ------------------------------------------------------------------------------------------
REFUSED = {
    "theta as a variance": ("Y=F+SQRT(THETA(3)+THETA(4)*F**2)*EPS(1)", (1.0,), "THETA is a variance"),
    "by a covariate": ("Y=F+WT*EPS(1)", (0.04,), "differs between records by WT"),
    "ratio": ("W=THETA(3)*SQRT(F**2+THETA(4)**2)\nY=F+W*EPS(1)", (1.0,), "no form"),
    "one theta twice": ("W=THETA(3)*(1+F)\nY=F+W*EPS(1)", (1.0,), r"THETA\(3\) is both"),
    "log scale with a natural weight": ("Y=LOG(F)+THETA(3)/F*EPS(1)", (1.0,), "no form"),
    "above a limit": ("W=F\nIF (F.LT.0.01) W=0.01\nY=F+W*EPS(1)", (0.04,), "no form"),
    "both from one variance": ("W=SQRT(1+F**2)\nY=F+W*EPS(1)", (0.04,), "both parts"),
    "theta in both": ("Y=F*THETA(3)+THETA(3)*EPS(1)", (1.0,), "also the prediction"),
    "one endpoint without a form": (
        "IF (DVID.EQ.1) THEN\nY=F+EPS(1)\nELSE\nY=F+LOG(1+F)*EPS(2)\nENDIF", (0.04, 0.04),
        "records with DVID != 1 is no",
    ),
    "one endpoint without error": (
        "Y=F\nIF (DVID.EQ.1) Y=F+EPS(1)", (0.04,), "does not act on every observation of records with DVID != 1",
    ),
    "an exponent that is computed": ("W=F**(THETA(3)+WT)\nY=F+W*EPS(1)", (0.04,), "no form|WT|exponent"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "sigma", "name"), REFUSED.values(), ids=REFUSED.keys())
def test_other_forms_are_refused_by_name(code, sigma, name):
    fixed = (1,) if sigma == (1.0,) else ()
    with pytest.raises(UnsupportedError, match=name) as caught:
        recognised(code, sigma, fixed_sigmas=fixed, items="ID TIME AMT DV WT DVID")
    assert caught.value.location is not None
    assert caught.value.hint


# powers -------------------------------------------------------------------------------------------
POWERS = {
    "theta": ("Y=F+F**THETA(3)*EPS(1)", (0.04,), "proportional", EPS1, ("THETA(3)", 1.0)),
    "with a size": ("W=THETA(3)*F**THETA(4)\nY=F+W*EPS(1)", (1.0,), "proportional", TH3, ("THETA(4)", 1.0)),
    "root": ("W=SQRT(F)*THETA(3)\nY=F+W*EPS(1)", (1.0,), "proportional", TH3, (None, 0.5)),
    "number": ("W=THETA(3)*F**0.75\nY=F+W*EPS(1)", (1.0,), "proportional", TH3, (None, 0.75)),
    "under a root": (
        "W=SQRT(0.01+THETA(3)**2*F**(2*THETA(4)))\nY=F+W*EPS(1)", (1.0,), "combined2", TH3, ("THETA(4)", 1.0),
    ),
    "half under a root": (
        "W=SQRT(0.01+THETA(3)**2*F**THETA(4))\nY=F+W*EPS(1)", (1.0,), "combined2", TH3, ("THETA(4)", 0.5),
    ),
    "beside a number": ("W=0.1+THETA(3)*F**THETA(4)\nY=F+W*EPS(1)", (1.0,), "combined1", TH3, ("THETA(4)", 1.0)),
}  # fmt: skip


@pytest.mark.parametrize(("code", "sigma", "kind", "b", "power"), POWERS.values(), ids=POWERS.keys())
def test_powers_of_the_prediction(code, sigma, kind, b, power):
    model = recognised(code, sigma, fixed_sigmas=(1,) if sigma == (1.0,) else ())
    error = model.observations[0].error
    assert error.kind == kind
    assert coefficient(error.b) == b
    assert (error.power.parameter, error.power.scale) == power
    assert error.power.fixed == (power[0] is None)
    assert {t.role for t in model.thetas[2:]} <= {"residual_error"}


# several endpoints --------------------------------------------------------------------------------
TWO = (0.04, 0.09)
ENDPOINTS = {
    "IF block": ("IF (DVID.EQ.1) THEN\nY=F+EPS(1)\nELSE\nY=F+F*EPS(2)\nENDIF", ("DVID == 1", "DVID != 1")),
    "two IFs": (
        "IF (DVID.EQ.1) Y=F+EPS(1)\nIF (DVID.EQ.2) Y=F+F*EPS(2)", ("DVID == 1", "DVID == 2"),
    ),
    "flag from IF": (
        "FLAG=0\nIF (DVID.EQ.2) FLAG=1\nY=(F+EPS(1))*(1-FLAG)+(F+F*EPS(2))*FLAG", ("DVID != 2", "DVID == 2"),
    ),
    "flag in the data": ("Y=(F+EPS(1))*DVID+(F+F*EPS(2))*(1-DVID)", ("DVID == 1", "DVID == 0")),
    "compartment": ("IF (CMT.EQ.2) THEN\nY=F+F*EPS(2)\nELSE\nY=F+EPS(1)\nENDIF", ("CMT != 2", "CMT == 2")),
    "above a number": ("IF (DVID.GT.1) THEN\nY=F+F*EPS(2)\nELSE\nY=F+EPS(1)\nENDIF", ("DVID <= 1", "DVID > 1")),
    "computed flag": (
        "TYPE=DVID-1\nIF (TYPE.EQ.0) THEN\nY=F+EPS(1)\nELSE\nY=F+F*EPS(2)\nENDIF",
        ("(DVID - 1) == 0", "(DVID - 1) != 0"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "names"), ENDPOINTS.values(), ids=ENDPOINTS.keys())
def test_records_have_the_residual_error_of_their_endpoint(code, names):
    first, second = recognised(code, TWO, items="ID TIME AMT DV WT DVID CMT").observations
    assert (first.name, second.name) == names
    assert (first.error.kind, coefficient(first.error.a), first.epsilons) == ("additive", EPS1, ("EPS(1)",))
    assert (second.error.kind, coefficient(second.error.b), second.epsilons) == ("proportional", EPS2, ("EPS(2)",))


def test_endpoints_may_share_an_eps_with_different_factors():
    first, second = recognised("W=F\nIF (WT.GT.70) W=2*F\nY=F+W*EPS(1)").observations
    assert (first.name, coefficient(first.error.b)) == ("WT <= 70", EPS1)
    assert (second.name, coefficient(second.error.b)) == ("WT > 70", ("EPS(1)", "sigma", 2.0))


def test_one_endpoint_may_be_on_the_log_scale():
    code = "IF (DVID.EQ.1) THEN\nY=LOG(F)+EPS(1)\nELSE\nY=F+F*EPS(2)\nENDIF"
    first, second = recognised(code, TWO, items="ID TIME AMT DV WT DVID").observations
    assert (first.scale, first.error.written_as) == ("log", "log")
    assert (second.scale, second.error.written_as) == ("natural", "")


def test_three_endpoints_and_a_branch_in_pk_that_does_not_matter():
    pk = "TVCL=THETA(1)\nIF (SEX.EQ.1) TVCL=THETA(1)*1.5\nCL=TVCL*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\n"
    code = "IF (DVID.EQ.1) THEN\nY=F+EPS(1)\nELSE IF (DVID.EQ.2) THEN\nY=F+F*EPS(2)\nELSE\nY=F+F*EPS(2)+EPS(3)\nEND IF"
    observations = recognised(code, (0.04, 0.09, 0.01), pk=pk, items="ID TIME AMT DV SEX DVID").observations
    assert [o.name for o in observations] == ["DVID == 1", "DVID == 2", "DVID != 1 and DVID != 2"]
    assert [o.error.kind for o in observations] == ["additive", "proportional", "combined2"]


def test_a_residual_error_chosen_in_pk():
    pk = PK + "SD=THETA(3)\nIF (WT.GT.70) SD=THETA(4)\n"
    thetas = ((0.0, 2.0), (0.0, 20.0), (0.0, 0.3), (0.0, 0.15))
    model = recognise(make_model(pk=pk, error="Y=F+SD*EPS(1)", thetas=thetas, sigma=(1.0,), fixed_sigmas=(1,)))
    found = {o.name: coefficient(o.error.a) for o in model.observations}
    assert found == {"WT <= 70": TH3, "WT > 70": TH4}
    assert [t.role for t in model.thetas[2:]] == ["residual_error"] * 2


# $SIGMA blocks ------------------------------------------------------------------------------------
BLOCK = (((0.04, 0.01), (0.01, 0.1)),)


@pytest.mark.parametrize(("code", "sign"), [("Y=F*(1+EPS(1))+EPS(2)", 1.0), ("Y=F-F*EPS(1)+EPS(2)", -1.0)])
def test_an_additive_and_a_proportional_error_may_be_correlated(code, sign):
    error = error_of(code, BLOCK)
    assert error.kind == "combined2"
    assert (error.correlation.names, error.correlation.sign) == (("EPS(2)", "EPS(1)"), sign)
    assert not error.correlation.fixed
    assert error_of(code, BLOCK, fixed_sigmas=(1,)).correlation.fixed


def test_a_covariance_between_endpoints_has_no_effect_and_is_left_out():
    code = "IF (DVID.EQ.1) THEN\nY=F+EPS(1)\nELSE\nY=F+F*EPS(2)\nENDIF"
    model = recognised(code, BLOCK, items="ID TIME AMT DV DVID")
    assert [(b.names, b.matrix) for b in model.sigma] == [(("EPS(1)",), ((0.04,),)), (("EPS(2)",), ((0.1,),))]
    assert [d.code for d in model.diagnostics] == ["sigma-covariance-idle"]


def test_a_repeated_variance_is_shared_by_two_endpoints():
    code = "IF (DVID.EQ.1) THEN\nY=F+EPS(1)\nELSE\nY=F+F*EPS(2)\nENDIF"
    model = make_model(pk=PK, error=code, sigma=TWO, items="ID TIME AMT DV DVID")
    first, second = model.sigma
    model = recognise(dataclasses.replace(model, sigma=(first, dataclasses.replace(second, same_as=0))))
    assert [o.epsilons for o in model.observations] == [("EPS(1)",), ("EPS(2)",)]
    (part,) = ResidualModel.of(model).parts
    assert part.places == (0, 1)


def test_other_correlated_residual_errors_are_refused():
    with pytest.raises(UnsupportedError, match="correlated residual errors with a power"):
        error_of("Y=F+F**THETA(3)*EPS(1)+EPS(2)", BLOCK)
    three = (((0.04, 0.01, 0.01), (0.01, 0.1, 0.01), (0.01, 0.01, 0.1)),)
    code = "IF (DVID.EQ.1) THEN\nY=F+EPS(1)+F*EPS(2)\nELSE\nY=F+F*EPS(3)\nENDIF"
    with pytest.raises(UnsupportedError, match="more than two EPS"):
        error_of(code, three, items="ID TIME AMT DV DVID")


# random effects on the residual error -------------------------------------------------------------
RANDOM = {
    "in $PK": (PK + "RV=THETA(3)*EXP(ETA(3))\n", "Y=F+F*RV*EPS(1)", 1.0),
    "in $ERROR": (PK, "W=THETA(3)*F*EXP(ETA(3))\nY=F+W*EPS(1)", 1.0),
    "scaled": (PK, "Y=F+F*THETA(3)*EXP(0.5*ETA(3))*EPS(1)", 0.5),
}


@pytest.mark.parametrize(("pk", "code", "scale"), RANDOM.values(), ids=RANDOM.keys())
def test_a_random_effect_may_multiply_the_residual_error(pk, code, scale):
    model = recognise(
        make_model(pk=pk, error=code, thetas=THETAS[:3], omega=(0.1, 0.1, 0.1), sigma=(1.0,), fixed_sigmas=(1,))
    )
    error = model.observations[0].error
    assert (coefficient(error.b), error.effect.eta, error.effect.scale) == (TH3, "ETA(3)", scale)
    assert [p.name for p in model.individual_parameters] == ["CL", "V"]
    assert model.thetas[2].role == "residual_error"


def test_a_random_effect_on_the_residual_error_of_a_formula():
    model = recognise(
        make_model(
            error="A=THETA(1)*EXP(ETA(1))\nB=THETA(2)*EXP(ETA(2))\nIPRED=A*EXP(-B*TIME)\n"
            "W=THETA(3)*EXP(ETA(3))\nY=IPRED+W*EPS(1)",
            thetas=THETAS[:3], omega=(0.1, 0.1, 0.1), sigma=(1.0,), fixed_sigmas=(1,),
        )
    )  # fmt: skip
    assert model.observations[0].error.effect.eta == "ETA(3)"


BAD_RANDOM = {
    "added": ("W=THETA(3)*F+ETA(3)\nY=F+W*EPS(1)", "otherwise than by a factor"),
    "on one part only": ("W=SQRT(THETA(3)**2*EXP(ETA(3))+0.1*F**2)\nY=F+W*EPS(1)", "otherwise than by a factor"),
}


@pytest.mark.parametrize(("code", "message"), BAD_RANDOM.values(), ids=BAD_RANDOM.keys())
def test_other_random_effects_on_the_residual_error_are_refused(code, message):
    model = make_model(pk=PK, error=code, thetas=THETAS[:3], omega=(0.1, 0.1, 0.1), sigma=(1.0,), fixed_sigmas=(1,))
    with pytest.raises(UnsupportedError, match=message):
        recognise(model)


def test_a_random_effect_on_the_prediction_of_another_endpoint_is_refused():
    code = "IF (DVID.EQ.1) THEN\nY=F+F*EXP(ETA(3))*EPS(1)\nELSE\nY=F*EXP(ETA(3))+EPS(2)\nENDIF"
    model = make_model(pk=PK, error=code, omega=(0.1, 0.1, 0.1), sigma=TWO, items="ID TIME AMT DV DVID")
    with pytest.raises(UnsupportedError, match="and on the prediction"):
        recognise(model)


def test_a_formula_that_is_zero_at_time_zero_keeps_its_substitute():
    model = recognise(
        make_model(
            error="A=THETA(1)*EXP(ETA(1))\nB=THETA(2)*EXP(ETA(2))\nIPRED=A*(1-EXP(-B*TIME))\nW=IPRED\n"
            "IF (W.EQ.0) W=1\nY=IPRED+W*EPS(1)",
        )
    )
    assert model.observations[0].error.at_zero == 1.0


@pytest.mark.parametrize(
    ("weight", "kind", "a", "b"),
    [("THETA(3)", "additive", TH3, None), ("THETA(3)*IPRED", "proportional", None, TH3),
     ("THETA(3)+THETA(4)*IPRED", "combined1", TH3, TH4),
     ("SQRT(THETA(3)**2+(THETA(4)*IPRED)**2)", "combined2", TH3, TH4)],
)  # fmt: skip
def test_a_prediction_that_is_one_number_at_some_times_has_the_error_of_the_others(weight, kind, a, b):
    """As on log scales with a floor."""
    code = f"IF (TIME.EQ.0) THEN\nIPRED=5\nELSE\nIPRED=F\nENDIF\nW={weight}\nY=IPRED+W*EPS(1)"
    observations = recognised(code, (1.0,), fixed_sigmas=(1,)).observations
    assert {(o.error.kind, coefficient(o.error.a), coefficient(o.error.b)) for o in observations} == {(kind, a, b)}


def test_a_branch_no_point_reached_is_not_taken_for_verified():
    with pytest.raises(UnsupportedError, match="not reached"):
        error_of("W=F\nIF (TIME*0.001.GT.20) W=1\nY=F+W*EPS(1)")


@pytest.mark.parametrize("code", ["Y=F+THETA(3)*EPS(1)", "Y=F+F*THETA(3)*EPS(1)"])
def test_a_free_theta_times_a_free_sigma_is_not_identifiable(code):
    with pytest.raises(SemanticError, match="not identifiable") as caught:
        error_of(code)
    assert "FIX" in caught.value.hint


def test_two_additive_errors_are_not_identifiable():
    with pytest.raises(SemanticError, match="more than one additive"):
        error_of("Y=F+EPS(1)+EPS(2)", (0.04, 0.04))


def test_a_residual_error_must_exist_and_act():
    with pytest.raises(SemanticError, match="no residual error"):
        error_of("Y=F", ())
    with pytest.raises(SemanticError, match=r"EPS\(2\) has no effect"):
        error_of("Y=F+EPS(1)", (0.04, 0.04))
    with pytest.raises(SemanticError, match="assigns no Y"):
        error_of("X=F+EPS(1)")


def test_combined1_that_may_be_negative_is_refused():
    """|a + b f| differs from a + b|f| where f < 0, and this prediction has both signs."""
    with pytest.raises(UnsupportedError):
        recognise(
            make_model(
                error="A=THETA(1)+ETA(1)\nB=THETA(2)+ETA(2)\nIPRED=A-B*TIME\nW=THETA(3)+THETA(4)*IPRED\n"
                "Y=IPRED+W*EPS(1)",
                thetas=((-math.inf, 5.0), (0.0, 0.5), (0.0, 0.3), (0.0, 0.15)), sigma=(1.0,), fixed_sigmas=(1,),
            )
        )  # fmt: skip
