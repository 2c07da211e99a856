"""The Rosenbrock kernels: accuracy, exact derivatives, order, events, and when they are chosen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from tests.decoder.test_compiled import (
    CENTRE,
    central_jacobian,
    exp,
    jacobian_error,
    log_normal,
    michaelis_form,
    oral_form,
    random_z,
)
from tests.helpers.forms import bolus, infusion, make_form, make_table, op, reset

from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.compiled import CompiledDecoder


def rosenbrock(form, table, **options):
    return CompiledDecoder(form, table, method="rosenbrock", **options)


def binding_form():
    """Target-mediated disposition: drug, target, complex; fast binding makes it stiff."""
    names = ["CL", "V", "KON", "KOFF", "KSYN", "KDEG", "KINT"]
    return make_form(
        latents=names, parameters=names, individual=log_normal(*names), n_compartments=3, observed=[1, 2],
        initial=lambda v: [0.0, v["KSYN"] / v["KDEG"], 0.0],
        rhs=lambda v: [
            -v["CL"] / v["V"] * v["A1"] - v["KON"] * v["A1"] * v["A2"] + v["KOFF"] * v["A3"],
            v["KSYN"] - v["KDEG"] * v["A2"] - v["KON"] * v["A1"] * v["A2"] + v["KOFF"] * v["A3"],
            v["KON"] * v["A1"] * v["A2"] - (v["KOFF"] + v["KINT"]) * v["A3"],
        ],
        output=lambda v: [v["A1"] / v["V"], v["A2"]],
    )  # fmt: skip


BINDING = np.log([0.3, 3.0, 100.0, 0.1, 1.0, 0.2, 0.1])


def binding_table(n):
    times = [0.05, 0.5, 2.0, 10.0, 30.0, 60.0, 100.0]
    observations = [(t, 1 + j % 2) for j, t in enumerate(times)]
    return make_table([{"events": [bolus(0, 20), bolus(40, 10)], "observations": observations}] * n)


def binding_by_scipy(z):
    cl, v, kon, koff, ksyn, kdeg, kint = np.exp(z)

    def rhs(t, y):
        bound = kon * y[0] * y[1] - koff * y[2]
        return [-cl / v * y[0] - bound, ksyn - kdeg * y[1] - bound, bound - kint * y[2]]

    options = {"method": "LSODA", "rtol": 1e-10, "atol": 1e-12, "dense_output": True}
    first = solve_ivp(rhs, (0, 40), [20.0, ksyn / kdeg, 0.0], **options)
    second = solve_ivp(rhs, (40, 100), first.y[:, -1] + [10.0, 0, 0], **options)
    early, late = first.sol([0.05, 0.5, 2.0, 10.0, 30.0]), second.sol([60.0, 100.0])
    both = np.concatenate([early, late], axis=1)
    return np.array([both[0, j] / v if j % 2 == 0 else both[1, j] for j in range(7)])


def test_a_stiff_binding_model_agrees_with_scipy():
    z = BINDING + 0.2 * np.random.default_rng(8).normal(size=(5, 7))
    decoder = rosenbrock(binding_form(), binding_table(5), rtol=1e-7)
    solution = decoder.linearise(z)
    assert (solution.status == SolveStatus.OK).all()
    exact = np.concatenate([binding_by_scipy(row) for row in z])
    np.testing.assert_allclose(solution.prediction, exact, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(decoder.predict(z).prediction, solution.prediction, rtol=1e-8, atol=1e-12)


def test_sensitivities_of_a_stiff_model_agree_with_central_differences():
    z = BINDING + 0.2 * np.random.default_rng(9).normal(size=(3, 7))
    sharp = central_jacobian(rosenbrock(binding_form(), binding_table(3), rtol=1e-9), z, step=1e-3)
    found = rosenbrock(binding_form(), binding_table(3)).linearise(z).jacobian
    scale = np.abs(sharp).max(axis=0)
    np.testing.assert_allclose(found / scale, sharp / scale, rtol=0, atol=5e-5)


def test_events_and_their_sensitivities_are_those_of_the_explicit_method():
    times = [0.1, 0.9, 2.0, 3.6, 5.0, 6.5, 9.0, 15.0, 23.9, 24.2, 26.0, 30.0]
    events = [bolus(0, 100), infusion(3, 80, 20), reset(24), bolus(24, 60)]
    table = make_table([{"events": events, "observations": [(t, 1) for t in times]}] * 5)
    z = random_z(5, np.log([6.0, 8.0, 4.0, 0.7, 0.45, 8.0]), seed=3)
    explicit = CompiledDecoder(michaelis_form(), table, method="explicit").linearise(z)
    implicit = rosenbrock(michaelis_form(), table).linearise(z)
    np.testing.assert_allclose(implicit.prediction, explicit.prediction, atol=1e-6)
    np.testing.assert_allclose(implicit.jacobian, explicit.jacobian, atol=1e-5)


def test_time_in_the_right_hand_side_is_differentiated():
    form = make_form(
        latents=["B", "K"], parameters=["B", "K"], individual=log_normal("B", "K"), n_compartments=1,
        rhs=lambda v: [v["B"] * op("sin", v["K"] * v["T"]) - v["K"] * v["A1"] * exp(-v["T"])],
        output=lambda v: [v["A1"]],
    )  # fmt: skip
    table = make_table([{"events": [bolus(0, 1.0)], "observations": [(t, 1) for t in (1.0, 3.0, 7.5)]}] * 3)
    z = random_z(3, np.log([1.0, 0.7]))
    explicit = CompiledDecoder(form, table, rtol=1e-11).linearise(z)
    implicit = rosenbrock(form, table, rtol=1e-9)
    np.testing.assert_allclose(implicit.linearise(z).prediction, explicit.prediction, atol=1e-7)
    np.testing.assert_allclose(implicit.linearise(z).jacobian, explicit.jacobian, atol=1e-6)
    assert jacobian_error(implicit, z) < 1e-6


def test_the_error_falls_with_the_fourth_power_of_the_step():
    """Ten times as many steps by tolerance: the error must fall by about 10^4."""
    table = make_table([{"events": [bolus(0, 1.0)], "observations": [(5.0, 2)]}])
    exact = CompiledDecoder(oral_form(), table, rtol=1e-13).predict(CENTRE[None]).prediction
    steps, errors = [], []
    for rtol in (1e-5, 1e-8):
        solution = rosenbrock(oral_form(), table, rtol=rtol).predict(CENTRE[None])
        steps.append(solution.n_steps[0])
        errors.append(abs(solution.prediction[0] - exact[0]))
    order = np.log(errors[0] / errors[1]) / np.log(steps[1] / steps[0])
    assert order > 3.3


@pytest.mark.parametrize("width", [1, 2])
def test_results_do_not_depend_on_the_simd_width(width):
    z = BINDING + 0.2 * np.random.default_rng(10).normal(size=(6, 7))
    four = rosenbrock(binding_form(), binding_table(6), width=4).linearise(z)
    other = rosenbrock(binding_form(), binding_table(6), width=width).linearise(z)
    np.testing.assert_allclose(other.prediction, four.prediction, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other.jacobian, four.jacobian, rtol=1e-6, atol=1e-9)


def test_rows_the_explicit_method_cannot_finish_are_repeated():
    z = np.tile(BINDING, (4, 1))
    z[:, 2] = np.log([0.1, 1e5, 0.2, 1e5])  # binding rate: two rows are very stiff
    table = binding_table(4)
    explicit = CompiledDecoder(binding_form(), table, method="explicit", rtol=1e-6, max_steps=3000).linearise(z)
    np.testing.assert_array_equal(explicit.status == SolveStatus.MAX_STEPS, [False, True, False, True])
    solution = CompiledDecoder(binding_form(), table, rtol=1e-6, max_steps=3000).linearise(z)
    assert (solution.status == SolveStatus.OK).all()
    exact = np.concatenate([binding_by_scipy(row) for row in z])
    np.testing.assert_allclose(solution.prediction, exact, rtol=1e-3, atol=1e-5)
    plain = rosenbrock(binding_form(), table, rtol=1e-6).linearise(z)
    np.testing.assert_allclose(solution.jacobian[7:14], plain.jacobian[7:14], rtol=1e-6, atol=1e-9)


def test_a_model_that_is_stiff_for_most_rows_is_then_solved_by_the_rosenbrock_method_at_once():
    z = np.tile(BINDING, (4, 1))
    z[:, 2] = np.log(1e5)
    decoder = CompiledDecoder(binding_form(), binding_table(4), rtol=1e-6, max_steps=3000)
    first, second = decoder.linearise(z), decoder.linearise(z)
    plain = rosenbrock(binding_form(), binding_table(4), rtol=1e-6).linearise(z)
    for solution in (first, second):
        np.testing.assert_array_equal(solution.n_steps, plain.n_steps)
        np.testing.assert_allclose(solution.prediction, plain.prediction, rtol=1e-9)
