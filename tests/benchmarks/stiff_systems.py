"""Stiff systems at random parameters: accuracy against scipy's Radau, failures, and speed.

    python -m tests.benchmarks.stiff_systems [--draws 500]

Target-mediated disposition (four states, two doses) and Robertson's reaction (three states, rate constants over nine
orders of magnitude) by the compiled back end, at parameters drawn with a log-normal factor of SD 0.5. Accuracy is asked
of a tolerance of 1e-9 against Radau at 1e-11, the largest error relative to the largest value of the observed quantity;
speed of both at the default tolerance of 1e-8, predictions alone.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.compiled import CompiledDecoder
from tests.decoder.test_compiled import log_normal
from tests.helpers.forms import bolus, make_form, make_table


@dataclass(frozen=True)
class System:
    """`rhs(p)` and `jacobian(p)` of one parameter vector, for scipy; `start(p)` amounts; `doses` (time, amount) into
    the first state; `observed`: which state."""

    form: object
    centre: np.ndarray
    times: tuple[float, ...]
    doses: tuple[tuple[float, float], ...]
    start: Callable[[np.ndarray], list[float]]
    rhs: Callable[[np.ndarray], Callable]
    observed: int

    def table(self, n: int):
        subject = {
            "events": [bolus(t, amount) for t, amount in self.doses],
            "observations": [(t, 1) for t in self.times],
        }
        return make_table([subject] * n)

    def by_scipy(self, p: np.ndarray, rtol: float) -> np.ndarray:
        """The observed state at all times, restarted at every dose."""
        stops = sorted({0.0, *(t for t, _ in self.doses), self.times[-1]})
        state, found = np.array(self.start(p), dtype=float), {}
        for begin, end in itertools.pairwise(stops):
            state = state.copy()
            state[0] += sum(amount for t, amount in self.doses if t == begin)
            at = [t for t in self.times if begin <= t < end or t == end == stops[-1]]
            solved = solve_ivp(
                self.rhs(p), (begin, end), state, method="Radau", rtol=rtol, atol=rtol * 1e-2, t_eval=sorted({*at, end})
            )
            found.update(zip(at, solved.y[self.observed], strict=False))
            state = solved.y[:, -1]
        return np.array([found[t] for t in self.times])


def target_mediated() -> System:
    names = ["CL", "V", "KON", "KOFF", "KSYN", "KDEG", "KINT", "KPT", "KTP"]

    def binding(v):
        return v["KON"] * v["A1"] * v["A3"] / v["V"] - v["KOFF"] * v["A4"]

    form = make_form(
        latents=names, parameters=names, individual=log_normal(*names), n_compartments=4, observed=[1],
        initial=lambda v: [0.0, 0.0, v["KSYN"] / v["KDEG"] * v["V"], 0.0],
        rhs=lambda v: [
            -(v["CL"] / v["V"] + v["KPT"]) * v["A1"] + v["KTP"] * v["A2"] - binding(v),
            v["KPT"] * v["A1"] - v["KTP"] * v["A2"],
            v["KSYN"] * v["V"] - v["KDEG"] * v["A3"] - binding(v),
            binding(v) - v["KINT"] * v["A4"],
        ],
        output=lambda v: [v["A1"]],
    )  # fmt: skip

    def rhs(p):
        cl, v, kon, koff, ksyn, kdeg, kint, kpt, ktp = p

        def derivative(t, y):
            bound = kon * y[0] * y[2] / v - koff * y[3]
            return [
                -(cl / v + kpt) * y[0] + ktp * y[1] - bound,
                kpt * y[0] - ktp * y[1],
                ksyn * v - kdeg * y[2] - bound,
                bound - kint * y[3],
            ]

        return derivative

    return System(
        form=form,
        centre=np.log([0.3, 3.0, 200.0, 2.0, 5.0, 1.0, 0.5, 0.2, 0.1]),
        times=(0.01, 0.1, 0.5, 1.0, 3.0, 7.0, 14.0, 20.9, 21.1, 25.0, 35.0, 60.0),
        doses=((0.0, 100.0), (21.0, 30.0)),
        start=lambda p: [0.0, 0.0, p[4] / p[5] * p[1], 0.0],
        rhs=rhs,
        observed=0,
    )


def robertson() -> System:
    names = ["K1", "K2", "K3"]
    form = make_form(
        latents=names, parameters=names, individual=log_normal(*names), n_compartments=3, observed=[1],
        initial=lambda v: [1.0, 0.0, 0.0],
        rhs=lambda v: [
            -v["K1"] * v["A1"] + v["K3"] * v["A2"] * v["A3"],
            v["K1"] * v["A1"] - v["K3"] * v["A2"] * v["A3"] - v["K2"] * v["A2"] * v["A2"],
            v["K2"] * v["A2"] * v["A2"],
        ],
        output=lambda v: [v["A1"]],
    )  # fmt: skip

    def rhs(p):
        k1, k2, k3 = p

        def derivative(t, y):
            slow, back, fast = k1 * y[0], k3 * y[1] * y[2], k2 * y[1] * y[1]
            return [-slow + back, slow - back - fast, fast]

        return derivative

    return System(
        form=form,
        centre=np.log([0.04, 3e7, 1e4]),
        times=(0.01, 0.4, 4.0, 40.0, 400.0, 4e3, 4e4),
        doses=(),
        start=lambda p: [1.0, 0.0, 0.0],
        rhs=rhs,
        observed=0,
    )


SYSTEMS = {"target-mediated disposition": target_mediated, "Robertson": robertson}


def measured(system: System, n_draws: int) -> dict[str, float]:
    """Failures, largest error, and how many times as fast as scipy."""
    z = system.centre + 0.5 * np.random.default_rng(5).standard_normal((n_draws, len(system.centre)))
    table = system.table(n_draws)
    sharp = CompiledDecoder(system.form, table, rtol=1e-9, method="rosenbrock").predict(z)
    exact = np.array([system.by_scipy(p, 1e-11) for p in np.exp(z)])
    found = sharp.prediction.reshape(exact.shape)
    error = np.abs(found - exact).max(axis=1) / np.abs(exact).max(axis=1)

    usual = CompiledDecoder(system.form, table, method="rosenbrock")
    usual.predict(z)  # compiles
    began = time.perf_counter()
    status = usual.predict(z).status
    own = time.perf_counter() - began
    some = np.exp(z[: max(1, n_draws // 10)])
    began = time.perf_counter()
    for p in some:
        system.by_scipy(p, 1e-8)
    scipy = (time.perf_counter() - began) / len(some) * n_draws
    failed = int((sharp.status != SolveStatus.OK).sum() + (status != SolveStatus.OK).sum())
    return {"failed": failed, "error": float(error.max()), "faster": scipy / own, "ms": 1e3 * own / n_draws}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=500)
    draws = parser.parse_args().draws
    for name, make in SYSTEMS.items():
        values = measured(make(), draws)
        print(
            f"{name}: {draws} draws, {values['failed']} failed, largest error {values['error']:.1e}, "
            f"{values['ms']:.3f} ms per solution, {values['faster']:.0f} times as fast as scipy's Radau"
        )
