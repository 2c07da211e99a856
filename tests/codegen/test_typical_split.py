"""Individual parameters that change within a subject: z = mu + ETA plus the rest gives what the code itself says."""

import numpy as np
import pytest
from tests.helpers.code_models import make_model
from tests.helpers.forms import make_table

from nlmevae.codegen.graph import Graph
from nlmevae.codegen.latent_form import latent_form
from nlmevae.codegen.print_numpy import link_numpy
from nlmevae.codegen.typical_split import Surroundings, split_typical
from nlmevae.data.events import EventTable
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import PopulationParameter
from nlmevae.ir.evaluate import run

V = "V=THETA(2)*EXP(ETA(2))\n"
#: code, then (names of the latents, structural THETAs)
CASES = {
    "occasions": (
        "IF (OCC.EQ.1) IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nCL=THETA(1)*EXP(ETA(1)+IOV)\n" + V,
        (["CL", "V", "ETA(3)", "ETA(4)"], ()),
    ),
    "occasions and a constant covariate": (
        "IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nCL=THETA(1)*(WT/70)**THETA(3)*EXP(ETA(1)+IOV)\n" + V,
        (["CL", "V", "ETA(3)", "ETA(4)"], ()),
    ),
    "occasions on a logit scale": (
        "IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nX=THETA(3)+ETA(1)+IOV\nCL=5/(1+EXP(-X))\nQ=THETA(1)\n" + V,
        (["CL", "V", "ETA(3)", "ETA(4)"], ("THETA(1)",)),
    ),
    "a covariate that changes": (
        "CL=THETA(1)*(CRCL/90)**THETA(3)*EXP(ETA(1))\n" + V,
        (["CL", "V"], ("THETA(3)",)),
    ),
    "a covariate that changes, with a known exponent": (
        "CL=THETA(1)*(CRCL/90)**0.7*EXP(ETA(1))\nQ=THETA(3)\n" + V,
        (["CL", "V"], ("THETA(3)",)),
    ),
    "a THETA that cannot be told from the covariate": (
        "CL=(THETA(1)+THETA(3)*CRCL)*EXP(ETA(1))\n" + V,
        (["ETA(1)", "V"], ("THETA(1)", "THETA(3)")),
    ),
    "a typical value for each occasion": (
        "IF (OCC.EQ.1) CL=THETA(1)*EXP(ETA(1))\nIF (OCC.EQ.2) CL=THETA(3)*EXP(ETA(1))\n" + V,
        (["ETA(1)", "V"], ("THETA(1)", "THETA(3)")),
    ),
    "a factor for the second occasion": (
        "TV=THETA(1)\nIF (OCC.EQ.2) TV=THETA(1)*THETA(3)\nCL=TV*EXP(ETA(1))\n" + V,
        (["CL", "V"], ("THETA(3)",)),
    ),
    "normal with occasions": (
        "CL=THETA(1)+ETA(1)+(2-OCC)*ETA(3)+(OCC-1)*ETA(4)\n" + V,
        (["CL", "V", "ETA(3)", "ETA(4)"], ()),
    ),
    "a shared effect": (
        "CL=THETA(1)*EXP(ETA(1)+ETA(3))\nV=THETA(2)*EXP(ETA(2)+ETA(3)*THETA(3))\n",
        (["CL", "V", "ETA(3)"], ("THETA(3)",)),
    ),
    "computed from a random parameter": (
        "CL=THETA(1)*EXP(ETA(1))\nV=CL*THETA(2)*EXP(ETA(2))\nQ=THETA(3)\n",
        (["CL", "V"], ("THETA(3)",)),
    ),
    "computed from one that changes": (
        "IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nCL=THETA(1)*EXP(ETA(1)+IOV)\nV=CL**0.5*THETA(2)*EXP(ETA(2))\n",
        (["CL", "V", "ETA(3)", "ETA(4)"], ()),
    ),
    "proportional": ("CL=THETA(1)*(1+ETA(1))\n" + V, (["ETA(1)", "V"], ("THETA(1)",))),
}
THETAS = ((0.0, 2.0), (0.0, 20.0), (0.0, 0.7))


def changing_table() -> EventTable:
    rows = [(1.0, (1.0, 80.0, 60.0)), (2.0, (2.0, 70.0, 60.0)), (3.0, (2.0, 40.0, 60.0))]
    other = [(1.0, (1.0, 95.0, 85.0)), (3.0, (2.0, 100.0, 85.0))]
    return make_table(
        [{"observations": [(0.5, 1), (1.5, 1), (2.5, 1)], "covariates": covariates} for covariates in (rows, other)],
        covariate_names=("OCC", "CRCL", "WT"),
    )


