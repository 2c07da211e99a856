"""Speed of the compiled decoder as a ratio to torchode's forward and backward pass, same machine, same run.

Run with: pytest -m slow tests/benchmarks -s
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torchode

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.decoder.compiled import CompiledDecoder
from tests.helpers.forms import bolus, make_form, make_table, op

pytestmark = pytest.mark.slow
RTOL = ATOL = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`reference` is one gradient step with torchode; `least` the ratio that must be reached."""

    form: LatentForm
    table: EventTable
    z: np.ndarray
    reference: Callable[[], tuple[np.ndarray, np.ndarray]]
    least: float


def exp(x):
    return op("exp", x)


def log_normal(*names):
    return lambda v: {name: exp(v[f"Z{k + 1}"]) for k, name in enumerate(names)}


def torch_gradient(rhs, z, start, times, doses, output):
    """Predictions (N, n_obs) and d sum(predictions) / dz by solving from dose to dose with torchode.

    doses: [(time, amount)] into state 0, the same for all subjects; times ascending.
    """
    leaf = torch.tensor(z, requires_grad=True)
    psi = leaf.exp()
    term = torchode.ODETerm(rhs, with_args=True, with_stats=False)
    controller = torchode.IntegralController(atol=ATOL, rtol=RTOL, term=term)
    method = torchode.Dopri5(term=term).double()
    solver = torchode.AutoDiffAdjoint(method, controller.double(), backprop_through_step_size_control=False)
    y, predicted = start(psi), []
    stops = [*(t for t, _ in doses), max(times)] if doses else [0.0, max(times)]
    amounts = [a for _, a in doses] or [0.0]
    for begin, end, amount in zip(stops[:-1], stops[1:], amounts, strict=True):
        y = y + torch.nn.functional.one_hot(torch.tensor(0), y.shape[1]) * amount
        inside = [t for t in times if begin < t <= end]
        points = torch.tensor([begin, *inside, end], dtype=torch.float64)
        problem = torchode.InitialValueProblem(y0=y, t_eval=points.repeat(len(y), 1))
        solution = solver.solve(problem, args=psi)
        predicted.append(output(solution.ys[:, 1:-1], psi))
        y = solution.ys[:, -1]
    prediction = torch.cat(predicted, dim=1)
    prediction.sum().backward()
    return prediction.detach().numpy(), leaf.grad.numpy()


def theophylline() -> Case:
    names = ("KA", "V", "CL")
    times = [0.25, 0.57, 1.12, 2.02, 3.82, 5.1, 7.03, 9.05, 12.12, 18.0, 24.37]
    form = make_form(
        latents=names, parameters=names, individual=log_normal(*names), n_compartments=2, observed=[2],
        rhs=lambda v: [-v["KA"] * v["A1"], v["KA"] * v["A1"] - v["CL"] / v["V"] * v["A2"]],
        output=lambda v: [v["A2"] / v["V"]],
    )  # fmt: skip
    table = make_table([{"events": [bolus(0, 320)], "observations": [(t, 2) for t in times]}] * 12)
    z = np.log([1.5, 32.0, 2.8]) + 0.3 * np.random.default_rng(1).normal(size=(12, 3))

    def rhs(t, y, psi):
        ka, v, cl = psi.T
        return torch.stack([-ka * y[:, 0], ka * y[:, 0] - cl / v * y[:, 1]], dim=1)

    def reference():
        return torch_gradient(
            rhs, z, lambda psi: psi.new_zeros(len(psi), 2), times, [(0.0, 320.0)],
            lambda y, psi: y[..., 1] / psi[:, None, 1],
        )  # fmt: skip

    return Case(form=form, table=table, z=z, reference=reference, least=1500)


def neonates() -> Case:
    """Weight of newborns in the first week: Rohleff et al. 2025, equation 15."""
    names = ("W0", "KIN", "TLAG", "KOUT", "T50")
    times = list(np.linspace(0.4, 7.0, 15))

    def slopes(v):
        production = v["KIN"] / (1.0 + exp(-2.0 * (v["T"] - v["TLAG"])))
        return [production - v["KOUT"] * (1.0 - v["T"] / (v["T50"] + v["T"])) * v["A1"]]

    form = make_form(
        latents=names, parameters=names, individual=log_normal(*names), n_compartments=1, observed=[1],
        rhs=slopes, initial=lambda v: [v["W0"]], output=lambda v: [v["A1"]],
    )  # fmt: skip
    table = make_table([{"observations": [(t, 1) for t in times]}] * 189)
    z = np.log([3.3, 0.06, 2.0, 0.06, 1.0]) + 0.2 * np.random.default_rng(2).normal(size=(189, 5))

    def rhs(t, y, psi):
        _, kin, tlag, kout, t50 = psi.T
        production = kin / (1 + torch.exp(-2 * (t - tlag)))
        return (production - kout * (1 - t / (t50 + t)) * y[:, 0])[:, None]

    def reference():
        return torch_gradient(rhs, z, lambda psi: psi[:, :1], times, [], lambda y, psi: y[..., 0])

    return Case(form=form, table=table, z=z, reference=reference, least=100)


