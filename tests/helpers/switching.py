"""Random records that turn compartments on and off, and what they mean, solved piece by piece by scipy's expm.

Knows nothing of event tables and decoders. Rules: NONMEM help, CMT, EVID, SS, $MODEL, OUTPUT FRACTION PARAMETER.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

#: 1 depot, 2 central, 3 urine (INITIALOFF NODOSE), 4 metabolite, 5 the output compartment
PARAMETERS = ("KA", "V", "CLR", "CLM", "KM", "F0")
TYPICAL = np.array([1.2, 20.0, 1.5, 2.0, 0.3, 0.6])
N = 5

_CODE = """$PROBLEM compartments on and off
$INPUT ID TIME AMT RATE SS II EVID CMT DV MDV UVOL
$DATA data.csv IGNORE=@
$SUBROUTINES {solver}
$MODEL COMP=(DEPOT) COMP=(CENTRAL DEFOBS NOOFF) COMP=(URINE INITIALOFF NODOSE) COMP=(METAB)
$PK
{parameters}
S2 = V
S3 = UVOL
S5 = UVOL
K12 = KA
K23 = CLR/V
K24 = CLM/V
K40 = KM
{equations}$ERROR
Y = F + EPS(1)
{thetas}
$OMEGA 0.1 0.1 0.1 0.1 0.1 0.1
$SIGMA 1
"""
EQUATIONS = """$DES
DADT(1) = -K12*A(1)
DADT(2) = K12*A(1) - K23*A(2) - K24*A(2)
DADT(3) = K23*A(2)
DADT(4) = K24*A(2) - K40*A(4)
"""
COLUMNS = ("ID", "TIME", "AMT", "RATE", "SS", "II", "EVID", "CMT", "DV", "MDV", "UVOL")


def stream(*, equations: bool) -> str:
    """ADVAN5, or its equations with ADVAN13."""
    return _CODE.format(
        solver="ADVAN13 TOL=9" if equations else "ADVAN5",
        parameters="\n".join(f"{name} = THETA({k})*EXP(ETA({k}))" for k, name in enumerate(PARAMETERS, 1)),
        equations=EQUATIONS if equations else "",
        thetas="\n".join(f"$THETA (0, {value})" for value in TYPICAL),
    )


def random_records(rng: np.random.Generator, n_records: int = 25) -> list[dict]:
    """Records of one subject; those of the same time come in any order. Drug flows into a compartment that is off only
    while the output compartment is off, too; only 3 and 5 are turned off by observations."""
    times = np.sort(
        np.where(rng.random(n_records) < 0.5, rng.integers(0, 20, n_records), rng.uniform(0, 20, n_records))
    )
    records, on = [{"TIME": 0.0, "EVID": 1, "CMT": 1, "AMT": 100.0}], {1: True, 3: False, 4: True, 5: False}
    for time in times.round(3):
        record: dict = {"TIME": float(time), "UVOL": round(rng.uniform(0.5, 2.0), 2)}
        kind = rng.random()
        if kind < 0.15:
            record |= {"EVID": 1, "CMT": int(rng.choice([1, 2, 4])), "AMT": round(rng.uniform(50, 150), 1)}
            if record["CMT"] == 2 and rng.random() < 0.5:
                record["RATE"] = 40.0
            on[record["CMT"]] = True
        elif kind < 0.18:
            record |= {"EVID": 3}
            on = {1: True, 3: False, 4: True, 5: False}
        elif kind < 0.45:
            number = int(rng.choice([1, 3, 4, 5], p=[0.1, 0.25, 0.15, 0.5]))
            if number == 5 and not on[5]:
                records += [{"TIME": float(time), "EVID": 2, "CMT": k} for k in (3, 4)]
                on |= {3: True, 4: True}
            on[number] = not on[number]
            record |= {"EVID": 2, "CMT": number if on[number] else -number}
        else:
            number = int(rng.choice([2, 1, 4] + [k for k in (3, 5, 5) if on[k]]))
            record |= {"EVID": 0, "CMT": number}
            if number in (3, 5) and rng.random() < 0.3:
                record["CMT"], on[number] = -number, False
        records.append(record)
        if on[5] and not (on[3] and on[4]):  # what flows into 3 and 4 would count as eliminated or not
            on[5] = False
            records.append({"TIME": float(time), "EVID": 2, "CMT": -5})
    return records


def data_text(subjects: list[list[dict]]) -> str:
    lines = [",".join(COLUMNS)]
    for i, records in enumerate(subjects, 1):
        for record in records:
            row = {"ID": i, "MDV": int(record["EVID"] != 0), "DV": 1, "UVOL": 1} | record
            lines.append(",".join(str(row.get(name, 0)) for name in COLUMNS))
    return "\n".join(lines) + "\n"


def predictions(records: list[dict], psi: np.ndarray) -> np.ndarray:
    """F at the observations; psi as PARAMETERS."""
    ka, v, clr, clm, km, f0 = psi
    flows = np.zeros((N, N))  # [to, from]; the last row is the mass balance
    flows[0, 0], flows[1, 0] = -ka, ka
    flows[1, 1], flows[2, 1], flows[3, 1] = -(clr + clm) / v, clr / v, clm / v
    flows[3, 3], flows[4, 3] = -km, f0 * km
    first = np.array([1.0, 1.0, 0.0, 1.0, 0.0])
    amounts, on, now = np.zeros(N), first.copy(), 0.0
    infusions: list[tuple[float, float]] = []  # (end, rate) into 2
    found = []
    for record in records:
        stops = sorted({end for end, _ in infusions if now < end < record["TIME"]} | {record["TIME"]})
        for stop in stops:
            rate = sum(r for end, r in infusions if end > now)
            amounts, now = _advance(flows, on, rate, amounts, (now, stop)), stop
        kind, number = record["EVID"], record.get("CMT", 0)
        if kind == 3:
            amounts, on, infusions = np.zeros(N), first.copy(), []
        elif kind == 1:
            on[number - 1] = 1.0
            if record.get("RATE", 0.0):
                infusions.append((now + record["AMT"] / record["RATE"], record["RATE"]))
            else:
                amounts[number - 1] += record["AMT"]
        elif kind == 2:
            on[abs(number) - 1] = float(number > 0)
            amounts = amounts * on
        else:
            scale = {2: v, 3: record["UVOL"], 5: record["UVOL"]}.get(abs(number), 1.0)
            found.append(amounts[abs(number) - 1] / scale)
            if number < 0:
                on[-number - 1] = 0.0
                amounts = amounts * on
    return np.array(found)


def _advance(flows: np.ndarray, on: np.ndarray, rate: float, amounts: np.ndarray, span: tuple[float, float]):
    if span[1] <= span[0]:
        return amounts
    system = np.zeros((N + 1, N + 1))  # the last state is 1: what infusions bring
    system[:N, :N], system[1, N] = on[:, None] * flows, rate
    return (expm((span[1] - span[0]) * system) @ np.append(amounts, 1.0))[:N]
