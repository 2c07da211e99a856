"""torchode on a GPU: what is refused, what is copied, and that the numbers are those of the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.pk_models import event_table as oral_table
from tests.helpers.pk_models import oral_model
from tests.helpers.pretend_device import DEVICE, PretendDevice

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder import device as device_module
from nlmevae.decoder import make as make_module
from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.device import device_name, is_visible, require_device
from nlmevae.decoder.make import make_decoder
from nlmevae.decoder.ode_torch import TorchodeDecoder
from nlmevae.errors import SettingsError
from nlmevae.frontends.nonmem.read import parse_control_stream

#: of the largest value: what one integration may differ from another at the default tolerance
SAME = 1e-8
#: the pretended device takes the very steps of the CPU at any tolerance, and is slow
ROUGH = {"rtol": 1e-3}

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")

STREAM = """$PROBLEM everything that happens between integrations
$INPUT ID TIME AMT RATE II SS EVID CMT DV MDV WT
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN13 TOL=9
$MODEL COMP=(DEPOT) COMP=(CENTRAL)
$PK
KA = THETA(1)*EXP(ETA(1))
K = THETA(2)*WT/70*EXP(ETA(2))
MTIME(1) = THETA(3)*EXP(ETA(3))
FAST = 1 + MPAST(1)
ALAG1 = KA/5
F1 = KA/2
A_0(2) = 3
$DES
DADT(1) = -KA*A(1)
DADT(2) = KA*A(1) - K*FAST*A(2)
$ERROR
Y = A(2) + EPS(1)
$THETA (0, 1.5) (0, 0.1) (0, 5)
$OMEGA 0.1 0.1 0.1
$SIGMA 1
"""
RECORDS = """ID,TIME,AMT,RATE,II,SS,EVID,CMT,DV,MDV,WT
1,0,0,0,0,0,0,2,1,0,70
1,1,100,0,0,0,1,1,0,1,70
1,2,0,0,0,0,0,2,1,0,70
1,3,50,25,0,0,1,2,0,1,80
1,4,0,0,0,0,0,2,1,0,80
1,7,0,0,0,0,0,2,1,0,90
1,8,0,0,0,0,3,2,0,1,90
1,9,100,0,0,0,1,1,0,1,60
1,12,0,0,0,0,0,2,1,0,60
2,0,100,0,12,1,1,1,0,1,70
2,1,0,0,0,0,0,2,1,0,70
2,13,0,0,0,0,0,2,1,0,90
3,0,40,0,0,0,1,2,0,1,50
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def everything(folder, *, steady=False):
    """Form, table, x of four rows and their subjects; the third subject has no observation. A steady state or a model
    time: a control stream may not have both."""
    stream, records = STREAM, RECORDS
    if steady:
        stream = stream.replace("MTIME(1) =", "LATE =").replace("MPAST(1)", "LATE/5")
    else:
        records = records.replace("0,12,1,1", "0,0,0,1")
    (folder / "data.csv").write_text(records)
    model = parse_control_stream(stream, str(folder / "run.ctl"))
    table = event_table(model, read_dataset(model))
    rows = np.array([0, 1, 2, 0])
    x = np.log([1.5, 0.1, 5.0]) + 0.2 * np.random.default_rng(2).normal(size=(4, 3))
    return latent_form(model, table), table, x, rows


def assert_same(found, expected):
    assert found.status.tolist() == expected.status.tolist()
    for name in ("prediction", "jacobian"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=SAME * np.nanmax(np.abs(theirs)))


