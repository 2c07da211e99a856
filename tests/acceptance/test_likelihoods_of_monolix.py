"""At Monolix's estimates our importance sampling gives Monolix's likelihood: two programs, one integral."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from tests.helpers.cases import FIXTURES, stage
from tests.helpers.reference import reference

import nlmevae

#: Monte-Carlo standard errors of Monolix's and our value together
NOISE = 3.0


def monolix(folder: str) -> tuple[dict[str, float], float, float]:
    """Population parameters by name, -2LL by importance sampling and its standard error.

    Monolix states the standard error of the log-likelihood, half of that of -2LL: of phenobarbital the differences of
    its 59 subjects to quadrature have a root of the sum of squares of 0.124, and it states 0.070.
    """
    with reference(f"{folder}/populationParameters.txt").open(encoding="utf-8-sig") as stream:
        parameters = {row["parameter"]: float(row["value"]) for row in csv.DictReader(stream)}
    with reference(f"{folder}/LogLikelihood/logLikelihood.txt").open(encoding="utf-8-sig") as stream:
        values = {row["criteria"]: float(row["importanceSampling"]) for row in csv.DictReader(stream)}
    return parameters, values["OFV"], 2.0 * values["standardError"]


def as_nonmem(parameters: dict[str, float], thetas: list[str], omegas: list[str]) -> dict[str, float]:
    """THETAs in this order; Monolix states standard deviations of random effects, NONMEM variances."""
    values = {f"THETA({k})": parameters[name] for k, name in enumerate(thetas, 1)}
    return values | {f"OMEGA({k},{k})": parameters[name] ** 2 for k, name in enumerate(omegas, 1)}


def agree(stream, values, theirs, error):
    found = nlmevae.likelihoods(stream, params=values, methods="is").value("is")
    assert abs(found.minus_two_ll - theirs) < NOISE * np.hypot(found.mc_se, error)


def test_warfarin_without_covariates(tmp_path):
    parameters, theirs, error = monolix("warfarin/w1")
    stream, _ = stage("warfarin", tmp_path)
    thetas = ["Tlag_pop", "ka_pop", "V_pop", "Cl_pop", "a", "b"]
    values = as_nonmem(parameters, thetas, ["omega_Tlag", "omega_ka", "omega_V", "omega_Cl"])
    agree(stream, values, theirs, error)


def test_warfarin_with_sex(tmp_path):
    """Reference category of Monolix's tSex is M, SEX 1."""
    parameters, theirs, error = monolix("warfarin/w3")
    stream, _ = stage("warfarin", tmp_path)
    text = stream.read_text()
    text = text.replace("V  = THETA(3)*EXP(ETA(3))", "V  = THETA(3)*EXP(THETA(7)*(1-SEX) + ETA(3))")
    text = text.replace("CL = THETA(4)*EXP(ETA(4))", "CL = THETA(4)*EXP(THETA(8)*(1-SEX) + ETA(4))")
    stream.write_text(text.replace("$OMEGA", "  -0.1 ; SEX_V\n  -0.1 ; SEX_CL\n$OMEGA", 1))
    thetas = ["Tlag_pop", "ka_pop", "V_pop", "Cl_pop", "a", "b", "beta_V_tSex_F", "beta_Cl_tSex_F"]
    values = as_nonmem(parameters, thetas, ["omega_Tlag", "omega_ka", "omega_V", "omega_Cl"])
    agree(stream, values, theirs, error)


PHENOBARBITAL = """$PROBLEM Phenobarbital, groups of the Apgar score on V
$INPUT ID TIME AMT WT APGR DV
$DATA phenobarbital.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS1
$PK
  HIGH = 0
  IF (APGR.GE.8) HIGH = 1
  LOW = 0
  IF (APGR.LE.3) LOW = 1
  V = THETA(1)*EXP(THETA(3)*HIGH + THETA(4)*LOW + ETA(1))
  K = THETA(2)*EXP(ETA(2))
  S1 = V
$ERROR
  Y = F + F*EPS(1)
$THETA (0, 1) (0, 0.005) 0.1 0.1
$OMEGA 0.1 0.1
$SIGMA 0.01
$ESTIMATION METHOD=1 INTERACTION
"""


def test_phenobarbital_with_groups_of_the_apgar_score(tmp_path):
    """Monolix groups the score as 1-3 (low), 4-7 and 8-10 (high)."""
    parameters, theirs, error = monolix("phenobarbital/monolix")
    data = reference("phenobarbital/phenobarbital_data.csv").read_text(encoding="utf-8-sig")
    (tmp_path / "phenobarbital.csv").write_text(data.replace(";", ","))
    (tmp_path / "run.ctl").write_text(PHENOBARBITAL)
    thetas = ["V_pop", "k_pop", "beta_V_tAPGAR_High", "beta_V_tAPGAR_Low"]
    values = as_nonmem(parameters, thetas, ["omega_V", "omega_k"]) | {"SIGMA(1,1)": parameters["b"] ** 2}
    agree(tmp_path / "run.ctl", values, theirs, error)


def test_a_parent_with_its_metabolite(tmp_path):
    """Two endpoints, seven random effects, censored records. The control stream labels THETAs as Monolix does
    (ka_pop, a1_Cp, ...) and OMEGAs by the parameter's omega (omega_ka)."""
    stream = FIXTURES / "parent_metabolite" / "run1.ctl"
    if not stream.exists():
        pytest.skip("no control stream of the parent-metabolite model in fixtures/")
    parameters, theirs, error = monolix("parent_metabolite/monolix")
    shutil.copy(stream, tmp_path)
    shutil.copy(reference("parent_metabolite/parent_metabolite_data.csv"), tmp_path)
    values = {name: value**2 if name.startswith("omega_") else value for name, value in parameters.items()}
    agree(tmp_path / stream.name, values, theirs, error)
