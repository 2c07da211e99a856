"""Closed form, compiled kernels and torchode give the same predictions and Jacobians.

Oracle: the reference evaluator integrated by scipy at 1e-10 (`tests.helpers.oracle`) and central
differences. Predictions are compared relative to the subject's largest one.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers.cases import FIXTURES
from tests.helpers.oracle import simulate_subject

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.nonmem.read import read_control_stream

#: predictions at matched tolerances (rtol 1e-10), the requirement
PREDICTION = 1e-7
#: Jacobians, the requirement; dense output and central differences both lose about two digits to predictions
JACOBIAN = 1e-5

CASES = {
    "theophylline": "theophylline/run_wt_des.ctl",
    "neonates": "neonates/run_base.ctl",
    "indirect response": "indirect_response/run1.ctl",
    "target-mediated (stiff)": "tmdd/run1.ctl",
    "infusions": "infusion_one_compartment/run1.ctl",
    "repeated oral doses": "two_compartment_oral/run1.ctl",
}
#: what they have (initial amounts, repeated doses, four equations) is in the other cases too
TAKE_SECONDS_IN_TORCH = ("indirect response", "repeated oral doses")
SUBJECTS = np.array([0, 3])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def load(name):
    model = read_control_stream(FIXTURES / CASES[name])
    table = event_table(model, read_dataset(model))
    return model, latent_form(model, table), table


def inputs(model, form, table, seed=0):
    """x for SUBJECTS and the (thetas, etas) that mean the same to the oracle."""
    thetas = np.array([t.init for t in model.thetas])
    etas = 0.2 * np.random.default_rng(seed).normal(size=(len(SUBJECTS), len(model.etas)))
    from nlmevae.estimation.mean_model import MeanModel

    mu = MeanModel.of(model, form, table).mean(thetas)[SUBJECTS]
    index = [model.etas.index(latent.eta) for latent in form.latents]
    structural = [thetas[[t.name for t in model.thetas].index(n)] for n in form.structural]
    x = np.hstack([mu + etas[:, index], np.tile(structural, (len(SUBJECTS), 1))])
    return x, thetas, etas


def relative(value, reference):
    return np.abs(value - reference).max() / np.abs(reference).max()


def expected_predictions(model, thetas, etas, table):
    return np.concatenate([simulate_subject(model, thetas, etas[k], table, int(i)) for k, i in enumerate(SUBJECTS)])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", ["compiled", "closed_form"])
def test_native_back_ends_agree_with_scipy(name, backend):
    model, form, table = load(name)
    if backend == "closed_form" and not form.linear:
        pytest.skip("no closed form for this model")
    x, thetas, etas = inputs(model, form, table)
    decoder = make_decoder(form, table, backend=backend, rtol=1e-10, atol=1e-11, max_steps=200_000)
    expected = expected_predictions(model, thetas, etas, table)
    assert relative(decoder.predict(x, SUBJECTS).prediction, expected) < PREDICTION
    assert relative(decoder.linearise(x, SUBJECTS).prediction, expected) < PREDICTION


def test_closed_form_and_compiled_jacobians_agree():
    model, form, table = load("repeated oral doses")
    x, _, _ = inputs(model, form, table)
    compiled = make_decoder(form, table, backend="compiled", rtol=1e-10, atol=1e-11, max_steps=200_000)
    exact = make_decoder(form, table, backend="closed_form").linearise(x, SUBJECTS).jacobian
    assert relative(compiled.linearise(x, SUBJECTS).jacobian, exact) < JACOBIAN


@pytest.mark.parametrize(
    "name", [pytest.param(c, marks=pytest.mark.slow) if c in TAKE_SECONDS_IN_TORCH else c for c in CASES]
)
def test_torchode_predictions_and_gradients_equal_the_compiled_ones(name):
    """At rtol 1e-9 for both. The gradient is that of a random combination of all predictions."""
    model, form, table = load(name)
    x, _, _ = inputs(model, form, table)
    x, subject = x[:1], SUBJECTS[:1]
    options = {"rtol": 1e-9, "atol": 1e-9, "max_steps": 200_000}
    compiled = make_decoder(form, table, backend="compiled", **options).linearise(x, subject)
    tensor = torch.tensor(x, requires_grad=True)
    prediction = make_decoder(form, table, backend="torchode", **options).decode(tensor, subject)
    assert relative(prediction.detach().numpy(), compiled.prediction) < PREDICTION
    weight = np.random.default_rng(1).normal(size=len(prediction))
    (torch.tensor(weight) @ prediction).backward()
    scale = np.abs(compiled.jacobian).max(0).sum() * np.abs(weight).sum() / len(weight)
    np.testing.assert_allclose(tensor.grad.numpy()[0], weight @ compiled.jacobian, atol=JACOBIAN * scale)


@pytest.mark.parametrize("name", CASES)
def test_compiled_jacobians_match_central_differences(name):
    model, form, table = load(name)
    x, _, _ = inputs(model, form, table)
    decoder = make_decoder(form, table, backend="compiled", rtol=1e-11, atol=1e-13, max_steps=200_000)
    jacobian = decoder.linearise(x, SUBJECTS).jacobian
    for j in range(form.n_inputs):
        step = 1e-4 * max(1.0, np.abs(x[:, j]).max() if j >= form.n_latents else 1.0)
        shift = step * np.eye(form.n_inputs)[j]
        # fourth order, so that truncation stays far below the tolerance
        slope = sum(
            w * decoder.predict(x + s * shift, SUBJECTS).prediction
            for w, s in ((1 / 12, -2), (-8 / 12, -1), (8 / 12, 1), (-1 / 12, 2))
        )
        assert relative(jacobian[:, j], slope / step) < JACOBIAN, form.input_names[j]
