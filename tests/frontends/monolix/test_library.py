"""Library models by their names: the same predictions as the NONMEM control streams of the same models, and as
equations by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.monolix.structural.library import model_text, model_warning
from nlmevae.frontends.monolix.structural.structure import structure
from nlmevae.frontends.nonmem.read import read_control_stream
from tests.helpers.mlxtran_text import decoder_of, library_structure_text, predictions

TIMES = (0.5, 1.0, 2.0, 4.0, 7.0, 13.0, 18.0, 24.0, 40.0)
BOLUS = ((0.0, 100.0, 0.0, 1), (12.0, 60.0, 0.0, 1))
INFUSION = ((0.0, 100.0, 25.0, 1), (12.0, 60.0, 20.0, 1))
VALUES = {
    "Tlag": 0.4, "Tk0": 2.2, "ka": 1.1, "V": 8.0, "V1": 8.0, "V2": 21.0, "V3": 60.0, "Cl": 1.3, "Q": 2.1, "Q2": 2.1,
    "Q3": 0.7, "k": 0.17, "k12": 0.3, "k21": 0.15, "k13": 0.06, "k31": 0.02, "Vm": 7.0, "Km": 2.5, "km": 0.11,
    "Kpm": 0.21,
}  # fmt: skip
STREAM = """$PROBLEM twin
$INPUT ID TIME AMT RATE CMT EVID DV
$DATA data.csv IGNORE=@
$SUBROUTINES {advan}
{more}$PK
{pk}
$ERROR
Y = F + EPS(1)
$THETA {thetas}
$OMEGA 0.1
$SIGMA 1
"""
#: library name -> subroutines, $PK after the parameters, further records, doses
TWINS = {
    "bolus_1cpt_VCl": ("ADVAN1 TRANS2", "CL = Cl\nS1 = V", "", BOLUS),
    "bolus_1cpt_TlagVk": ("ADVAN1", "K = k\nS1 = V\nALAG1 = Tlag", "", BOLUS),
    "infusion_2cpt_ClV1QV2": ("ADVAN3 TRANS4", "CL = Cl\nS1 = V1", "", INFUSION),
    "infusion_3cpt_Vkk12k21k13k31": (
        "ADVAN11", "K = k\nK12 = k12\nK21 = k21\nK13 = k13\nK31 = k31\nS1 = V", "", INFUSION),
    "oral0_1cpt_TlagTk0VCl": ("ADVAN1 TRANS2", "CL = Cl\nS1 = V\nALAG1 = Tlag\nD1 = Tk0", "", BOLUS),
    "oral1_1cpt_TlagkaVCl": ("ADVAN2 TRANS2", "CL = Cl\nKA = ka\nS2 = V\nALAG1 = Tlag", "", BOLUS),
    "oral1_1cpt_kaVk": ("ADVAN2", "K = k\nKA = ka\nS2 = V", "", BOLUS),
    "oral1_2cpt_kaVkk12k21": ("ADVAN4", "K = k\nKA = ka\nK23 = k12\nK32 = k21\nS2 = V", "", BOLUS),
    "oral1_2cpt_kaClV1QV2": ("ADVAN4 TRANS1", "K = Cl/V1\nKA = ka\nK23 = Q/V1\nK32 = Q/V2\nS2 = V1", "", BOLUS),
    "oral1_3cpt_kaClV1Q2V2Q3V3": (
        "ADVAN12", "K = Cl/V1\nKA = ka\nK23 = Q2/V1\nK32 = Q2/V2\nK24 = Q3/V1\nK42 = Q3/V3\nS2 = V1", "", BOLUS),
    "bolus_1cpt_VVmKm": ("ADVAN10", "VM = Vm\nKM = Km*V\nS1 = V", "", BOLUS),
    "oral1_noFPE_2cptP1cptM_uni_kaVkk12k21kmKpm": (
        "ADVAN5", "K12 = ka\nK20 = k\nK23 = k12\nK32 = k21\nK24 = Kpm\nK40 = km\nS4 = V",
        "$MODEL COMP=(GUT) COMP=(CENTRAL DEFOBS) COMP=(PER) COMP=(MET)\n", BOLUS),
}  # fmt: skip


def twin(folder, name, found, values):
    """Predictions of the control stream for the data that `decoder_of` has written."""
    advan, pk, more, _ = TWINS[name]
    # NM-TRAN knows no case: parameters get names of their own
    own = {key: f"P{k}X" for k, key in enumerate(values, 1)}
    lines = [f"{own[key]} = THETA({k})" + ("*EXP(ETA(1))" if k == 1 else "") for k, key in enumerate(values, 1)]
    for line in pk.splitlines():
        target, formula = line.split(" = ")
        formula = " ".join(own.get(part, part) for part in formula.replace("*", " * ").replace("/", " / ").split())
        lines.append(f"{target} = {formula}")
    if "TRANS2" in advan:
        lines.append(f"V = {own['V']}")
    if "TRANS4" in advan:
        lines += [f"{key} = {own[key]}" for key in ("V1", "Q", "V2")]
    text = STREAM.format(
        advan=advan, more=more, pk="\n".join(lines), thetas=" ".join(f"({v:.17g} FIX)" for v in values.values())
    )
    (folder / "run.ctl").write_text(text)
    model = read_control_stream(folder / "run.ctl")
    table = event_table(model, read_dataset(model))
    decoder = make_decoder(latent_form(model, table), table)
    start = np.log([[next(iter(values.values()))]])  # the first is log-normal
    return decoder.predict(start).prediction.ravel(), model


@pytest.mark.parametrize("name", TWINS)
def test_a_library_model_predicts_what_its_nonmem_twin_does(tmp_path, name):
    found = structure(library_structure_text(model_text(name)))
    text = library_structure_text(model_text(name))
    values = {key: VALUES[key] for key in text.inputs}
    output = text.outputs[-1]
    observed = 4 if "PE_" in name else None
    decoder = decoder_of(tmp_path, found, values, TWINS[name][3], TIMES, output=output, observed=observed)
    own = predictions(decoder, len(values))
    other, model = twin(tmp_path, name, found, values)
    np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)
    assert found.structural.closed_form == model.structural.closed_form
    assert sorted(found.structural.flows) == sorted(model.structural.flows)
    assert found.structural.default_observation == model.structural.default_observation


@pytest.mark.parametrize(
    "name",
    [
        "LIB:ORAL1_1CPT_KAVCL.TXT",
        "oral1_1cpt_kaVCl",
        "/opt/library/pk/oral1_1cpt_kaVCl.txt",
        "lib:oral1_1cpt_kavcl.txt",
    ],
)
def test_a_name_is_found_in_any_case_with_or_without_folder(name):
    assert model_text(name) == model_text("lib:oral1_1cpt_kaVCl.txt")
    assert "Cc = pkmodel(ka, V, Cl)" in model_text(name)


@pytest.mark.parametrize(
    "name",
    [
        "lib:oral1_1cpt_alphaV.txt", "bolus_1cpt_kaVCl", "oral0_1cpt_kaVCl", "oral1_2cpt_kaVCl", "oral1_1cpt_kaVClCl",
        "oral1_1cpt_VCl", "oral1_4cpt_kaVCl", "oral1_1cpt_kaVClx", "oral1_1cpt_DirectEmaxWithBaseline_kaVkE0EmaxEC50",
        "exponential_model_singleEvent", "oral1_1cpt_MM_kaVVmKmCl_outputL",
        "oral1_bolus_1cpt_full_kaVkintkonKDksynR0Cl_outputL", "", "txt", ".txt", "lib:",
        "oral1_oral1_1cpt_ka1ka2F1diffTlag2VCl", "oral1_oral1_seqDelay_1cpt_ka1ka2F1Tlag2VCl",
        "oral1_oral0_1cpt_ka1ka2F1VCl", "oral0_oral1_seqDelay_1cpt_Tk01ka2F1Tlag1diffTlag2VCl",
        "oral1_oral1_seqDelay_1cpt_ka1ka2F1diffTlag2VCl",
    ],
)  # fmt: skip
def test_a_name_whose_text_is_not_certain_has_none(name):
    assert model_text(name) is None
    assert model_warning(name) is None


def test_every_name_of_the_plain_library_gives_a_structure():
    routes = {"bolus": ["", "Tlag"], "infusion": ["", "Tlag"], "oral0": ["Tk0", "TlagTk0"], "oral1": ["ka", "Tlagka",
              "MttKtrka"]}  # fmt: skip
    ends = {
        1: ["VCl", "Vk", "VVmKm"], 2: ["ClV1QV2", "Vkk12k21", "V1QV2VmKm", "Vk12k21VmKm"],
        3: ["ClV1Q2V2Q3V3", "Vkk12k21k13k31", "V1Q2V2Q3V3VmKm", "Vk12k21k13k31VmKm"],
    }  # fmt: skip
    names = [f"{r}_{n}cpt_{a}{e}" for r, starts in routes.items() for a in starts for n in ends for e in ends[n]]
    assert len(names) == 99
    for name in names:
        found = structure(library_structure_text(model_text(name)))
        ode = "VmKm" in name or "Mtt" in name
        assert (found.structural.closed_form is None) == ode, name
        assert len(found.inputs) + len(found.transit) == 1
        assert model_warning(name) is None


def slopes_of_full_binding(t, y, v):
    gut, ligand, receptor, complexed = y
    koff, kdeg = v["KD"] * v["kon"], v["ksyn"] / v["R0"]
    binding = v["kon"] * ligand * receptor - koff * complexed
    return [
        -v["ka"] * gut, v["ka"] * gut - v["Cl"] / v["V"] * ligand - binding,
        v["ksyn"] - kdeg * receptor - binding, binding - v["kint"] * complexed,
    ]  # fmt: skip


def test_full_target_mediated_disposition_by_hand(tmp_path):
    name = "oral1_1cpt_full_kaVkintkonKDksynR0Cl_outputLtot"
    values = {"ka": 0.8, "V": 3.0, "kint": 0.04, "kon": 0.3, "KD": 0.5, "ksyn": 1.0, "R0": 10.0, "Cl": 0.2}
    text = library_structure_text(model_text(name))
    assert text.stiff
    decoder = decoder_of(
        tmp_path, structure(text), values, BOLUS[:1], TIMES, output="Ltot", backend="compiled", rtol=1e-10, atol=1e-10
    )
    run = solve_ivp(
        slopes_of_full_binding, (0.0, TIMES[-1]), [100.0 / 3.0, 0.0, 10.0, 0.0], args=(values,), t_eval=TIMES,
        method="LSODA", rtol=1e-11, atol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(predictions(decoder, 8), run.y[1] + run.y[3], rtol=1e-7)
    assert "published equations" in model_warning(name)


def test_fast_binding_of_the_full_model_is_the_quasi_equilibrium(tmp_path):
    """QE is the limit of kon to infinity; and Wagner that of a receptor whose total does not change."""
    values = {"ka": 0.8, "V": 3.0, "kint": 0.04, "KD": 0.5, "ksyn": 1.0, "R0": 10.0, "Cl": 0.2}
    found = []
    for name, more in (
        ("oral1_1cpt_QE_kaVkintKDksynR0Cl_outputL", {}),
        ("oral1_1cpt_full_kaVkintkonKDksynR0Cl_outputL", {"kon": 2e5}),
    ):
        text = library_structure_text(model_text(name))
        decoder = decoder_of(tmp_path, structure(text), values | more, BOLUS, TIMES, output="L", rtol=1e-9)
        found.append(predictions(decoder, len(values | more)))
    np.testing.assert_allclose(found[0], found[1], rtol=2e-4)


def test_a_second_absorption_in_sequence_starts_after_the_delay_of_the_first():
    text = model_text("oral1_oral1_seqDelay_1cpt_ka1ka2F1Mtt1Ktr1diffTlag2VCl")
    assert "Tlag2 = Mtt1 + diffTlag2" in text
    found = structure(library_structure_text(text))
    (direct,), (slow,) = found.inputs, found.transit
    assert (direct.lag, direct.adm, slow.adm) == ("Tlag2", 1, 1)
