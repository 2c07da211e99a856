"""Random dosing histories as data files, and what they mean by superposition: every dose, implied or additional, adds a
response of its own to the amounts. Knows nothing of event tables and decoders.

Rules of the records: NONMEM Users Guide VI (PREDPP), chapter V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLUMNS = ("ID", "TIME", "AMT", "RATE", "II", "ADDL", "SS", "EVID", "CMT", "DV", "MDV")
PARAMETERS = ("KA", "CL", "V", "ALAG1", "F1", "D1", "R1")
TYPICAL = np.array([1.2, 3.0, 25.0, 0.8, 0.7, 5.0, 12.0])
#: so many implied doses before a steady-state one; the slowest elimination below leaves e^-80 of the first
N_IMPLIED = 400

_CODE = """$PROBLEM dosing
$INPUT ID TIME AMT RATE II ADDL SS EVID CMT DV MDV
$DATA {data} IGNORE=@
$SUBROUTINES {solver}
{model}$PK
{parameters}
D2 = 0.7*D1
R2 = 1.3*R1
S2 = V
{equations}$ERROR
Y = F + EPS(1)
{thetas}
$OMEGA 0.1 0.1 0.1 0.1 0.1 0.1 0.1
$SIGMA 1
"""


def stream(data: str, *, equations: bool) -> str:
    """One compartment with absorption, every dosing parameter random: ADVAN2, or its equations with ADVAN13."""
    return _CODE.format(
        data=data,
        solver="ADVAN13" if equations else "ADVAN2 TRANS2",
        model="$MODEL COMP=(DEPOT) COMP=(CENTRAL)\n" if equations else "",
        parameters="\n".join(f"{name} = THETA({k})*EXP(ETA({k}))" for k, name in enumerate(PARAMETERS, 1)),
        equations="$DES\nDADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2)\n" if equations else "",
        thetas="\n".join(f"$THETA (0, {value})" for value in TYPICAL),
    )


def random_history(rng: np.random.Generator, n_records: int = 12) -> list[dict]:
    """Records of one subject in order of time, and two more observations; many times coincide."""
    whole, between = rng.integers(0, 60, n_records), rng.uniform(0.0, 60.0, n_records)
    times = np.sort(np.where(rng.random(n_records) < 0.5, whole, between).round(3))
    records = [_dose(rng, float(times[0]))]
    for time in times[1:]:
        kind = rng.random()
        record = {"TIME": float(time)}
        if kind < 0.3:
            record = _dose(rng, float(time))
        elif kind < 0.36:
            record |= {"EVID": 3}
        elif kind < 0.42:
            record = _dose(rng, float(time)) | {"EVID": 4}
        else:
            record |= {"EVID": 0, "CMT": int(rng.integers(1, 3))}
        records.append(record)
    return [*records, {"TIME": 61.0, "EVID": 0, "CMT": 2}, {"TIME": 83.5, "EVID": 0, "CMT": 2}]


def _dose(rng: np.random.Generator, time: float) -> dict:
    record = {"TIME": time, "EVID": 1, "CMT": int(rng.integers(1, 3)), "AMT": round(rng.uniform(50, 200), 1)}
    record["RATE"] = float(rng.choice([0.0, 0.0, -1.0, -2.0, round(rng.uniform(4, 60), 2)]))
    steady = int(rng.choice([0, 0, 1, 1, 2, 3]))
    if steady and rng.random() < 0.15:
        rate = float(rng.choice([0.0, -1.0, round(rng.uniform(4, 60), 2)]))
        return record | {"AMT": 0.0, "RATE": rate, "SS": steady}
    if steady or rng.random() < 0.3:
        record |= {"SS": steady, "II": float(rng.choice([8.0, 12.0, 24.0])), "ADDL": int(rng.integers(0, 4))}
        if not steady and not record["ADDL"]:
            record["II"] = 0.0
    return record


def data_text(subjects: list[list[dict]]) -> str:
    lines = [",".join(COLUMNS)]
    for i, records in enumerate(subjects, 1):
        for record in records:
            row = {"ID": i, "MDV": int(record["EVID"] != 0), "DV": 0} | record
            lines.append(",".join(str(row.get(name, 0)) for name in COLUMNS))
    return "\n".join(lines) + "\n"


@dataclass
class _Source:
    """Something given at `start`: an amount, a rate for `duration`, or amounts that are there then."""

    start: np.ndarray
    unit: np.ndarray
    amount: float = 0.0
    rate: float = 0.0
    duration: float = 0.0


def predictions(records: list[dict], psi: np.ndarray) -> np.ndarray:
    """F at the observations; psi as PARAMETERS."""
    p = dict(zip(PARAMETERS, psi, strict=True))
    sources: list[_Source] = []
    found = []
    for record in records:
        time = record["TIME"]
        if record["EVID"] in (3, 4):
            sources = []
        if record["EVID"] in (1, 4):
            if record.get("SS", 0) in (1, 3):
                sources = []
            sources += _given(record, p)
        elif record["EVID"] == 0:
            amounts = sum((_response(s, time, p) for s in sources), np.zeros(2))
            found.append(amounts[0] if record["CMT"] == 1 else amounts[1] / p["V"])
    return np.array(found)


def _given(record: dict, p: dict[str, float]) -> list[_Source]:
    c, stated, amount = record["CMT"], record.get("RATE", 0.0), record.get("AMT", 0.0)
    unit = np.eye(2)[c - 1]
    modelled_rate = p["R1"] * (1.0 if c == 1 else 1.3)
    if record.get("SS", 0) and amount == 0.0:
        rate = modelled_rate if stated == -1 else stated
        steady = np.array([[p["KA"], 0.0], [-p["KA"], p["CL"] / p["V"]]])
        return [_Source(np.array([record["TIME"]]), np.linalg.solve(steady, rate * unit), amount=1.0)]
    lag, share = (p["ALAG1"], p["F1"]) if c == 1 else (0.0, 1.0)
    first = -N_IMPLIED if record.get("SS", 0) else 0
    numbers = np.arange(first, record.get("ADDL", 0) + 1)
    start = record["TIME"] + lag + numbers * record.get("II", 0.0)
    if stated == 0.0:
        return [_Source(start, unit, amount=share * amount)]
    if stated == -2.0:
        duration = p["D1"] * (1.0 if c == 1 else 0.7)
        return [_Source(start, unit, rate=share * amount / duration, duration=duration)]
    rate = modelled_rate if stated == -1.0 else stated
    return [_Source(start, unit, rate=rate, duration=share * amount / rate)]


def _response(source: _Source, time: float, p: dict[str, float]) -> np.ndarray:
    """Amounts (2,) at `time`. Modes: A_1 = w_1, A_2 = w_2 - g w_1 with g = ka / (ka - k)."""
    ka, k = p["KA"], p["CL"] / p["V"]
    g = ka / (ka - k)
    rates, modal = np.array([ka, k])[:, None], np.array([source.unit[0], source.unit[1] + g * source.unit[0]])
    since = time - source.start[source.start <= time]
    if source.duration:
        on = np.minimum(since, source.duration)
        filled = -np.expm1(-rates * on) / rates * np.exp(-rates * (since - on))
        modal = modal * source.rate * filled.sum(axis=1)
    else:
        modal = modal * source.amount * np.exp(-rates * since).sum(axis=1)
    return np.array([modal[0], modal[1] - g * modal[0]])
