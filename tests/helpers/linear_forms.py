"""Linear compartment models with every rate constant, lag, F and initial amount a parameter of its own,
and a slow simulator of them by matrix exponentials (or scipy's integrator)."""

from __future__ import annotations

import mpmath as mp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from nlmevae.codegen.latent_form import DosingTarget, LatentForm
from nlmevae.data.events import EventKind, EventTable
from tests.helpers.forms import make_form, op

RATES = {
    "one": ("K",),
    "one_absorption": ("KA", "K"),
    "two": ("K", "K12", "K21"),
    "two_absorption": ("KA", "K", "K23", "K32"),
    "three": ("K", "K12", "K21", "K13", "K31"),
    "three_absorption": ("KA", "K", "K23", "K32", "K24", "K42"),
    # a cycle of three (complex eigenvalues where its rates are close) with an exit
    "linear": ("K12", "K23", "K31", "K"),
}
N_COMPARTMENTS = {
    "one": 1, "one_absorption": 2, "two": 2, "two_absorption": 3, "three": 3, "three_absorption": 4, "linear": 3,
}  # fmt: skip
#: of each rate constant: from, to (0: out)
FLOWS = {
    "one": ((1, 0),),
    "one_absorption": ((1, 2), (2, 0)),
    "two": ((1, 0), (1, 2), (2, 1)),
    "two_absorption": ((1, 2), (2, 0), (2, 3), (3, 2)),
    "three": ((1, 0), (1, 2), (2, 1), (1, 3), (3, 1)),
    "three_absorption": ((1, 2), (2, 0), (2, 3), (3, 2), (2, 4), (4, 2)),
    "linear": ((1, 2), (2, 3), (3, 1), (2, 0)),
}


def linear_form(
    kind: str, *, lag=(), bioavailability=(), initial=(), observed=None, covariate: str | None = None
) -> LatentForm:
    """Latents: the log of every rate constant, then V, then ALAGc, Fc and A0c of the listed compartments.

    Compartment c is observed as A(c) / V, plus K * T when it is number 1, so that time and a parameter
    besides V appear. With `covariate`, V is multiplied by it.
    """
    names = [*RATES[kind], "V", *(f"ALAG{c}" for c in lag), *(f"F{c}" for c in bioavailability)]
    names += [f"A0{c}" for c in initial]
    n = N_COMPARTMENTS[kind]
    observed = observed or [c + 1 for c in range(n)]

    def individual(v):
        values = {name: op("exp", v[f"Z{k + 1}"]) for k, name in enumerate(names)}
        if covariate:
            values["V"] = values["V"] * v[covariate]
        return values

    return make_form(
        latents=names,
        parameters=names,
        individual=individual,
        covariates=[covariate] if covariate else [],
        rhs=lambda v: _slopes(kind, v),
        output=lambda v: [v[f"A{c}"] / v["V"] + (v["K"] * v["T"] if c == 1 else 0.0) for c in observed],
        initial=lambda v: [v[f"A0{c + 1}"] if c + 1 in initial else 0.0 for c in range(n)],
        n_compartments=n,
        observed=observed,
        dosing=[
            DosingTarget(
                compartment=c + 1,
                lag=f"ALAG{c + 1}" if c + 1 in lag else None,
                bioavailability=f"F{c + 1}" if c + 1 in bioavailability else None,
            )
            for c in range(n)
        ],
    )


def rate_matrix(kind: str, v: dict) -> np.ndarray:
    """M of A' = M A."""
    n = N_COMPARTMENTS[kind]
    matrix = np.zeros((n, n), dtype=object if any(isinstance(x, mp.mpf) for x in v.values()) else float)
    for name, (source, to) in zip(RATES[kind], FLOWS[kind], strict=True):
        matrix[source - 1, source - 1] -= v[name]
        if to:
            matrix[to - 1, source - 1] += v[name]
    return matrix


