"""`.encoder` gives back every bit, is safetensors, and anything else is refused."""

import dataclasses
import json
import struct

import numpy as np
import pytest

from nlmevae.errors import DataError
from nlmevae.results.run_folder import is_own_file
from nlmevae.results.saved_encoder import InputScales, SavedEncoder
from nlmevae.writers.encoder_file import encoder_bytes, read_encoder, write_encoder


def make_encoder() -> SavedEncoder:
    scales = InputScales(
        longest=24.65, value_mean=1 / 3, value_sd=2.5, mean_dose=320.0, log_dose_mean=0.69, log_dose_sd=1.0,
        compartments=(2, 3), covariate_names=("WT",), covariate_mean=np.array([70.1]), covariate_sd=np.array([9.5]),
    )  # fmt: skip
    return SavedEncoder(
        fingerprint="50b8b8237da8e954", latents=("KA", "V"), thetas=np.array([1.5, 1 / 3]), omega=np.eye(2) / 7,
        sigma=np.empty((0, 0)), hidden=32, weights=np.random.default_rng(0).normal(size=101).astype("f"),
        scales=scales, history=np.array([[50.0, -1.25], [100.0, -1.5]]),
    )  # fmt: skip


def same(a, b) -> bool:
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return np.array_equal(a, b) and getattr(a, "dtype", None) == getattr(b, "dtype", None) and type(a) is type(b)


def test_an_encoder_survives_the_round_trip_bit_for_bit(tmp_path):
    path = tmp_path / "run1.encoder"
    write_encoder(path, make_encoder())
    assert same(read_encoder(path), make_encoder())
    assert is_own_file(path)


def test_the_layout_is_that_of_safetensors():
    """Eight bytes of length, a JSON header whose metadata are texts, offsets that cover the bytes without gaps."""
    data = encoder_bytes(make_encoder())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert all(isinstance(v, str) for v in header.pop("__metadata__").values())
    places = sorted(entry["data_offsets"] for entry in header.values())
    assert places[0][0] == 0
    assert [start for start, _ in places[1:]] == [stop for _, stop in places[:-1]]
    assert places[-1][1] == len(data) - 8 - length
    assert header["weights"]["dtype"] == "F32"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:7],
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: b"PK\x03\x04" + data,
        lambda data: struct.pack("<Q", 2**60) + data[8:],
        lambda data: data.replace(b'"dtype":"F32"', b'"dtype":"O  "'),
        lambda data: data.replace(b'"generator":"nlmevae"', b'"generator":"another"'),
        lambda data: data.replace(b'"schema":"1"', b'"schema":"9"'),
    ],
)
def test_anything_else_is_refused_with_a_remedy(tmp_path, damage):
    path = tmp_path / "run1.encoder"
    path.write_bytes(damage(encoder_bytes(make_encoder())))
    with pytest.raises(DataError, match=r"run1\.encoder") as caught:
        read_encoder(path)
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_encoder(tmp_path / "no.encoder")
