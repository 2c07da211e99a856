"""Results folders of Monolix in the reference data, and the same models as NONMEM control streams at its estimates."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.helpers.reference import reference

#: Name -> (folder, individual parameters).
FOLDERS = {
    "w1": ("warfarin/w1", ("Tlag", "ka", "V", "Cl")),
    "w2": ("warfarin/w2", ("Tlag", "ka", "V", "Cl")),
    "w3": ("warfarin/w3", ("Tlag", "ka", "V", "Cl")),
    "phenobarbital": ("phenobarbital/monolix", ("V", "k")),
    "parent_metabolite": ("parent_metabolite/monolix", ("ka", "V", "k", "k12", "k21", "km", "Kpm")),
    "theophylline": ("theophylline_monolix/monolix", ("ka", "V", "Cl")),
}

WARFARIN = """$PROBLEM warfarin at the estimates of Monolix
$INPUT ID TIME AMT DV DVID WT SEX AGE
$DATA warfarin.csv IGNORE=@ IGNORE=(DVID.EQ.2)
$SUBROUTINES ADVAN2 TRANS2
$PK
LW = LOG(WT/70)
F1X = 1 - SEX
TLAG = THETA(1)*EXP(ETA(1))
KA = THETA(2)*EXP(ETA(2))
V = THETA(3)*EXP({effect_v}ETA(3))
CL = THETA(4)*EXP({effect_cl}ETA(4))
ALAG1 = TLAG
S2 = V
$ERROR
W = THETA(7) + THETA(8)*F
Y = F + W*EPS(1)
$THETA
{thetas}
$OMEGA
{omegas}
$SIGMA 1 FIX
$ESTIMATION METHOD=1 INTERACTION MAXEVAL=0
"""

PHENOBARBITAL = """$PROBLEM phenobarbital at the estimates of Monolix
$INPUT ID TIME AMT WGT APGR DV
$DATA phenobarbital.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS1
$PK
EFFECT = 0
IF (APGR.GE.8) EFFECT = THETA(2)
IF (APGR.LE.3) EFFECT = THETA(3)
V = THETA(1)*EXP(EFFECT + ETA(1))
K = THETA(4)*EXP(ETA(2))
S1 = V
$ERROR
Y = F + THETA(5)*F*EPS(1)
$THETA
{thetas}
$OMEGA
{omegas}
$SIGMA 1 FIX
$ESTIMATION METHOD=1 INTERACTION MAXEVAL=0
"""

THEOPHYLLINE = """$PROBLEM theophylline at the estimates of Monolix
$INPUT ID AMT TIME DV WT SEX
$DATA theophylline.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
KA = THETA(1)*EXP(ETA(1))
V = THETA(2)*EXP(ETA(2))
CL = THETA(3)*EXP(ETA(3))
S2 = V
$ERROR
Y = F + (THETA(4) + THETA(5)*F)*EPS(1)
$THETA
{thetas}
$OMEGA
{omegas}
$SIGMA 1 FIX
$ESTIMATION METHOD=1 INTERACTION MAXEVAL=0
"""


def folder(name: str) -> Path:
    return reference(FOLDERS[name][0])


def population(name: str) -> dict[str, float]:
    """By the names of the file."""
    with (folder(name) / "populationParameters.txt").open() as stream:
        return {row["parameter"]: float(row["value"]) for row in csv.DictReader(stream)}


def stage_warfarin(name: str, target: Path) -> Path:
    """Model w2 (log weight on V and Cl) or w3 (sex) beside its data; the control stream, with Monolix's labels."""
    values = population(name)
    column, covariate = {"w2": ("LW", "lw70"), "w3": ("F1X", "tSex_F")}[name]
    names = ["Tlag_pop", "ka_pop", "V_pop", "Cl_pop", f"beta_V_{covariate}", f"beta_Cl_{covariate}", "a", "b"]
    thetas = [f"{values[n]!r} ; {n}" if "beta" in n else f"(0, {values[n]!r}) ; {n}" for n in names]
    text = WARFARIN.format(
        effect_v=f"THETA(5)*{column} + ",
        effect_cl=f"THETA(6)*{column} + ",
        thetas="\n".join(thetas),
        omegas="\n".join(f"{values[f'omega_{p}'] ** 2!r} ; omega_{p}" for p in FOLDERS[name][1]),
    )
    (target / "warfarin.csv").write_bytes(reference("warfarin/warfarin_data.csv").read_bytes())
    (target / f"{name}.ctl").write_text(text)
    return target / f"{name}.ctl"


def stage_phenobarbital(target: Path) -> Path:
    """Apgar scores in three groups, as the project has them."""
    values = population("phenobarbital")
    names = ["V_pop", "beta_V_tAPGAR_High", "beta_V_tAPGAR_Low", "k_pop", "b"]
    thetas = [f"{values[n]!r} ; {n}" if "beta" in n else f"(0, {values[n]!r}) ; {n}" for n in names]
    omegas = [f"{values[f'omega_{p}'] ** 2!r} ; omega_{p}" for p in ("V", "k")]
    data = reference("phenobarbital/phenobarbital_data.csv").read_text()
    (target / "phenobarbital.csv").write_text(data.replace(";", ","))
    text = PHENOBARBITAL.format(thetas="\n".join(thetas), omegas="\n".join(omegas))
    (target / "phenobarbital.ctl").write_text(text)
    return target / "phenobarbital.ctl"


def stage_theophylline(target: Path) -> Path:
    """The folder of Monolix 5.1.1, which has charts; sex is 0 and 1."""
    values = population("theophylline")
    thetas = [f"(0, {values[n]!r}) ; {n}" for n in ("ka_pop", "V_pop", "Cl_pop", "a", "b")]
    omegas = [f"{values[f'omega_{p}'] ** 2!r} ; omega_{p}" for p in ("ka", "V", "Cl")]
    lines = reference("theophylline_monolix/theophylline_data.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    data = [[*row[:-1], str(int(row[-1].strip() == "M"))] for row in rows[1:]]
    (target / "theophylline.csv").write_text("\n".join(",".join(row) for row in [rows[0], *data]) + "\n")
    text = THEOPHYLLINE.format(thetas="\n".join(thetas), omegas="\n".join(omegas))
    (target / "theophylline.ctl").write_text(text)
    return target / "theophylline.ctl"
