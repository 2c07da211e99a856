"""Linear equations that the text writes itself run in closed form, and are what integration makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.linear_streams import CODES, inputs, problem
from tests.helpers.oracle import simulate_subject

from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.linear_system import linear_system
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import SettingsError

TIGHT = {"backend": "compiled", "rtol": 1e-11, "max_steps": 1_000_000}
#: of predictions, relative to the largest: what integration at 1e-11 adds up over a dozen doses
INTEGRATED = 1e-9
#: of derivatives, relative to the largest of each parameter: two digits less, from dense output
SLOPE = 1e-7
#: scipy at 1e-10 from event to event
SCIPY = 1e-7


def assert_integrated(found, reference) -> None:
    """Predictions and derivatives are those of the integrator."""
    size, scale = np.abs(reference.prediction).max(), np.abs(reference.jacobian).max(axis=0)
    np.testing.assert_allclose(found.prediction / size, reference.prediction / size, rtol=0, atol=INTEGRATED)
    np.testing.assert_allclose(found.jacobian / scale, reference.jacobian / scale, rtol=0, atol=SLOPE)


@pytest.mark.parametrize("name", CODES)
def test_amounts_and_derivatives_are_those_of_the_integrator(tmp_path, name):
    """Boluses, infusions, modelled durations, lags, additional doses, resets, occasions and weights that change."""
    _, form, table = problem(tmp_path, CODES[name])
    x = inputs(form, CODES[name], table.n_subjects)
    decoder = make_decoder(form, table)
    assert decoder.backend == "closed_form"
    found, reference = decoder.linearise(x), make_decoder(form, table, **TIGHT).linearise(x)
    assert (found.status == SolveStatus.OK).all()
    assert_integrated(found, reference)
    atol = 1e-14 * np.abs(reference.prediction).max()
    np.testing.assert_allclose(decoder.predict(x).prediction, found.prediction, rtol=1e-12, atol=atol)


@pytest.mark.parametrize("name", CODES)
def test_predictions_are_those_of_scipy(tmp_path, name):
    code = CODES[name]
    model, form, table = problem(tmp_path, code, n_subjects=2, seed=5)
    etas = 0.3 * np.random.default_rng(2).normal(size=(2, len(code.parameters)))
    typical = np.array(list(code.parameters.values()))
    expected = np.concatenate([simulate_subject(model, typical, etas[i], table, i) for i in range(2)])
    found = make_decoder(form, table, backend="closed_form").predict(np.log(typical) + etas).prediction
    np.testing.assert_allclose(found, expected, rtol=0, atol=SCIPY * np.abs(expected).max())


@pytest.mark.parametrize(
    "name", ["two compartments, concentrations, in another order", "effect compartment", "transit compartments"]
)
def test_steady_states_are_those_of_the_integrator(tmp_path, name):
    _, form, table = problem(tmp_path, CODES[name], n_subjects=3, steady=True)
    x = inputs(form, CODES[name], 3)
    decoder = make_decoder(form, table)
    assert decoder.backend == "closed_form"
    found, reference = decoder.linearise(x), make_decoder(form, table, **TIGHT).linearise(x)
    assert (found.status == reference.status).all()
    assert_integrated(found, reference)


@pytest.mark.parametrize("name", [name for name, code in CODES.items() if code.keeps])
def test_steady_states_of_what_nothing_leaves_are_left_to_the_integrator(tmp_path, name):
    _, form, table = problem(tmp_path, CODES[name], n_subjects=1, steady=True)
    decoder = make_decoder(form, table)
    assert decoder.backend == "compiled"
    decoder.close()
    with pytest.raises(SettingsError, match="the data ask for steady states, and the model has amounts"):
        make_decoder(form, table, backend="closed_form")


@pytest.mark.parametrize("name", CODES)
def test_modes_have_formulas_where_groups_have_two_compartments_at_most(tmp_path, name):
    _, form, _ = problem(tmp_path, CODES[name], n_subjects=1)
    graph = form.individual.graph
    assert linear_system(graph, form.linear.at(graph, dict(form.individual.outputs))).modes == CODES[name].modes
