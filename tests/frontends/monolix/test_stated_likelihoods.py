"""What [INDIVIDUAL] and the error models state, as -2LL against a quadrature written out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import norm

import nlmevae
from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import NlmevaeError
from nlmevae.estimation.problem import make_problem
from nlmevae.pipeline import prepare
from tests.helpers.monolix_projects import project_text

TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
START = {"V_pop": "10", "Cl_pop": "2", "omega_V": "0.3", "omega_Cl": "0.4", "a": "3", "b": "0.5", "c": "0.8"}
V_LINE = "V = {distribution=logNormal, typical=V_pop, sd=omega_V}"
CL_LINE = "Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}"


def data() -> tuple[np.ndarray, np.ndarray]:
    """(2, times) values and (2,) covariate."""
    rng = np.random.default_rng(5)
    v, cl = 10.0 * np.exp(0.2 * rng.standard_normal((2, 1))), 2.0 * np.exp(0.2 * rng.standard_normal((2, 1)))
    return 100.0 / v * np.exp(-cl / v * TIMES) * np.exp(0.1 * rng.standard_normal((2, 5))), np.array([-0.3, 0.5])


def project(
    folder: Path,
    *,
    lines: tuple[str, ...] = (V_LINE, CL_LINE),
    error: str = "constant(a)",
    equation: str = "Cc = 100/V*exp(-Cl/V*t)",
    **values: str,
) -> Path:
    """Every population name of `lines` and `error` stands in input and has its value of START or `values`."""
    y, x = data()
    rows = [f"{i + 1},{t:g},{y[i, j]:.17g},{x[i]:g}" for i in (0, 1) for j, t in enumerate(TIMES)]
    (folder / "data.csv").write_text("\n".join(["ID,TIME,Y,X", *rows]) + "\n")
    known = START | values
    used = [n for n in known if re.search(rf"\b{n}\b", "\n".join(lines))]
    sizes = [n for n in known if re.search(rf"\b{n}\b", error)]
    covariate = any("covariate" in line for line in lines)
    text = project_text(
        fileinfo="file = 'data.csv'\ndelimiter = comma\nheader = {ID, TIME, Y, X}",
        content="ID = {use=identifier}\nTIME = {use=time}\nY = {use=observation, name=y, type=continuous}"
        + ("\nX = {use=covariate, type=continuous}" if covariate else ""),
        covariate="input = {X}" if covariate else "",
        individual=f"input = {{{', '.join(used + (['X'] if covariate else []))}}}\nDEFINITION:\n" + "\n".join(lines),
        longitudinal=f"input = {{{', '.join([*sizes, 'V', 'Cl'])}}}\nEQUATION:\n{equation}\nOUTPUT:\noutput = Cc\n"
        f"DEFINITION:\ny = {{distribution=normal, prediction=Cc, errorModel={error}}}",
        parameter="\n".join(
            f"{n} = {{value={known[n].split()[0]}, method={[*known[n].split(), 'MLE'][1]}}}" for n in used + sizes
        ),
    )
    (folder / "project.mlxtran").write_text(text)
    return folder / "project.mlxtran"


def by_hand(v, cl, sd, *, correlation: float = 0.0) -> np.ndarray:
    """(2,) -2LL; v(eta, x), cl(eta, x) of standard normal effects, sd(f). A product rule of 80 points."""
    x, w = np.polynomial.hermite_e.hermegauss(80)
    one, two = np.meshgrid(x, x, indexing="ij")
    two = correlation * one + np.sqrt(1.0 - correlation**2) * two
    weight = np.outer(w, w) / w.sum() ** 2
    y, covariate = data()
    found = []
    for own, value in zip(y, covariate, strict=True):
        volume, clearance = v(one, value)[..., None], cl(two, value)[..., None]
        f = 100.0 / volume * np.exp(-clearance / volume * TIMES)
        with np.errstate(all="ignore"):  # far out f is 0, and with it sd: y has no density there
            density = np.nan_to_num(np.exp(norm.logpdf(own, f, sd(f)).sum(axis=-1)))
        found.append(-2.0 * np.log((weight * density).sum()))
    return np.array(found)


def volume(e, x):
    return 10.0 * np.exp(0.3 * e)


def clearance(e, x):
    return 2.0 * np.exp(0.4 * e)


def three(f):
    return 3.0


CORRELATED = "correlation = {level=id, r(V, Cl)=corr_V_Cl}"
#: what the project says; V, Cl and the standard deviation by hand
INDIVIDUAL = {
    "logNormal": ({}, volume, clearance),
    "normal": ({"lines": (V_LINE, CL_LINE.replace("logNormal", "normal"))}, volume, lambda e, x: 2.0 + 0.4 * e),
    "logitNormal": (
        {"lines": (V_LINE, CL_LINE.replace("logNormal", "logitNormal, min=0.5, max=9"))},
        volume,
        lambda e, x: 0.5 + 8.5 / (1.0 + np.exp(-(np.log(1.5 / 7.0) + 0.4 * e))),
    ),
    "probitNormal": (
        {"lines": (V_LINE, CL_LINE.replace("logNormal", "probitNormal")), "Cl_pop": "0.7"},
        volume,
        lambda e, x: ndtr(ndtri(0.7) + 0.4 * e),
    ),
    "mean on the Gaussian scale": (
        {"lines": (V_LINE, CL_LINE.replace("typical", "mean")), "Cl_pop": "0.5"},
        volume,
        lambda e, x: np.exp(0.5 + 0.4 * e),
    ),
    "no variability": (
        {"lines": (V_LINE, CL_LINE.replace("sd=omega_Cl", "no-variability"))}, volume, lambda e, x: 2.0 + 0.0 * e,
    ),
    "sd=0": ({"lines": (V_LINE, CL_LINE.replace("omega_Cl", "0"))}, volume, lambda e, x: 2.0 + 0.0 * e),
    "omega fixed at 0": ({"omega_Cl": "0 FIXED"}, volume, lambda e, x: 2.0 + 0.0 * e),
    "omega fixed": ({"omega_Cl": "0.4 FIXED"}, volume, clearance),
    "a number as sd": ({"lines": (V_LINE, CL_LINE.replace("omega_Cl", "0.4"))}, volume, clearance),
    "var=": ({"lines": (V_LINE, CL_LINE.replace("sd", "var")), "omega_Cl": "0.16"}, volume, clearance),
    "one omega for two": (
        {"lines": (V_LINE, CL_LINE.replace("omega_Cl", "omega_V"))}, volume, lambda e, x: 2.0 * np.exp(0.3 * e),
    ),
    "a coefficient": (
        {"lines": (V_LINE, CL_LINE.replace("sd", "covariate=X, coefficient=beta, sd")), "beta": "0.6"},
        volume,
        lambda e, x: 2.0 * np.exp(0.6 * x + 0.4 * e),
    ),
    "a coefficient that is a number": (
        {"lines": (V_LINE, CL_LINE.replace("sd", "covariate=X, coefficient=0.6, sd"))},
        volume,
        lambda e, x: 2.0 * np.exp(0.6 * x + 0.4 * e),
    ),
    "one coefficient for two, fixed": (
        {"lines": tuple(s.replace("sd", "covariate=X, coefficient=beta, sd") for s in (V_LINE, CL_LINE)),
         "beta": "0.6 FIXED"},
        lambda e, x: 10.0 * np.exp(0.6 * x + 0.3 * e),
        lambda e, x: 2.0 * np.exp(0.6 * x + 0.4 * e),
    ),
}  # fmt: skip
ERRORS = {
    "constant(2.5)": ({}, lambda f: 2.5 + 0.0 * f),
    "proportional(b)": ({}, lambda f: 0.5 * f),
    "combined1(a, b)": ({}, lambda f: 3.0 + 0.5 * f),
    "combined2(a, b)": ({}, lambda f: np.sqrt(9.0 + (0.5 * f) ** 2)),
    "combined1(a, b, c)": ({}, lambda f: 3.0 + 0.5 * f**0.8),
    "combined2c(a, b, c)": ({}, lambda f: np.sqrt(9.0 + (0.5 * f**0.8) ** 2)),
    "proportionalc(b, c)": ({}, lambda f: 0.5 * f**0.8),
    "combined1(a, 0.5)": ({}, lambda f: 3.0 + 0.5 * f),
    "combined1(a, b) with a=0": ({"a": "0 FIXED"}, lambda f: 0.5 * f),
    "combined2(a, b) with b=0": ({"b": "0 FIXED"}, lambda f: 3.0 + 0.0 * f),
    "combined1(a, b, c) with a=0": ({"a": "0 FIXED"}, lambda f: 0.5 * f**0.8),
    "combined1(a, b, c) with c=1": ({"c": "1 FIXED"}, lambda f: 3.0 + 0.5 * f),
}


def check(path: Path, exact: np.ndarray) -> None:
    found = nlmevae.likelihoods(path, methods="gauss-hermite").subjects[0].minus_two_ll
    # wide residual errors keep the integrand smooth for both rules
    np.testing.assert_allclose(found, exact, atol=1e-3)


@pytest.mark.parametrize("name", INDIVIDUAL)
def test_individual_parameters_are_distributed_as_stated(tmp_path, name):
    said, v, cl = INDIVIDUAL[name]
    check(project(tmp_path, **said), by_hand(v, cl, three))


def test_a_correlation(tmp_path):
    path = project(tmp_path, lines=(V_LINE, CL_LINE, CORRELATED), corr_V_Cl="0.6")
    check(path, by_hand(volume, clearance, three, correlation=0.6))


@pytest.mark.parametrize("name", ERRORS)
def test_residual_errors_are_as_stated(tmp_path, name):
    said, sd = ERRORS[name]
    check(project(tmp_path, error=name.split(" with")[0], **said), by_hand(volume, clearance, sd))


@pytest.mark.parametrize(("start", "before"), [("-2", 2.0), ("0", 0.0)])
def test_the_state_begins_at_t_0(tmp_path, start, before):
    equation = f"t_0 = {start}\nA_0 = 100\nddt_A = -Cl/V*A\nCc = A/V"
    path = project(tmp_path, equation=equation)
    y, _ = data()
    run = prepare(path)
    assert np.all(run.table.start_time == float(start))
    x, w = np.polynomial.hermite_e.hermegauss(80)
    v, cl = (m[..., None] for m in np.meshgrid(10.0 * np.exp(0.3 * x), 2.0 * np.exp(0.4 * x), indexing="ij"))
    f = 100.0 / v * np.exp(-cl / v * (TIMES + before))
    weight = np.outer(w, w) / w.sum() ** 2
    exact = [-2.0 * np.log((weight * np.exp(norm.logpdf(own, f, 3.0).sum(axis=-1))).sum()) for own in y]
    check(path, np.array(exact))


def test_the_logarithm_of_an_amount_far_below_its_start_has_its_digits(tmp_path):
    """A viral load: an error of 1e-10 of the largest amount would be all that is seen here."""
    equation = "t_0 = 0\nA_0 = 1e10\nB_0 = 1\nddt_A = -5*A\nddt_B = -Cl/V*B + 0*A*B\nCc = log10(A + 0*B)"
    path = project(tmp_path, equation=equation)
    run = prepare(path)
    form = latent_form(run.model, run.table)
    joint_of = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    joint = joint_of.joint(joint_of.initial)
    exact = np.tile(10.0 - 5.0 * TIMES / np.log(10.0), 2)
    # relative error of A: 1e-10 of its largest value, 1e10, over A = 4e-8 at the last time is not asked for
    seen = np.tile(TIMES <= 4.0, 2)
    np.testing.assert_allclose(joint.predict(joint.mean)[seen], exact[seen], atol=0.02)


def test_an_initial_time_after_the_first_observation_is_refused(tmp_path):
    with pytest.raises(NlmevaeError, match=r"line 2 .* before the initial time 1 of the model"):
        prepare(project(tmp_path, equation="t_0 = 1\nA_0 = 100\nddt_A = -Cl/V*A\nCc = A/V"))


def test_a_prediction_that_is_0_for_all_parameters_is_recognised(tmp_path):
    """A coefficient fixed at 0, as penalised searches leave it."""
    path = project(tmp_path, equation="Cc = 0*V*exp(-Cl/V*t)")
    model = nlmevae.read_model(path)
    assert [o.error.kind for o in model.observations] == ["additive"]
