"""Random histories of every kind of dose: closed form, compiled and torchode against superposition of single doses.

Each subject has its own parameters; steady states are 400 implied doses there.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers.dosing import TYPICAL, data_text, predictions, random_history, stream

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.nonmem.read import parse_control_stream

#: closed forms, relative to the subject's largest prediction; superposition of 400 terms loses some digits
EXACT = 1e-10
#: integration at rtol 1e-10, the requirement
INTEGRATED = 1e-7
#: derivatives; central differences of the superposition are exact to about 1e-9, dense output to two digits less than
#: the predictions
EXACT_SLOPE, INTEGRATED_SLOPE = 1e-7, 1e-5


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Histories:
    """Random subjects as a data set, with inputs of the decoders."""

    def __init__(self, folder, n_subjects: int, seed: int, n_records: int = 12) -> None:
        rng = np.random.default_rng(seed)
        self.records = [random_history(rng, n_records) for _ in range(n_subjects)]
        (folder / "data.csv").write_text(data_text(self.records))
        self.x = np.log(TYPICAL) + 0.3 * rng.normal(size=(n_subjects, len(TYPICAL)))
        self.folder = folder

    def decoder(self, backend: str, **options):
        text = stream("data.csv", equations=backend != "closed_form")
        model = parse_control_stream(text, str(self.folder / "run.ctl"))
        table = event_table(model, read_dataset(model))
        return make_decoder(latent_form(model, table), table, backend=backend, **options)

    def expected(self, rows: range) -> list[np.ndarray]:
        return [predictions(self.records[i], np.exp(self.x[i])) for i in rows]

    def slopes(self, rows: range, h: float = 1e-3) -> list[np.ndarray]:
        """Five-point central differences, (n_obs, n_inputs) for each row."""
        found = []
        for i in rows:
            columns = []
            for step in h * np.eye(self.x.shape[1]):
                at = {m: predictions(self.records[i], np.exp(self.x[i] + m * step)) for m in (-2, -1, 1, 2)}
                columns.append((at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h))
            found.append(np.stack(columns, axis=1))
        return found


def assert_close(found, expected: list[np.ndarray], tolerance: float) -> None:
    """Relative to the largest value of each row (and column)."""
    for row, values in enumerate(expected):
        own = found[row]
        scale = np.maximum(np.abs(values).max(axis=0), 1e-3)
        error = np.abs(own - values) / scale
        assert error.max() < tolerance, (row, float(error.max()))


def split(solution, values: np.ndarray) -> list[np.ndarray]:
    return [values[start:end] for start, end in zip(solution.ptr[:-1], solution.ptr[1:], strict=True)]


def check_native(histories: Histories, n: int) -> None:
    expected, slopes, finer = histories.expected(range(n)), histories.slopes(range(n)), histories.slopes(range(n), 2e-4)
    exact = histories.decoder("closed_form").linearise(histories.x)
    assert (exact.status == SolveStatus.OK).all()
    assert_close(split(exact, exact.prediction), expected, EXACT)
    # a difference may step over a jump or a bend: some dose arrives or ends within the step of an observation
    smooth = [i for i in range(n) if np.abs(slopes[i] - finer[i]).max() < 1e-7 * np.abs(slopes[i]).max()]
    assert len(smooth) > 0.8 * n
    pick = split(exact, exact.jacobian)
    assert_close([pick[i] for i in smooth], [slopes[i] for i in smooth], EXACT_SLOPE)
    compiled = histories.decoder("compiled", rtol=1e-10, max_steps=200_000).linearise(histories.x)
    assert (compiled.status == SolveStatus.OK).all()
    assert_close(split(compiled, compiled.prediction), expected, INTEGRATED)
    assert_close(split(compiled, compiled.jacobian), pick, INTEGRATED_SLOPE)


def test_native_back_ends_equal_the_superposition_of_all_doses(tmp_path):
    check_native(Histories(tmp_path, 200, seed=1), 200)


@pytest.mark.slow
def test_native_back_ends_equal_the_superposition_of_all_doses_in_many_histories(tmp_path):
    check_native(Histories(tmp_path, 2000, seed=2), 2000)


@pytest.mark.slow
def test_torchode_equals_the_superposition_of_all_doses(tmp_path):
    check_torchode(Histories(tmp_path, 40, seed=3))


def test_torchode_equals_the_superposition_of_all_doses_in_a_short_history(tmp_path):
    check_torchode(Histories(tmp_path, 1, seed=5, n_records=4))


def check_torchode(histories: Histories) -> None:
    decoder, exact = histories.decoder("torchode", rtol=1e-10), histories.decoder("closed_form")
    rng = np.random.default_rng(0)
    for i in range(len(histories.records)):
        row = np.array([i])
        reference = exact.linearise(histories.x[row], row)
        x = torch.tensor(histories.x[row], requires_grad=True)
        found = decoder.decode(x, row)
        assert_close([found.detach().numpy()], histories.expected(range(i, i + 1)), INTEGRATED)
        weight = rng.normal(size=len(found))
        (torch.tensor(weight) @ found).backward()
        scale = np.abs(reference.jacobian).max(axis=0).max() * np.abs(weight).sum()
        np.testing.assert_allclose(x.grad.numpy()[0], weight @ reference.jacobian, atol=INTEGRATED_SLOPE * scale)
