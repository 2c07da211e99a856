"""empty and reset: doses that set amounts to 0, on every back end against formulas written out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import NlmevaeError
from nlmevae.estimation.problem import make_problem
from nlmevae.pipeline import prepare
from tests.helpers.monolix_projects import project_text

KA, V, CL = 1.5, 10.0, 2.0
K = CL / V
MACROS = (
    "compartment(cmt=1, amount=Ac, volume=V, concentration=Cc)\nelimination(cmt=1, Cl)\n"
    "compartment(cmt=2, amount=Ad)\ntransfer(from=2, to=1, kt=1.5)\niv(adm=1, cmt=2)"
)
LINEAR = MACROS + "\nempty(adm=2, target=Ac)"
EQUATIONS = "depot(adm=1, target=Ad)\nempty(adm=2, target=Ac)\nEQUATION:\nddt_Ad = -1.5*Ad\n" \
    "ddt_Ac = 1.5*Ad - Cl/V*Ac\nCc = Ac/V"  # fmt: skip
LINES = ["0,100,1,.", "1,.,.,1", "2,7,2,.", "2.5,.,.,1", "6,.,.,1"]


def project(folder: Path, pk: str, lines: list[str], *, header: str = "") -> Path:
    names = ["ID", "TIME", "AMT", "ADM", "Y", *header.split()]
    uses = {"TINF": "infusiontime"}
    (folder / "data.csv").write_text("\n".join([",".join(names), *(f"1,{line}" for line in lines)]) + "\n")
    text = project_text(
        fileinfo=f"file = 'data.csv'\ndelimiter = comma\nheader = {{{', '.join(names)}}}",
        content="ID = {use=identifier}\nTIME = {use=time}\nAMT = {use=amount}\nADM = {use=administration}\n"
        "Y = {use=observation, name=y, type=continuous}\n"
        + "\n".join(f"{name} = {{use={uses[name]}}}" for name in header.split()),
        longitudinal=f"input = {{a, V, Cl}}\nPK:\n{pk}\nOUTPUT:\noutput = Cc\nDEFINITION:\n"
        "y = {distribution=normal, prediction=Cc, errorModel=constant(a)}",
        parameter=f"V_pop = {{value={V}}}\nCl_pop = {{value={CL}}}\na = {{value=1}}\nomega_V = {{value=0.1}}\n"
        "omega_Cl = {value=0.1}",
    )
    (folder / "project.mlxtran").write_text(text)
    return folder / "project.mlxtran"


def predictions(path: Path, backend: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M,) at the typical values, the Jacobian there and its central differences."""
    run = prepare(path)
    form = latent_form(run.model, run.table)
    decoder = make_decoder(form, run.table, backend=backend)
    problem = make_problem(run.model, form, run.table, decoder)
    joint = problem.joint(problem.initial)
    jacobian = decoder.linearise(joint.inputs(joint.mean)).jacobian[:, : joint.n_latents]
    moves = 1e-4 * np.eye(joint.n_latents)
    columns = [(joint.predict(joint.mean + m) - joint.predict(joint.mean - m)) / 2e-4 for m in moves]
    return joint.predict(joint.mean), jacobian, np.column_stack(columns)


def from_depot(amount: float, since: float) -> float:
    return amount * KA / (KA - K) * (np.exp(-K * since) - np.exp(-KA * since)) / V


@pytest.mark.parametrize(("pk", "backend"), [(LINEAR, "closed_form"), (EQUATIONS, "compiled"), (EQUATIONS, "torchode")])
def test_the_target_is_empty_and_the_depot_is_not(tmp_path, pk, backend):
    found, jacobian, differences = predictions(project(tmp_path, pk, LINES), backend)
    left = 100.0 * np.exp(-KA * 2.0)
    exact = [from_depot(100.0, 1.0), from_depot(left, 0.5), from_depot(left, 4.0)]
    np.testing.assert_allclose(found, exact, rtol=1e-5)  # the solvers' tolerance
    np.testing.assert_allclose(jacobian, differences, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("macro", ["empty", "reset"])
def test_all_of_the_system(tmp_path, macro):
    pk = MACROS + f"\n{macro}(adm=2, target=all)"
    lines = [*LINES, "7,50,1,.", "8,.,.,1"]
    found, _, _ = predictions(project(tmp_path, pk, lines), "auto")
    np.testing.assert_allclose(found, [from_depot(100.0, 1.0), 0.0, 0.0, from_depot(50.0, 1.0)], rtol=1e-9, atol=1e-12)


REFUSED = {
    "an initial value": (
        EQUATIONS.replace("empty", "reset") + "\nAc_0 = 5", LINES, "", "reset.adm=2. sets Ac to an initial value",
    ),
    "a dose that also enters": (MACROS + "\nempty(adm=1, target=Ac)", LINES, "", "which comes first is not certain"),
    "a step function": (EQUATIONS + " + 0*tDose", LINES, "", "reads tDose and has empty"),
    "another dose at its time": (LINEAR, [*LINES[:3], "2,50,1,.", *LINES[3:]], "", "lines 5 and 4 have one time"),
    "an infusion": (
        MACROS + "\nempty(adm=2, target=Ad)", [line + (",1" if k == 0 else ",.") for k, line in enumerate(LINES)],
        "TINF", "line 4 empties a compartment that gets the infusion or delayed dose on line 2",
    ),
    "a delayed dose": (
        MACROS.replace("iv(adm=1, cmt=2)", "iv(adm=1, cmt=2, Tlag=0.5)") + "\nempty(adm=2, target=Ad)", LINES, "",
        "line 4 empties",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_certain_is_refused(tmp_path, name):
    pk, lines, header, said = REFUSED[name]
    with pytest.raises(NlmevaeError, match=said):
        prepare(project(tmp_path, pk, lines, header=header))
