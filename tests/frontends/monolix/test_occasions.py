"""Variability between occasions, from the project to the likelihood, against quadrature written out by hand and a
NONMEM control stream of the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

import nlmevae
from nlmevae.errors import NlmevaeError
from nlmevae.pipeline import prepare
from tests.helpers.monolix_projects import project_text

TIMES, DOSE, LATER = np.array([0.5, 1.0, 2.0, 4.0]), 100.0, 6.0
V, CL, OMEGA_V, OMEGA_CL, GAMMA_CL, A = 12.0, 3.0, 0.4, 0.3, 0.25, 2.0


def values(n: int, *, seed: int = 1, gamma: float = 0.2, carried: bool = True) -> np.ndarray:
    """(n, 2, times): concentrations of two occasions, the second LATER after the first."""
    rng = np.random.default_rng(seed)
    v, cl = 10.0 * np.exp(0.3 * rng.standard_normal(n)), 2.0 * np.exp(0.3 * rng.standard_normal(n))
    k = cl[:, None] * np.exp(gamma * rng.standard_normal((n, 2))) / v[:, None]
    return concentrations(v, k, carried=carried) + 0.1 * rng.standard_normal((n, 2, len(TIMES)))


def concentrations(v: np.ndarray, k: np.ndarray, *, carried: bool) -> np.ndarray:
    """(..., 2, times) for v (...), k (..., 2)."""
    first = np.exp(-k[..., :1] * TIMES)
    rest = np.exp(-k[..., 0] * LATER)[..., None] if carried else 0.0
    second = (1.0 + rest) * np.exp(-k[..., 1:] * TIMES)
    return DOSE / v[..., None, None] * np.stack([first, second], axis=-2)


def project(
    folder: Path, y: np.ndarray, *, how: str, level: str = "both", shift: float = LATER, more: str = ""
) -> Path:
    """`how`: occasions by "column" or by "event" identifier 4; `shift`: time of the second one's dose."""
    name, use = ("OCC", "occasion") if how == "column" else ("EVID", "eventidentifier")
    lines = [f"ID,{name},TIME,AMT,Y"]
    for i, own in enumerate(y, 1):
        for o, seen in enumerate(own):
            start = o * shift
            mark = (o + 1, o + 1) if how == "column" else (4 if o else 1, 0)
            lines.append(f"{i},{mark[0]},{start:g},{DOSE:g},.")
            lines += [f"{i},{mark[1]},{start + t:g},.,{value:.17g}" for t, value in zip(TIMES, seen, strict=True)]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    individual = {
        "both": "input = {V_pop, omega_V, Cl_pop, omega_Cl, gamma_Cl}\nDEFINITION:\n"
        "V = {distribution=logNormal, typical=V_pop, sd=omega_V}\n"
        "Cl = {distribution=logNormal, typical=Cl_pop, varlevel={id, id*occ}, sd={omega_Cl, gamma_Cl}}",
        "occ": "input = {V_pop, Cl_pop, gamma_Cl}\nDEFINITION:\n"
        "V = {distribution=logNormal, typical=V_pop, no-variability}\n"
        "Cl = {distribution=logNormal, typical=Cl_pop, varlevel=id*occ, sd=gamma_Cl}",
    }[level]
    omegas = f"omega_V = {{value={OMEGA_V}}}\nomega_Cl = {{value={OMEGA_CL}}}\n" if level == "both" else ""
    text = project_text(
        fileinfo=f"file = 'data.csv'\ndelimiter = comma\nheader = {{ID, {name}, TIME, AMT, Y}}",
        content=f"ID = {{use=identifier}}\n{name} = {{use={use}}}\nTIME = {{use=time}}\nAMT = {{use=amount}}\n"
        "Y = {use=observation, name=y, type=continuous}",
        individual=individual,
        parameter=f"V_pop = {{value={V}}}\nCl_pop = {{value={CL}}}\n{omegas}gamma_Cl = {{value={GAMMA_CL}}}\n"
        f"a = {{value={A}}}",
    )
    (folder / "project.mlxtran").write_text(text)
    return folder / "project.mlxtran"


