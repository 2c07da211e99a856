"""What a user waits for: `nlmevae fit` on theophylline, imports and files included.

Run with: pytest -m slow tests/benchmarks -s
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.helpers.cases import stage

pytestmark = pytest.mark.slow
#: seconds on two cores, second run (the first builds caches)
WALL, FIT = 6.0, 2.5


def test_a_whole_theophylline_fit(tmp_path):
    stream, _ = stage("theophylline", tmp_path)
    command = [sys.executable, "-m", "nlmevae.cli", "fit", str(stream), "--quiet"]
    for _ in range(2):
        began = time.perf_counter()
        subprocess.run(command, check=True, env=os.environ, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - began
    seconds = json.loads(stream.with_suffix(".results.json").read_text())["seconds"]
    print(f"\nwhole command {wall:.2f} s; of it {seconds}")
    assert wall < WALL
    assert seconds["vae"] + seconds["polish"] + seconds["likelihood"] < FIT


def test_preparing_a_known_model(tmp_path):
    """Code generation and linking of a model whose kernels are cached, once the engine is loaded."""
    stream, _ = stage("theophylline", tmp_path)
    script = f"""
import time, numpy as np
from nlmevae.pipeline import prepare
from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
run = prepare({str(stream)!r})
import nlmevae.decoder.compiled
for attempt in range(2):
    began = time.perf_counter()
    form = latent_form(run.model, run.table)
    decoder = make_decoder(form, run.table, backend="compiled")
    decoder.linearise(np.tile(np.log([1.5, 0.08, 32.0]), (12, 1)))
    print(time.perf_counter() - began)
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    first, second = (float(line) for line in done.stdout.split())
    print(f"\nknown model: {first:.3f} s with loading the engine, {second:.3f} s after")
    assert second < 0.1
