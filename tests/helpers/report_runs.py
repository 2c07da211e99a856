"""A small run on disk: bolus doses, one compartment, weight and sex."""

from __future__ import annotations

from pathlib import Path

import numpy as np

STREAM = """$PROBLEM A SMALL RUN
$INPUT ID TIME AMT DV EVID WT SEX
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
  CL = THETA(1)*(WT/70)**THETA(3)*EXP(THETA(4)*SEX)*EXP(ETA(1))
  V = (THETA(2)+THETA(5)*(WT-70))*EXP(ETA(2))
  S1 = V
$ERROR
  Y = F + F*EPS(1)
$THETA (0, 2) ; CL
$THETA (0, 30) ; V
$THETA 0.7 ; WT_ON_CL
$THETA -0.2 ; SEX_ON_CL
$THETA 0.02 ; WT_ON_V
$OMEGA 0.09 ; IIV_CL
$OMEGA 0.04 ; IIV_V
$SIGMA 0.02 ; RUV
$ESTIMATION METHOD=1 INTERACTION
"""


def write_run(folder: Path, *, weights: np.ndarray, seed: int = 1, stream: str = STREAM) -> Path:
    """The control stream, beside its data: five concentrations of each subject."""
    rng = np.random.default_rng(seed)
    lines = ["ID,TIME,AMT,DV,EVID,WT,SEX"]
    for i, weight in enumerate(weights):
        sex = int(i % 3 == 1)
        cl = 2.0 * (weight / 70) ** 0.75 * np.exp(-0.3 * sex) * np.exp(rng.normal(0, 0.3))
        v = 30.0 * np.exp(rng.normal(0, 0.2))
        lines.append(f"{i + 1},0,100,0,1,{weight:g},{sex}")
        for time in (1, 3, 8, 16, 24):
            dv = 100 / v * np.exp(-cl / v * time) * (1 + rng.normal(0, 0.14))
            lines.append(f"{i + 1},{time},0,{dv:.5f},0,{weight:g},{sex}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    path = folder / "run1.ctl"
    path.write_text(stream)
    return path
