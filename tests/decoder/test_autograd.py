"""Gradients through a decoder are the decoder's Jacobian, whatever the rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers.forms import bolus, make_table
from tests.helpers.linear_forms import linear_form

from nlmevae.decoder.autograd import decode
from nlmevae.decoder.closed_form import ClosedFormDecoder

SUBJECTS = [
    {"events": [bolus(0.0, 100.0)], "observations": [(1.0, 2), (4.0, 2), (9.0, 2)]},
    {"events": [bolus(0.0, 100.0)], "observations": []},
    {"events": [bolus(0.0, 50.0)], "observations": [(2.0, 2)]},
    {"events": [bolus(0.0, 50.0)], "observations": []},
]


@pytest.fixture(scope="module")
def decoder():
    return ClosedFormDecoder(linear_form("one_absorption", observed=[2]), make_table(SUBJECTS))


def test_gradients_pass_gradcheck_with_subjects_without_observations(decoder):
    torch.manual_seed(0)
    x = (0.3 * torch.randn(4, 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: decode(decoder, v), (x,))
    rows = np.array([1, 2, 0, 0, 3])
    x = (0.3 * torch.randn(5, 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: decode(decoder, v, rows), (x,))


def test_no_observations_at_all_give_no_gradient(decoder):
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    prediction = decode(decoder, x, np.array([1, 3]))
    assert prediction.shape == (0,)
    prediction.sum().backward()
    assert (x.grad == 0.0).all()


def test_a_failed_row_has_nan_predictions_and_no_gradient_and_spares_the_others(decoder):
    x = torch.zeros(4, 3, dtype=torch.float64)
    x[0, 2] = float("nan")
    x.requires_grad_()
    prediction = decode(decoder, x)
    assert prediction.isnan().tolist() == [True, True, True, False]
    (prediction**2).sum().backward()
    assert (x.grad[0] == 0.0).all()
    assert x.grad[2].isfinite().all()
    assert (x.grad[2] != 0.0).any()


def test_backward_solves_nothing_and_no_gradient_means_no_jacobian(decoder, monkeypatch):
    calls = []
    for name in ("predict", "linearise"):
        method = getattr(decoder, name)
        monkeypatch.setattr(decoder, name, lambda *a, _n=name, _m=method: calls.append(_n) or _m(*a))
    x = torch.zeros(4, 3, dtype=torch.float64)
    decode(decoder, x)
    assert calls == ["predict"]
    decode(decoder, x.requires_grad_()).sum().backward()
    assert calls == ["predict", "linearise"]
    with torch.no_grad():
        decode(decoder, x)
    assert calls == ["predict", "linearise", "predict"]


def test_single_precision_inputs_get_single_precision_results(decoder):
    x = torch.zeros(4, 3, dtype=torch.float32, requires_grad=True)
    prediction = decode(decoder, x)
    assert prediction.dtype == torch.float32
    prediction.sum().backward()
    assert x.grad.dtype == torch.float32
