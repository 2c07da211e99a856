"""Doses through transit compartments: predictions against scipy with the rate written out by hand, refusals by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import NlmevaeError
from nlmevae.estimation.problem import make_problem
from nlmevae.pipeline import prepare
from tests.helpers.monolix_projects import project_text

VALUES = {"ka": 1.5, "Mtt": 2.0, "Ktr": 3.0, "V": 10.0, "Cl": 2.0}
PLAIN = "Cc = pkmodel(ka, Mtt, Ktr, V, Cl)"
LAGGED = "Cc = pkmodel(Tlag, ka, Mtt, Ktr, V, Cl)"
SPLIT = (
    "compartment(cmt=1, amount=Ac, volume=V, concentration=Cc)\nelimination(cmt=1, Cl)\n"
    "absorption(adm=1, cmt=1, ka, Mtt, Ktr, p=F1)\niv(adm=2, cmt=1)"
)
DENSE = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0)


def project(
    folder: Path, pk: str, lines: list[str], values: dict[str, float], *, header: str = "", inputs: str = ""
) -> Path:
    """`lines`: after ID; `header`: columns after AMT ADM Y, with uses of their names in lower case."""
    names = ["ID", "TIME", "AMT", "ADM", "Y", *header.split()]
    uses = {"EVID": "eventidentifier", "ADDL": "additionaldose", "II": "interdoseinterval", "OCC": "occasion",
            "REG": "regressor", "TINF": "infusiontime"}  # fmt: skip
    (folder / "data.csv").write_text("\n".join([",".join(names), *(f"1,{line}" for line in lines)]) + "\n")
    used = ", ".join(values)
    content = "ID = {use=identifier}\nTIME = {use=time}\nAMT = {use=amount}\nADM = {use=administration}\n"
    content += "Y = {use=observation, name=y, type=continuous}\n"
    content += "\n".join(f"{name} = {{use={uses[name]}}}" for name in header.split())
    text = project_text(
        fileinfo=f"file = 'data.csv'\ndelimiter = comma\nheader = {{{', '.join(names)}}}",
        content=content,
        individual=f"input = {{{', '.join(f'{n}_pop, omega_{n}' for n in values)}}}\nDEFINITION:\n"
        + "\n".join(f"{n} = {{distribution=logNormal, typical={n}_pop, sd=omega_{n}}}" for n in values),
        longitudinal=f"input = {{a, {used}{inputs}\nPK:\n{pk}\nOUTPUT:\noutput = Cc\n"
        "DEFINITION:\ny = {distribution=normal, prediction=Cc, errorModel=constant(a)}".replace(
            "input = {a, " + used + "\n", "input = {a, " + used + "}\n"
        ),
        parameter="\n".join(f"{n}_pop = {{value={v}}}\nomega_{n} = {{value=0.1}}" for n, v in values.items())
        + "\na = {value=1}",
    )
    (folder / "project.mlxtran").write_text(text)
    return folder / "project.mlxtran"


def predictions(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M,) at the typical values, the Jacobian (M, d) there and its central differences."""
    run = prepare(path)
    form = latent_form(run.model, run.table)
    decoder = make_decoder(form, run.table, rtol=1e-9)
    joint = make_problem(run.model, form, run.table, decoder).joint(
        make_problem(run.model, form, run.table, decoder).initial
    )
    z, step = joint.mean, 1e-4
    jacobian = decoder.linearise(joint.inputs(z)).jacobian[:, : joint.n_latents]
    columns = []
    for k in range(joint.n_latents):
        moved = np.zeros_like(z)
        moved[:, k] = step
        columns.append((joint.predict(z + moved) - joint.predict(z - moved)) / (2.0 * step))
    return joint.predict(z), jacobian, np.column_stack(columns)


def concentration(values: dict[str, float], since: float, dose: float) -> float:
    """Central concentration `since` the dose: the convolution of Savic's rate with a depot and one compartment."""
    since -= values.get("Tlag", 0.0)
    n, ka, k = values["Mtt"] * values["Ktr"] - 1.0, values["ka"], values["Cl"] / values["V"]
    if since <= 0.0:
        return 0.0

    def rate(s: float) -> float:
        passed = values["Ktr"] * s
        return values["Ktr"] * np.exp(n * np.log(passed) - passed - gammaln(n + 1.0)) if s > 0.0 else 0.0

    def seen(s: float) -> float:
        left = since - s
        return rate(s) * ka / (ka - k) * (np.exp(-k * left) - np.exp(-ka * left))

    sd = np.sqrt(values["Mtt"] / values["Ktr"])
    places = [p for p in (values["Mtt"] + j * sd for j in (-6, -2, 0, 2, 6)) if 0.0 < p < since]
    area = quad(seen, 0.0, since, points=places or None, epsabs=1e-12, epsrel=1e-10, limit=400)[0]
    return values.get("F1", 1.0) * dose * area / values["V"]


CASES = {
    "plain": (PLAIN, VALUES, DENSE),
    "lag": (LAGGED, VALUES | {"Tlag": 1.3}, DENSE),
    "fraction, beside another administration": (SPLIT, VALUES | {"F1": 0.7}, DENSE),
    "long after a lag": (LAGGED, VALUES | {"Tlag": 50.0, "Cl": 0.002}, (1000.0,)),
    "a narrow arrival between far observations": (PLAIN, VALUES | {"Mtt": 24.0, "Ktr": 10.0, "Cl": 0.02}, (400.0,)),
}


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_the_convolution(tmp_path, name):
    pk, values, times = CASES[name]
    path = project(tmp_path, pk, ["1,100,1,."] + [f"{1 + t:g},.,.,1" for t in times], values)
    found, jacobian, differences = predictions(path)
    exact = [concentration(values, t, 100.0) for t in times]
    np.testing.assert_allclose(found, exact, rtol=2e-6, atol=1e-8)  # the solver's tolerance over the horizon
    np.testing.assert_allclose(jacobian, differences, rtol=1e-4, atol=1e-5)  # differences of step 1e-4


REFUSED = {
    "a second dose": ("", ["0,100,1,.", "6,.,.,1", "24,100,1,.", "30,.,.,1"], "line 4 while the dose on line 2"),
    "additional doses": ("ADDL II", ["0,100,1,.,2,12", "6,.,.,1,.,.", "30,.,.,1,.,."], "another dose of it"),
    "a reset": ("EVID", ["0,100,1,.,1", "6,.,.,1,0", "24,0,1,.,3", "30,.,.,1,0"], "event identifier 3 .* line 4"),
    "a period": ("EVID", ["0,100,1,.,1", "6,.,.,1,0", "24,100,1,.,4", "30,.,.,1,0"], "event identifier 4 .* line 4"),
    "an occasion that goes on": ("OCC", ["0,100,1,.,1", "6,.,.,1,1", "24,.,.,1,2"], "an occasion begins on line 4"),
    "an occasion that overlaps": ("OCC", ["0,100,1,.,1", "3,.,.,1,1", "0,50,1,.,2", "4,.,.,1,2"], "TIME starts again"),
    "an infusion": ("TINF", ["0,100,1,.,2", "6,.,.,1,."], "line 2 is an infusion"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_certain_is_refused_with_its_line(tmp_path, name):
    header, lines, said = REFUSED[name]
    with pytest.raises(NlmevaeError, match=said):
        prepare(project(tmp_path, PLAIN, lines, VALUES, header=header))
