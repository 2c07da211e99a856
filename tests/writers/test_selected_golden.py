"""The selected models of theophylline and phenobarbital: golden diffs of the lines that must differ; what Pharmpy reads
in them; and that they are the models that were fitted."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from pathlib import Path

import pytest

from nlmevae.frontends.nonmem.read import parse_control_stream, read_control_stream
from nlmevae.ir import Model
from nlmevae.pipeline import read_model
from nlmevae.writers.project_estimates import project_at
from nlmevae.writers.selected_control_stream import SelectedText, selected_control_stream
from nlmevae.writers.selected_project import selected_project
from nlmevae.writers.stream_estimates import stream_at
from tests.helpers.pharmpy_wheel import wheel_file
from tests.writers.test_selected_control_stream import categorical, exponential, power

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOLDEN = FIXTURES / "selected"
NAMES = ("theophylline", "pheno", "monolix_project")


def input_path(name: str) -> Path:
    if name == "pheno":
        return wheel_file("pheno.mod")
    return FIXTURES / {"theophylline": "theophylline/run_base.ctl"}.get(name, f"{name}/theophylline.mlxtran")


def selected(name: str) -> tuple[Model, SelectedText]:
    model = read_model(input_path(name))
    match name:
        case "theophylline":
            effects = [power("KA", "WT", 69.58333), power("V", "WT", 69.58333), categorical("K", "SEX", 1.0)]
        case "pheno":
            effects = [exponential("CL", "APGR", 6.423729, beta=-0.0353), power("VC", "APGR", 6.4, missing=-99.0)]
        case _:
            sex = categorical("ka", "SEX", 0.0)
            return model, selected_project(model, [power("Cl", "WT", 70.0), sex], name="selected.mlxtran")
    return model, selected_control_stream(model, effects)


def estimates(model: Model) -> Model:
    """Moved values, as a fit may end at."""
    thetas = tuple(t if t.fixed else dataclasses.replace(t, init=t.init * 1.0731) for t in model.thetas)
    blocks = [
        tuple(dataclasses.replace(b, matrix=tuple(tuple(v * 0.8765432 for v in row) for row in b.matrix)) for b in part)
        for part in (model.omega, model.sigma)
    ]
    return dataclasses.replace(model, thetas=thetas, omega=blocks[0], sigma=blocks[1])


def diff(old: str, new: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "input", "selected", n=0, lineterm="")
    return "\n".join((*lines, ""))


def at_estimates(name: str, written: SelectedText) -> str:
    target = estimates(written.model)
    if name == "monolix_project":
        return project_at(written.text, written.model.source.path, target)
    return stream_at(written.text, written.model.source.path, target)[0]


def golden(name: str) -> dict[str, str]:
    model, written = selected(name)
    text = model.source.text if name != "monolix_project" else input_path(name).read_text(encoding="utf-8")
    return {
        f"{name}.diff": diff(text, written.text),
        f"{name}_estimates.diff": diff(text, at_estimates(name, written)),
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_selected_model_differs_only_in_the_lines_that_must_differ(name):
    for file, text in golden(name).items():
        assert text == (GOLDEN / file).read_text(encoding="utf-8"), file


@pytest.mark.parametrize("name", ["theophylline", "pheno"])
def test_pharmpy_reads_the_selected_model(name, tmp_path):
    modeling = pytest.importorskip("pharmpy.modeling")
    model, written = selected(name)
    path = tmp_path / "selected.mod"
    text = at_estimates(name, written).replace("pheno.dta", str(wheel_file("pheno.dta")))
    path.write_text(text.replace(" theophylline.csv", f" {FIXTURES}/theophylline/theophylline.csv"))
    foreign = modeling.read_model(path)
    ours = parse_control_stream(path.read_text(), str(path))
    starts = [t.init for t in ours.thetas]
    starts += [b.matrix[i][i] for b in (*ours.omega, *ours.sigma) for i in range(len(b.names))]
    assert list(foreign.parameters.inits.values()) == pytest.approx(starts)
    new = {"theophylline": ["KA_WT", "V_WT", "K_SEX_1"], "pheno": ["CL_APGR", "VC_APGR"]}[name]
    assert list(foreign.parameters.names)[len(model.thetas) : len(ours.thetas)] == new
    effects = {
        (p, w) for p in [q.name for q in model.individual_parameters] for w in ("WT", "SEX", "APGR", "WGT")
        if w in foreign.datainfo.names and modeling.has_covariate_effect(foreign, p, w)
    }  # fmt: skip
    wanted = {"theophylline": {("KA", "WT"), ("V", "WT"), ("K", "SEX")}}
    wanted["pheno"] = {("CL", "APGR"), ("VC", "APGR"), ("CL", "WGT"), ("VC", "WGT")}
    assert effects == wanted[name]
    assert set(modeling.get_individual_parameters(foreign, level="iiv")) >= {
        q.name for q in model.individual_parameters
    }
    for q in model.individual_parameters:
        assert modeling.has_random_effect(foreign, q.name, level="iiv")
    before = modeling.read_model(input_path(name))
    assert foreign.random_variables.etas.names == before.random_variables.etas.names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("theophylline", {"effects": "KA~WT,V~WT", "force": "V~WT"}),
        ("pheno", {"effects": "CL~APGR:exponential,VC~WGT", "force": "CL~APGR:exponential"}),
    ],
)
@pytest.mark.parametrize("final_estimates", [False, True])
def test_the_written_model_refits_to_the_same_likelihood(name, options, final_estimates, tmp_path):
    """0.2: the sum of both fits' Monte-Carlo errors and of where their polishes stop."""
    import nlmevae

    path = input_path(name)
    result = nlmevae.select(path, **options, seed=1, resamples=0, out=tmp_path, final_estimates=final_estimates)
    file = next(p for p in tmp_path.iterdir() if p.suffix in (".ctl", ".mod"))
    again = nlmevae.fit(file, seed=2)
    assert again.minus_two_ll == pytest.approx(result.fit.minus_two_ll, abs=0.2)
    starts = [t.init for t in read_control_stream(file).thetas]
    ended = [e.value for e in result.fit.estimates][: len(starts)]
    if final_estimates:
        assert starts == pytest.approx(ended, rel=1e-5)
    else:
        assert starts[0] != pytest.approx(ended[0], rel=1e-5)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        for each in NAMES:
            for file_name, content in golden(each).items():
                (GOLDEN / file_name).write_text(content, encoding="utf-8")