def by_quadrature(y: np.ndarray, *, carried: bool, between: bool = True) -> np.ndarray:
    """(n,) -2LL over eta_V, eta_Cl + kappa_1, kappa_2 by a product rule of 40 points around nothing."""
    x, w = np.polynomial.hermite_e.hermegauss(40)
    w = w / w.sum()
    ev, ec, k1, k2 = np.meshgrid(*((OMEGA_V * x, OMEGA_CL * x) if between else ([0.0], [0.0])), x, x, indexing="ij")
    weight = np.ones_like(ev)
    for axis, size in enumerate(ev.shape):
        shape = [1] * 4
        shape[axis] = size
        weight = weight * (w if size > 1 else np.ones(1)).reshape(shape)
    v = V * np.exp(ev)
    k = CL * np.exp(ec[..., None] + GAMMA_CL * np.stack([k1, k2], axis=-1)) / v[..., None]
    f = concentrations(v, k, carried=carried)
    found = []
    for own in y:
        log_density = norm.logpdf(own, f, A).sum(axis=(-2, -1))
        top = log_density.max()
        found.append(-2.0 * (top + np.log((weight * np.exp(log_density - top)).sum())))
    return np.array(found)


@pytest.mark.parametrize(
    ("how", "shift", "carried"), [("column", LATER, True), ("column", 0.0, False), ("event", LATER, False)]
)
def test_the_likelihood_is_that_of_effects_of_the_subject_and_of_the_occasion(tmp_path, how, shift, carried):
    """Occasions that follow each other carry amounts over, those that overlap and those by event 4 begin anew."""
    y = values(2, carried=carried)
    found = nlmevae.likelihoods(project(tmp_path, y, how=how, shift=shift), methods="gauss-hermite")
    # wide noise (A) keeps the integrand smooth; both rules have their errors there
    np.testing.assert_allclose(found.subjects[0].minus_two_ll, by_quadrature(y, carried=carried), atol=2e-3)


def test_the_occasion_alone(tmp_path):
    y = values(3)
    found = nlmevae.likelihoods(project(tmp_path, y, how="column", level="occ"), methods="gauss-hermite")
    np.testing.assert_allclose(found.subjects[0].minus_two_ll, by_quadrature(y, carried=True, between=False), atol=2e-3)


TWIN = f"""$PROBLEM twin
$INPUT ID OCC TIME AMT DV EVID
$DATA twin.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS1
$PK
V = THETA(1)*EXP(ETA(1))
KAPPA = 0
IF (OCC.EQ.1) KAPPA = ETA(3)
IF (OCC.EQ.2) KAPPA = ETA(4)
CL = THETA(2)*EXP(ETA(2) + KAPPA)
K = CL/V
$ERROR
IPRED = A(1)/V
Y = IPRED + THETA(3)*EPS(1)
$THETA (0, {V}) (0, {CL}) (0, {A})
$OMEGA {OMEGA_V**2} {OMEGA_CL**2}
$OMEGA BLOCK(1) {GAMMA_CL**2}
$OMEGA BLOCK(1) SAME
$SIGMA 1 FIX
"""


