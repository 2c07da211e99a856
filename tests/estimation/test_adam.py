"""Adam against torch's implementation."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.estimation.adam import Adam


def test_it_takes_the_same_steps_as_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours = rng.normal(size=7)
    theirs = torch.nn.Parameter(torch.tensor(ours))
    adam, reference = Adam(ours, 0.02), torch.optim.Adam([theirs], lr=0.02)
    for step in range(30):
        if step == 10:
            adam.lr = reference.param_groups[0]["lr"] = 0.005
        gradient = rng.normal(size=7) * 10.0 ** rng.integers(-6, 6, 7)
        theirs.grad = torch.tensor(gradient)
        reference.step()
        adam.step(gradient)
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12)
