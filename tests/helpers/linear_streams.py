"""Linear models as their users write them in $DES, with data that has every kind of record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlmevae.codegen.latent_form import LatentForm, latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.events import EventTable
from nlmevae.data.read import read_dataset
from nlmevae.frontends.nonmem.read import read_control_stream
from nlmevae.ir import Model

STREAM = """$PROBLEM linear equations
$INPUT ID TIME AMT RATE II ADDL SS EVID CMT DV MDV OCC WT
$DATA {data} IGNORE=@
$SUBROUTINES ADVAN13 TOL=9
$MODEL {compartments}
$PK
{pk}
$DES
{des}
$ERROR
Y = {prediction} + EPS(1)
$THETA {thetas}
$OMEGA {omegas}
$SIGMA 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearCode:
    """`parameters`: name -> typical value, all log-normal; `pk`: what else $PK computes; `modes`: how the closed form
    finds them; `keeps`: amounts that nothing leaves, or constant inputs; `prediction` of every compartment."""

    parameters: dict[str, float]
    des: str
    modes: str
    pk: str = ""
    keeps: bool = False
    prediction: str = "F"

    @property
    def n(self) -> int:
        return len(set(re.findall(r"DADT\((\d+)\)", self.des)))


CODES = {
    "two compartments, clearances": LinearCode(
        parameters={"KA": 0.8, "CL": 4.0, "V2": 25.0, "Q": 6.0, "V3": 50.0},
        des="DADT(1) = -KA*A(1)\n"
        "DADT(2) = KA*A(1) - CL/V2*A(2) - Q/V2*A(2) + Q/V3*A(3)\nDADT(3) = Q/V2*A(2) - Q/V3*A(3)",
        modes="formula",
        pk="KA = KA*EXP(IOV)\nALAG1 = 0.3*V2/25\nF1 = 0.8*CL/4\nD2 = 2\nS2 = V2",
    ),
    "two compartments, concentrations, in another order": LinearCode(
        parameters={"CL": 4.0, "V1": 25.0, "Q": 6.0, "V2": 50.0, "KA": 0.8},
        des="C1 = A(1)/V1\nC2 = A(2)/V2\n"
        "DADT(1) = KA*A(3) - (CL*EXP(IOV) + Q)*C1 + Q*C2\nDADT(2) = Q*(C1 - C2)\nDADT(3) = -KA*A(3)",
        modes="formula",
        pk="V1 = V1*WT/70\nD2 = 2",
    ),
    "three compartments": LinearCode(
        parameters={"CL": 4.0, "V1": 20.0, "Q2": 8.0, "V2": 30.0, "Q3": 1.0, "V3": 90.0},
        des="DADT(1) = -(CL + Q2 + Q3)/V1*A(1) + Q2/V2*A(2) + Q3/V3*A(3)\n"
        "DADT(2) = Q2/V1*A(1) - Q2/V2*A(2)\nDADT(3) = Q3/V1*A(1) - Q3/V3*A(3)",
        modes="number",
        pk="CL = CL*(WT/70)**0.75\nD2 = 2",
    ),
    "parent and metabolite": LinearCode(
        parameters={"KA": 1.2, "CL": 5.0, "V": 30.0, "FM": 0.4, "CLM": 2.0, "VM": 15.0},
        des="DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2)\nDADT(3) = FM*CL/V*A(2) - CLM/VM*A(3)",
        modes="formula",
        pk="D2 = 2",
    ),
    "effect compartment": LinearCode(
        parameters={"CL": 5.0, "V": 30.0, "KE0": 0.3, "EMAX": 10.0, "EC50": 2.0},
        des="DADT(1) = -CL/V*A(1)\nDADT(2) = KE0*(A(1)/V - A(2))",
        modes="formula",
        pk="D2 = 2",
        prediction="EMAX*A(2)/(EC50 + A(2)) + A(1)/V",
    ),
    "turnover from its baseline": LinearCode(
        parameters={"KIN": 5.0, "KOUT": 0.2, "CL": 2.0, "V": 20.0},
        des="DADT(1) = -CL/V*A(1)\nDADT(2) = KIN*EXP(IOV) - KOUT*A(2)",
        modes="formula",
        pk="A_0(2) = KIN/KOUT\nD2 = 2",
        keeps=True,
    ),
    "transit compartments": LinearCode(
        parameters={"MTT": 2.0, "CL": 4.0, "V": 25.0},
        des="DADT(1) = -KTR*A(1)\nDADT(2) = KTR*A(1) - KTR*A(2)\nDADT(3) = KTR*(A(2) - A(3))\n"
        "DADT(4) = KTR*A(3) - CL/V*A(4)",
        modes="none",
        pk="KTR = 4/MTT*EXP(IOV)\nD2 = 2",
    ),
    "a cycle with an area": LinearCode(
        parameters={"KB": 0.6, "KG": 0.5, "KR": 0.4, "CL": 3.0, "V": 25.0},
        des="DADT(1) = KG*A(3) - CL/V*A(1) - KB*A(1)\nDADT(2) = A(1)/V\nDADT(3) = KB*A(1) - KG*A(3) - KR*A(3)",
        modes="formula",
        pk="A_0(1) = 10*V/25\nD2 = 2",
        keeps=True,
    ),
    "an oscillation": LinearCode(
        parameters={"W": 0.7, "K": 0.1, "V": 10.0},
        des="DADT(1) = -W*A(2) - K*A(1)\nDADT(2) = W*A(1) - K*A(2)",
        modes="formula",
        pk="D2 = 2",
        prediction="F/V",
    ),
    "growth": LinearCode(
        parameters={"KG": 0.02, "KD": 0.1},
        des="DADT(1) = KG*A(1)\nDADT(2) = KD*A(1) - KD*A(2)",
        modes="formula",
        pk="A_0(1) = 5\nD2 = 2",
        prediction="F/100",
    ),
    "switches of data items": LinearCode(
        parameters={"KA": 0.8, "CL": 4.0, "V": 25.0, "KB": 0.1},
        des="DADT(1) = -KA*A(1)\nIF (OCC.EQ.2) THEN\nDADT(2) = KA*A(1) - CL/V*A(2)\nELSE\n"
        "DADT(2) = KA*A(1) - (CL/V + KB)*A(2)\nENDIF",
        modes="formula",
        pk="D2 = 2",
    ),
}


