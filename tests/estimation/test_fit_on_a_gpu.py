"""A fit whose predictions are integrated on a GPU ends where that on the CPU does, and twice at the same bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from nlmevae import fit

FIXTURES = Path(__file__).parents[2] / "fixtures"
#: draws and iterations are as many on both; few, for a test
FEW = {"n_draws": 32, "final_draws": 64, "burn_in_iterations": 3, "training_iterations": 5, "n_alternatives": 0}

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")


@pytest.fixture
def control_stream(tmp_path):
    shutil.copytree(FIXTURES / "theophylline", tmp_path, dirs_exist_ok=True)
    return tmp_path / "run_wt_des.ctl"


def test_a_fit_on_a_gpu_is_that_of_the_cpu_and_repeats_itself(control_stream):
    first, second = (fit(control_stream, device="cuda", covariance="none", max_outer=2, **FEW) for _ in range(2))
    assert (first.settings["backend"], first.settings["device"]) == ("torchode", "cuda")
    np.testing.assert_array_equal(first.thetas, second.thetas)
    np.testing.assert_array_equal(first.omega, second.omega)
    here = fit(control_stream, backend="compiled", covariance="none", max_outer=2, **FEW)
    # paths of two integrators part within their tolerances and the few iterations do not bring them together
    np.testing.assert_allclose(first.thetas, here.thetas, rtol=1e-2)