def model_of(code: str):
    n_etas = 4 if "ETA(4)" in code else 3 if "ETA(3)" in code.replace("THETA(3)", "") else 2
    thetas = THETAS if "THETA(3)" in code else THETAS[:2]
    pk = code + ("" if "Q=" in code else "Q=0\n") + "S=V"
    return recognise(
        make_model(
            pk=pk,
            des="DADT(1)=-(CL+Q)/V*A(1)",
            thetas=thetas,
            omega=(0.1,) * n_etas,
            scale="S",
            items="ID TIME AMT DV OCC CRCL WT",
        )
    )


@pytest.mark.parametrize(("code", "expected"), CASES.values(), ids=CASES.keys())
def test_z_gives_the_parameters_of_the_code_at_every_record(code, expected):
    model, table = model_of(code), changing_table()
    form = latent_form(model, table)
    assert ([latent.name for latent in form.latents], form.structural) == expected
    individual, mu = link_numpy(form.individual), link_numpy(form.mu)
    rng = np.random.default_rng(3)
    for _ in range(5):
        thetas = {t.name: t.init * rng.uniform(0.7, 1.4) for t in model.thetas}
        etas = dict(zip(model.etas, rng.normal(0, 0.3, len(model.etas)), strict=True))
        for i in range(table.n_subjects):
            covariates = [
                dict(zip(form.covariates, row, strict=True)) for row in table.cov[slice(*table.cov_ptr[i : i + 2])]
            ]
            mean = mu(*[(thetas | covariates[0])[name] for name in form.mu.inputs])[0][0]
            z = {f"Z({k + 1})": mean[k] + etas[latent.eta] for k, latent in enumerate(form.latents)}
            for items in covariates:
                said = run(model.program.pk, {**thetas, **etas, **items})
                found = individual(*[({**z, **thetas, **items})[name] for name in form.individual.inputs])[0][0]
                assert found == pytest.approx([said[name] for name in form.parameters], rel=1e-12)


def test_no_theta_is_both_in_the_mean_and_in_the_decoder():
    for code, _ in CASES.values():
        form = latent_form(model_of(code), changing_table())
        assert not set(form.mu.inputs) & set(form.structural)


def test_a_formula_may_change_with_any_record_item():
    code = "IOV=ETA(3)\nIF (OCC.EQ.2) IOV=ETA(4)\nCL=THETA(1)*EXP(-THETA(3)*TIME)*EXP(ETA(1)+IOV)\n" + V
    model = recognise(
        make_model(
            error=code + "Y=100/V*EXP(-CL/V*TIME)+EPS(1)", thetas=THETAS, omega=(0.1,) * 4, items="ID TIME DV OCC"
        )
    )
    table = make_table(
        [{"observations": [(0.5, 0, (0.5, 1.0)), (1.5, 0, (1.5, 1.0)), (2.5, 0, (2.5, 2.0))]}],
        record_names=("TIME", "OCC"),
    )
    form = latent_form(model, table)
    assert [latent.name for latent in form.latents] == ["CL", "V", "ETA(3)", "ETA(4)"]
    assert form.structural == ("THETA(3)",)
    thetas, etas = (
        {"THETA(1)": 1.7, "THETA(2)": 18.0, "THETA(3)": 0.6},
        dict(zip(model.etas, (0.1, -0.2, 0.3, -0.1), strict=True)),
    )
    mean = link_numpy(form.mu)(*[thetas[name] for name in form.mu.inputs])[0][0]
    z = {f"Z({k + 1})": mean[k] + etas[latent.eta] for k, latent in enumerate(form.latents)}
    values = link_numpy(form.individual)(*[(z | thetas)[name] for name in form.individual.inputs])[0][0]
    for row in table.ob_data:
        items = dict(zip(form.record_items, row, strict=True))
        said = run(model.program.error, {**thetas, **etas, **items, "EPS(1)": 0.0})["Y"]
        known = dict(zip(form.parameters, values, strict=True)) | items | {"T": 0.0}
        assert link_numpy(form.output)(*[known[name] for name in form.output.inputs])[0][0] == pytest.approx(
            said, rel=1e-12
        )


def test_a_small_interaction_keeps_a_theta_out_of_the_mean():
    """log THETA(1) + 1e-5 THETA(1) x: told from log THETA(1) + x."""
    graph = Graph()
    theta, x = graph.input("THETA(1)"), graph.input("X")
    known = Surroundings(
        held={}, moving={"X": np.array([1.0, 2.0])}, latents={},
        thetas={"THETA(1)": PopulationParameter(name="THETA(1)", label="", init=2.0)},
    )  # fmt: skip
    log = graph.apply("log", theta)
    assert split_typical(graph, graph.add(log, x), known) is not None
    assert split_typical(graph, graph.add(log, graph.mul(graph.constant(1e-5), graph.mul(theta, x))), known) is None
