"""`.encoder`: the network of a fit, in the safetensors format. No code is in it and none runs when it is read.

    8 bytes   length of the header, little-endian
    header    JSON: "__metadata__" (texts only) and, per array, dtype, shape and place among the bytes that follow
    bytes     the arrays, little-endian

https://github.com/huggingface/safetensors, README, "Format".
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from nlmevae.errors import DataError
from nlmevae.results.run_folder import GENERATOR
from nlmevae.results.saved_encoder import InputScales, SavedEncoder
from nlmevae.writers.atomic import write_atomically

SCHEMA = 1
_DTYPES = {"F32": "<f4", "F64": "<f8"}
_ARRAYS = {"thetas": "F64", "omega": "F64", "sigma": "F64", "weights": "F32", "history": "F64"}
_SCALE_ARRAYS = ("covariate_mean", "covariate_sd")
_HINT = "give the .encoder file that nlmevae fit --save-encoder wrote"
LARGEST_HEADER = 100_000_000  # bytes, the format's own limit


def write_encoder(path: Path, encoder: SavedEncoder) -> None:
    """Write the file whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, encoder_bytes(encoder))


def encoder_bytes(encoder: SavedEncoder) -> bytes:
    """The file's content."""
    scales = {f.name: getattr(encoder.scales, f.name) for f in dataclasses.fields(InputScales)}
    arrays = {name: (dtype, getattr(encoder, name)) for name, dtype in _ARRAYS.items()}
    arrays |= {name: ("F64", scales.pop(name)) for name in _SCALE_ARRAYS}
    metadata = {
        "generator": GENERATOR,
        "schema": str(SCHEMA),
        "fingerprint": encoder.fingerprint,
        "latents": json.dumps(encoder.latents),
        "hidden": str(encoder.hidden),
        "scales": json.dumps(scales),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    content = b""
    for name, (dtype, values) in arrays.items():
        data = np.ascontiguousarray(values, dtype=_DTYPES[dtype]).tobytes()
        places = [len(content), len(content) + len(data)]
        header[name] = {"dtype": dtype, "shape": list(np.shape(values)), "data_offsets": places}
        content += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content


def read_encoder(path: Path) -> SavedEncoder:
    """The encoder as it was written.

    Raises:
        DataError: the file is missing, damaged or not an encoder of ours.
    """
    try:
        return _encoder(Path(path).read_bytes())
    except DataError as error:
        raise DataError(f"cannot use {path}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint=_HINT) from error
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise DataError(f"cannot use {path}: it is damaged or no encoder ({error})", hint=_HINT) from error


def _encoder(data: bytes) -> SavedEncoder:
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(LARGEST_HEADER, len(data)):
        raise ValueError("its header is too long")
    header = json.loads(data[8 : 8 + length])
    metadata = header["__metadata__"]
    if metadata.get("generator") != GENERATOR:
        raise DataError("it was not written by nlmevae", hint=_HINT)
    if metadata.get("schema") != str(SCHEMA):
        hint = "read it with the version that wrote it"
        raise DataError(f"it has schema {metadata.get('schema')}, this version reads {SCHEMA}", hint=hint)
    content = data[8 + length :]
    arrays = {name: _array(header[name], content) for name in (*_ARRAYS, *_SCALE_ARRAYS)}
    scales = json.loads(metadata["scales"])
    tuples = {name: tuple(scales.pop(name)) for name in ("compartments", "covariate_names")}
    return SavedEncoder(
        fingerprint=metadata["fingerprint"],
        latents=tuple(json.loads(metadata["latents"])),
        hidden=int(metadata["hidden"]),
        scales=InputScales(**scales, **tuples, **{name: arrays.pop(name) for name in _SCALE_ARRAYS}),
        **arrays,
    )


def _array(entry: dict[str, Any], content: bytes) -> np.ndarray:
    start, stop = entry["data_offsets"]
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    shape = tuple(entry["shape"])
    if not 0 <= start <= stop <= len(content) or stop - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("it is shorter than its header says")
    return np.frombuffer(content[start:stop], dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
