"""Likelihoods of censored records, in the spellings that are in use, recognised by their value."""

from __future__ import annotations

import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.recognition import recognise
from nlmevae.frontends.recognition.endpoints import text_of
from nlmevae.ir import names_read
from tests.helpers.code_models import make_model

PK = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\n"
W = "IPRED=F\nW=THETA(3)*IPRED\n"
DENSITY = "F_FLAG=0\nY=IPRED+W*EPS(1)"


def recognised(error: str, *, fixed_sigmas=(1,), **options):
    thetas = ((0.0, 2.0), (0.0, 20.0), (0.0, 0.3), (0.0, 0.15))
    used = thetas[: 4 if "THETA(4)" in error else 3]
    items = "ID TIME AMT DV BLQ LLOQ ULOQ DVID"
    return recognise(
        make_model(pk=PK, error=error, thetas=used, sigma=(1.0,), fixed_sigmas=fixed_sigmas, items=items, **options)
    )


def block(condition: str, probability: str, density: str = DENSITY) -> str:
    return f"IF ({condition}) THEN\nF_FLAG=1\nY={probability}\nELSE\n{density}\nENDIF"


def limits(censoring):
    return tuple(None if e is None else text_of(e) for e in (censoring.lower, censoring.upper, censoring.floor))


CODE = {
    "M3, flag": (W + block("BLQ.EQ.1", "PHI((0.1-IPRED)/W)"), (None, "0.1", None), "BLQ == 1"),
    "M3, CUMD": (
        W + "LOQ=0.1\nDUM=(LOQ-IPRED)/W\nCUMD=PHI(DUM)\n" + block("BLQ.EQ.1", "CUMD"), (None, "0.1", None), "BLQ == 1",
    ),
    "M3, DV below a number": (
        W + f"IF (DV.GE.0.1) THEN\n{DENSITY}\nELSE\nF_FLAG=1\nY=PHI((0.1-IPRED)/W)\nENDIF",
        (None, "0.1", None), "DV < 0.1",
    ),
    "M3, DV below an assigned number": (
        W + "LOQ=0.1\n" + block("DV.LT.LOQ", "PHI((LOQ-IPRED)/W)"), (None, "0.1", None), "DV < 0.1",
    ),
    "M3, DV below a data item": (
        W + block("DV.LT.LLOQ", "PHI((LLOQ-IPRED)/W)"), (None, "LLOQ", None), "DV < LLOQ",
    ),
    "M3, DV is the limit": (
        W + f"IF (BLQ.EQ.1) THEN\nF_FLAG=1\nY=PHI((DV-IPRED)/W)\nENDIF\nIF (BLQ.EQ.0) THEN\n{DENSITY}\nENDIF",
        (None, "DV", None), "BLQ == 1",
    ),
    "M3, two single IFs": (
        W + "F_FLAG=0\nIF (BLQ.EQ.1) F_FLAG=1\nIF (BLQ.EQ.1) Y=PHI((LLOQ-IPRED)/W)\nIF (BLQ.NE.1) Y=IPRED+W*EPS(1)",
        (None, "LLOQ", None), "BLQ == 1",
    ),
    "M3, F_FLAG only where it is 1": (
        W + "Y=IPRED+W*EPS(1)\nIF (BLQ.EQ.1) THEN\nF_FLAG=1\nY=PHI((LLOQ-IPRED)/W)\nENDIF",
        (None, "LLOQ", None), "BLQ == 1",
    ),
    "M3, by error function": (
        W + block("BLQ.EQ.1", "1-PHI(-(0.1-IPRED)/W)"), (None, "0.1", None), "BLQ == 1",
    ),
    "M3, half the limit": (W + block("BLQ.EQ.1", "PHI((LLOQ/2-IPRED)/W)"), (None, "(LLOQ / 2)", None), "BLQ == 1"),
    "M4": (
        W + block("BLQ.EQ.1", "(PHI((0.1-IPRED)/W)-PHI(-IPRED/W))/(1-PHI(-IPRED/W))", "YLO=0\n" + DENSITY),
        ("0", "0.1", "0"), "BLQ == 1",
    ),
    "M4, CUMD": (
        W + "CUMD=PHI((LLOQ-IPRED)/W)\nCUMDZ=PHI((0-IPRED)/W)\nYLO=0\n" + block("BLQ.EQ.1", "(CUMD-CUMDZ)/(1-CUMDZ)"),
        ("0", "LLOQ", "0"), "BLQ == 1",
    ),
    "above a limit": (W + block("BLQ.EQ.1", "1-PHI((ULOQ-IPRED)/W)"), ("ULOQ", None, None), "BLQ == 1"),
    "above a limit, turned": (W + block("BLQ.EQ.1", "PHI((IPRED-ULOQ)/W)"), ("ULOQ", None, None), "BLQ == 1"),
    "interval": (
        W + block("BLQ.EQ.1", "PHI((ULOQ-IPRED)/W)-PHI((LLOQ-IPRED)/W)"), ("LLOQ", "ULOQ", None), "BLQ == 1",
    ),
    "log scale": (
        "IPRED=LOG(F)\nW=THETA(3)\n" + block("BLQ.EQ.1", "PHI((LOG(0.1)-IPRED)/W)"),
        (None, "LOG(0.1)", None), "BLQ == 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected", "when"), CODE.values(), ids=CODE.keys())
