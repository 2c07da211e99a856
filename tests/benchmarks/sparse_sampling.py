"""Is omega unbiased with two observations per subject?

    python -m tests.benchmarks.sparse_sampling [--seeds 6]

120 subjects, one compartment with first-order absorption, log-normal KA, V, CL with omegas 0.5, 0.3, 0.3,
proportional error 0.1. Prints estimate / truth of every omega and sigma per data set and on average. Two points
hardly tell KA's variability from the residual error; omega of CL is the one that must be right.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

N_SUBJECTS, DOSE = 120, 100.0
TYPICAL, OMEGAS, SIGMA = np.array([1.5, 10.0, 1.0]), np.array([0.5, 0.3, 0.3]), 0.1

CONTROL_STREAM = """$PROBLEM Two observations per subject
$INPUT ID TIME AMT DV
$DATA sparse.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  KA = THETA(1)*EXP(ETA(1))
  V  = THETA(2)*EXP(ETA(2))
  CL = THETA(3)*EXP(ETA(3))
  S2 = V
$ERROR
  Y = F*(1 + EPS(1))
$THETA
  (0, 1) ; KA
  (0, 8) ; V
  (0, 1.3) ; CL
$OMEGA
  0.1 ; IIV_KA
  0.1 ; IIV_V
  0.1 ; IIV_CL
$SIGMA
  0.04
$ESTIMATION METHOD=1 INTERACTION
"""


def simulate(rng: np.random.Generator) -> str:
    """CSV: a dose at 0, one observation in 0.25-4 h and one in 6-24 h."""
    lines = ["ID,TIME,AMT,DV"]
    ka, v, cl = (TYPICAL * np.exp(OMEGAS * rng.standard_normal((N_SUBJECTS, 3)))).T
    times = np.column_stack([rng.uniform(0.25, 4.0, N_SUBJECTS), rng.uniform(6.0, 24.0, N_SUBJECTS)])
    k = cl / v
    decay = np.exp(-k[:, None] * times) - np.exp(-ka[:, None] * times)
    concentration = (DOSE * ka / (v * (ka - k)))[:, None] * decay
    observed = concentration * (1.0 + SIGMA * rng.standard_normal(concentration.shape))
    for i in range(N_SUBJECTS):
        lines.append(f"{i + 1},0,{DOSE},.")
        lines += [f"{i + 1},{t:.4f},.,{y:.6g}" for t, y in zip(times[i], observed[i], strict=True)]
    return "\n".join(lines) + "\n"


def run(seed: int) -> np.ndarray:
    """(4,) estimate / truth of the omegas of KA, V, CL and of sigma."""
    import nlmevae

    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder) / "sparse.ctl"
        stream.write_text(CONTROL_STREAM, encoding="ascii")
        (Path(folder) / "sparse.csv").write_text(simulate(np.random.default_rng(seed)), encoding="ascii")
        began = time.perf_counter()
        result = nlmevae.fit(stream)
    ratio = np.sqrt(np.append(np.diag(result.omega), result.sigma[0, 0])) / np.append(OMEGAS, SIGMA)
    print(
        f"{seed}: omega KA {ratio[0]:.3f} V {ratio[1]:.3f} CL {ratio[2]:.3f} sigma {ratio[3]:.3f} "
        f"-2LL {result.minus_two_ll:.2f} {result.status.name} {time.perf_counter() - began:.1f} s",
        flush=True,
    )
    return ratio


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    means = np.mean([run(seed) for seed in range(parser.parse_args().seeds)], axis=0)
    print("mean estimate / truth: omega KA {:.3f} V {:.3f} CL {:.3f}, sigma {:.3f}".format(*means))
