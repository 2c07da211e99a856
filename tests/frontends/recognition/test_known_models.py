"""Whole models people have published, as a whole."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlmevae.frontends.recognition import recognise
from nlmevae.frontends.recognition.transforms import to_gaussian
from nlmevae.ir.evaluate import run
from tests.helpers.code_models import make_model

PHENO = {
    "pk": """TVCL=THETA(1)*WT
TVV=THETA(2)*WT
IF (APGR.LT.5) TVV=TVV*(1+THETA(3))
CL=TVCL*EXP(ETA(1))
V=TVV*EXP(ETA(2))
S1=V
""",
    "error": """W=F
Y=F+W*EPS(1)
IPRED=F
IRES=DV-IPRED
IWRES=IRES/W
""",
    "thetas": ((0.0, 0.00469), (0.0, 0.985), (-0.99, 0.16)),
    "items": "ID TIME AMT WT APGR DV",
    "scale": "S1",
}

WARFARIN = {
    "pk": """MU_1=LOG(THETA(1))
MU_2=LOG(THETA(2))+THETA(4)*LOG(WT/70)
MU_3=LOG(THETA(3))
KA=EXP(MU_1+ETA(1))
V=EXP(MU_2+ETA(2))
CL=EXP(MU_3+ETA(3))
TLAG=THETA(5)
ALAG1=TLAG
""",
    "des": "DADT(1)=-KA*A(1)\nDADT(2)=KA*A(1)-CL/V*A(2)",
    "error": "CP=A(2)/V\nIPRED=CP\nW=THETA(6)+THETA(7)*IPRED\nY=IPRED+W*EPS(1)",
    "thetas": ((0, 1.5), (0, 8), (0, 0.13), (-math.inf, 1), (0, 0.9), (0, 0.3), (0, 0.1)),
    "omega": (0.5, 0.05, 0.08),
    "sigma": (1.0,),
    "fixed_sigmas": (1,),
    "n_compartments": 2,
    "scale": None,
}

OCCASIONS = {
    "pk": """V1=0
IF (VISI.EQ.3) V1=1
V2=1-V1
IOV=V1*ETA(3)+V2*ETA(4)
CL=THETA(1)*EXP(ETA(1)+IOV)
V=THETA(2)*EXP(ETA(2))
""",
    "omega": (0.1, 0.1, 0.1, 0.1),
    "items": "ID VISI TIME AMT DV",
}

GROWTH = {
    "error": """BASE=THETA(1)+ETA(1)
KG=THETA(2)*EXP(ETA(2))
EMAX=1/(1+EXP(-(THETA(3)+ETA(3))))
IPRED=BASE*EXP(KG*TIME)*(1-EMAX*DOSE/(DOSE+THETA(4)))
Y=IPRED+EPS(1)+IPRED*EPS(2)
""",
    "thetas": ((0, 50), (0, 0.01), (-math.inf, 0.3), (0, 10)),
    "omega": (4.0, 0.1, 0.2),
    "sigma": (1.0, 0.01),
    "items": "ID TIME DOSE DV",
}


def test_phenobarbital():
    model = recognise(make_model(**PHENO))
    assert [p.name for p in model.individual_parameters] == ["CL", "V"]
    assert [p.mu_linear for p in model.individual_parameters] == [True, False]
    assert [t.scale for t in model.thetas] == ["log", "log", "identity"]
    assert [t.role for t in model.thetas] == ["typical_value", "typical_value", "covariate_effect"]
    effects = {(e.parameter, e.covariate): (e.form, e.coefficients) for e in model.covariate_effects}
    assert effects == {
        ("CL", "WT"): ("power", ()),
        ("V", "WT"): ("power", ()),
        ("V", "APGR"): ("categorical", ("THETA(3)",)),
    }
    assert model.observations[0].error.kind == "proportional"


def test_warfarin_with_mu_referencing_and_a_structural_lag():
    model = recognise(make_model(**WARFARIN))
    assert [(p.name, p.transform.kind, p.mu_linear) for p in model.individual_parameters] == [
        ("KA", "log", True), ("V", "log", True), ("CL", "log", True),
    ]  # fmt: skip
    assert [t.scale for t in model.thetas] == ["log", "log", "log", "identity", "identity", "identity", "identity"]
    assert [t.role for t in model.thetas] == (
        ["typical_value"] * 3 + ["covariate_effect", "structural", "residual_error", "residual_error"]
    )
    assert model.observations[0].error.kind == "combined1"


def test_occasions_are_recognised():
    model = recognise(make_model(**OCCASIONS))
    notes = [d.message for d in model.diagnostics if d.code == "general-effect"]
    assert [message.split()[0] for message in notes][-2:] == ["ETA(3)", "ETA(4)"]


def test_a_formula_with_three_transforms():
    model = recognise(make_model(**GROWTH))
    assert [p.transform.kind for p in model.individual_parameters] == ["identity", "log", "logit"]
    assert [t.role for t in model.thetas] == ["typical_value"] * 3 + ["structural"]
    error = model.observations[0].error
    assert (error.kind, error.a.parameter, error.b.parameter) == ("combined2", "EPS(1)", "EPS(2)")


@pytest.mark.parametrize("case", [PHENO, WARFARIN, GROWTH], ids=["pheno", "warfarin", "growth"])
def test_what_was_recognised_holds_at_points_of_our_own(case):
    """h(psi) at ETA minus h(psi) at 0 is ETA, one scalar evaluation at a time."""
    model = recognise(make_model(**case))
    program = model.program.pk or model.program.error
    rng = np.random.default_rng(7)
    for _ in range(20):
        env = {t.name: t.init * rng.uniform(0.8, 1.2) for t in model.thetas}
        env.update({n: rng.uniform(1, 60) for n in model.data_items})
        env.update(dict.fromkeys(model.epsilons, 0.0))
        etas = dict(zip(model.etas, rng.normal(0, 0.4, len(model.etas)), strict=True))
        moved, typical = run(program, env | etas), run(program, env | dict.fromkeys(model.etas, 0.0))
        for p in model.individual_parameters:
            z, mu = (to_gaussian(p.transform, e[p.name]) for e in (moved, typical))
            assert z - mu == pytest.approx(etas[p.eta], abs=1e-9)


@pytest.mark.parametrize("case", [PHENO, WARFARIN, GROWTH], ids=["pheno", "warfarin", "growth"])
def test_linear_means_are_linear_by_finite_differences(case):
    """Second differences of mu in the scaled THETAs vanish exactly where mu_linear says so."""
    model = recognise(make_model(**case))
    program = model.program.pk or model.program.error
    env = dict.fromkeys(model.data_items, 3.0) | dict.fromkeys((*model.etas, *model.epsilons), 0.0)

    def mu(p, u):
        values = {t.name: math.exp(x) if t.scale == "log" else x for t, x in zip(model.thetas, u, strict=True)}
        return to_gaussian(p.transform, run(program, env | values)[p.name])

    centre = np.array([math.log(t.init) if t.scale == "log" else t.init for t in model.thetas])
    step = 0.1 * np.random.default_rng(3).standard_normal(len(centre)) * np.maximum(np.abs(centre), 0.1)
    for p in model.individual_parameters:
        curvature = mu(p, centre + step) - 2 * mu(p, centre) + mu(p, centre - step)
        assert (abs(curvature) < 1e-9) == p.mu_linear
