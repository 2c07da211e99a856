"""The slow, obvious simulator decoders are compared with: the IR evaluated as written, the differential
equations integrated by scipy between one event and the next."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

import numpy as np

from nlmevae.data.events import EventKind, EventTable
from nlmevae.ir import Model
from nlmevae.ir.evaluate import run

RTOL = 1e-10
_STEADY = 1e-12


def simulate_subject(model: Model, thetas, etas, table: EventTable, i: int) -> np.ndarray:
    """Predictions Y at EPS = 0 of subject i, (n_obs of i,), in the order of the table.

    Args:
        thetas: (n_theta,) in model order; etas: (n_eta,) in model order.
    """
    inputs = {t.name: float(v) for t, v in zip(model.thetas, thetas, strict=True)}
    inputs.update({name: float(v) for name, v in zip(model.etas, etas, strict=True)})
    inputs.update(dict.fromkeys(model.epsilons, 0.0))
    subject = _Subject(model, inputs, table, i)
    if not model.structural.compartments:
        rows = range(table.ob_ptr[i], table.ob_ptr[i + 1])
        return np.array([subject.observe(row) for row in rows])
    return subject.simulate()


@dataclass
class _Subject:
    """One subject on its way through its events."""

    model: Model
    inputs: dict[str, float]
    table: EventTable
    i: int
    time: float = 0.0
    amounts: np.ndarray = field(default_factory=lambda: np.zeros(0))
    rates: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def simulate(self) -> np.ndarray:
        table, i = self.table, self.i
        self.time = float(table.start_time[i])
        self.rates = np.zeros(len(self.model.structural.compartments))
        self.amounts = self.initial()
        counter = itertools.count()
        queue: list[tuple] = []
        for e in range(table.ev_ptr[i], table.ev_ptr[i + 1]):
            heapq.heappush(queue, (float(table.ev_time[e]), int(table.ev_order[e]), next(counter), "event", e))
        first = int(table.ob_ptr[i])
        result = np.full(int(table.ob_ptr[i + 1]) - first, np.nan)
        for row in range(first, table.ob_ptr[i + 1]):
            heapq.heappush(queue, (float(table.ob_time[row]), int(table.ob_order[row]), next(counter), "see", row))
        while queue:
            time, order, _, what, payload = heapq.heappop(queue)
            self.advance(time)
            if what == "see":
                result[payload - first] = self.observe(payload)
            elif what == "stop":
                self.rates = self.rates - payload
            elif what == "give":
                self.give(payload, time, order, queue, counter)
            elif table.ev_kind[payload] == EventKind.RESET:
                self.amounts, self.rates = self.initial(), np.zeros_like(self.rates)
                queue = [entry for entry in queue if entry[3] in ("event", "see")]
                heapq.heapify(queue)
            else:
                dose = self.dose(payload)
                if dose.lag > 0.0:
                    heapq.heappush(queue, (time + dose.lag, order, next(counter), "give", dose))
                else:
                    self.give(dose, time, order, queue, counter)
        return result

    # doses ----------------------------------------------------------------------------------------
    def dose(self, e: int) -> _Dose:
        """What the dose record says, with F, ALAG, D and R of its own time."""
        table = self.table
        compartment = self.model.structural.compartments[int(table.ev_cmt[e]) - 1]
        individual = self.individual(float(table.ev_time[e]))

        def parameter(name: str | None, default: float) -> float:
            return default if name is None else float(individual[name])

        kind = EventKind(int(table.ev_kind[e]))
        amount = parameter(compartment.bioavailability, 1.0) * float(table.ev_amt[e])
        rate = float(table.ev_rate[e])
        if kind == EventKind.INFUSION_DURATION:
            rate = amount / parameter(compartment.duration, np.nan)
        elif kind == EventKind.INFUSION_RATE:
            rate = parameter(compartment.rate, np.nan)
        return _Dose(
            kind=kind, compartment=compartment.number - 1, amount=amount, rate=rate,
            interval=float(table.ev_ii[e]), lag=parameter(compartment.lag, 0.0),
        )  # fmt: skip

    def give(self, dose: _Dose, time: float, order: int, queue: list, counter) -> None:
        unit = np.zeros_like(self.rates)
        unit[dose.compartment] = 1.0
        if dose.kind in (EventKind.STEADY_STATE, EventKind.STEADY_STATE_ADD):
            self.reach_steady_state(dose, unit)
        if dose.rate <= 0.0:
            self.amounts = self.amounts + dose.amount * unit
            return
        self.rates = self.rates + dose.rate * unit
        heapq.heappush(queue, (time + dose.amount / dose.rate, order, next(counter), "stop", dose.rate * unit))

    def reach_steady_state(self, dose: _Dose, unit: np.ndarray) -> None:
        """State just before the dose after infinitely many such doses: by giving them until nothing changes."""
        kept, now = self.amounts, self.time
        state, self.rates = np.zeros_like(self.amounts), np.zeros_like(self.rates)
        for _ in range(2000):
            self.time, self.amounts = now, state
            duration = dose.amount / dose.rate if dose.rate > 0.0 else 0.0
            if duration == 0.0:
                self.amounts = self.amounts + dose.amount * unit
            self.rates = dose.rate * unit if duration else np.zeros_like(unit)
            self.advance(now + duration)
            self.rates = np.zeros_like(unit)
            self.advance(now + dose.interval)
            change = np.max(np.abs(self.amounts - state) / (1e-300 + np.abs(self.amounts) + dose.amount))
            state = self.amounts
            if change < _STEADY:
                break
        self.time = now
        self.amounts = state + kept if dose.kind == EventKind.STEADY_STATE_ADD else state

    # states ---------------------------------------------------------------------------------------
    def advance(self, time: float) -> None:
        """Integrate to `time`, stopping where covariates change."""
        if time <= self.time:
            return
        table = self.table
        changes = table.cov_time[table.cov_ptr[self.i] : table.cov_ptr[self.i + 1]][:-1]
        stops = [float(t) for t in changes if self.time < t < time]
        for stop in [*stops, time]:
            self.amounts = self.integrate(self.time, stop, self.amounts)
            self.time = stop

    def integrate(self, start: float, stop: float, amounts: np.ndarray) -> np.ndarray:
        from scipy.integrate import solve_ivp

        individual = self.individual(stop)
        names = [f"A({n})" for n in range(1, len(amounts) + 1)]

        def rhs(t, y):
            env = run(self.model.program.des, {**individual, "T": t, **dict(zip(names, y, strict=True))})
            return np.array([float(env[f"DADT({n})"]) for n in range(1, len(names) + 1)]) + self.rates

        size = np.max(np.abs(amounts)) + np.max(np.abs(self.rates)) * (stop - start)
        atol = 1e-12 * max(size, 1e-6)
        solution = solve_ivp(rhs, (start, stop), amounts, method="LSODA", rtol=RTOL, atol=atol)
        return solution.y[:, -1] if solution.success else np.full(len(amounts), np.nan)

    def initial(self) -> np.ndarray:
        """A_0 at the current time; 0 where the model sets none."""
        individual = self.individual(self.time)
        return np.array([
            float(individual[c.initial]) if c.initial is not None else 0.0 for c in self.model.structural.compartments
        ])  # fmt: skip

    # programs -------------------------------------------------------------------------------------
    def individual(self, time: float) -> dict:
        """Inputs, covariates of this time and everything $PK assigns."""
        return run(self.model.program.pk, {**self.inputs, **self.covariates(time)})

    def covariates(self, time: float) -> dict[str, float]:
        """Row c applies on (cov_time[c-1], cov_time[c]], the last row also after its time."""
        table = self.table
        rows = range(int(table.cov_ptr[self.i]), int(table.cov_ptr[self.i + 1]))
        row = next((c for c in rows if time <= table.cov_time[c]), rows[-1])
        return {name: float(v) for name, v in zip(table.covariate_names, table.cov[row], strict=True)}

    def observe(self, row: int) -> float:
        """Y at EPS = 0 of one observation."""
        table, model = self.table, self.model
        env = self.individual(float(table.ob_time[row]))
        env.update({name: float(v) for name, v in zip(table.record_names, table.ob_data[row], strict=True)})
        env["T"] = float(table.ob_time[row])
        if model.structural.compartments:
            env.update({f"A({n})": float(a) for n, a in enumerate(self.amounts, 1)})
            compartment = model.structural.compartments[int(table.ob_cmt[row]) - 1]
            scale = 1.0 if compartment.scale is None else float(env[compartment.scale])
            env["F"] = env[f"A({compartment.number})"] / scale
        return float(run(model.program.error, env)["Y"])


@dataclass(frozen=True)
class _Dose:
    kind: EventKind
    compartment: int
    amount: float
    rate: float
    interval: float
    lag: float
