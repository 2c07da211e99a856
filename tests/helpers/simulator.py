"""Makes the simulated data of the fixtures. Run by hand; tests only read the files it wrote.

    python -m tests.helpers.simulator [case ...]

It shares no code with nlmevae: the equations are written out here and scipy integrates them, so the
data do not inherit a mistake of the decoders they test.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
Rhs = Callable[[float, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Dose:
    """`amount` into state `state` (from 0) at `time`; over amount/rate if rate > 0."""

    time: float
    amount: float
    state: int = 0
    rate: float = 0.0


def amounts(rhs: Rhs, start: np.ndarray, doses: list[Dose], times: np.ndarray) -> np.ndarray:
    """(n_times, n_states) at sorted `times` from time 0; a dose at an observation time comes first."""
    ends = [d.time + d.amount / d.rate for d in doses if d.rate > 0]
    stops = sorted({0.0, *(d.time for d in doses), *ends, *times.tolist()})
    state, result = np.array(start, dtype=float), np.empty((len(times), len(start)))
    for k, stop in enumerate(stops):
        if k:
            middle, inflow = 0.5 * (stops[k - 1] + stop), np.zeros(len(state))
            for dose in doses:
                if dose.rate > 0 and dose.time < middle < dose.time + dose.amount / dose.rate:
                    inflow[dose.state] += dose.rate
            solution = solve_ivp(
                lambda t, y, inflow=inflow: rhs(t, y) + inflow,
                (stops[k - 1], stop), state, method="LSODA", rtol=1e-9, atol=1e-10,
            )  # fmt: skip
            state = solution.y[:, -1].copy()
        for dose in doses:
            if dose.time == stop and dose.rate == 0:
                state[dose.state] += dose.amount
        result[times == stop] = state
    return result


def draw(rng: np.random.Generator, typical: dict[str, float], sds: dict[str, float]) -> dict[str, float]:
    """Log-normal individual parameters; parameters without a standard deviation stay typical."""
    return {name: value * np.exp(sds.get(name, 0.0) * rng.standard_normal()) for name, value in typical.items()}


def write(case: str, header: str, rows: list[tuple]) -> None:
    """CSV with "." for None and six significant digits."""
    text = [header] + [",".join("." if v is None else f"{v:.6g}" for v in row) for row in rows]
    path = FIXTURES / case / f"{case}.csv"
    path.write_text("\n".join(text) + "\n", encoding="ascii")
    print(f"{path.relative_to(FIXTURES.parent)}: {len(rows)} records")


def theophylline_multiple() -> None:
    """Ten doses of 320 mg every 10 h; the single-dose maximum likelihood estimates with weight on KA and V."""
    rng = np.random.default_rng(20)
    after_first = np.array([0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0])
    times = np.concatenate([after_first, [19.9, 39.9, 69.9], 90.0 + after_first, [102.0, 114.0]])
    doses = [Dose(10.0 * k, 320.0) for k in range(10)]
    rows: list[tuple] = []
    for i in range(1, 21):
        sex = int(rng.random() < 0.5)
        weight = round(float(np.clip(rng.normal(69.6, 9.0), 50.0, 90.0)), 1)
        ratio = weight / 69.5833333333
        typical = {"KA": 1.637 * ratio**2.61, "K": 0.0867, "V": 31.95 * ratio**0.58}
        p = draw(rng, typical, {"KA": 0.545, "K": 0.148, "V": 0.131})
        state = amounts(oral(p["KA"], p["K"]), np.zeros(2), doses, times)
        dv = state[:, 1] / p["V"] + 0.724 * rng.standard_normal(len(times))
        rows.append((i, 0, 320, 10, 9, None, 1, weight, sex))
        rows += [(i, t, None, None, None, y, 0, weight, sex) for t, y in zip(times, dv, strict=True)]
    write("theophylline_multiple", "ID,TIME,AMT,II,ADDL,DV,EVID,WT,SEX", rows)


def oral(ka: float, k: float) -> Rhs:
    return lambda t, a: np.array([-ka * a[0], ka * a[0] - k * a[1]])


def neonates() -> None:
    """189 neonates over 7 days. W0 rises with gestational age and in boys, KIN with gestational age and parity."""
    rng = np.random.default_rng(189)
    sds = {"W0": 0.1, "KIN": 0.3, "TLAG": 0.25, "KOUT": 0.25, "T50": 0.3}
    rows: list[tuple] = []
    for i in range(1, 190):
        sex, delivery, parity = (int(rng.random() < q) for q in (0.5, 0.3, 0.5))
        ga = round(float(np.clip(rng.normal(39.3, 1.25), 36.5, 42.0)), 2)
        mage = round(float(np.clip(rng.normal(31.0, 5.2), 17.0, 46.0)), 1)
        lga = np.log(ga / 39.3)
        typical = {
            "W0": 3330.0 * np.exp(1.8 * lga + 0.035 * sex), "KIN": 80.0 * np.exp(3.0 * lga + 0.2 * parity),
            "TLAG": 2.0, "KOUT": 0.05, "T50": 2.0,
        }  # fmt: skip
        p = draw(rng, typical, sds)
        n = int(rng.integers(6, 9))
        offset = rng.uniform(0.3, 1.0)
        times = np.round(np.concatenate([[0.0], offset + (6.9 - offset) / (n - 1) * np.arange(n - 1)]), 3)

        def rhs(t, w, p=p):
            production = p["KIN"] / (1 + np.exp(-2 * (t - p["TLAG"])))
            return production - p["KOUT"] * (1 - t / (p["T50"] + t)) * w

        weight = amounts(rhs, np.array([p["W0"]]), [], times)[:, 0]
        dv = weight + 25.0 * rng.standard_normal(n)
        rows += [(i, t, y, 0, sex, delivery, ga, mage, parity) for t, y in zip(times, dv, strict=True)]
    write("neonates", "ID,TIME,DV,EVID,SEX,DELM,GA,MAGE,PARA", rows)


def two_compartment_oral() -> None:
    """24 subjects, 100 mg every 12 h, twelve doses; sampled after the first, sixth and last."""
    rng = np.random.default_rng(24)
    once = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    times = np.concatenate([once, [11.9, 60.0, 61.0, 64.0, 71.9], 132.0 + once, [144.0, 168.0]])
    doses = [Dose(12.0 * k, 100.0) for k in range(12)]
    typical = {"CL": 5.0, "V2": 20.0, "Q": 4.0, "V3": 40.0, "KA": 1.0}
    sds = {"CL": 0.25, "V2": 0.2, "Q": 0.2, "V3": 0.2, "KA": 0.4}
    rows: list[tuple] = []
    for i in range(1, 25):
        p = draw(rng, typical, sds)

        def rhs(t, a, p=p):
            flow = p["Q"] * (a[1] / p["V2"] - a[2] / p["V3"])
            absorbed = p["KA"] * a[0]
            return np.array([-absorbed, absorbed - p["CL"] * a[1] / p["V2"] - flow, flow])

        f = amounts(rhs, np.zeros(3), doses, times)[:, 1] / p["V2"]
        dv = f * (1 + 0.1 * rng.standard_normal(len(times)))
        weight = round(float(np.clip(rng.normal(72.0, 11.0), 45.0, 110.0)), 1)
        rows.append((i, 0, 100, 12, 11, None, 1, weight))
        rows += [(i, t, None, None, None, y, 0, weight) for t, y in zip(times, dv, strict=True)]
    write("two_compartment_oral", "ID,TIME,AMT,II,ADDL,DV,EVID,WT", rows)


def infusion_one_compartment() -> None:
    """20 subjects: a 2 h infusion, then two of 1 h every 12 h from 24 h, then a bolus at 60 h."""
    rng = np.random.default_rng(12)
    times = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 24.5, 25.0, 30.0, 35.9, 37.0, 44.0, 60.5, 66.0, 80.0])
    rows: list[tuple] = []
    for i in range(1, 21):
        weight = round(float(np.clip(rng.normal(75.0, 14.0), 45.0, 115.0)), 1)
        typical = {"CL": 3.5 * (weight / 70) ** 0.75, "V": 28.0 * weight / 70}
        p = draw(rng, typical, {"CL": 0.3, "V": 0.2})
        doses = [
            Dose(0.0, 400.0, rate=200.0), Dose(24.0, 200.0, rate=200.0), Dose(36.0, 200.0, rate=200.0),
            Dose(60.0, 100.0),
        ]  # fmt: skip
        f = amounts(lambda t, a, p=p: -p["CL"] / p["V"] * a, np.zeros(1), doses, times)[:, 0] / p["V"]
        dv = f + np.hypot(0.2, 0.1 * f) * rng.standard_normal(len(times))
        records: list[tuple] = [(0.0, 400, 200, None, None, None, 1), (24.0, 200, 200, 12, 1, None, 1)]
        records.append((60.0, 100, 0, 0, 0, None, 1))
        records += [(t, None, None, None, None, y, 0) for t, y in zip(times, dv, strict=True)]
        rows += [(i, *record, weight) for record in sorted(records, key=lambda r: r[0])]
    write("infusion_one_compartment", "ID,TIME,AMT,RATE,II,ADDL,DV,EVID,WT", rows)


def indirect_response() -> None:
    """16 subjects, 50 mg every 12 h, twelve doses; the response (compartment 4) is observed."""
    rng = np.random.default_rng(16)
    times = np.array([0.0, 2.0, 4.0, 8.0, 12.0, 24.0, 48.0, 72.0, 96.0, 132.0, 136.0, 144.0, 156.0, 168.0, 192.0])
    doses = [Dose(12.0 * k, 50.0) for k in range(12)]
    typical = {"KA": 1.0, "CL": 5.0, "V2": 20.0, "Q": 4.0, "V3": 40.0, "KIN": 10.0, "KOUT": 0.1, "IC50": 0.5}
    sds = {"KA": 0.3, "CL": 0.25, "V2": 0.2, "Q": 0.2, "V3": 0.2, "KIN": 0.2, "KOUT": 0.2, "IC50": 0.3}
    rows: list[tuple] = []
    for i in range(1, 17):
        p = draw(rng, typical, sds)

        def rhs(t, a, p=p):
            c = a[1] / p["V2"]
            flow = p["Q"] * (c - a[2] / p["V3"])
            absorbed = p["KA"] * a[0]
            inhibited = p["KIN"] * (1 - c / (p["IC50"] + c))
            return np.array([-absorbed, absorbed - p["CL"] * c - flow, flow, inhibited - p["KOUT"] * a[3]])

        start = np.array([0.0, 0.0, 0.0, p["KIN"] / p["KOUT"]])
        f = amounts(rhs, start, doses, times)[:, 3]
        dv = f * (1 + 0.08 * rng.standard_normal(len(times)))
        rows.append((i, 0, 50, 1, 12, 11, None, 1))
        rows += [(i, t, None, 4, None, None, y, 0) for t, y in zip(times, dv, strict=True)]
    write("indirect_response", "ID,TIME,AMT,CMT,II,ADDL,DV,EVID", rows)


def tmdd() -> None:
    """16 subjects, single doses of 30, 100, 300 or 1000 nmol; free drug, records below 0.05 nmol/L left out."""
    rng = np.random.default_rng(4)
    times = np.array([0.04, 0.25, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 28.0, 42.0])
    typical = {"CL": 0.25, "V": 3.2, "KSYN": 4.0, "KINT": 0.4, "KDEG": 1.0, "KON": 20.0, "KOFF": 2.0}
    sds = {"CL": 0.25, "V": 0.2, "KSYN": 0.25, "KINT": 0.2}
    rows: list[tuple] = []
    for i in range(1, 17):
        p = draw(rng, typical, sds)
        amount = (30.0, 100.0, 300.0, 1000.0)[(i - 1) % 4]

        def rhs(t, a, p=p):
            bind = p["KON"] * a[0] * a[2] / p["V"] - p["KOFF"] * a[3]
            return np.array([
                -(p["CL"] / p["V"] + 0.2) * a[0] + 0.1 * a[1] - bind, 0.2 * a[0] - 0.1 * a[1],
                p["KSYN"] * p["V"] - p["KDEG"] * a[2] - bind, bind - p["KINT"] * a[3],
            ])  # fmt: skip

        start = np.array([0.0, 0.0, p["KSYN"] / p["KDEG"] * p["V"], 0.0])
        f = amounts(rhs, start, [Dose(0.0, amount)], times)[:, 0] / p["V"]
        dv = f * (1 + 0.15 * rng.standard_normal(len(times)))
        rows.append((i, 0, amount, None, 1, amount))
        rows += [(i, t, None, y, 0, amount) for t, y in zip(times, dv, strict=True) if y >= 0.05]
    write("tmdd", "ID,TIME,AMT,DV,EVID,DOSE", rows)


def parent_metabolite() -> None:
    """40 subjects, one oral dose of 100 mg; a parent drug with proportional error, reported as 0.25 where it is below
    that, and its metabolite with combined error (the sum of variances)."""
    rng = np.random.default_rng(40)
    times = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 18.0, 24.0, 36.0])
    typical = {"KA": 1.2, "CL": 8.0, "V": 40.0, "KM": 0.12}
    sds = {"CL": 0.3, "V": 0.2, "KM": 0.25}
    rows: list[tuple] = []
    for i in range(1, 41):
        p = draw(rng, typical, sds)

        def rhs(t, a, p=p):
            absorbed, formed = p["KA"] * a[0], p["CL"] / p["V"] * a[1]
            return np.array([-absorbed, absorbed - formed, formed - p["KM"] * a[2]])

        state = amounts(rhs, np.zeros(3), [Dose(0.0, 100.0)], times) / p["V"]
        parent = state[:, 1] * (1 + 0.2 * rng.standard_normal(len(times)))
        metabolite = state[:, 2] + np.hypot(0.05, 0.15 * state[:, 2]) * rng.standard_normal(len(times))
        rows.append((i, 0, 100, None, 0, 0, 1))
        for t, y, z in zip(times, parent, metabolite, strict=True):
            rows += [(i, t, None, max(y, 0.25), 1, int(y < 0.25), 0), (i, t, None, z, 2, 0, 0)]
    write("parent_metabolite", "ID,TIME,AMT,DV,DVID,BLQ,EVID", rows)


CASES = {
    f.__name__: f
    for f in (
        theophylline_multiple, neonates, two_compartment_oral, infusion_one_compartment, indirect_response, tmdd,
        parent_metabolite,
    )
}  # fmt: skip

if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        CASES[name]()
