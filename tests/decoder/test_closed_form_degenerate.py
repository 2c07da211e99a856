"""Equal and nearly equal eigenvalues (flip-flop, ka = k) lose no accuracy: against 36-digit arithmetic."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from tests.helpers.forms import bolus, infusion, make_table
from tests.helpers.linear_forms import N_COMPARTMENTS, RATES, linear_form, rate_matrix

from nlmevae.codegen.graph import Function
from nlmevae.codegen.print_numpy import link_numpy
from nlmevae.decoder.closed_form import ClosedFormDecoder
from nlmevae.decoder.linear_system import linear_system

DOSE, RATE = 100.0, 40.0
TIMES = (0.01, 2.0, 40.0)
GAPS = (0.0, 1e-9, 0.031)

#: log of the rate constants as a function of the gap between eigenvalues, and the observed compartment
CASES = {
    "ka close to k": ("one_absorption", lambda g: [g, 0.0], 2),
    "ka just below k": ("one_absorption", lambda g: [-g, 0.0], 2),
    "alpha close to beta": ("two", lambda g: [0.0, -25.0, g], 1),
    "alpha close to beta, peripheral": ("two", lambda g: [0.0, -25.0, g], 2),
    "ka close to alpha": ("two_absorption", lambda g: [np.log(1.7676) + g, 0.0, -0.5, -1.5], 2),
    "ka close to beta": ("two_absorption", lambda g: [np.log(0.1262) + g, 0.0, -0.5, -1.5], 2),
    "all three close": ("two_absorption", lambda g: [g, 0.0, -25.0, 2 * g], 2),
    "all three close, peripheral": ("two_absorption", lambda g: [g, 0.0, -9.0, -g], 3),
    "equal peripherals": ("three", lambda g: [0.0, -1.0, -2.0, -1.5, -2.0 + g], 1),
    "all of three compartments close": ("three", lambda g: [0.0, -20.0, g, -20.0, 2 * g], 2),
    "ka among equal peripherals": ("three_absorption", lambda g: [-2.0, 0.0, -1.0, -2.0 + g, -1.5, -2.0 - g], 4),
    "a chain of equal rates": ("linear", lambda g: [g, 0.0, -40.0, -40.0], 3),
    "a cycle": ("linear", lambda g: [g, 0.0, 0.0, -1.0], 2),
}


def exact(kind: str, x: list, compartment: int, *, infused: bool) -> list:
    """Amount / V at TIMES after a unit of the first compartment got DOSE (at RATE), high precision."""
    v = dict(zip([*RATES[kind], "V"], [mp.e**value for value in x], strict=True))
    n = N_COMPARTMENTS[kind]
    matrix = mp.matrix(rate_matrix(kind, v).tolist())
    unit = mp.matrix([DOSE if c == 0 else 0 for c in range(n)])

    def after(h, y, rate):
        augmented = mp.zeros(n + 1, n + 1)
        augmented[:n, :n] = matrix
        augmented[0, n] = rate
        return (mp.expm(augmented * h) * mp.matrix([*y, 1]))[:n]

    found = []
    for time in TIMES:
        if not infused:
            y = after(mp.mpf(time), unit, 0)
        else:
            end = min(mp.mpf(time), mp.mpf(DOSE) / RATE)
            y = after(mp.mpf(time) - end, after(end, [0] * n, RATE), 0)
        found.append(y[compartment - 1] / v["V"] + (v["K"] * mp.mpf(time) if compartment == 1 else 0))
    return found


@pytest.mark.parametrize("infused", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_predictions_and_jacobian_stay_exact_where_eigenvalues_meet(case, infused):
    kind, log_rates, compartment = CASES[case]
    event = infusion(0.0, DOSE, RATE) if infused else bolus(0.0, DOSE)
    table = make_table([{"events": [event], "observations": [(t, compartment) for t in TIMES]}])
    decoder = ClosedFormDecoder(linear_form(kind, observed=[compartment]), table)
    step = mp.mpf(10) ** -15
    for gap in GAPS:
        x = [*log_rates(gap), 0.3]
        found = decoder.linearise(np.array([x]))
        with mp.workdps(36):
            x = [mp.mpf(float(value)) for value in x]
            reference = np.array([float(v) for v in exact(kind, x, compartment, infused=infused)])
            columns = []
            for j in range(len(x)):
                up, down = list(x), list(x)
                up[j], down[j] = x[j] + step, x[j] - step
                pair = zip(*(exact(kind, at, compartment, infused=infused) for at in (up, down)), strict=True)
                columns.append([float((a - b) / (2 * step)) for a, b in pair])
        peak = np.abs(reference).max()
        np.testing.assert_allclose(found.prediction, reference, rtol=1e-9, atol=2e-14 * peak, err_msg=f"gap {gap}")
        jacobian = np.array(columns).T
        np.testing.assert_allclose(found.jacobian, jacobian, rtol=1e-8, atol=2e-12 * peak, err_msg=f"gap {gap}")


@pytest.mark.parametrize("kind", ["one", "one_absorption", "two", "two_absorption"])
def test_the_spectral_decomposition_is_that_of_the_rate_matrix(kind):
    """M = -R diag(lambda) L and L = R^-1, also where one rate is far smaller than the others."""
    form = linear_form(kind)
    graph = form.rhs.graph
    system = linear_system(graph, form.linear)
    assert system.modes == "formula"
    parts = [system.eigenvalues, *system.right, *system.left, *system.rate_matrix]
    nodes = [node for part in parts for node in part]
    outputs = tuple((f"E{i}", node) for i, node in enumerate(nodes))
    function = Function(name="system", graph=graph, inputs=RATES[kind], outputs=outputs)
    rng = np.random.default_rng(2)
    rates = 10.0 ** rng.uniform(-4.0, 2.0, size=(200, len(RATES[kind])))
    values = link_numpy(function)(*rates.T)[0]
    n = N_COMPARTMENTS[kind]
    for row, value in zip(rates, values, strict=True):
        lam = value[:n]
        right, left, matrix = value[n:].reshape(3, n, n)
        reference = rate_matrix(kind, dict(zip(RATES[kind], row, strict=True)))
        np.testing.assert_array_equal(matrix, reference)
        size = np.abs(right) @ np.abs(left) + 1e-300  # some entries are exactly 0
        np.testing.assert_allclose((right @ left - np.eye(n)) / size, 0.0, atol=1e-13)
        size = np.abs(right) @ np.diag(np.abs(lam)) @ np.abs(left) + 1e-300
        np.testing.assert_allclose((right @ np.diag(lam) @ left + reference) / size, 0.0, atol=1e-12)