def indirect_response() -> Case:
    """Two compartments with absorption drive an indirect response; 12 doses, 100 subjects."""
    names = ("KA", "CL", "V", "Q", "V2", "KIN", "KOUT", "IC50")
    doses = [(12.0 * j, 100.0) for j in range(12)]
    times = list(np.linspace(2.0, 150.0, 15))

    def slopes(v):
        concentration = v["A2"] / v["V"]
        exchange = v["Q"] / v["V"] * v["A2"] - v["Q"] / v["V2"] * v["A3"]
        return [
            -v["KA"] * v["A1"],
            v["KA"] * v["A1"] - v["CL"] / v["V"] * v["A2"] - exchange,
            exchange,
            v["KIN"] * (1.0 - concentration / (v["IC50"] + concentration)) - v["KOUT"] * v["A4"],
        ]

    form = make_form(
        latents=names, parameters=names, individual=log_normal(*names), n_compartments=4, observed=[4], rhs=slopes,
        initial=lambda v: [0.0, 0.0, 0.0, v["KIN"] / v["KOUT"]], output=lambda v: [v["A4"]],
    )  # fmt: skip
    table = make_table([{"events": [bolus(*d) for d in doses], "observations": [(t, 4) for t in times]}] * 100)
    centre = np.log([1.0, 3.0, 20.0, 2.0, 30.0, 10.0, 0.2, 1.5])
    z = centre + 0.2 * np.random.default_rng(3).normal(size=(100, 8))

    def rhs(t, y, psi):
        ka, cl, v, q, v2, kin, kout, ic50 = psi.T
        concentration = y[:, 1] / v
        exchange = q / v * y[:, 1] - q / v2 * y[:, 2]
        return torch.stack(
            [
                -ka * y[:, 0],
                ka * y[:, 0] - cl / v * y[:, 1] - exchange,
                exchange,
                kin * (1 - concentration / (ic50 + concentration)) - kout * y[:, 3],
            ],
            dim=1,
        )

    def start(psi):
        zero = torch.zeros_like(psi[:, 0])
        return torch.stack([zero, zero, zero, psi[:, 5] / psi[:, 6]], dim=1)

    def reference():
        return torch_gradient(rhs, z, start, times, doses, lambda y, psi: y[..., 3])

    return Case(form=form, table=table, z=z, reference=reference, least=250)


def cpu_time(work: Callable[[], object], repeats: int) -> float:
    """Smallest process time of one call, s."""
    work()
    best = np.inf
    for _ in range(repeats):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


@pytest.mark.parametrize("make", [theophylline, neonates, indirect_response])
def test_a_gradient_step_is_much_faster_than_torchode(make):
    torch.set_num_threads(1)
    case = make()
    decoder = CompiledDecoder(case.form, case.table, rtol=RTOL, atol=ATOL)
    prediction, gradient = case.reference()
    solution = decoder.linearise(case.z)
    # equal up to what a tolerance of 1e-6 on the amounts means for predictions and derivatives
    np.testing.assert_allclose(solution.prediction, prediction.ravel(), rtol=1e-4, atol=1e-4)
    own = np.add.reduceat(solution.jacobian, solution.ptr[:-1], axis=0)
    np.testing.assert_allclose(own, gradient, rtol=0.01, atol=0.003 * np.abs(gradient).max())
    compiled = cpu_time(lambda: decoder.linearise(case.z), 30)
    reference = cpu_time(case.reference, 3)
    print(
        f"\n{make.__name__}: torchode {reference * 1e3:.1f} ms, compiled {compiled * 1e3:.3f} ms, "
        f"ratio {reference / compiled:.0f}, steps {solution.n_steps.mean():.0f}"
    )
    assert reference / compiled > case.least
