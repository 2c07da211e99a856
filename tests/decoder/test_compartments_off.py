"""Compartments turned on and off, and the output compartment: every back end against scipy, gradients against central
differences, and tables that NONMEM printed."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.switching import TYPICAL, data_text, predictions, random_records, stream

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.nonmem.read import parse_control_stream

N_SUBJECTS = 12
#: relative to the doses, of about 100: integration to 1e-9 over twenty intervals
TOLERANCE = 1e-7
STEP = 1e-4


def prepared(folder, text: str, data: str):
    (folder / "data.csv").write_text(data)
    model = parse_control_stream(text, str(folder / "run.ctl"))
    table = event_table(model, read_dataset(model))
    return latent_form(model, table), table


def histories(seed: int, n: int = N_SUBJECTS) -> list[list[dict]]:
    rng = np.random.default_rng(seed)
    return [random_records(rng) for _ in range(n)]


@pytest.mark.parametrize(("backend", "n"), [("closed_form", N_SUBJECTS), ("compiled", N_SUBJECTS), ("torchode", 2)])
def test_random_records_give_what_scipy_integrates(backend, n, tmp_path):
    subjects = histories(5, n)
    form, table = prepared(tmp_path, stream(equations=backend != "closed_form"), data_text(subjects))
    assert table.output and not table.static
    psi = TYPICAL * np.exp(0.2 * np.random.default_rng(1).standard_normal((n, len(TYPICAL))))
    options = {} if backend == "closed_form" else {"rtol": 1e-10}
    found = make_decoder(form, table, backend=backend, **options).linearise(np.log(psi))
    assert (found.status == 0).all()
    expected = np.concatenate([predictions(r, p) for r, p in zip(subjects, psi, strict=True)])
    np.testing.assert_allclose(found.prediction, expected, rtol=TOLERANCE, atol=100 * TOLERANCE)
    slopes = central_differences(subjects, psi)
    np.testing.assert_allclose(found.jacobian, slopes, rtol=1e-5, atol=1e-4)


def central_differences(subjects, psi) -> np.ndarray:
    columns = []
    for k in range(psi.shape[1]):
        step = np.exp(STEP * np.eye(psi.shape[1])[k])
        ends = [
            np.concatenate([predictions(r, p * move) for r, p in zip(subjects, psi, strict=True)])
            for move in (step, 1.0 / step)
        ]
        columns.append((ends[0] - ends[1]) / (2 * STEP))
    return np.stack(columns, -1)
