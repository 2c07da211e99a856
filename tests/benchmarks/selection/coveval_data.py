"""Control streams for the public PMX-CovEval scenarios (oral data, 639 subjects, 15 covariates).

`scenarios.csv` of the reference folder holds structure, true values and true effects. Starting values are 1.5 or 1/1.5
times the truth. Random effects: absorption, elimination, volumes (all that vary in the truth); correlation of
elimination and central volume as in the truth (BLOCK(2)).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

CONTINUOUS = (
    "AGE", "WEIGHT", "HEIGHT", "FAT", "SCR", "ALT", "AST", "ALP", "ALBUMIN", "BR", "CLCR", "BMI",
)  # fmt: skip
CATEGORICAL = ("RACE", "SEX", "OBESE")

_HEADER = "AGE WEIGHT HEIGHT FAT SCR ALT AST ALP ALBUMIN BR RACE SEX CLCR BMI OBESE ID AMT TIME ADDL II EVID"


@dataclass(frozen=True)
class Scenario:
    """One line of `scenarios.csv`: `parameters` are those searched, `truth` the true effects on them."""

    name: str
    absorption: str
    elimination: str
    n_compartments: int
    values: dict[str, float]
    parameters: tuple[str, ...]
    truth: tuple[str, ...]

    @property
    def obstacle(self) -> str:
        """Why no control stream is written, "" if one is."""
        if self.absorption == "zo":
            return "zero-order absorption of estimated duration (RATE = -2 and D1) is beyond this version"
        return "" if self.n_compartments <= 2 else "three compartments are not in this set"


def scenarios(folder: Path) -> list[Scenario]:
    with (folder / "scenarios.csv").open(newline="", encoding="utf-8") as stream:
        return [_scenario(row) for row in csv.DictReader(stream)]


def _scenario(row: dict[str, str]) -> Scenario:
    values = {k[4:]: float(v) for k, v in row.items() if k.startswith("POP_") and v not in ("NA", "")}
    mm = row["elimination"] == "mm"
    elimination, volume = "VMAX" if mm else "CL", "V2"
    named = {"elim": elimination, "centrvol": volume, "abs": "KA"}
    truth = tuple(
        f"{parameter}~{covariate.strip().upper()}"
        for where, parameter in named.items()
        for covariate in row[f"covariates_{where}"].split(",")
        if covariate.strip() not in ("NA", "")
    )
    return Scenario(
        row["file_name"],
        row["absorption"],
        row["elimination"],
        int(row["n_comp"]),
        values,
        tuple(named.values()),
        truth,
    )


def control_stream(scenario: Scenario, data: Path) -> str:
    """Without covariates; KM is fixed at its true value: concentrations stay under a tenth of it, so that the data
    know VMAX/KM only."""
    two = scenario.n_compartments == 2
    v, up, down = scenario.values, 1.5, 1 / 1.5
    mm = scenario.elimination == "mm"
    thetas = [("KA", v["abs"] * up), ("VMAX" if mm else "CL", (v["VMAX"] if mm else v["elim"]) * up)]
    thetas += [("V2", v["centrvol"] * down)]
    thetas += [("V3", v["VP"] * down), ("Q", v["Q"] * up)] if two else []
    pk = [f"  {name} = THETA({i})*EXP(ETA({i}))" for i, (name, _) in enumerate(thetas[: 4 if two else 3], start=1)]
    pk += ["  Q = THETA(5)"] if two else []
    pk += [f"  KM = THETA({len(thetas) + 1})"] if mm else []
    lines = [f"  (0, {value:.4g}) ; {name}" for name, value in thetas]
    lines += [f"  {v['KM']:g} FIX ; KM"] if mm else []
    columns = f"{_HEADER} CMT=DROP STUD MDV DV"
    if not mm:
        subroutine = "ADVAN4 TRANS4" if two else "ADVAN2 TRANS2"
        pk += ["  S2 = V2"] if two else ["  V = V2", "  S2 = V2"]
        model = f"$SUBROUTINES {subroutine}\n$PK\n" + "\n".join(pk) + "\n$ERROR\n  Y = F + F*EPS(1)"
    else:
        model = "$SUBROUTINES ADVAN6 TOL=8\n" + _michaelis_menten(pk, two)
    peripheral = "$OMEGA\n  0.1 ; IIV_V3\n" if two else ""
    problem = f"$PROBLEM PMX-CovEval {scenario.name}\n$INPUT {columns}\n$DATA {data} IGNORE=@\n"
    return (
        f"{problem}{model}\n$THETA\n"
        + "\n".join(lines)
        + "\n$OMEGA\n  0.1 ; IIV_KA\n$OMEGA BLOCK(2)\n  0.1 ; IIV_ELIM\n"
        f"  0.01 0.1 ; IIV_V2\n{peripheral}$SIGMA\n  0.01 ; RUV_PROP\n"
        "$ESTIMATION METHOD=1 INTERACTION MAXEVAL=9999\n"
    )


def _michaelis_menten(pk: list[str], two: bool) -> str:
    comps = "  COMP=(DEPOT, DEFDOSE)\n  COMP=(CENTRAL, DEFOBS)\n" + ("  COMP=(PERIPH)\n" if two else "")
    flow = " - Q/V2*A(2) + Q/V3*A(3)" if two else ""
    des = [
        "  DADT(1) = -KA*A(1)",
        f"  DADT(2) = KA*A(1) - VMAX*A(2)/V2/(KM + A(2)/V2){flow}",
        *(["  DADT(3) = Q/V2*A(2) - Q/V3*A(3)"] if two else []),
    ]
    return (
        f"$MODEL\n{comps}$PK\n"
        + "\n".join([*pk, "  S2 = V2"])
        + "\n$DES\n"
        + "\n".join(des)
        + "\n$ERROR\n  Y = F + F*EPS(1)"
    )