def _slopes(kind: str, v: dict) -> list:
    slopes = [0.0] * N_COMPARTMENTS[kind]
    for name, (source, to) in zip(RATES[kind], FLOWS[kind], strict=True):
        flow = v[name] * v[f"A{source}"]
        slopes[source - 1] = slopes[source - 1] - flow
        if to:
            slopes[to - 1] = slopes[to - 1] + flow
    return slopes


def simulate(kind: str, form: LatentForm, x: np.ndarray, table: EventTable, i: int, *, by="expm") -> np.ndarray:
    """Predictions of subject i at x (n_inputs,)."""
    v = dict(zip(form.parameters, np.exp(x), strict=True))
    if form.covariates:
        v["V"] = v["V"] * table.cov[table.cov_ptr[i], 0]
    amounts = amounts_at_observations(kind, v, table, i, by=by)
    start = table.ob_ptr[i]
    compartments = table.ob_cmt[start : table.ob_ptr[i + 1]].astype(int)
    times = table.ob_time[start : table.ob_ptr[i + 1]]
    found = [a[c - 1] / v["V"] for a, c in zip(amounts, compartments, strict=True)]
    return np.array(found) + np.where(compartments == 1, v["K"] * times, 0.0)


def amounts_at_observations(kind: str, v: dict, table: EventTable, i: int, *, by="expm") -> list[np.ndarray]:
    matrix = rate_matrix(kind, v)
    n = len(matrix)
    initial = np.array([v.get(f"A0{c + 1}", 0.0) for c in range(n)])
    changes = []
    for e in range(table.ev_ptr[i], table.ev_ptr[i + 1]):
        c, order, kind_of = int(table.ev_cmt[e]), int(table.ev_order[e]), int(table.ev_kind[e])
        time = float(table.ev_time[e])
        if kind_of == EventKind.RESET:
            changes.append((time, order, 0, "reset", 0, 0.0, time))
            continue
        amount = v.get(f"F{c}", 1.0) * table.ev_amt[e]
        when = time + v.get(f"ALAG{c}", 0.0)
        if kind_of == EventKind.BOLUS:
            changes.append((when, order, 1, "bolus", c - 1, amount, time))
        else:
            rate = table.ev_rate[e]
            changes.append((when, order, 1, "rate", c - 1, rate, time))
            changes.append((when + amount / rate, order, 2, "rate", c - 1, -rate, time))
    for o in range(table.ob_ptr[i], table.ob_ptr[i + 1]):
        changes.append((float(table.ob_time[o]), int(table.ob_order[o]), 3, "see", o - table.ob_ptr[i], 0.0, 0.0))
    changes.sort(key=lambda change: change[:3])
    resets = [(t, o) for t, o, _, what, *_ in changes if what == "reset"]
    now, y, rate = float(table.start_time[i]), initial.copy(), np.zeros(n)
    found = [np.zeros(n)] * int(table.ob_ptr[i + 1] - table.ob_ptr[i])
    for time, order, _, what, c, value, given in changes:
        cancelled = any(given <= t <= time and (given, order) < (t, o) < (time, np.inf) for t, o in resets)
        if what in ("bolus", "rate") and cancelled:
            continue
        y = _flow(matrix, y, rate, time - now, by)
        now = time
        if what == "see":
            found[c] = y
        elif what == "reset":
            y, rate = initial.copy(), np.zeros(n)
        elif what == "bolus":
            y = y + value * np.eye(n)[c]
        else:
            rate = rate + value * np.eye(n)[c]
    return found


def _flow(matrix: np.ndarray, y: np.ndarray, rate: np.ndarray, h: float, by: str) -> np.ndarray:
    if h <= 0.0:
        return y
    n = len(y)
    if by == "solve_ivp":
        scale = 1e-13 * max(1.0, np.abs(y).max())
        solution = solve_ivp(lambda t, a: matrix @ a + rate, (0.0, h), y, method="DOP853", rtol=1e-12, atol=scale)
        return solution.y[:, -1]
    augmented = np.zeros((n + 1, n + 1))
    augmented[:n, :n], augmented[:n, n] = matrix * h, rate * h
    return (expm(augmented) @ np.append(y, 1.0))[:n]
