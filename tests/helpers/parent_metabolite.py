"""Parent and metabolite of the reference data as a NONMEM control stream with Monolix's estimates."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.helpers.reference import reference

NAMES = ("ka", "V", "k", "k12", "k21", "km", "Kpm")

STREAM = """$PROBLEM parent and metabolite, censored below 0.1
$INPUT ID TIME AMT DV DVID CENS LIMIT MDV
$DATA {data} IGNORE=@
$SUBROUTINES ADVAN13 TOL=9
$MODEL COMP=(DEPOT) COMP=(PARENT) COMP=(PERIPH) COMP=(METAB)
$PK
KA = THETA(1)*EXP(ETA(1))
V = THETA(2)*EXP(ETA(2))
K = THETA(3)*EXP(ETA(3))
K12 = THETA(4)*EXP(ETA(4))
K21 = THETA(5)*EXP(ETA(5))
KM = THETA(6)*EXP(ETA(6))
KPM = THETA(7)*EXP(ETA(7))
$DES
DADT(1) = -KA*A(1)
DADT(2) = KA*A(1) - (K + K12 + KPM)*A(2) + K21*A(3)
DADT(3) = K12*A(2) - K21*A(3)
DADT(4) = KPM*A(2) - KM*A(4)
$ERROR
{error}
$THETA {thetas}
$OMEGA {omegas}
$SIGMA 1 FIX
"""

PLAIN = """IF (DVID.EQ.1) THEN
  IPRED = A(2)/V
  W = THETA(8) + THETA(9)*IPRED
ELSE
  IPRED = A(4)/V
  W = THETA(10) + THETA(11)*IPRED
ENDIF
Y = IPRED + W*EPS(1)"""

#: The same likelihood in NONMEM's own words; C is the column CENS by another name.
AS_INTERVAL = PLAIN.replace(
    "Y = IPRED + W*EPS(1)",
    """IF (C.EQ.1) THEN
  F_FLAG = 1
  Y = PHI((DV - IPRED)/W) - PHI((LIMIT - IPRED)/W)
ELSE
  F_FLAG = 0
  Y = IPRED + W*EPS(1)
ENDIF""",
)


def estimates() -> dict[str, float]:
    path = reference("parent_metabolite") / "monolix" / "populationParameters.txt"
    with path.open() as file:
        return {row["parameter"]: float(row["value"]) for row in csv.DictReader(file)}


def write_stream(folder: Path, *, as_interval: bool = False) -> Path:
    """The control stream and its data, records in time order, at Monolix's estimates."""
    values = estimates()
    thetas = [values[f"{name}_pop"] for name in NAMES]
    thetas += [values[name] for name in ("a1_Cp", "b1_Cp", "a2_Cm", "b2_Cm")]
    text = STREAM.format(
        data="data.csv",
        error=AS_INTERVAL if as_interval else PLAIN,
        thetas=" ".join(f"(0,{value:.15g})" for value in thetas),
        omegas=" ".join(f"{values[f'omega_{name}'] ** 2:.15g}" for name in NAMES),
    )
    if as_interval:
        text = text.replace(" CENS ", " C ")
    _write_data(folder / "data.csv")
    path = folder / "run.ctl"
    path.write_text(text)
    return path


def _write_data(path: Path) -> None:
    with (reference("parent_metabolite") / "parent_metabolite_data.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda r: (int(r["ID"]), float(r["TIME"]), r["AMOUNT"] == "."))
    lines = ["ID,TIME,AMT,DV,DVID,CENS,LIMIT,MDV"]
    for r in rows:
        dose = r["AMOUNT"] != "."
        dvid = "0" if dose else r["OBSID"][0]
        lines.append(f"{r['ID']},{r['TIME']},{r['AMOUNT']},{r['OBS']},{dvid},{r['CENS']},{r['LIMIT']},{int(dose)}")
    path.write_text("\n".join(lines) + "\n")