def test_a_control_stream_with_same_blocks_is_the_same_model(tmp_path):
    """In NONMEM the record at the end of an interval governs it: before the second dose a record has OCC = 1."""
    y = values(12)
    lines = ["ID,OCC,TIME,AMT,DV,EVID"]
    for i, own in enumerate(y, 1):
        for o, seen in enumerate(own):
            if o:
                lines.append(f"{i},1,{LATER},0,0,2")
            lines.append(f"{i},{o + 1},{o * LATER},{DOSE},0,1")
            lines += [f"{i},{o + 1},{o * LATER + t},0,{v:.17g},0" for t, v in zip(TIMES, seen, strict=True)]
    (tmp_path / "twin.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "twin.ctl").write_text(TWIN)
    path = project(tmp_path, y, how="column")
    model, twin = nlmevae.read_model(path), nlmevae.read_model(tmp_path / "twin.ctl")
    same = [[(b.names, b.matrix, b.same_as, b.fixed) for b in m.omega] for m in (model, twin)]
    assert same[0] == same[1]
    assert [(p.eta, p.transform) for p in model.individual_parameters] == [
        (p.eta, p.transform) for p in twin.individual_parameters
    ]
    one, other = (nlmevae.likelihoods(p, methods="focei,laplace") for p in (path, tmp_path / "twin.ctl"))
    for a, b in zip(one.subjects, other.subjects, strict=True):
        np.testing.assert_allclose(a.minus_two_ll, b.minus_two_ll, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["column", "event"])
def test_a_simulated_population_is_recovered(tmp_path, how):
    carried = how == "column"
    result = nlmevae.fit(project(tmp_path, values(80, seed=4, carried=carried), how=how), seed=1)
    v, cl, a = result.thetas
    omega_v, omega_cl, gamma, again = np.sqrt(np.diag(result.omega))
    assert gamma == again
    # a few standard errors of 80 subjects: sd / sqrt(2 n) of a standard deviation, sd / sqrt(n) of a mean
    assert (v, cl) == (pytest.approx(10.0, rel=0.12), pytest.approx(2.0, rel=0.12))
    assert a == pytest.approx(0.1, rel=0.1)
    assert (omega_v, omega_cl) == (pytest.approx(0.3, rel=0.25), pytest.approx(0.3, rel=0.3))
    assert gamma == pytest.approx(0.2, rel=0.25)


def test_one_occasion_cannot_tell_both_levels(tmp_path):
    with pytest.raises(NlmevaeError, match="data have one occasion"):
        nlmevae.read_model(project(tmp_path, values(3)[:, :1], how="event"))


def test_several_columns_of_occasions_are_refused_where_parameters_vary(tmp_path):
    path = project(tmp_path, values(3), how="column")
    path.write_text(path.read_text().replace("AMT = {use=amount}", "AMT = {use=amount}\nO2 = {use=occasion}")
                    .replace("OCC, TIME, AMT, Y}", "OCC, TIME, AMT, Y, O2}"))  # fmt: skip
    data = (tmp_path / "data.csv").read_text().splitlines()
    (tmp_path / "data.csv").write_text("\n".join([data[0] + ",O2"] + [line + ",1" for line in data[1:]]) + "\n")
    with pytest.raises(NlmevaeError, match="2 levels of occasions"):
        nlmevae.read_model(path)


def test_a_deeper_level_is_refused_by_name(tmp_path):
    path = project(tmp_path, values(3), how="column")
    text = path.read_text().replace("varlevel={id, id*occ}", "varlevel={id, id*occ*occ2}")
    text = text.replace("OCC = {use=occasion}", "OCC = {use=occasion}\nAMT2 = {use=occasion}")
    path.write_text(text.replace("OCC, TIME, AMT, Y}", "OCC, TIME, AMT, Y, AMT2}"))
    data = (tmp_path / "data.csv").read_text().splitlines()
    (tmp_path / "data.csv").write_text("\n".join([data[0] + ",AMT2"] + [line + ",1" for line in data[1:]]) + "\n")
    with pytest.raises(NlmevaeError, match=r"id\*occ\*occ2|levels of occasions"):
        nlmevae.read_model(path)


def test_a_column_and_event_identifier_4_are_refused_together(tmp_path):
    path = project(tmp_path, values(3), how="column")
    path.write_text(path.read_text().replace("AMT = {use=amount}", "AMT = {use=amount}\nEV = {use=eventidentifier}")
                    .replace("OCC, TIME, AMT, Y}", "OCC, TIME, AMT, Y, EV}"))  # fmt: skip
    data = (tmp_path / "data.csv").read_text().splitlines()
    marked = [line + ("," + ("0" if line.split(",")[3] == "." else "4")) for line in data[1:]]
    (tmp_path / "data.csv").write_text("\n".join([data[0] + ",EV", *marked]) + "\n")
    with pytest.raises(NlmevaeError, match="event identifier 4 on line"):
        prepare(path)