# what is refused ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("device", "backend", "why", "advice"),
    [
        ("gpu", "auto", "device is 'gpu'", "cuda"),
        ("cuda:", "auto", "device is 'cuda:'", "cuda:1"),
        ("cuda:-1", "auto", "device is 'cuda:-1'", "cuda:1"),
        ("", "auto", "device is ''", "cpu"),
        (1, "auto", "device is 1", "cpu"),
        (None, "auto", "device is None", "cpu"),
        ("meta", "auto", "device is 'meta'", "cpu"),
        ("mps", "torchode", "no 64-bit floating point numbers", "cuda"),
        ("mps:0", "auto", "no 64-bit floating point numbers", "cuda"),
        ("cuda", "compiled", "the compiled back end does not run on device cuda", "torchode"),
        ("cuda:1", "closed_form", "the closed_form back end does not run on device cuda:1", "torchode"),
        ("cuda", "formula", "the formula back end does not run", "leave out the device"),
    ],
)
def test_a_device_that_cannot_be_is_refused_with_the_reason(device, backend, why, advice):
    with pytest.raises(SettingsError) as caught:
        device_name(device, backend)
    assert why in caught.value.message
    assert advice in caught.value.hint


def test_names_of_devices_are_read_as_torch_writes_them():
    assert [device_name(d, "torchode") for d in (" CUDA", "cuda:1", "cpu")] == ["cuda", "cuda:1", "cpu"]
    assert device_name("cpu", "compiled") == "cpu"