def test_the_probability_of_a_censored_record_is_recognised(code, expected, when):
    model = recognised(code)
    (observation,) = model.observations
    (censoring,) = observation.censoring
    assert (limits(censoring), text_of(censoring.when)) == (expected, when)
    assert observation.epsilons == ("EPS(1)",)
    assert (observation.floor is None) == (expected[2] is None)
    assert not [d for d in model.diagnostics if d.severity == "warning"]
    assert model.thetas[2].role == "residual_error"


def test_the_prediction_of_a_censored_record_does_not_read_its_probability():
    model = recognised(W + block("BLQ.EQ.1", "PHI((LLOQ-IPRED)/W)"))
    assert dict(model.observations[0].censoring[0].stand_in) == {"BLQ": 0.0}
    assert "LLOQ" not in {name for s in model.executed.error for name in names_read((s,))}


def test_every_endpoint_has_its_own_limit():
    code = (
        "IF (DVID.EQ.1) THEN\nIPRED=F\nW=THETA(3)*IPRED\nLOQ=0.1\nELSE\nIPRED=A(1)\nW=THETA(4)\nLOQ=0.5\nENDIF\n"
        + block("BLQ.EQ.1", "PHI((LOQ-IPRED)/W)")
    )
    first, second = recognised(code).observations
    assert [(o.name, o.error.kind) for o in (first, second)] == [
        ("DVID == 1", "proportional"),
        ("DVID != 1", "additive"),
    ]
    assert [limits(o.censoring[0]) for o in (first, second)] == [(None, "0.1", None), (None, "0.5", None)]
    assert text_of(first.censoring[0].when) == "DVID == 1 and BLQ == 1"


def test_values_above_a_limit_are_conditional_on_it():
    """Beal's M2: YLO, and the records below are left out of the data."""
    (observation,) = recognised(W + "YLO=LLOQ\nY=IPRED+W*EPS(1)").observations
    assert (text_of(observation.floor), observation.censoring) == ("LLOQ", ())


def test_m4_without_ylo_conditions_the_density_too_and_says_so():
    model = recognised(W + block("BLQ.EQ.1", "(PHI((0.1-IPRED)/W)-PHI(-IPRED/W))/(1-PHI(-IPRED/W))"))
    assert text_of(model.observations[0].floor) == "0"
    assert [(d.code, d.severity) for d in model.diagnostics] == [("m4-without-ylo", "warning")]


def test_a_random_effect_on_the_residual_error_is_part_of_the_probability():
    code = "IPRED=F\nW=THETA(3)*IPRED*EXP(ETA(3))\n" + block("BLQ.EQ.1", "PHI((0.1-IPRED)/W)")
    (observation,) = recognised(code, omega=(0.1, 0.1, 0.1)).observations
    assert observation.error.effect.eta == "ETA(3)"
    assert limits(observation.censoring[0]) == (None, "0.1", None)


REFUSED = {
    "squared": (W + block("BLQ.EQ.1", "PHI((0.1-IPRED)/W)**2"), "none that this version knows"),
    "another standard deviation": (W + block("BLQ.EQ.1", "PHI((0.1-IPRED)/(2*W))"), "none that this version knows"),
    "a limit that is a parameter": (
        W.replace("THETA(3)", "THETA(4)") + block("BLQ.EQ.1", "PHI((THETA(3)-IPRED)/W)"),
        "none that this version knows",
    ),
    "minus twice the logarithm": (
        W + block("BLQ.EQ.1", "-2*LOG(PHI((0.1-IPRED)/W))").replace("F_FLAG=1", "F_FLAG=2"), "F_FLAG is 2",
    ),
    "chosen by the prediction": (W + "F_FLAG=0\nIF (F.LT.0.1) F_FLAG=1\nY=IPRED+W*EPS(1)", "more than conditions"),
    "logistic": (
        W + block("BLQ.EQ.1", "EXP(IPRED)/(1+EXP(IPRED))"), "none that this version knows",
    ),
    "all records": (W + "F_FLAG=1\nY=PHI((0.1-IPRED)/W)+0*EPS(1)", "does not act|no value|none"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_other_likelihoods_are_refused_with_the_line(code, message):
    with pytest.raises(UnsupportedError, match=message) as caught:
        recognised(code)
    assert caught.value.location is not None
    assert caught.value.hint


def test_a_variance_that_is_estimated_beside_w_is_refused():
    with pytest.raises(UnsupportedError, match="is estimated too") as caught:
        recognised("IPRED=F\nW=IPRED\n" + block("BLQ.EQ.1", "PHI((0.1-IPRED)/W)"), fixed_sigmas=())
    assert "FIX" in caught.value.hint