def records(rng: np.random.Generator, code: LinearCode, *, steady: bool) -> list[tuple]:
    """TIME AMT RATE II ADDL SS EVID CMT DV MDV OCC WT of one subject: boluses, infusions (D2 too), additional doses, a
    reset with a dose, occasions and weights that change; with steady states where asked."""
    weight, occasion = rng.uniform(50, 90, 2), int(rng.integers(1, 3))
    found = [(0, 100, 0, 12, 3, int(steady), 1, 1, 0, 1), (5, 60, 15, 0, 0, 0, 1, 1, 0, 1)]
    found += [(20, 40, -2, 0, 0, 0, 1, 2, 0, 1), (33, 70, 0, 0, 0, 0, 1, code.n, 0, 1)]
    found += [(60, 80, 0, 0, 0, 0, 4, 1, 0, 1)] if rng.random() < 0.5 else []
    found += [(75, 50, 10, 24, 1, 2 * steady, 1, 1, 0, 1)]
    times = np.sort(np.concatenate([rng.uniform(0, 110, 10), [20.0, 60.0, 110.0]])).round(2)
    found += [(t, 0, 0, 0, 0, 0, 0, 1 + k % code.n, 0, 0) for k, t in enumerate(times.tolist())]
    found.sort(key=lambda record: record[0])
    return [(*r, occasion if r[0] < 40 else 3 - occasion, round(weight[int(r[0] >= 70)], 1)) for r in found]


def problem(
    folder: Path, code: LinearCode, *, n_subjects: int = 5, steady: bool = False, seed: int = 0
) -> tuple[Model, LatentForm, EventTable]:
    """The code with random data of so many subjects."""
    rng = np.random.default_rng(seed)
    lines = ["ID,TIME,AMT,RATE,II,ADDL,SS,EVID,CMT,DV,MDV,OCC,WT"]
    for i in range(1, n_subjects + 1):
        lines += [",".join(f"{value:g}" for value in (i, *r)) for r in records(rng, code, steady=steady)]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    occasions = ["IOV = 0", "IF (OCC.EQ.2) IOV = 0.2"] if "IOV" in code.pk + code.des else []
    assigned = [f"{name} = THETA({k})*EXP(ETA({k}))" for k, name in enumerate(code.parameters, 1)]
    text = STREAM.format(
        data="data.csv",
        compartments=" ".join(f"COMP=(C{c + 1})" for c in range(code.n)),
        pk="\n".join((*occasions, *assigned, code.pk)),
        des=code.des,
        prediction=code.prediction,
        thetas=" ".join(f"(0, {value})" for value in code.parameters.values()),
        omegas=" ".join(["0.1"] * len(code.parameters)),
    )
    (folder / "run.ctl").write_text(text)
    model = read_control_stream(folder / "run.ctl")
    table = event_table(model, read_dataset(model))
    return model, latent_form(model, table), table


def inputs(form: LatentForm, code: LinearCode, n_rows: int, seed: int = 1) -> np.ndarray:
    """(n_rows, n_inputs) log parameters around the typical ones."""
    typical = np.log(list(code.parameters.values()))
    return typical + 0.3 * np.random.default_rng(seed).normal(size=(n_rows, form.n_inputs))