@pytest.mark.parametrize(
    ("version", "available", "count", "device", "why", "advice"),
    [
        (None, False, 0, "cuda", "has no CUDA", "install torch with CUDA"),
        ("12.8", False, 0, "cuda", "no CUDA device is visible", "CUDA_VISIBLE_DEVICES"),
        ("12.8", True, 1, "cuda:1", "1 CUDA device is visible", "use cuda or cuda:0,"),
        ("12.8", True, 2, "cuda:7", "2 CUDA devices are visible", "cuda:0, cuda:1"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_what_to_do(
    monkeypatch, version, available, count, device, why, advice
):
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert not is_visible(device)
    with pytest.raises(SettingsError, match=why) as caught:
        require_device(device)
    assert device in caught.value.message
    assert advice in caught.value.hint
    assert "leave out the device" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="this torch can use CUDA")
def test_a_device_that_torch_cannot_use_after_all_is_refused_in_its_words(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SettingsError, match="device cuda cannot be used: "):
        require_device("cuda")


def test_the_cpu_is_always_there():
    require_device("cpu")
    assert is_visible("cpu")


# which back end -------------------------------------------------------------------------------------------
def test_auto_is_torchode_on_a_gpu_and_others_are_refused(monkeypatch):
    monkeypatch.setattr(make_module, "require_device", lambda device: None)
    table = oral_table()
    form = latent_form(oral_model(), table)
    assert make_decoder(form, table).backend == "closed_form"
    for backend in ("auto", "torchode"):
        decoder = make_decoder(form, table, backend=backend, device="cuda:1")
        assert (decoder.backend, decoder.device) == ("torchode", "cuda:1")
    with pytest.raises(SettingsError, match="the closed_form back end does not run on device cuda"):
        make_decoder(form, table, backend="closed_form", device="cuda")
    with pytest.raises(
        SettingsError, match="the torchode back end cannot run this model: it has no compartments"
    ) as no:
        make_decoder(replace(form, n_compartments=0), table, device="cuda")
    assert "leave it out" in no.value.hint


def test_the_device_cpu_given_by_name_changes_nothing():
    table = oral_table()
    form, x = latent_form(oral_model(), table), np.log([[1.5, 0.08, 32.0]] * table.n_subjects)
    for backend in ("compiled", "torchode"):
        given, default = (
            make_decoder(form, table, backend=backend, **ROUGH, **d).linearise(x) for d in ({"device": "cpu"}, {})
        )
        np.testing.assert_array_equal(given.jacobian, default.jacobian)


# on a pretended device ------------------------------------------------------------------------------------
@pytest.mark.parametrize("steady", [False, True])
def test_predictions_and_jacobians_of_another_device_are_those_of_the_cpu(steady, tmp_path):
    form, table, x, rows = everything(tmp_path, steady=steady)
    here, there = TorchodeDecoder(form, table, **ROUGH), TorchodeDecoder(form, table, device=DEVICE, **ROUGH)
    method = "predict" if steady else "linearise"
    with PretendDevice():
        found = getattr(there, method)(x, rows)
    assert_same(found, getattr(here, method)(x, rows))
    assert len(found.prediction) == 5 + 2 + 0 + 5


def test_reverse_mode_reaches_the_cpu_from_another_device(tmp_path):
    form, table, x, rows = everything(tmp_path)
    decoder = TorchodeDecoder(form, table, device=DEVICE, **ROUGH)
    tensor = torch.tensor(x, requires_grad=True)
    with PretendDevice():
        decoder.decode(tensor, rows).sum().backward()
    solution = TorchodeDecoder(form, table, **ROUGH).linearise(x, rows)
    sums = [solution.jacobian[a:b].sum(0) for a, b in zip(solution.ptr[:-1], solution.ptr[1:], strict=True)]
    np.testing.assert_allclose(tensor.grad.numpy(), sums, rtol=1e-8, atol=1e-8)


def test_a_call_copies_one_block_there_and_one_back():
    table = oral_table(n_subjects=2)
    form, x = latent_form(oral_model(), table), np.log([[1.5, 0.08, 32.0]] * 2)
    decoder = TorchodeDecoder(form, table, device=DEVICE, **ROUGH)
    with PretendDevice():
        decoder.predict(x)  # the coefficients of the method are copied once
    with PretendDevice() as pretended:
        decoder.predict(x)
        assert (pretended.copies_in, pretended.copies_out) == (1, 1)
        decoder.linearise(x)  # values and tangents
        assert (pretended.copies_in, pretended.copies_out) == (3, 3)


def test_rows_that_fail_there_are_marked_and_left_out():
    table = oral_table(n_subjects=3)
    form, x = latent_form(oral_model(), table), np.log([[1.5, 0.08, 32.0]] * 3)
    x[1, 0] = 12.0  # more steps than allowed
    with PretendDevice():
        found = TorchodeDecoder(form, table, rtol=1e-3, max_steps=60, device=DEVICE).predict(x)
    assert found.status.tolist() == [SolveStatus.OK, SolveStatus.MAX_STEPS, SolveStatus.OK]
    assert np.isnan(found.prediction[6:12]).all()
    assert np.isfinite(np.delete(found.prediction, np.s_[6:12])).all()


@pytest.mark.parametrize("steady", [False, True])
def test_what_happens_between_integrations_is_as_in_the_compiled_back_end(steady, tmp_path):
    form, table, x, rows = everything(tmp_path, steady=steady)
    found = make_decoder(form, table, backend="torchode", rtol=1e-8).linearise(x[:2], rows[:2])
    expected = make_decoder(form, table, backend="compiled", rtol=1e-10).linearise(x[:2], rows[:2])
    for name, tolerance in (("prediction", 1e-6), ("jacobian", 1e-5)):  # torchode's dense output is of fourth order
        ours, theirs = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


# chunks ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("chunk_bytes", [pytest.param(1, marks=pytest.mark.slow), 60_000])
def test_chunks_of_a_bounded_memory_give_the_same_numbers_bit_for_bit(chunk_bytes, tmp_path):
    form, table, x, rows = everything(tmp_path)
    x, rows = x[[0, 1, 2, 3, 1]], rows[[0, 1, 2, 3, 1]]
    whole, parts = TorchodeDecoder(form, table, **ROUGH), TorchodeDecoder(form, table, chunk_bytes=chunk_bytes, **ROUGH)
    assert len(parts._chunks(rows, copies=3)) > 1
    for name in ("predict", "linearise"):
        found, expected = getattr(parts, name)(x, rows), getattr(whole, name)(x, rows)
        np.testing.assert_array_equal(found.prediction, expected.prediction)
        np.testing.assert_array_equal(found.ptr, expected.ptr)
        if name == "linearise":
            np.testing.assert_array_equal(found.jacobian, expected.jacobian)


def test_no_rows_have_no_predictions(tmp_path):
    form, table, x, _ = everything(tmp_path)
    found = TorchodeDecoder(form, table, **ROUGH).linearise(x[:0], np.zeros(0, dtype=int))
    assert found.prediction.shape == (0,)
    assert found.jacobian.shape == (0, form.n_inputs)


# what goes wrong ------------------------------------------------------------------------------------------
def test_a_time_that_is_not_a_number_fails_its_row_alone(tmp_path):
    form, table, x, rows = everything(tmp_path)
    decoder = TorchodeDecoder(form, table, **ROUGH)
    good = decoder.predict(x, rows)
    x[0, 0] = np.nan  # the lag, of the first row
    found = decoder.linearise(x, rows)
    assert found.status.tolist() == [SolveStatus.NON_FINITE, 0, 0, 0]
    assert np.isnan(found.prediction[:5]).all()
    assert not found.jacobian[:5].any()
    np.testing.assert_allclose(found.prediction[5:], good.prediction[5:], rtol=1e-12)


def test_memory_that_runs_out_is_a_sentence(monkeypatch):
    table = oral_table()
    decoder = TorchodeDecoder(latent_form(oral_model(), table), table)

    def exhausted(schedule):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(decoder, "_follow", exhausted)
    with pytest.raises(SettingsError, match=r"ran out of memory: CUDA out of memory. Tried to allocate 2.00 GiB"):
        decoder.predict(np.log([[1.5, 0.08, 32.0]] * table.n_subjects))


def test_nothing_of_torch_is_asked_for_the_cpu(monkeypatch):
    monkeypatch.setattr(device_module, "_obstacle", lambda device: pytest.fail("asked"))
    require_device("cpu")
    assert is_visible("cpu")


# on a real one --------------------------------------------------------------------------------------------
@needs_gpu
@pytest.mark.parametrize("steady", [False, True])
def test_a_gpu_gives_the_numbers_of_the_cpu(steady, tmp_path):
    form, table, x, rows = everything(tmp_path, steady=steady)
    here, there = TorchodeDecoder(form, table), TorchodeDecoder(form, table, device="cuda")
    assert_same(there.predict(x, rows), here.predict(x, rows))
    assert_same(there.linearise(x, rows), here.linearise(x, rows))
    tensor = torch.tensor(x, requires_grad=True)
    there.decode(tensor, rows).sum().backward()
    solution = here.linearise(x, rows)
    sums = [solution.jacobian[a:b].sum(0) for a, b in zip(solution.ptr[:-1], solution.ptr[1:], strict=True)]
    np.testing.assert_allclose(tensor.grad.numpy(), sums, rtol=1e-7, atol=1e-7)


@needs_gpu
def test_a_gpu_gives_the_same_bits_again(tmp_path):
    form, table, x, rows = everything(tmp_path)
    x, rows = np.tile(x, (500, 1)), np.tile(rows, 500)
    first, second = (TorchodeDecoder(form, table, device="cuda").linearise(x, rows) for _ in range(2))
    np.testing.assert_array_equal(first.prediction, second.prediction)
    np.testing.assert_array_equal(first.jacobian, second.jacobian)


@needs_gpu
def test_rows_that_fail_on_a_gpu_are_marked():
    table = oral_table(n_subjects=3)
    form, x = latent_form(oral_model(), table), np.log([[1.5, 0.08, 32.0]] * 3)
    x[1, 0] = 12.0
    found = TorchodeDecoder(form, table, max_steps=200, device="cuda").predict(x)
    assert found.status.tolist() == [SolveStatus.OK, SolveStatus.MAX_STEPS, SolveStatus.OK]
