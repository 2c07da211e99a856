"""What lowering adds to a model besides its numbers: diagnostics, its fingerprint, categories of regrouped columns,
censoring of several outcomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nlmevae
from nlmevae.errors import NlmevaeError
from nlmevae.frontends.monolix.sections.files import model_source
from nlmevae.ir import DoseInput, Transform
from nlmevae.pipeline import prepare
from tests.helpers.monolix_projects import project_text

#: A library model whose text is known from the documentation only.
DOUBLE = "oral0_oral1_1cpt_Tk01ka2F1VCl.txt"
COLUMNS = "ID,TIME,AMT,Y,YT,CENS,LIMIT,GEN"
LINES = (
    "1,0,100,.,.,.,.,a", "1,1,.,8,1,0,.,a", "1,2,.,5,1,1,.,a", "1,2,.,3,2,1,1,a", "1,4,.,9,2,-1,.,a",
    "1,4,.,1,3,-1,20,a", "2,0,100,.,.,.,.,b", "2,1,.,7,1,0,.,b", "2,1,.,7,2,0,.,b", "2,2,.,2,3,0,.,b",
)  # fmt: skip
OUTCOMES = (
    "input = {a1, a2, a3, V, Cl}\nPK:\nCc = pkmodel(V, Cl)\nEQUATION:\nD = 2*Cc\nOUTPUT:\noutput = {Cc, D}\n"
    "DEFINITION:\n"
    "y1 = {distribution=normal, prediction=Cc, errorModel=constant(a1)}\n"
    "y2 = {distribution=logNormal, prediction=Cc, errorModel=constant(a2)}\n"
    "y3 = {distribution=normal, prediction=D, errorModel=constant(a3)}"
)


def project(folder: Path, *, lines: tuple[str, ...] = LINES, covariate: str = "") -> Path:
    (folder / "data.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")
    cl = "Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}"
    inputs = "V_pop, omega_V, Cl_pop, omega_Cl"
    if covariate:
        cl, inputs = cl.replace("sd", "covariate=tG, coefficient={0, beta}, sd"), inputs + ", tG, beta"
    text = project_text(
        fileinfo=f"file = 'data.csv'\ndelimiter = comma\nheader = {{{COLUMNS.replace(',', ', ')}}}",
        content="ID = {use=identifier}\nTIME = {use=time}\nAMT = {use=amount}\nYT = {use=observationtype}\n"
        "Y = {use=observation, name={y1, y2, y3}, yname={'1', '2', '3'}, type={continuous, continuous, continuous}}\n"
        "CENS = {use=censored}\nLIMIT = {use=limit}" + ("\nGEN = {use=covariate, type=categorical}" * bool(covariate)),
        covariate=covariate,
        individual=f"input = {{{inputs}}}\n"
        + ("tG = {type=categorical, categories={G1, G2}}\n" * bool(covariate))
        + f"DEFINITION:\nV = {{distribution=logNormal, typical=V_pop, sd=omega_V}}\n{cl}",
        longitudinal=OUTCOMES,
        fit="data = {'1', '2', '3'}\nmodel = {y1, y2, y3}",
        parameter="V_pop = {value=10}\nCl_pop = {value=2}\nomega_V = {value=0.3}\nomega_Cl = {value=0.3}\n"
        "a1 = {value=1}\na2 = {value=0.2}\na3 = {value=1}" + ("\nbeta = {value=0.1}" * bool(covariate)),
    )
    (folder / "project.mlxtran").write_text(text)
    return folder / "project.mlxtran"


def test_censored_values_of_three_outcomes_with_and_without_a_limit(tmp_path):
    run = prepare(project(tmp_path))
    assert [o.name for o in run.model.observations] == ["y1", "y2", "y3"]
    limits = run.table.ob_limits[:, :2].tolist()
    nothing = [pytest.approx(np.nan, nan_ok=True)] * 2
    assert limits[:3] == [nothing, [-np.inf, 5.0], [0.0, pytest.approx(np.log(3.0))]]
    assert limits[3:5] == [[pytest.approx(np.log(9.0)), np.inf], [1.0, 20.0]]
    assert [d.code for d in run.diagnostics if d.severity == "warning"] == []


GROUPS = "input = {GEN}\nDEFINITION:\ntG = {transform=GEN, categories={'G1'={'a'}, 'G2'={'b', 'c'}}, reference='G1'}"


def test_a_regrouped_column_has_the_categories_of_its_groups(tmp_path):
    run = prepare(project(tmp_path, covariate=GROUPS))
    assert run.dataset.column("GEN")[[0, -1]].tolist() == [0.0, 1.0]
    strange = (*LINES[:-1], LINES[-1][:-1] + "d")
    with pytest.raises(NlmevaeError, match="GEN"):
        prepare(project(tmp_path, covariate=GROUPS, lines=strange))


def test_what_changes_predictions_changes_the_fingerprint(tmp_path):
    model = nlmevae.read_model(project(tmp_path))
    more = DoseInput(number=2, compartment=1, lag="Cl")
    inputs = replace(model, structural=replace(model.structural, inputs=(more,)))
    scales = (Transform(kind="identity"), *(Transform(kind="log"),) * 2)
    rows = replace(model, data=replace(model.data, monolix=replace(model.data.monolix, scales=scales)))
    assert len({m.fingerprint for m in (model, inputs, rows)}) == 3


@pytest.mark.parametrize(("name", "warned"), [("oral1_1cpt_kaVCl.txt", False), (DOUBLE, True)])
def test_a_library_model_that_was_not_compared_with_monolix_says_so(tmp_path, name, warned):
    _, note = model_source(f"lib:{name}", tmp_path / "project.mlxtran", None)
    assert (note is not None and note.severity == "warning") is warned
